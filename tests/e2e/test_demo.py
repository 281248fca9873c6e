"""What a finished demo must have left: artifacts, evidence, lineage, and a model that answers."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import openai
import pytest

from bedside_core.config import load_document
from bedside_core.kinds.evidence import EVIDENCE, read_evidence
from bedside_core.registry.registry import Registry

KINDS = ("base", "heldout", "corpus", "checkpoint", "merged", "evidence")
GERMAN_WORDS = set("der die das und ist sind ein eine bei mit von zu im ich habe wie nicht".split())
ENGLISH_WORDS = set("the a an and is are of to with in it that this for you".split())


def test_every_kind_of_artifact_is_there_and_intact(bedside, registry):
    done = bedside("core", "registry", "verify")
    assert done.returncode == 0, done.stderr
    assert {registry.get(f"demo/{kind}").kind for kind in KINDS} == set(KINDS)


def test_adapting_again_makes_nothing_anew(bedside, registry):
    before, served = sorted(registry.store.iterdir()), registry.current()
    done = bedside("core", "adapt", "--config", "configs/demo.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is unchanged, reused") == len(KINDS)
    assert sorted(registry.store.iterdir()) == before
    assert registry.current().model == served.model


def test_the_evidence_shows_a_medical_gain_and_is_signed(registry):
    artifact = registry.get("demo/evidence")
    head = read_evidence(artifact, registry.keyring())
    assert head.verdict == "PROMOTE", head.reasons
    assert registry.current().model == head.candidate == registry.get("demo/merged").digest
    evidence = json.loads(artifact.file(EVIDENCE).read_text())
    assert evidence["candidate"] != evidence["base"]


def test_every_model_has_answered_the_exams_by_the_engine(registry):
    evidence = json.loads(registry.get("demo/evidence").file(EVIDENCE).read_text())
    choices = {"medical_de", "general_de"}
    for role in ("base", "checkpoint", "candidate"):
        answered = evidence["results"][role]["answered"]
        assert {name: set(modes) for name, modes in answered.items()} == {
            name: {"generated", "constrained"} if name in choices else {"generated"}
            for name in load_document(Path("configs/demo.yaml"))["eval"]["exams"]
        }
        for modes in answered.values():
            assert [one["unanswered"] for one in modes.values()] == [0] * len(modes)
        assert all(answered[name]["constrained"]["unreadable"] == 0 for name in choices)
        followed = evidence["results"][role]["values"]["instructions_de"]["instructions_followed"]
        assert 0 < sum(followed) < len(followed)


def test_held_out_perplexity_fell_in_training(registry):
    heldout = json.loads(registry.get("demo/checkpoint").file("heldout.json").read_text())
    assert heldout["after"]["perplexity"] < 0.9 * heldout["before"]["perplexity"]


def test_lineage_reaches_the_documents_from_the_served_model(bedside):
    done = bedside("core", "registry", "lineage")
    assert done.returncode == 0, done.stderr
    for word in ("merged", "checkpoint", "corpus", "base", "source demo-medical: 40 documents"):
        assert word in done.stdout
    assert "demo-general" not in done.stdout


def test_lineage_reaches_the_served_model_from_a_document(bedside):
    done = bedside("core", "registry", "lineage", "demo-medical/kardiologie-leitlinie")
    assert done.returncode == 0, done.stderr
    assert re.search(r"merged \w+ by merger run, for commercial use \(promoted\)", done.stdout)


def test_others_verify_the_served_model_with_tools_of_their_own(registry, root):
    model = registry.current().model
    public = registry.public / model
    check = ["openssl", "dgst", "-sha256", "-verify", "publisher.pub", "-signature"]
    done = subprocess.run([*check, "mlbom.cdx.json.sig", "mlbom.cdx.json"], cwd=public)
    assert done.returncode == 0
    tool = root / ".venvs" / "verify" / "bin" / "model_signing"
    if not tool.exists() and not os.environ.get("BEDSIDE_REQUIRE_VERIFY"):
        pytest.skip("no environment `verify` - bash scripts/setup.sh verify")
    done = subprocess.run(
        [str(tool), "verify", "key", str(registry.store / model), "--signature",
         str(public / "model.sig"), "--public_key", str(public / "publisher.pub"),
         "--no-ignore-git-paths"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Verification succeeded" in done.stdout


@pytest.fixture
def twin(registry, tmp_path):
    """The demo's home again, to be changed; files are shared with it until they are replaced."""
    copy = tmp_path / "home"
    shutil.copytree(registry.home, copy, copy_function=_link, ignore=_unfinished)
    log = copy / registry.log.path.name
    log.unlink()  # it is appended to: the demo's own must stay as it is
    shutil.copy2(registry.log.path, log)
    shutil.copy2(registry.pin.path, Registry(copy).pin.path)
    return Registry(copy)


def test_a_tampered_weight_file_is_refused_before_it_is_loaded(bedside, twin):
    weights = twin.store / twin.current().model / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[len(changed) // 2] ^= 1
    weights.unlink()  # a hard link: the demo's own file must stay as it is
    weights.write_bytes(changed)
    words = ("inference", "engine", "--config", "configs/demo.yaml")
    done = bedside("engine", *words, BEDSIDE_HOME=str(twin.home))
    assert done.returncode == 4
    assert "model.safetensors was changed" in done.stderr


def test_an_engine_ends_when_its_model_is_withdrawn(bedside, twin, root, environment, tmp_path):
    """The real vLLM, also while it loads: within a minute, with exit code 5, and not again."""
    house = {**environment, "BEDSIDE_HOME": str(twin.home), "BEDSIDE_RUN_DIR": str(tmp_path / "r")}
    socket = f"inference.engine.socket={tmp_path}/engine.sock"
    words = ["inference", "engine", "--config", "configs/demo.yaml", "--set", socket]
    program = str(root / ".venvs/engine/bin/bedside")
    with (tmp_path / "said").open("wb") as said:
        engine = subprocess.Popen([program, *words], cwd=root, env=house, stderr=said)
    try:
        deadline = time.monotonic() + 600
        while not (tmp_path / "engine.sock").exists():
            assert engine.poll() is None, (tmp_path / "said").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.5)
        withdrawn = bedside("core", "registry", "withdraw", "demo/corpus", "--reason", "a test",
                            BEDSIDE_HOME=str(twin.home))  # fmt: skip
        assert withdrawn.returncode == 0
        assert f"{twin.current().model[:12]} by merger run" in withdrawn.stdout
        assert engine.wait(60) == 5
    finally:
        engine.kill()
        engine.wait()
    assert "may not be served any more: corpus" in (tmp_path / "said").read_text()
    again = bedside("engine", *words, BEDSIDE_HOME=str(twin.home))
    assert again.returncode == 5
    assert "may not be used: corpus" in again.stderr


def test_training_that_was_killed_goes_on(bedside, twin, root, environment):
    words = ["trainer", "run", "--config", "configs/demo.yaml",
             "--set", "trainer.max_steps=4", "--set", "trainer.states.every=1",
             "--set", "trainer.sequence_length=128",
             "--set", "trainer.heldout=general_en"]  # fmt: skip
    house = {"BEDSIDE_HOME": str(twin.home)}
    before = {path.name for path in twin.store.iterdir()}
    program = str(root / ".venvs/trainer/bin/bedside")
    trainer = subprocess.Popen([program, *words], cwd=root, env=environment | house)
    deadline = time.monotonic() + 300
    while not list((twin.home / "work").glob("*/step-*")):
        assert trainer.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    assert {path.name for path in twin.store.iterdir()} == before
    done = bedside("trainer", *words, **house)
    assert done.returncode == 0, done.stderr
    assert "resum" in done.stdout
    steps = twin.get("demo/checkpoint").file("loss.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in steps] == [1, 2, 3, 4]
    assert list((twin.home / "tmp").iterdir()) == []


def test_without_a_key_there_is_no_answer(served):
    request = urllib.request.Request(f"{served.address}/v1/models")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 401
    assert json.loads(refused.value.read())["error"]["code"]


def test_a_german_answer_streams_from_the_promoted_model(served, registry):
    client = openai.OpenAI(base_url=f"{served.address}/v1", api_key=served.key)
    (model,) = client.models.list().data
    raw = client.chat.completions.with_raw_response.create(
        model=model.id,
        messages=[{"role": "user", "content": "Was ist eine Lungenentzündung?"}],
        stream=True, max_tokens=80, temperature=0, frequency_penalty=0.8,
    )  # fmt: skip
    assert raw.headers["x-bedside-model"] == registry.current().model
    assert raw.headers["x-bedside-verdict"] == "PROMOTE"
    chunks = [c.choices[0].delta.content or "" for c in raw.parse() if c.choices]
    assert len([c for c in chunks if c]) > 5
    words = re.findall(r"\w+", "".join(chunks).lower())
    german = sum(word in GERMAN_WORDS for word in words)
    assert german >= 3
    assert german > sum(word in ENGLISH_WORDS for word in words)


def test_the_home_holds_no_prompt(served, registry):
    canary = "Zwiebelkuchenrezept-4711"
    client = openai.OpenAI(base_url=f"{served.address}/v1", api_key=served.key)
    (model,) = client.models.list().data
    client.chat.completions.create(
        model=model.id, messages=[{"role": "user", "content": canary}], max_tokens=4
    )
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(
            model=model.id, messages=[{"role": "user", "content": canary}], temperature=-1
        )
    small = (p for p in registry.home.rglob("*") if p.is_file() and p.stat().st_size < 10_000_000)
    assert [p for p in small if canary.encode() in p.read_bytes()] == []


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def _unfinished(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name in ("work", "tmp") or name.endswith(".sock")]

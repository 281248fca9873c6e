"""A running engine ends when its model is withdrawn, or when nobody can say whether it was."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from bedside_core.artifacts import Artifact
from bedside_core.config import Config
from bedside_core.registry import removal
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_inference.engine import withdrawal
from bedside_inference.served import VARIABLE, ServedModel

WHY = "consent withdrawn"
ENGINE = """
import sys, time
from pathlib import Path
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
from bedside_inference.engine import withdrawal
from bedside_inference.served import ServedModel
withdrawal.LOOK_SECONDS, withdrawal.NOTICE_SECONDS, withdrawal.BLIND_SECONDS = 0.05, 0.2, 0.5
served = ServedModel.model_validate_json(sys.argv[2])
withdrawal.watch(Registry(Path(sys.argv[1])), served)
print("serving", flush=True)
while not withdrawal.NOTICE.is_set():
    time.sleep(0.01)
print("noticed", flush=True)
time.sleep(600)
"""


@pytest.fixture
def registry(tmp_path) -> Registry:
    registry = Registry(tmp_path / "home")
    found(registry)
    return registry


def put(registry: Registry, kind: str, *parents: Artifact, **facts: object) -> Artifact:
    run = Run("test", "core", "step", registry)
    recipe = run.recipe(Config(), parents={p.kind: p for p in parents})
    with run.write(kind, recipe) as writer:
        (writer.path / "content").write_bytes(kind.encode())
        writer.facts |= facts
    return writer.result


@pytest.fixture
def model(registry: Registry) -> Artifact:
    corpus = put(registry, "corpus", sources=[{"name": "letters"}])
    return put(registry, "merged", put(registry, "base"), corpus)


@pytest.fixture
def serve(registry: Registry) -> Iterator[Callable[[ServedModel], subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []

    def serve(served: ServedModel) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", ENGINE, str(registry.home), served.model_dump_json()]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        return process

    yield serve
    for process in processes:
        process.kill()
        process.communicate()


def served(model: Artifact, evidence: str | None = None) -> ServedModel:
    verdict = "PROMOTE" if evidence else "UNPROVEN"
    return ServedModel(
        model=model.digest, created=datetime.now(UTC), evidence=evidence, verdict=verdict
    )


@pytest.mark.parametrize("what", ["letters", "model"])
def test_it_ends_with_a_policy_error_after_saying_so(registry, model, serve, what) -> None:
    process = serve(served(model))
    removal.withdraw(registry, "letters" if what == "letters" else model.digest, WHY)
    said, errors = process.communicate(timeout=60)
    assert (said, process.returncode) == ("noticed\n", 5)
    assert f"bedside: model {model.digest[:12]} may not be served any more: " in errors
    assert f"{WHY}; this engine ends" in errors


def test_its_evidence_alone_is_withdrawn(registry, model, serve) -> None:
    evidence = put(registry, "evidence", model)
    process = serve(served(model, evidence.digest))
    removal.withdraw(registry, evidence.digest, WHY)
    assert process.wait(60) == 5


def test_what_concerns_other_models_ends_nothing(registry, model, serve) -> None:
    other = put(registry, "checkpoint")
    process = serve(served(model))
    removal.withdraw(registry, other.digest, WHY)
    removal.delete(registry, other.digest, WHY)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    removal.withdraw(registry, "letters", WHY)
    assert process.wait(60) == 5


def test_a_log_that_cannot_be_verified_ends_it_too(registry, model, serve) -> None:
    removal.withdraw(registry, put(registry, "checkpoint").digest, WHY)
    process = serve(served(model))
    registry.log.path.write_bytes(b"")
    said, errors = process.communicate(timeout=60)
    assert (said, process.returncode) == ("", 4)
    assert "whether the model was withdrawn is not known, this engine ends" in errors


def test_a_log_that_is_there_again_in_time_ends_nothing(registry, model, serve) -> None:
    removal.withdraw(registry, put(registry, "checkpoint").digest, WHY)
    raw = registry.log.path.read_bytes()
    process = serve(served(model))
    registry.log.path.write_bytes(b"")
    registry.log.path.write_bytes(raw)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)


VLLM = """
import sys, time
from bedside_inference.engine import withdrawal
withdrawal.LOOK_SECONDS = withdrawal.NOTICE_SECONDS = 0.1
print(" ".join(sys.argv[1:]), flush=True)
time.sleep(600)
"""


def test_the_process_that_becomes_vllm_is_watched(registry, model, tmp_path) -> None:
    """The main module as it is, with a server of ours where vLLM's would be."""
    package = tmp_path / "site" / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    for folder in (package, *package.parents[:2]):
        (folder / "__init__.py").touch()
    (package / "api_server.py").write_text(VLLM)
    path = os.pathsep.join([str(tmp_path / "site"), *sys.path])
    environment = {
        **os.environ, "PYTHONPATH": path, "BEDSIDE_HOME": str(registry.home),
        VARIABLE: served(model).model_dump_json(), "BEDSIDE_PARENT_PID": str(os.getpid()),
    }  # fmt: skip
    command = [sys.executable, "-P", "-m", "bedside_inference.engine.vllm_server", "--model", "x"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "--model x\n"
        removal.withdraw(registry, "letters", WHY)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 5, errors
    assert "may not be served any more: source letters was withdrawn" in errors


def test_it_is_over_within_a_minute() -> None:
    assert withdrawal.LOOK_SECONDS + withdrawal.NOTICE_SECONDS < 60

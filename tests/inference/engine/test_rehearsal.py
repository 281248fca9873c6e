"""A base without evidence answers one other process of ours, and nobody else."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from bedside_core import memory
from bedside_core.artifacts import Artifact
from bedside_core.config import Config
from bedside_core.errors import ArtifactError, BedsideError, ConfigError, PolicyError
from bedside_core.lifeline import PARENT
from bedside_core.registry import removal
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_inference.config import EngineConfig, InferenceConfig
from bedside_inference.engine import ending, launch
from bedside_inference.engine.rehearsal import rehearse

HEADER = b'{"w":{"dtype":"BF16","shape":[50],"data_offsets":[0,100]}}'
CONFIG = InferenceConfig(model_name="own", engine=EngineConfig(url="http://engine:8000"))


class Started(Exception):  # noqa: N818 - it is no error
    """What would have become of this process."""

    def __init__(self, program: str, arguments: list[str], environment: dict[str, str]) -> None:
        super().__init__(program)
        self.arguments, self.environment = arguments, environment


@pytest.fixture(autouse=True)
def no_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop where vLLM would start; keep the test process free of lifelines."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def execve(program: str, arguments: list[str], environment: dict[str, str]) -> None:
        assert set(ending.ENDING) <= signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise Started(program, arguments, environment)

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(launch, "vllm_build", lambda: "cpu")
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    monkeypatch.setenv(PARENT, str(os.getpid()))
    monkeypatch.delenv("BEDSIDE_ALLOW_UNPROVEN", raising=False)


@pytest.fixture
def run(home: Path) -> Run:
    registry = Registry(home)
    found(registry)
    return Run("test", "inference", "rehearse", registry)


@pytest.fixture
def base(run: Run) -> Artifact:
    with run.write("base", run.recipe(Config())) as writer:
        (writer.path / "config.json").write_text('{"dtype": "bfloat16"}')
        weights = len(HEADER).to_bytes(8, "little") + HEADER + b"w" * 100
        (writer.path / "model.safetensors").write_bytes(weights)
    return writer.result


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "place"
    path.mkdir(mode=0o700)
    return path


def refused(error: type[BedsideError], words: str, run: Run, place: Path, digest: str) -> None:
    with pytest.raises(error, match=words):
        rehearse(CONFIG, run, str(place), digest)


def test_it_is_the_run_s_base_on_one_socket_and_no_network(
    run: Run, base: Artifact, place: Path
) -> None:
    with pytest.raises(Started) as started:
        rehearse(CONFIG, run, str(place), base.digest)
    arguments, environment = started.value.arguments, started.value.environment
    assert arguments[arguments.index("--uds") + 1] == str(place / "engine.sock")
    assert {"--host", "--port"}.isdisjoint(arguments)
    assert arguments[arguments.index("--model") + 1] == str(base.path)
    served = json.loads(environment["BEDSIDE_SERVED"])
    assert (served["model"], served["verdict"]) == (base.digest, "UNPROVEN")
    assert environment["BEDSIDE_ENGINE_NETWORK"] == "0"
    assert environment["VLLM_CPU_NUM_OF_RESERVED_CPU"] == "0"
    assert environment["HOME"].startswith(str(place))


def test_nobody_else_starts_it(
    run: Run, base: Artifact, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PARENT)
    monkeypatch.setenv("BEDSIDE_ALLOW_UNPROVEN", "1")
    refused(PolicyError, "answers nobody - `bedside trainer replay` and", run, place, base.digest)


def test_a_place_that_others_reach_or_that_holds_something_is_refused(
    run: Run, base: Artifact, place: Path
) -> None:
    (place / "engine.sock").touch()
    refused(ConfigError, "not empty", run, place, base.digest)
    (place / "engine.sock").unlink()
    place.chmod(0o755)
    refused(ConfigError, "lets others reach the engine", run, place, base.digest)


def test_a_withdrawn_or_missing_base_is_not_asked(run: Run, base: Artifact, place: Path) -> None:
    removal.withdraw(run.registry, base.digest, "wrong licence")
    refused(PolicyError, "withdrawn", run, place, base.digest)
    refused(ArtifactError, "no artifact", run, place, "0" * 64)


def test_a_changed_model_is_not_asked(run: Run, base: Artifact, place: Path) -> None:
    path = base.path / "model.safetensors"
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    refused(ArtifactError, "does not match its manifest", run, place, base.digest)

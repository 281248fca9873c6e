"""The engine serves nothing but a verified, promoted model, and starts vLLM closed."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedside_core import memory
from bedside_core.artifacts import Artifact, Seal
from bedside_core.config import Config
from bedside_core.errors import ArtifactError, BedsideError, ConfigError, PolicyError
from bedside_core.kinds.evidence import EVIDENCE, evidence_seal
from bedside_core.kinds.serving import served_identity
from bedside_core.lifeline import PARENT
from bedside_core.registry import removal
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_inference.config import EngineConfig, InferenceConfig
from bedside_inference.engine import ending
from bedside_inference.engine import launch as engine
from bedside_inference.secret import make_secrets
from bedside_inference.served import ServedModel


class Started(Exception):  # noqa: N818 - it is no error
    """What would have become of this process."""

    def __init__(self, program: str, arguments: list[str], environment: dict[str, str]) -> None:
        super().__init__(program)
        self.program, self.arguments, self.environment = program, arguments, environment


HEADER = b'{"w":{"dtype":"BF16","shape":[50],"data_offsets":[0,100]}}'
MODEL = {
    "config.json": b'{"dtype": "bfloat16"}',
    "model.safetensors": len(HEADER).to_bytes(8, "little") + HEADER + b"w" * 100,
}


@pytest.fixture(autouse=True)
def no_vllm(monkeypatch) -> None:
    """Stop where vLLM would start; keep the test process free of lifelines and their variable."""

    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def execve(program: str, arguments: list[str], environment: dict[str, str]) -> None:
        # Until the next program heeds them; here there is none.
        assert set(ending.ENDING) <= signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise Started(program, arguments, environment)

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(engine, "vllm_build", lambda: "cpu")
    # How much the machine of this test has free is not what is tested.
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    monkeypatch.setenv(PARENT, str(os.getpid()))
    monkeypatch.delenv("BEDSIDE_ALLOW_UNPROVEN", raising=False)


@pytest.fixture
def run(home: Path) -> Run:
    # Any installed service's name will do: the recipe notes its version.
    registry = Registry(home)
    found(registry)
    return Run("test", "inference", "engine", registry)


def put(run: Run, kind: str, files: dict[str, bytes], seal: Seal | None = None) -> Artifact:
    with run.write(kind, run.recipe(Config())) as writer:
        writer.seal = seal
        for name, content in files.items():
            (writer.path / name).write_bytes(content)
    return writer.result


@pytest.fixture
def judge(run: Run, make_basis: Callable[..., dict[str, Any]]) -> Callable[..., Artifact]:
    def judge(model: Artifact, verdict: str, *, signed: bool = True) -> Artifact:
        head = {
            "candidate": model.digest, "base": "b" * 64, "verdict": verdict, "reasons": ["r"],
            "served": served_identity(model, EngineConfig()).model_dump(),
            **make_basis(run.registry, model.digest, "b" * 64),
        }  # fmt: skip
        ours = evidence_seal(run.registry.evidence_keys)
        seal = ours if signed else Seal(ours.name, lambda content: ours.sign(content + b" "))
        return put(run, "evidence", {EVIDENCE: json.dumps(head).encode()}, seal)

    return judge


@pytest.fixture
def model(run: Run) -> Artifact:
    return put(run, "merged", MODEL)


def record(run: Run, model: Artifact, evidence: Artifact, **more: str) -> None:
    """Write a promotion as it would be, whether or not it was deserved."""
    decision = {"model": model.digest, "evidence": evidence.digest, "by": "test"}
    with run.registry.log.writing() as log:
        log.add("promote", decision | more)


@pytest.fixture
def promoted(run: Run, model: Artifact, judge: Callable[..., Artifact]) -> Artifact:
    record(run, model, judge(model, "PROMOTE"))
    return model


def assert_refused(
    run: Run, error: type[BedsideError], words: str, config: InferenceConfig | None = None
) -> None:
    with pytest.raises(error, match=words):
        engine.serve(config or InferenceConfig(), run)


def start(run: Run, config: InferenceConfig | None = None) -> Started:
    with pytest.raises(Started) as caught:
        engine.serve(config or InferenceConfig(), run)
    return caught.value


def test_nothing_promoted(run, model) -> None:
    assert_refused(run, PolicyError, "nothing is promoted.*bedside adapt")


def test_tampered_weights_are_named(run, promoted) -> None:
    weights = promoted.path / "model.safetensors"
    weights.write_bytes(MODEL["model.safetensors"][:-1] + b"x")
    assert_refused(run, ArtifactError, r"model\.safetensors was changed")
    assert ArtifactError.exit_code == 4


def test_added_file(run, promoted) -> None:
    (promoted.path / "modeling.py").write_text("")
    assert_refused(run, ArtifactError, r"modeling\.py is not listed")


def test_missing_weights(run, promoted) -> None:
    (promoted.path / "model.safetensors").unlink()
    assert_refused(run, ArtifactError, r"model\.safetensors is missing")


def test_evidence_of_another_house(run, model, judge) -> None:
    record(run, model, judge(model, "PROMOTE", signed=False))
    assert_refused(run, ArtifactError, "signature does not fit")


def test_tampered_evidence(run, promoted) -> None:
    evidence = run.registry.get("test/evidence")
    path = evidence.path / EVIDENCE
    path.write_bytes(path.read_bytes().replace(b'"r"', b'"s"'))
    assert_refused(run, ArtifactError, r"evidence\.json was changed")


@pytest.mark.parametrize("verdict", ["REJECT", "NOT_ENOUGH_EVIDENCE"])
def test_a_forced_promotion_is_no_verdict(run, model, judge, verdict) -> None:
    record(run, model, judge(model, verdict))
    assert_refused(run, PolicyError, verdict)


def test_evidence_about_another_model(run, promoted) -> None:
    other = put(run, "checkpoint", MODEL | {"tokenizer.json": b"{}"})
    record(run, other, run.registry.get("test/evidence"))
    assert_refused(run, ArtifactError, "evidence is about")


def test_promoted_model_is_served(run, promoted, monkeypatch) -> None:
    monkeypatch.setenv("BEDSIDE_ALLOW_UNPROVEN", "1")
    started = start(run)
    assert str(promoted.path) in started.arguments
    served = ServedModel.model_validate_json(started.environment["BEDSIDE_SERVED"])
    assert (served.model, served.verdict) == (promoted.digest, "PROMOTE")
    assert served.evidence == run.registry.get("test/evidence").digest


def test_a_demos_verdict_is_served_as_one(run, model, judge) -> None:
    record(run, model, judge(model, "PROMOTE"), scope="demo")
    served = ServedModel.model_validate_json(start(run).environment["BEDSIDE_SERVED"])
    assert (served.verdict, served.scope) == ("PROMOTE", "demo")


def test_unproven_base(run, monkeypatch) -> None:
    base = put(run, "base", MODEL)
    monkeypatch.setenv("BEDSIDE_ALLOW_UNPROVEN", "1")
    started = start(run)
    served = ServedModel.model_validate_json(started.environment["BEDSIDE_SERVED"])
    assert (served.model, served.verdict, served.evidence) == (base.digest, "UNPROVEN", None)


@pytest.mark.parametrize(("settings", "tools"), [({}, False), ({"tool_call_parser": "a"}, True)])
def test_the_engine_says_what_it_was_started_with(run, promoted, settings, tools) -> None:
    config = InferenceConfig(model_name="test", engine=EngineConfig(**settings))
    started = start(run, config)
    served = ServedModel.model_validate_json(started.environment["BEDSIDE_SERVED"])
    assert (served.max_model_len, served.tools) == (4096, tools)
    assert started.arguments[started.arguments.index("--max-model-len") + 1] == "4096"


def test_tampered_unproven_base(run, monkeypatch) -> None:
    base = put(run, "base", MODEL)
    (base.path / "model.safetensors").write_bytes(b"bass")
    monkeypatch.setenv("BEDSIDE_ALLOW_UNPROVEN", "1")
    assert_refused(run, ArtifactError, r"model\.safetensors was changed")


def test_how_vllm_is_called(run, promoted, monkeypatch) -> None:
    for name in ("SECRET_TOKEN", "HF_TOKEN", "PYTHONPATH", "VLLM_LOGGING_LEVEL", "https_proxy"):
        monkeypatch.setenv(name, "leak")
    config = InferenceConfig(model_name="m", engine=EngineConfig(dtype="bfloat16", kv_cache_gib=2))
    started = start(run, config)
    home = run.registry.home
    assert started.program == sys.executable
    called = " ".join(started.arguments[1:])
    assert called.startswith("-P -m bedside_inference.engine.vllm_server --model ")
    for wanted in (
        f"--uds {home}/run/engine.sock",
        "--served-model-name m",
        "--dtype bfloat16",
        "--max-model-len 4096",
        "--load-format safetensors",
        "--enforce-eager",
        "--disable-uvicorn-access-log",
    ):
        assert wanted in called
    for unwanted in ("trust-remote-code", "log-requests", "log-outputs", "--host", "--port"):
        assert unwanted not in called
    environment = started.environment
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK"):
        assert environment[name] == "1"
    assert environment["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert environment["TORCHDYNAMO_DISABLE"] == "1"
    assert environment["VLLM_LOGGING_LEVEL"] == "WARNING"
    assert environment["BEDSIDE_HOME"] == str(run.registry.home)  # for its look at the log
    assert environment["TMPDIR"] == f"{home}/run/vllm"
    assert "leak" not in environment.values()


def test_gpu_build_compiles(run, promoted, monkeypatch) -> None:
    monkeypatch.setattr(engine, "vllm_build", lambda: "gpu")
    started = start(run)
    assert "--enforce-eager" not in started.arguments
    assert not {"VLLM_CPU_KVCACHE_SPACE", "TORCHDYNAMO_DISABLE"} & started.environment.keys()


@pytest.mark.parametrize("allowed", ["0", "1"])
def test_a_withdrawn_model_is_not_served_nor_another_in_its_place(
    run, promoted, monkeypatch, allowed
) -> None:
    monkeypatch.setenv("BEDSIDE_ALLOW_UNPROVEN", allowed)
    put(run, "base", {"config.json": b"{}"})
    removal.withdraw(run.registry, promoted.digest, "bad answers")
    words = "may not be used: merged .* was withdrawn on .*: bad answers"
    assert_refused(run, PolicyError, words)
    removal.delete(run.registry, run.registry.current().evidence, "erased")
    removal.delete(run.registry, promoted.digest, "erased")
    with pytest.raises(PolicyError, match=words):
        engine.choose(EngineConfig(), run)


def test_directories_are_private(run, promoted) -> None:
    start(run)
    for name in ("run", "run/vllm", "run/cache"):
        assert stat.S_IMODE((run.registry.home / name).stat().st_mode) == 0o700


def test_open_socket_directory(run, promoted, home) -> None:
    (home / "open").mkdir(mode=0o755)
    config = InferenceConfig(engine=EngineConfig(socket=home / "open" / "s"))
    assert_refused(run, ConfigError, "chmod 700", config)


def test_long_socket_path(run, promoted, home) -> None:
    config = InferenceConfig(engine=EngineConfig(socket=home / ("ä" * 60)))
    assert_refused(run, ConfigError, r"107.*inference\.engine\.socket", config)


def test_long_path_for_the_sockets_within_vllm(run, promoted, home, monkeypatch) -> None:
    monkeypatch.setenv("BEDSIDE_RUN_DIR", str(home / ("a" * 60)))
    assert not start(run).environment["TMPDIR"].startswith(str(home))


def test_what_a_dead_engine_left_is_removed(run, promoted, home) -> None:
    (home / "run" / "vllm").mkdir(parents=True)
    (home / "run").chmod(0o700)
    (home / "run" / "engine.sock").touch()
    (home / "run" / "vllm" / "old").touch()
    start(run)
    assert not (home / "run" / "engine.sock").exists()
    assert not list((home / "run" / "vllm").iterdir())


def test_a_running_engine_is_left_alone(run, promoted, home) -> None:
    (home / "run").mkdir(mode=0o700)
    sock = home / "run" / "engine.sock"
    sock.touch()
    with Path(f"{sock}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert_refused(run, ConfigError, "already running")
    assert sock.exists()


def test_one_engine_per_run_directory(run, promoted, home) -> None:
    elsewhere = InferenceConfig(engine=EngineConfig(socket=home / "other" / "s"))
    (home / "run").mkdir(mode=0o700)
    with (home / "run" / "engine.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert_refused(run, ConfigError, "already running", elsewhere)


def on_network() -> InferenceConfig:
    return InferenceConfig(engine=EngineConfig(url="http://engine:8000"))


def test_engine_on_a_network(run, promoted, home, monkeypatch) -> None:
    monkeypatch.setenv("BEDSIDE_SECRETS", str(home / "secrets"))
    make_secrets(run.registry)
    started = start(run, on_network())
    called = " ".join(started.arguments)
    assert "--host 0.0.0.0 --port 8000" in called
    assert "--uds" not in called
    assert "--middleware bedside_inference.engine.door.Door" in called
    assert started.environment["BEDSIDE_ENGINE_NETWORK"] == "1"
    assert started.environment["BEDSIDE_SECRETS"] == str(home / "secrets")


def test_what_the_gateway_relies_on(run, promoted) -> None:
    words = start(run).arguments
    for option, value in (
        ("--fingerprint-mode", "custom"),
        ("--fingerprint-value", promoted.digest),
        ("--scheduling-policy", "priority"),
    ):
        assert words[words.index(option) + 1] == value
    assert "--tool-call-parser" not in words


def test_calls_of_tools(run, promoted) -> None:
    calling = start(run, InferenceConfig(engine=EngineConfig(tool_call_parser="hermes"))).arguments
    assert calling[calling.index("--tool-call-parser") + 1] == "hermes"
    assert "--enable-auto-tool-choice" in calling


def test_no_network_without_a_token(run, promoted, home, monkeypatch) -> None:
    monkeypatch.delenv("BEDSIDE_SECRETS", raising=False)
    assert_refused(run, ConfigError, "BEDSIDE_SECRETS is not set", on_network())
    monkeypatch.setenv("BEDSIDE_SECRETS", str(home / "secrets"))
    assert_refused(run, ConfigError, "no readable secret", on_network())


def test_registry_that_is_mounted_read_only(run, promoted, home, monkeypatch) -> None:
    monkeypatch.setenv("BEDSIDE_RUN_DIR", str(home / "elsewhere"))
    started = start(run)
    assert started.environment["TMPDIR"] == f"{home}/elsewhere/vllm"
    assert not (home / "run").exists()


def test_verify_says_what_would_be_served(run, promoted, capsys) -> None:
    engine.verify(InferenceConfig(), run)
    assert capsys.readouterr().out == f"model {promoted.digest[:12]} is intact, verdict PROMOTE\n"


def test_verify_of_tampered_weights(run, promoted) -> None:
    (promoted.path / "model.safetensors").write_bytes(b"v" * 100)
    with pytest.raises(ArtifactError, match=r"model\.safetensors was changed"):
        engine.verify(InferenceConfig(), run)


def test_no_vllm_here(run, promoted, monkeypatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv(PARENT, str(os.getpid()))
    assert_refused(run, ConfigError, "vLLM is not installed")

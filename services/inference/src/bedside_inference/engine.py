"""`bedside inference engine`: check the promoted model, then become the vLLM server."""

from __future__ import annotations

import fcntl
import importlib.util
import logging
import os
import shutil
import signal
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, NamedTuple

from bedside_core import lifeline, log
from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError, ConfigError, PolicyError
from bedside_core.run import Run
from bedside_inference.config import (
    MAX_SOCKET_PATH_BYTES,
    InferenceConfig,
    run_directory,
    socket_path,
    state_path,
)
from bedside_inference.state import ServedModel, write_state

logger = logging.getLogger(__name__)

ALLOW_UNPROVEN = "BEDSIDE_ALLOW_UNPROVEN"
UUID_NAME_BYTES = 36
"""vLLM names the sockets between its processes by a UUID."""

PASSED_ON = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "VLLM_CPU_OMP_THREADS_BIND",
)
"""The variables that vLLM gets from ours: where programs, libraries and devices are."""


class Candidate(NamedTuple):
    """A verified model and the evidence that allows it, if any."""

    model: Artifact
    evidence: Artifact | None

    @property
    def verdict(self) -> Literal["PROMOTE", "UNPROVEN"]:
        return "PROMOTE" if self.evidence else "UNPROVEN"


def serve(config: InferenceConfig, run: Run) -> None:
    """Replace this process by vLLM, serving what is promoted; does not return.

    Raises:
        PolicyError: nothing is promoted, or the evidence does not say PROMOTE.
        ArtifactError: evidence or weights do not match their manifests or the signature.
        ConfigError: vLLM is not installed here, the socket cannot be used, or an engine runs.
    """
    lifeline.hold(signal.SIGKILL)
    home = run.registry.home
    build = vllm_build()
    socket = socket_path(config, home)
    private_directory(run_directory(home))
    private_directory(socket.parent)
    lock(socket)
    chosen = choose(run)
    log_choice(chosen)
    temporary = clear(socket)
    cache = run_directory(home) / "cache"
    private_directory(cache)
    write_state(state_path(home), describe(config, chosen, socket))
    arguments = vllm_arguments(config, chosen.model, socket, build)
    environment = vllm_environment(config, cache, temporary, build)
    os.execve(sys.executable, [sys.executable, *arguments], environment)  # noqa: S606


def choose(run: Run) -> Candidate:
    """The model to serve, with every hash and the signature checked now.

    Raises:
        PolicyError: nothing is promoted, or the evidence does not say PROMOTE.
        ArtifactError: evidence or weights do not match their manifests or the signature.
    """
    promotion = run.registry.current()
    if promotion is not None:
        evidence = run.registry.get(promotion.evidence)
        model = run.registry.check_promotable(evidence)
        if model.digest != promotion.model:
            raise ArtifactError(
                f"the promotion log names model {promotion.model[:12]}, its evidence is about "
                f"{model.digest[:12]} - `bedside registry promote EVIDENCE` again"
            )
        return Candidate(model, evidence)
    if os.environ.get(ALLOW_UNPROVEN) == "1":
        return Candidate(run.input("base"), None)
    raise PolicyError(
        "nothing is promoted, so nothing is served - run `bedside adapt --config FILE` or "
        f"`bedside registry promote EVIDENCE`; {ALLOW_UNPROVEN}=1 serves this run's base model, "
        "labelled UNPROVEN, for development"
    )


def log_choice(chosen: Candidate) -> None:
    """Record what is about to be served."""
    facts = log.fields(model=chosen.model.digest, verdict=chosen.verdict)
    logger.info("model verified, starting vLLM", extra=facts)


def describe(config: InferenceConfig, chosen: Candidate, socket: Path) -> ServedModel:
    """The state file's content."""
    return ServedModel(
        name=config.model_name,
        model=chosen.model.digest,
        evidence=chosen.evidence.digest if chosen.evidence else None,
        verdict=chosen.verdict,
        socket=str(socket),
        started=datetime.now(UTC),
    )


def vllm_build() -> Literal["cpu", "gpu"]:
    """Which build of vLLM this environment has.

    Raises:
        ConfigError: none.
    """
    if importlib.util.find_spec("vllm") is None:
        raise ConfigError(
            "vLLM is not installed in this environment - run the engine from its own "
            "(`make setup` makes it; `bedside inference up` finds it through BEDSIDE_ENVS)"
        )
    try:
        version("vllm-cpu")
    except PackageNotFoundError:
        return "gpu"
    return "cpu"


def vllm_arguments(
    config: InferenceConfig, model: Artifact, socket: Path, build: Literal["cpu", "gpu"]
) -> list[str]:
    """What the interpreter is called with; remote code and request logging stay off (defaults)."""
    engine = config.engine
    arguments = [
        # -P: a directory named vllm where the command is run must not be what is imported.
        *("-P", "-m", "bedside_inference.vllm_server"),
        *("--model", str(model.path)),
        *("--served-model-name", config.model_name),
        *("--uds", str(socket)),
        *("--dtype", engine.dtype),
        *("--max-model-len", str(engine.max_model_len)),
        *("--load-format", "safetensors"),
        *("--uvicorn-log-level", "warning"),
        "--disable-uvicorn-access-log",
        "--disable-fastapi-docs",
    ]
    if build == "cpu":
        # Compiling takes four minutes on two cores and gains little there.
        arguments.append("--enforce-eager")
    return arguments


def vllm_environment(
    config: InferenceConfig, cache: Path, temporary: Path, build: Literal["cpu", "gpu"]
) -> dict[str, str]:
    """The whole environment of vLLM: offline, without telemetry, its files in our directories."""
    passed = (*PASSED_ON, lifeline.PARENT)
    environment = {name: os.environ[name] for name in passed if name in os.environ}
    environment |= {
        "HOME": str(cache),
        "TMPDIR": str(temporary),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_HOST_IP": "127.0.0.1",
        # The lifeline reaches children that are spawned, not forked.
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "PYTHONWARNINGS": "ignore",
    }
    if build == "cpu":
        environment["VLLM_CPU_KVCACHE_SPACE"] = str(config.engine.kv_cache_gib)
    return environment


def private_directory(path: Path) -> None:
    """Make a directory that only this user can enter.

    Raises:
        ConfigError: it exists and others can enter it.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigError(
            f"{path}: mode {mode:04o} lets others reach the engine - chmod 700 {path}"
        )


def lock(socket: Path) -> None:
    """Be the only engine on this socket; vLLM inherits the lock and holds it while it lives.

    Raises:
        ConfigError: an engine runs already.
    """
    handle = os.open(f"{socket}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ConfigError(
            f"an engine is already running on {socket} - stop it first, or set "
            "inference.engine.socket to another path"
        ) from None
    os.set_inheritable(handle, True)


def clear(socket: Path) -> Path:
    """Remove what a dead engine left; returns an empty directory for vLLM's temporary files.

    vLLM leaves the sockets between its processes behind even on a clean exit, hence a directory of
    its own; the system's is taken where their paths would get too long.
    """
    socket.unlink(missing_ok=True)
    scratch = socket.parent / "vllm"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    if len(os.fsencode(scratch)) + 1 + UUID_NAME_BYTES > MAX_SOCKET_PATH_BYTES:
        return Path(tempfile.gettempdir())
    return scratch

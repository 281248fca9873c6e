"""`bedside inference engine`: check the promoted model, then become the vLLM server."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import signal
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from bedside_core import lifeline, log
from bedside_core.artifacts import Artifact
from bedside_core.console import say
from bedside_core.errors import ArtifactError, ConfigError, PolicyError
from bedside_core.kinds.serving import ServedIdentity, served_identity
from bedside_core.offline import OFFLINE
from bedside_core.registry import pin
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_inference.config import EngineConfig, InferenceConfig
from bedside_inference.engine import ending
from bedside_inference.engine.door import NETWORK, Door
from bedside_inference.engine.fit import check_complete, check_memory
from bedside_inference.engine.proven import (
    ALLOW_UNPROVEN,
    engine_version,
    is_proven,
    unproven_allowed,
)
from bedside_inference.paths import (
    MAX_SOCKET_PATH_BYTES,
    lock,
    private_directory,
    run_directory,
    socket_path,
)
from bedside_inference.secret import DIRECTORY, ENGINE_TOKEN, read_secret
from bedside_inference.served import VARIABLE, ServedModel

logger = logging.getLogger(__name__)

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
    DIRECTORY,
    # Whose log the look at it must find, see `withdrawal`.
    pin.VALUE,
    pin.FILE,
)
"""The variables that vLLM gets from ours: where programs, libraries and devices are."""


STRUCTURED_OUTPUTS = '{"backend": "xgrammar", "disable_any_whitespace": true}'


class Candidate(NamedTuple):
    """A verified model and the evidence that allows it, if any."""

    model: Artifact
    identity: ServedIdentity
    """What of it would be served."""
    evidence: Artifact | None
    anchor: str | None
    """Fingerprint of the house's operator key, if it has one yet."""
    run: str | None = None
    """The run and slot that hold it, `name/slot`."""
    scope: Literal["demo", "house"] = "house"
    """Of the policy that gave the verdict."""

    @property
    def verdict(self) -> Literal["PROMOTE", "UNPROVEN"]:
        return "PROMOTE" if self.evidence else "UNPROVEN"

    def served(self, engine: EngineConfig) -> ServedModel:
        """What the engine says of itself."""
        return ServedModel(
            model=self.model.digest,
            created=self.model.manifest.created,
            evidence=self.evidence.digest if self.evidence else None,
            verdict=self.verdict,
            scope=self.scope,
            anchor=self.anchor,
            run=self.run,
            max_model_len=self.identity.max_model_len,
            tools=engine.tool_call_parser is not None,
        )


def serve(config: InferenceConfig, run: Run) -> None:
    """Replace this process by vLLM, serving what is promoted; does not return.

    Raises:
        PolicyError: see `choose`.
        ArtifactError: evidence or weights do not match their manifests or the signature.
        InputError: the model cannot be served, lacks tensors of its base, or there is too little
            memory.
        ConfigError: vLLM is not installed here, the socket cannot be used, or an engine runs.
    """
    lifeline.hold(signal.SIGKILL)
    build = vllm_build()
    scratch = run_directory(run.registry.home)
    private_directory(scratch)
    listening = listen_arguments(config, run.registry.home)
    lock(scratch / "engine.lock")
    chosen = choose(config.engine, run)
    check_complete(chosen.model, run.registry)
    if build == "cpu":
        check_memory(config.engine, chosen.identity.dtype, chosen.model)
    log_choice(chosen)
    temporary = clear(scratch)
    cache = scratch / "cache"
    private_directory(cache)
    arguments = vllm_arguments(config, chosen, listening, build)
    environment = vllm_environment(config, chosen, cache, temporary, build)
    ending.hold_back()
    os.execve(sys.executable, [sys.executable, *arguments], environment)  # noqa: S606


def verify(config: InferenceConfig, run: Run) -> None:
    """Check what `serve` would serve, and say so.

    Raises:
        PolicyError: see `choose`.
        ArtifactError: evidence or weights do not match their manifests or the signature.
        InputError: the model cannot be served, or lacks tensors of its base.
    """
    chosen = choose(config.engine, run)
    check_complete(chosen.model, run.registry)
    say(f"model {chosen.model.digest[:12]} is intact, verdict {chosen.verdict}")


def listen_arguments(config: InferenceConfig, home: Path) -> list[str]:
    """Where vLLM listens: a Unix socket, or the port of the engine's URL.

    Raises:
        ConfigError: the socket cannot be used, or there is no engine token for a network.
    """
    if config.engine.url is not None:
        read_secret(ENGINE_TOKEN)
        # All addresses: a container does not know its own beforehand.
        return ["--host", "0.0.0.0", "--port", str(urlsplit(config.engine.url).port)]  # noqa: S104
    socket = socket_path(config, home)
    private_directory(socket.parent)
    lock(Path(f"{socket}.lock"))
    socket.unlink(missing_ok=True)
    return ["--uds", str(socket)]


def choose(settings: EngineConfig, run: Run) -> Candidate:
    """The model to serve, with every hash and the signature checked now.

    Raises:
        PolicyError: nothing is promoted, the evidence does not say PROMOTE, is about other settings
            or another engine, or it was withdrawn.
        ArtifactError: evidence or weights do not match their manifests or the signature.
        InputError: the model cannot be served under these settings.
    """
    anchor = anchor_of(run.registry)
    promotion = run.registry.current()
    if promotion is not None:
        run.registry.refuse_withdrawn("the promoted model", promotion.model)
        evidence = run.registry.get(promotion.evidence)
        model = run.registry.check_promotable(evidence)
        if model.digest != promotion.model:
            raise ArtifactError(
                f"the promotion log names model {promotion.model[:12]}, its evidence is about "
                f"{model.digest[:12]} - `bedside registry promote EVIDENCE` again"
            )
        identity = served_identity(model, settings, engine_version=engine_version())
        proven = is_proven(evidence, model, settings, run.registry)
        name = _run_of(run.registry, model)
        if not proven:
            return Candidate(model, identity, None, anchor, name)
        return Candidate(model, identity, evidence, anchor, name, promotion.scope)
    if unproven_allowed():
        base = run.input("base")
        identity = served_identity(base, settings, engine_version=engine_version())
        return Candidate(base, identity, None, anchor, _run_of(run.registry, base))
    raise PolicyError(
        "nothing is promoted, so nothing is served - run `bedside adapt --config FILE` or "
        f"`bedside registry promote EVIDENCE`; {ALLOW_UNPROVEN}=1 serves this run's base model, "
        "labelled UNPROVEN, for development"
    )


def anchor_of(registry: Registry) -> str | None:
    """Fingerprint of the house's operator key, if it has one yet."""
    ring = registry.keyring()
    return ring["operator"].fingerprint if ring else None


def _run_of(registry: Registry, model: Artifact) -> str | None:
    return next((slot for slot, digest in registry.slots() if digest == model.digest), None)


def log_choice(chosen: Candidate) -> None:
    """Record what is about to be served."""
    facts = log.fields(model=chosen.model.digest, verdict=chosen.verdict)
    logger.info("model verified, starting vLLM", extra=facts)


def has_vllm() -> bool:
    """Whether this environment is one in which the engine can run."""
    return importlib.util.find_spec("vllm") is not None


def vllm_build() -> Literal["cpu", "gpu"]:
    """Which build of vLLM this environment has.

    Raises:
        ConfigError: none.
    """
    if not has_vllm():
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
    config: InferenceConfig, chosen: Candidate, listening: list[str], build: Literal["cpu", "gpu"]
) -> list[str]:
    """What the interpreter is called with; remote code and request logging stay off (defaults)."""
    engine, model = config.engine, chosen.model
    arguments = [
        # -P: a directory named vllm where the command is run must not be what is imported.
        *("-P", "-m", "bedside_inference.engine.vllm_server"),
        *("--model", str(model.path)),
        *("--served-model-name", config.model_name),
        *listening,
        *("--middleware", f"{Door.__module__}.{Door.__qualname__}"),
        *("--shutdown-timeout", str(engine.drain_seconds)),
        # Never `auto`: vLLM would take another type for some models than their own.
        *("--dtype", chosen.identity.dtype),
        *("--max-model-len", str(chosen.identity.max_model_len)),
        *("--load-format", "safetensors"),
        # Each answer names the manifest of the model behind it.
        *("--fingerprint-mode", "custom", "--fingerprint-value", model.digest),
        # Small models fill JSON with white space until their tokens are used up.
        *("--structured-outputs-config", STRUCTURED_OUTPUTS),
        # The gateway writes each request's priority by the class of who asks.
        *("--scheduling-policy", "priority"),
        *("--uvicorn-log-level", "warning"),
        "--disable-uvicorn-access-log",
        "--disable-fastapi-docs",
    ]
    if engine.tool_call_parser is not None:
        arguments += ["--enable-auto-tool-choice", "--tool-call-parser", engine.tool_call_parser]
    if build == "cpu":
        # Compiling takes four minutes on two cores and gains little there.
        arguments.append("--enforce-eager")
    return arguments


def vllm_environment(
    config: InferenceConfig,
    chosen: Candidate,
    cache: Path,
    temporary: Path,
    build: Literal["cpu", "gpu"],
) -> dict[str, str]:
    """The whole environment of vLLM: offline, without telemetry, its files in our directories."""
    passed = (*PASSED_ON, lifeline.PARENT)
    environment = {name: os.environ[name] for name in passed if name in os.environ}
    environment |= {
        VARIABLE: chosen.served(config.engine).model_dump_json(),
        # For its look at the log, see `withdrawal`.
        "BEDSIDE_HOME": str(chosen.model.path.parents[1]),
        NETWORK: "1" if config.engine.url else "0",
        "HOME": str(cache),
        "TMPDIR": str(temporary),
        **OFFLINE,
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_HOST_IP": "127.0.0.1",
        # The lifeline reaches children that are spawned, not forked.
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "PYTHONWARNINGS": "ignore",
    }
    if build == "cpu":
        environment["VLLM_CPU_KVCACHE_SPACE"] = str(config.engine.kv_cache_gib)
        # vLLM compiles its ranks of log-probabilities even when eager, by a g++ that no image has:
        # the first request for `logprobs` would end the engine.
        environment["TORCHDYNAMO_DISABLE"] = "1"
    return environment


def clear(run: Path) -> Path:
    """An empty directory for vLLM's temporary files.

    vLLM leaves the sockets between its processes behind even on a clean exit, hence a directory of
    its own; the system's is taken where their paths would get too long.
    """
    scratch = run / "vllm"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    if len(os.fsencode(scratch)) + 1 + UUID_NAME_BYTES > MAX_SOCKET_PATH_BYTES:
        return Path(tempfile.gettempdir())
    return scratch

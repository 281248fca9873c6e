"""`bedside inference rehearse`: a model for one of our own steps, and for nobody else.

What a base writes of itself is text to train on, and what a candidate answers in an exam is what
evidence is made of, so none is asked for. In its place:

- It is the model that the step named by its digest, with every hash checked, and not withdrawn.
- It listens on one Unix socket, in an empty directory that only its owner may enter; an address of
  the config is not used, so no gateway that the config describes finds it.
- It starts only as the child of another Bedside process and ends with that.
- Every answer says UNPROVEN.

Not covered: a process of the same account, which may read the socket as it may read the weights.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from bedside_core import lifeline
from bedside_core.errors import ConfigError, PolicyError
from bedside_core.kinds.serving import served_identity
from bedside_core.run import Run
from bedside_inference.config import InferenceConfig
from bedside_inference.engine import ending, launch
from bedside_inference.engine.fit import check_memory
from bedside_inference.engine.proven import engine_version
from bedside_inference.paths import lock, private_directory, socket_path

SOCKET = "engine.sock"


def rehearse(config: InferenceConfig, run: Run, directory: str, digest: str) -> None:
    """Replace this process by vLLM with a model; does not return.

    Args:
        config: its addresses are not used.
        run: of the step.
        directory: empty and private; for the socket, and for what vLLM writes.
        digest: of the model.

    Raises:
        PolicyError: nobody started this process to ask it, or the model was withdrawn.
        ConfigError: the directory will not do, or vLLM is not installed here.
        ArtifactError: there is no such model, or it does not match its manifest.
        InputError: it is no model or cannot be served, or there is too little memory.
    """
    if lifeline.PARENT not in os.environ:
        raise PolicyError(
            "a model that nothing has proven answers nobody - `bedside trainer replay` and "
            "`bedside eval run` start this verb themselves, for their own questions"
        )
    lifeline.hold(signal.SIGKILL)
    build = launch.vllm_build()
    place = Path(directory).absolute()
    private_directory(place)
    if any(place.iterdir()):
        raise ConfigError(f"{place}: not empty - name a new directory of mode 0700")
    engine = config.engine.model_copy(update={"url": None, "socket": place / SOCKET})
    config = config.model_copy(update={"engine": engine})
    model = run.registry.get(digest)
    run.registry.refuse_withdrawn(model.kind, model.digest)
    model.verify()
    identity = served_identity(model, engine, engine_version=engine_version())
    chosen = launch.Candidate(model, identity, None, launch.anchor_of(run.registry), None)
    if build == "cpu":
        check_memory(engine, identity.dtype, model)
    launch.log_choice(chosen)
    lock(place / "engine.lock")
    cache = place / "cache"
    private_directory(cache)
    listening = ["--uds", str(socket_path(config, run.registry.home))]
    arguments = launch.vllm_arguments(config, chosen, listening, build)
    environment = launch.vllm_environment(config, chosen, cache, launch.clear(place), build)
    if build == "cpu":
        # vLLM leaves a core to others, on two cores half the speed; here nobody else is served.
        environment["VLLM_CPU_NUM_OF_RESERVED_CPU"] = "0"
    ending.hold_back()
    os.execve(sys.executable, [sys.executable, *arguments], environment)  # noqa: S606

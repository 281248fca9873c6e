"""vLLM that runs out of memory while it starts ends with exit code 3 and says so.

vLLM computes in child processes, and what one of them dies of reaches the server only as an exit
code within a message. So a child that runs out of memory ends with exit code 3 instead of 1, and
the server looks for that, or for the kernel's SIGKILL, where its engine core did not start.

Covered: one engine core, on a CPU or a GPU. Not covered: workers below it (tensor parallelism),
whose exit codes it does not pass on.
"""

from __future__ import annotations

import multiprocessing.process
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bedside_core import memory
from bedside_core.errors import InputError

NO_ROOM = ("No available memory for the cache blocks", "cache is needed, which is larger than")
"""What vLLM 0.32 says where the weights fit and the key-value cache does not (`kv_cache_utils`)."""
FAILED = "Failed core proc(s): "
"""Before the exit codes by process name, in what the server raises (`v1/engine/utils`)."""
_OF_MEMORY = re.compile(re.escape(FAILED) + r"\{[^}]*: (?:3|-9)\b")
ADVICE = (
    "lower inference.engine.max_model_len or, on a CPU, inference.engine.kv_cache_gib, or take a "
    "smaller model or a machine, container or card with more"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this ended a process of vLLM for want of memory."""
    return memory.is_out_of_memory(error) or (
        isinstance(error, ValueError) and any(words in str(error) for words in NO_ROOM)
    )


def mark_children() -> None:
    """In a child that was just spawned: let its exit code say that it ran out of memory."""
    run = multiprocessing.process.BaseProcess.run

    def marked(self: multiprocessing.process.BaseProcess) -> None:
        try:
            run(self)
        except Exception as error:
            if is_out_of_memory(error):
                raise SystemExit(InputError.exit_code) from error
            raise

    multiprocessing.process.BaseProcess.run = marked  # type: ignore[method-assign]


@contextmanager
def told(weights: Path) -> Iterator[None]:
    """In the server: end with exit code 3 and a sentence if that is why it could not start.

    Args:
        weights: the model's directory.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error) and not _OF_MEMORY.search(str(error)):
            raise
        size = sum(path.stat().st_size for path in weights.glob("*.safetensors"))
        room = memory.available_bytes()
        left = "" if room is None else f", {memory.gib(room)} of the machine's memory are left"
        sys.stderr.write(
            f"bedside: vLLM ran out of memory, or was killed for it, while it loaded "
            f"{memory.gib(size)} of weights{left} - {ADVICE}\n"
        )
        raise SystemExit(InputError.exit_code) from None

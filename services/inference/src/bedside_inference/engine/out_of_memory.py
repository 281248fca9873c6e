"""vLLM that runs out of memory while it starts ends with exit code 3 and says so.

vLLM computes in child processes, and its server only learns that one of them ended. So a child that
runs out of memory leaves a mark, a file of no content in a folder of this start, and the server
looks for it, or for the kernel's SIGKILL, where its engine core did not start.
"""

from __future__ import annotations

import multiprocessing.process
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bedside_core import memory
from bedside_core.errors import InputError

MARK = "BEDSIDE_OUT_OF_MEMORY_MARK"
"""Names the file to the children."""
NO_ROOM = (
    "No available memory for the cache blocks",
    "cache is needed, which is larger than",
    "allocation is less than requested memory for kv",
)
"""What vLLM 0.32 says where the weights fit and the key-value cache does not."""
FAILED = "Failed core proc(s): "
"""Before the exit codes by process name, where it already knows them (`v1/engine/utils`)."""
_KILLED = re.compile(re.escape(FAILED) + r"\{[^}]*: -9\b")
ADVICE = (
    "lower inference.engine.max_model_len or, on a CPU, inference.engine.kv_cache_gib, or take a "
    "smaller model or a machine, container or card with more"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this ended a process of vLLM for want of memory; a worker's error comes as text."""
    return memory.is_out_of_memory(error) or (
        isinstance(error, ValueError | RuntimeError) and any(w in str(error) for w in NO_ROOM)
    )


def mark_children() -> None:
    """In a child that was just spawned: leave the mark if it runs out of memory."""
    run = multiprocessing.process.BaseProcess.run

    def marked(self: multiprocessing.process.BaseProcess) -> None:
        try:
            run(self)
        except Exception as error:
            if is_out_of_memory(error) and MARK in os.environ:
                Path(os.environ[MARK]).touch()
            raise

    multiprocessing.process.BaseProcess.run = marked  # type: ignore[method-assign]


@contextmanager
def told(weights: Path) -> Iterator[None]:
    """In the server: end with exit code 3 and a sentence if that is why it could not start.

    Args:
        weights: the model's directory.
    """
    with tempfile.TemporaryDirectory(prefix="bedside-") as folder:
        mark = Path(folder) / "mark"
        os.environ[MARK] = str(mark)
        try:
            yield
        except Exception as error:
            if not (mark.exists() or is_out_of_memory(error) or _KILLED.search(str(error))):
                raise
            size = sum(path.stat().st_size for path in weights.glob("*.safetensors"))
            room = memory.available_bytes()
            left = "" if room is None else f", {memory.gib(room)} of the machine's memory are left"
            sys.stderr.write(
                f"bedside: vLLM ran out of memory, or was killed for it, while it loaded "
                f"{memory.gib(size)} of weights{left} - {ADVICE}\n"
            )
            raise SystemExit(InputError.exit_code) from None

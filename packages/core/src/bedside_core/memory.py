"""Out of memory is the user's problem with a way out (exit 3), never an internal error.

Covered: Python's MemoryError (pyarrow's too), CUDA's out-of-memory error and torch's CPU allocator,
recognised by type and text, so that this module needs no torch; limits of the machine, of a
container (cgroup v2 and v1) and of the shell (`ulimit -v`).
Not covered: a process that the kernel kills (SIGKILL) can say nothing; whoever started it does.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bedside_core.errors import InputError

WEIGHTS = 4
"""Bytes of a parameter in float32."""
TRAINED = 16
"""Bytes of a parameter in training: float32 weight and gradient, and AdamW's two moments."""
_ALLOCATOR_WORDS = ("DefaultCPUAllocator", "CUDA out of memory", "Cannot allocate memory")
"""What errors of torch, of the system and of safetensors say when memory is used up."""
_CAUSES = 10
"""Links of a chain of exceptions that are looked at."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether this error, or one that it was raised from, means that memory was used up."""
    for _ in range(_CAUSES):
        if error is None:
            return False
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return True
        # The text is only searched, never passed on: it may quote anything.
        text = str(error)
        if any(words in text for words in _ALLOCATOR_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def available_bytes(root: Path = Path("/")) -> int | None:
    """What this process can still allocate: the tightest of machine, container and shell.

    Args:
        root: where `/proc` and `/sys` are found; tests bring their own.

    Returns:
        None where nothing says so (not Linux).
    """
    rooms = [_machine(root), *_container(root), _shell(root)]
    known = [room for room in rooms if room is not None]
    return max(0, min(known)) if known else None


def require(need: int, available: int | None, *, what: str, advice: str) -> None:
    """Refuse work that surely does not fit, before anything is loaded.

    Args:
        need: bytes that the work takes at least.
        available: bytes that there are; None if nobody knows, then nothing is refused.
        what: the work, as the sentence begins.
        advice: the setting that fits.

    Raises:
        InputError: `need` is more than there is.
    """
    if available is not None and need > available:
        raise InputError(
            f"{what} needs at least {gib(need)} of memory, {gib(available)} are available - "
            f"{advice}"
        )


@contextmanager
def refusing(what: str, advice: Callable[[], str], *, need: int | None = None) -> Iterator[None]:
    """Turn running out of memory inside the block into an InputError.

    Args:
        what: the work, as the sentence begins.
        advice: called only then; the setting that fits.
        need: bytes that the work was estimated to take, if it was.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        # In the handler, the failed work still holds its memory: what is said is what is left.
        room = available_bytes()
        amounts = [f"it needs about {gib(need)}"] if need is not None else []
        amounts += [f"{gib(room)} are left"] if room is not None else []
        known = f" ({', '.join(amounts)})" if amounts else ""
        raise InputError(f"{what} ran out of memory{known} - {advice()}") from error


def without_setting() -> str:
    """The sentence for work that has no setting of its own to make it smaller."""
    room = available_bytes()
    left = "" if room is None else f", {gib(room)} are left"
    return f"out of memory{left} - stop other programs, or give the machine or container more"


def gib(size: int) -> str:
    """A number of bytes for people."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 / 10 else f"{size / 2**20:.0f} MiB"


def _machine(root: Path) -> int | None:
    # Swap counts: with it the work is slow, without it impossible.
    fields = _fields(root / "proc/meminfo")
    if "MemAvailable" not in fields:
        return None
    return (fields["MemAvailable"] + fields.get("SwapFree", 0)) * 1024


def _container(root: Path) -> Iterator[int | None]:
    for limit, usage, statistics, cache in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        (
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
            "memory/memory.stat",
            "total_inactive_file",
        ),
    ):
        folder = root / "sys/fs/cgroup"
        most, used = _number(folder / limit), _number(folder / usage)
        if most is not None and used is not None:
            # The page cache of finished reads is given back when memory is asked for.
            yield most - used + _fields(folder / statistics).get(cache, 0)


def _shell(root: Path) -> int | None:
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    size = _fields(root / "proc/self/status").get("VmSize")
    if soft == resource.RLIM_INFINITY or size is None:
        return None
    return soft - size * 1024


def _fields(path: Path) -> dict[str, int]:
    """`Name: 12 kB` or `name 12` per line."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    words = [line.replace(":", " ").split() for line in lines]
    return {w[0]: int(w[1]) for w in words if len(w) >= 2 and w[1].isdigit()}


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None  # "max": no limit

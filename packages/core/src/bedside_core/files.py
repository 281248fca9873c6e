"""Files that several processes share: locks, atomic replacement, and what a full disk means."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from bedside_core.errors import ArtifactError

PIECE_BYTES = 1 << 20


def sha256_file(path: Path, told: Callable[[int], object] | None = None) -> str:
    """SHA-256 (hex) of a file's content; `told` hears of each piece's bytes, for a progress bar."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            if told is not None:
                told(len(piece))
    return digest.hexdigest()


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace a small file at once: readers see the old or the new content, never a part."""
    with disk_errors(path.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync(path.parent)


@contextmanager
def appearing(path: Path, *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A new file that has its name only once it is whole and on disk, whatever kills the writer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync(path.parent)


class Hashed(io.RawIOBase):
    """Writes to a file and keeps the SHA-256 of what it wrote, so that nobody reads it again."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: Any) -> int:
        """Write all of `data` (any buffer of bytes)."""
        self._digest.update(data)
        self.size += (count := self._file.write(data))
        return count

    def writable(self) -> bool:
        """It is, and nothing else."""
        return True

    @property
    def sha256(self) -> str:
        """Hex, of all that was written so far."""
        return self._digest.hexdigest()


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and wait until it is on disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[int]:
    """Hold the lock file `path`, made if need be, against other processes and threads (flock(2)).

    Yields:
        The open descriptor; the lock goes with it when the process dies.

    Raises:
        BlockingIOError: another holder has it and `wait` is false.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield handle
    finally:
        os.close(handle)


def lock_directory(path: Path, *, wait: bool = True) -> int | None:
    """Lock a directory until the returned descriptor is closed (or the process dies).

    Returns:
        None if the directory was removed before the lock was ours: the lock would guard nothing.

    Raises:
        BlockingIOError: another process holds it and `wait` is false.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        if os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


@contextmanager
def new_directory(root: Path, prefix: str) -> Iterator[Path]:
    """A directory below `root`, locked against the sweeps of others; removed if it is still there.

    What killed processes left in `root` is swept before.
    """
    root.mkdir(parents=True, exist_ok=True)
    sweep(root)
    lock = None
    while lock is None:  # until no other sweep was faster than our lock
        path = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=root))
        lock = lock_directory(path)
    try:
        yield path
    finally:
        os.close(lock)
        shutil.rmtree(path, ignore_errors=True)


def sweep(temporary_root: Path) -> None:
    """Remove what killed processes left behind: directories that no live process has locked."""
    for path in temporary_root.iterdir():
        try:
            lock = lock_directory(path, wait=False)
        except BlockingIOError:
            continue
        if lock is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn a full or read-only disk into an error that says what to do.

    Raises:
        ArtifactError: the disk is full or must not be written.
    """
    try:
        yield
    except Exception as error:
        if _means_disk_full(error):
            raise ArtifactError(
                f"disk full while writing {what}: nothing half-written is kept - free some space, "
                "or point BEDSIDE_HOME at a larger disk, and run the same command again"
            ) from error
        if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise ArtifactError(
                f"no right to write {what} ({error.filename}) - give this user write access, or "
                "point BEDSIDE_HOME at a directory of its own"
            ) from error
        raise


def _means_disk_full(error: BaseException | None) -> bool:
    # Native writers (safetensors, tokenizers) raise errors of their own that only quote the system.
    codes = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    while error is not None:
        if isinstance(error, OSError) and error.errno in codes:
            return True
        if any(os.strerror(code) in str(error) for code in codes):
            return True
        error = error.__cause__ or error.__context__
    return False

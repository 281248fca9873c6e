"""Answers of a model on disk, by what was asked and the digest of the model that answered.

A file for each answer, under the digest: answers of other weights are never found, whatever the
server calls its model, and `rm -r` of one folder forgets one model. Files hold text, so only their
owner may read them. Several processes may use one folder; of those only one asks for an answer.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from bedside_core.files import disk_errors, write_atomic

FORMAT = 1
"""Of a file and of what its name is made from; another one finds no file of this one."""
POLL_SECONDS = 0.05
"""Between two looks at whether somebody else has an answer."""
_FLOCK = struct.Struct("hhqqi0q")
"""`struct flock` of 64-bit Linux (fcntl(2)): type, whence, start, length, process."""


class AnswerCache:
    """The answers of one model."""

    def __init__(self, root: Path, digest: str) -> None:
        """`root` may hold the answers of many models.

        Raises:
            ArtifactError: the folder cannot be made or written.
        """
        self.folder = root / digest
        self._digest = digest
        self._mine: set[str] = set()
        with disk_errors(root.name):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._locks = os.open(self.folder / "locks", os.O_RDWR | os.O_CREAT, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._locks)

    def key(self, route: str, content: bytes) -> str:
        """The name of the answer to `content`."""
        asked = f"{FORMAT}\0{self._digest}\0{route}\0".encode() + content
        return hashlib.sha256(asked).hexdigest()

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer, if there is a whole one."""
        try:
            found = json.loads(self._path(key).read_bytes())
        except (FileNotFoundError, ValueError, RecursionError):
            return None  # what a failing disk left of a file is asked for again
        return found if isinstance(found, dict) else None

    def put(self, key: str, answer: dict[str, Any]) -> None:
        """Keep an answer.

        Raises:
            ArtifactError: the disk is full or must not be written.
        """
        self._path(key).parent.mkdir(mode=0o700, exist_ok=True)
        write_atomic(self._path(key), json.dumps(answer).encode(), mode=0o600)

    @asynccontextmanager
    async def claimed(self, key: str) -> AsyncIterator[None]:
        """Be the only one who asks for this answer, here and in all other processes.

        Whoever waited looks first whether the answer is there now. A claim ends with its process.
        """
        while key in self._mine or not self._lock(key, fcntl.F_WRLCK):
            await asyncio.sleep(POLL_SECONDS)
        self._mine.add(key)
        try:
            yield
        finally:
            self._mine.discard(key)
            self._lock(key, fcntl.F_UNLCK)

    def _lock(self, key: str, kind: int) -> bool:
        # One byte of one file for each key; locks of an open file, not of a process.
        asked = _FLOCK.pack(kind, os.SEEK_SET, int(key[:15], 16), 1, 0)
        try:
            fcntl.fcntl(self._locks, fcntl.F_OFD_SETLK, asked)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

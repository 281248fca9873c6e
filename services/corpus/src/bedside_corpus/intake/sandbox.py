"""Parsers of strangers' files, each file in a process of its own that can reach nothing.

The process gets the open file and a pipe to write to, and may open nothing else: no file, no socket
(`nursery.py`). The kernel bounds its memory and processor time, this side the time between two
records. Whatever happens to it is a counted reason, and the next file gets a fresh process.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from typing import Any

from bedside_core.console import say
from bedside_core.errors import InputError
from bedside_corpus.intake.record import MAX_DOCUMENT_BYTES, DamagedFileError, RawRecord
from bedside_corpus.sources import SourceFile

SECONDS = 90.0
"""Longest wait for the next record, some more than its processor time: machines are shared."""
START_SECONDS = 300.0
"""For the imports of all parsers, on a slow disk."""
MAX_ATTEMPTS = 3
"""So many records in a row may end their process, then the file is given up."""
MAX_FRAME_BYTES = 2 * MAX_DOCUMENT_BYTES
WHOLE_OR_NOTHING = frozenset({"parquet", "warc", "wet"})
"""Containers of many documents: one that cannot be read at all is an error, not a document less."""
REASONS = {0: "crashed", 1: "malformed", 3: "too_large", -signal.SIGXCPU: "too_slow"}
"""By how the process ended without the end of its records."""

Attempt = Generator[RawRecord, None, tuple[int, str | None]]


def parse(file: SourceFile) -> Iterator[RawRecord]:
    """The records of a file, by the parser of its format.

    What a parser does not survive is a record with the damage `malformed`, `crashed`, `too_slow` or
    `too_large`; behind it a file of many records is read on.

    Raises:
        OSError: the file cannot be opened.
        InputError: a container of many documents cannot be read, wholly or from some record on, or
            the process of the parsers does not start.
    """
    first = done = 0 if file.part is None else file.part.lines
    fruitless = 0
    while True:
        last, reason = yield from _attempt(file, done)
        if reason is None:
            return
        if file.source.format not in WHOLE_OR_NOTHING:
            yield RawRecord(last + 1 if last else None, 0, None, reason)
            return
        fruitless = fruitless + 1 if last == done else 1
        if fruitless == MAX_ATTEMPTS or (last == first and reason == "malformed"):
            raise DamagedFileError(
                f"{file.path}: cannot be read after record {last} ({reason}) - copy the file again"
            )
        done = last + 1
        yield RawRecord(done, 0, None, reason)


def row_groups(file: SourceFile) -> list[int]:
    """The rows of each row group of a Parquet file; none where that cannot be read.

    Raises:
        OSError: the file cannot be opened.
        InputError: the process of the parsers does not start.
    """
    started = _alive()
    pipe = started.begin(file, _request(file) | {"groups": True})
    rows: list[int] = []
    try:
        while frame := pipe.frame():
            if "end" in frame:
                return rows
            if "error" in frame:
                break
            rows.append(frame["rows"])
    except TimeoutError:
        end()
    finally:
        pipe.close()
        started.result()
    return []


def _request(file: SourceFile) -> dict[str, Any]:
    return {
        "source": file.source.model_dump(mode="json", exclude_unset=True),
        "path": str(file.path),
        "name": file.name,
        "part": file.part,
    }


def _attempt(file: SourceFile, skip: int) -> Attempt:
    """The records behind the first `skip`; the last one's line, and why there are no more."""
    started = _alive()
    request = _request(file) | {"skip": skip}
    pipe = started.begin(file, request)
    last = skip
    try:
        while True:
            frame = pipe.frame()
            if frame is None:
                return last, REASONS.get(started.result(), "crashed")
            if "error" in frame:
                kind = DamagedFileError if frame["is_damaged"] else InputError
                raise kind(frame["error"])
            if "end" in frame:
                return last, None
            record = RawRecord(**frame | {"notes": tuple(frame["notes"])})
            last = record.line or last
            yield record
    except TimeoutError:
        end()
        return last, "too_slow"
    finally:
        pipe.close()
        started.result()


class _Pipe:
    """Records as they arrive: four bytes of length, then JSON."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.rest = bytearray()
        self.poll = select.poll()
        self.poll.register(descriptor, select.POLLIN)

    def frame(self) -> dict[str, Any] | None:
        """The next one; None where the pipe ends.

        Raises:
            TimeoutError: nothing whole has come for too long, or more than any record may be.
        """
        end = time.monotonic() + SECONDS
        head = self._take(4, end)
        if head is None:
            return None
        length = int.from_bytes(head, "big")
        if length > MAX_FRAME_BYTES:
            raise TimeoutError
        body = self._take(length, end)
        if body is None:
            return None
        frame: dict[str, Any] = json.loads(body.decode("utf-8", "surrogatepass"))
        return frame

    def _take(self, length: int, end: float) -> bytes | None:
        while len(self.rest) < length:
            if not self.poll.poll(max(0.0, end - time.monotonic()) * 1000):
                raise TimeoutError
            data = os.read(self.descriptor, 2**18)
            if not data:
                return None
            self.rest += data
        taken = bytes(self.rest[:length])
        del self.rest[:length]
        return taken

    def close(self) -> None:
        os.close(self.descriptor)


class _Nursery:
    """The process that forks a child per file; started at the first, anew after a timeout."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.owner = os.getpid()
        self.pending = False
        self.status = 0
        passed = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-I", "-m", "bedside_corpus.intake.nursery", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # what a parser complains of quotes its document
            env={name: os.environ[name] for name in passed if name in os.environ}
            # Arrow's other allocators reserve more addresses than a child may have.
            | {"ARROW_DEFAULT_MEMORY_POOL": "system"},
            start_new_session=True,
        )
        theirs.close()
        atexit.register(self.end)
        self.control.settimeout(START_SECONDS)
        try:
            said = self.control.recv(64)
        except TimeoutError:
            said = b""
        if not said:
            self.end()
            raise InputError(
                f"the process that parses files did not start ({self.process.returncode}) - is "
                "there memory for it, and is the corpus environment whole (`bash scripts/setup.sh "
                "corpus`)?"
            )
        if said != b"no network":
            say(
                "parsers: this kernel grants no network namespace; they run without one and still "
                "cannot open a file or a socket"
            )
        self.control.settimeout(SECONDS)

    def begin(self, file: SourceFile, request: dict[str, Any]) -> _Pipe:
        """Have a child parse the file."""
        with file.path.open("rb") as content:
            reading, writing = os.pipe()
            pipe = _Pipe(reading)
            try:
                message = json.dumps(request).encode()
                socket.send_fds(self.control, [message], [content.fileno(), writing])
            finally:
                os.close(writing)
        self.pending = True
        return pipe

    def result(self) -> int:
        """The exit code of the last child, or less its signal."""
        if self.pending:
            self.pending = False
            try:
                self.status = int(self.control.recv(64))
            except (OSError, ValueError):  # gone with its child, or killed
                end()
        return self.status

    def end(self) -> None:
        """With all that it started."""
        self.pending = False
        if self.owner != os.getpid():  # of the process that this one was forked from
            return
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.control.close()
        atexit.unregister(self.end)


_nurseries: dict[int, _Nursery] = {}
"""By the process that started it: what a fork inherits is its parent's."""


def nursery() -> _Nursery:
    """The one of this process, started if need be."""
    own = os.getpid()
    if own not in _nurseries:
        _nurseries[own] = _Nursery()
    return _nurseries[own]


def _alive() -> _Nursery:
    if nursery().process.poll() is not None:  # killed, by whomever
        end()
    return nursery()


def end() -> None:
    """Without waiting for what is being parsed; the next file starts it anew."""
    begun = _nurseries.pop(os.getpid(), None)
    if begun is not None:
        begun.end()

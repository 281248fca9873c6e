"""The process of the parsers: it leaves the network, loads them once, and forks a child per file.

`python -m bedside_corpus.intake.nursery FD`, started by `sandbox.py`. A child may open nothing more
(RLIMIT_NOFILE 0: no file, no socket), write to no file, leave no core, and has bounded memory and
processor time.

Tested in tests/corpus/intake/test_sandbox.py.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
import sys
from pathlib import Path
from typing import Any

MEMORY_BYTES = 2**30
"""Beside what the loaded parsers take: 30 times the largest document."""
CPU_SECONDS = 60
"""Of one record: a PDF of 1,000 pages takes 30."""
MALFORMED, TOO_LARGE = 1, 3
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET of sched.h


def main() -> None:
    """Serve requests until the other side is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    isolated = ctypes.CDLL(None).unshare(_NEW_USER | _NEW_NETWORK) == 0
    from bedside_corpus.intake import parsers  # only now: they are many, and none may see a network

    parsers.warm_up()
    control.send(b"no network" if isolated else b"a network")
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 2**18, 2)
        if not message:
            return
        child = os.fork()
        if child == 0:
            code = MALFORMED
            try:
                control.close()
                _parse(json.loads(message), *descriptors)
                code = 0
            except MemoryError:
                code = TOO_LARGE
            finally:
                os._exit(code)
        for descriptor in descriptors:
            os.close(descriptor)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        control.send(str(status).encode())


def _parse(request: dict[str, Any], reading: int, writing: int) -> None:
    from bedside_core.errors import InputError
    from bedside_corpus.config import Source
    from bedside_corpus.intake.parquet import rows_of_groups
    from bedside_corpus.intake.parsers import records
    from bedside_corpus.intake.record import DamagedFileError
    from bedside_corpus.sources import Part, SourceFile

    source = Source.model_validate(request["source"])
    part = None if request["part"] is None else Part(*request["part"])
    file = SourceFile(source, Path(request["path"]), request["name"], part)
    with os.fdopen(reading, "rb") as content, os.fdopen(writing, "wb", buffering=0) as pipe:
        _bound()
        try:
            if "groups" in request:
                for rows in rows_of_groups(content, file):
                    _send(pipe, {"rows": rows})
                _send(pipe, {"end": True})
                return
            for record in records(content, file, request["skip"]):
                _send(pipe, {name: getattr(record, name) for name in record.__slots__})
                _allow_more_time()
            _send(pipe, {"end": True})
        except InputError as error:
            is_damaged = isinstance(error, DamagedFileError)
            _send(pipe, {"error": str(error), "is_damaged": is_damaged})


def _bound() -> None:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _allow_more_time()
    for kind, most in (
        (resource.RLIMIT_AS, size + MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def _allow_more_time() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _send(pipe: Any, frame: dict[str, Any]) -> None:
    body = json.dumps(frame, ensure_ascii=False).encode("utf-8", "surrogatepass")
    left = memoryview(len(body).to_bytes(4, "big") + body)
    while left:
        left = left[pipe.write(left) :]


if __name__ == "__main__":
    main()

"""Private database servers for tests: on loopback, in a temporary directory, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

START_SECONDS = 30


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def program(*names: str, required_by: str) -> str:
    """The path of the first program that is installed; otherwise the test is skipped, or fails."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    places = os.pathsep.join([os.environ.get("PATH", ""), *map(str, debian)])
    for name in names:
        found = shutil.which(name, path=places)
        if found:
            return found
    if os.environ.get(required_by) == "1":
        pytest.fail(f"{' or '.join(names)} is not installed, and {required_by}=1 requires it")
    pytest.skip(f"{' or '.join(names)} is not installed")


@dataclass
class Server:
    """A server process that a test may stop, freeze, kill and start again, with its data."""

    url: str
    port: int
    command: list[str]
    directory: Path
    user: str | None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        self.process = subprocess.Popen(
            self.command,
            cwd=self.directory,
            user=self.user,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        give_up = time.monotonic() + START_SECONDS
        while True:
            try:
                if self.url.startswith("postgresql:"):
                    psycopg.connect(self.url, connect_timeout=2).close()
                else:
                    socket.create_connection(("127.0.0.1", self.port), 2).close()
            except (OSError, psycopg.OperationalError):
                assert self.process.poll() is None, f"{self.command[0]} ended while starting"
                assert time.monotonic() < give_up, f"{self.command[0]} does not start"
                time.sleep(0.02)
            else:
                return

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and all its children, for example SIGSTOP and SIGCONT."""
        assert self.process is not None
        for child in _descendants(self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(child, number)

    def kill(self) -> None:
        """End it as a power failure would, and wait for that."""
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return [pid, *(other for child in children for other in _descendants(int(child)))]


@contextmanager
def valkey_server() -> Iterator[Server]:
    """A Valkey, or the Redis that it comes from; `BEDSIDE_REQUIRE_VALKEY=1` wants one."""
    server = program("valkey-server", "redis-server", required_by="BEDSIDE_REQUIRE_VALKEY")
    with _directory() as directory:
        port = free_port()
        # Only memory: a test that kills it finds it empty.
        command = [server, "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
        yield from _served(Server(f"valkey://127.0.0.1:{port}/0", port, command, directory, None))


@contextmanager
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL with an empty database; `BEDSIDE_REQUIRE_POSTGRES=1` wants one."""
    initdb = program("initdb", required_by="BEDSIDE_REQUIRE_POSTGRES")
    postgres = program("postgres", required_by="BEDSIDE_REQUIRE_POSTGRES")
    # It refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    with _directory() as directory:
        if user:
            found = pwd.getpwnam(user)
            os.chown(directory, found.pw_uid, found.pw_gid)
        data = str(directory / "data")
        subprocess.run(
            [
                initdb,
                "-D",
                data,
                "-U",
                "bedside",
                "--auth=trust",
                "--no-sync",
                "--locale=C",
                "-E",
                "UTF8",
            ],
            cwd=directory,
            user=user,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )
        port = free_port()
        command = [postgres, "-D", data, "-p", str(port), "-k", str(directory)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        url = f"postgresql://bedside@127.0.0.1:{port}/postgres"
        yield from _served(Server(url, port, command, directory, user))


@contextmanager
def _directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="bedside-", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _served(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.kill()

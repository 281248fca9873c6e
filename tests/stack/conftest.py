"""The containers of compose.yaml, run for real by a Docker Engine: one stack for all tests here."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import openai
import pytest

CONFIG = "configs/tiny.yaml"
MODEL = "bedside-tiny"
START_SECONDS = 300
ERASE_LINE = "\x1b[2K"
"""Compose begins lines of a log with it, terminal or not."""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass
class Stack:
    """One compose project and what a person would do with it."""

    root: Path
    project: str
    overrides: tuple[Path, ...] = ()
    model: str = MODEL
    clients: list[openai.OpenAI] = field(default_factory=list)
    port: int = field(default_factory=free_port)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "COMPOSE_PROJECT_NAME": self.project,
            "COMPOSE_FILE": os.pathsep.join(
                [str(self.root / "compose.yaml"), *map(str, self.overrides)]
            ),
            "BEDSIDE_CONFIG": CONFIG,
            "BEDSIDE_PORT": str(self.port),
        }

    def run(
        self, *command: str, check: bool = True, timeout: float = 900, stdin: bytes | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout, on this project."""
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, timeout=timeout, check=False,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def compose(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("docker", "compose", *words, check=check)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Begin a compose command and go on."""
        return subprocess.Popen(
            ["docker", "compose", *words], cwd=self.root, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def wait_until_running(self, service: str, starting: subprocess.Popen[str]) -> None:
        """Wait until a step runs, as long as the command that leads to it goes on."""
        while not self.compose("ps", "--quiet", "--status", "running", service).stdout.split():
            assert starting.poll() is None, f"{service} never ran: {starting.communicate()[0]}"
            time.sleep(0.2)

    def once(self, service: str, *words: str, options: tuple[str, ...] = (), check: bool = True):
        """Run a one-shot container without what it depends on."""
        return self.compose(
            "run", "--rm", "--no-deps", "-T", *options, service, *words, check=check
        )

    def container(self, service: str) -> dict:
        """What Docker knows of a service's container."""
        [identity] = self.compose("ps", "--all", "--quiet", service).stdout.split()
        return json.loads(self.run("docker", "inspect", identity).stdout)[0]

    def kill(self, service: str) -> None:
        """SIGKILL its first process from outside, as the kernel does when memory runs out.

        `docker kill` would count as the operator's wish and switch the restart policy off.
        """
        os.kill(self.container(service)["State"]["Pid"], signal.SIGKILL)

    def wait_until_restarted(self, service: str, before: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self.container(service)["RestartCount"] <= before:
            assert time.monotonic() < deadline, f"{service} was not restarted"
            time.sleep(0.5)

    def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case) and body; status 0 while nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, headers, answer.read()
        except OSError:
            return 0, {}, b""
        finally:
            connection.close()

    def wait_for(self, status: int) -> dict[str, str]:
        """Wait until `/readyz` answers with a status; returns its headers."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            found, headers, _ = self.get("/readyz")
            if found == status:
                return headers
            time.sleep(0.5)
        pytest.fail(f"/readyz did not become {status}; {self.compose('logs', 'engine').stdout}")

    def ready(self) -> dict[str, str]:
        """What the gateway says once the model answers."""
        self.wait_for(200)
        return json.loads(self.get("/readyz")[2])

    def new_key(self) -> str:
        words = ("exec", "-T", "gateway", "bedside", "inference", "keys", "create")
        return self.compose(*words).stdout.strip()

    def client(self, key: str, max_retries: int = 0) -> openai.OpenAI:
        found = openai.OpenAI(
            base_url=f"http://127.0.0.1:{self.port}/v1",
            api_key=key,
            max_retries=max_retries,
            timeout=120,
        )
        self.clients.append(found)
        return found

    def ask(self, key: str, max_tokens: int = 8):
        """A stream whose headers can be read: (headers, chunks)."""
        raw = self.client(key).chat.completions.with_raw_response.create(
            model=self.model,
            messages=[{"role": "user", "content": "Was ist Fieber?"}],
            stream=True,
            max_tokens=max_tokens,
        )
        return raw.headers, raw.parse()

    def told(self, service: str) -> str:
        """Everything that a service has printed, on either stream."""
        printed = self.compose("logs", "--no-log-prefix", service).stdout
        return printed.replace(ERASE_LINE, "")

    def remove(self) -> None:
        while self.clients:
            self.clients.pop().close()
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", check=False)


@pytest.fixture(scope="session")
def new_stack(root: Path) -> Iterator:
    """Make further projects; each is removed at the end."""
    made: list[Stack] = []

    def make(name: str, *overrides: Path) -> Stack:
        stack = Stack(root, f"bedside-test-{os.getpid()}-{name}", overrides)
        made.append(stack)
        return stack

    yield make
    for stack in made:
        stack.remove()


@pytest.fixture(scope="session")
def stack(new_stack) -> Stack:
    """The stack of all tests: started from nothing, once."""
    found = new_stack("main")
    found.run("bash", "scripts/up.sh")
    return found


@pytest.fixture(scope="session")
def key(stack: Stack) -> str:
    return stack.new_key()

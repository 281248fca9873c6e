"""The processes of a measurement: mock engine, gateways, a bare pass-through; each on its core."""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from load import Target

from bedside_core import lifeline
from bedside_core.console import say

MODEL = "bedside"
CORES = sorted(os.sched_getaffinity(0))
PEER_CORE = {CORES[0]}
"""The peer under test has this one to itself."""
LOAD_CORES = set(CORES[1:3]) or PEER_CORE
"""The load generator and the mock engine."""

START_SECONDS = 90
UNREACHED = 10**9
STOP_SECONDS = 30
CPUCLOCK_SCHED = 2
"""The kernel's posix-timers.h."""
PAGE = os.sysconf("SC_PAGE_SIZE")
LITELLM_PACKAGE = "litellm[proxy]"


@dataclass(frozen=True, slots=True)
class Peer:
    """A running process that answers chat requests."""

    name: str
    target: Target
    pid: int | None
    """The root of its processes; none for no peer at all."""

    def cpu_seconds(self) -> float:
        """Time on a core of all its processes."""
        return sum(cpu_seconds_of(pid) for pid in tree(self.pid))

    def files(self) -> int:
        """Open files of all its processes, connections among them."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in tree(self.pid))

    def rss(self) -> int:
        """Resident memory in bytes, of all its processes."""
        return sum(int(stat[21]) for stat in tree(self.pid).values()) * PAGE


def cpu_seconds_of(pid: int) -> float:
    """By the process's clock, which is exact where /proc counts in hundredths of a second.

    The clock's number is made as in clock_getcpuclockid(3).
    """
    try:
        return time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED)
    except OSError:  # it has just ended
        return 0.0


def tree(root: int | None) -> dict[int, list[str]]:
    """The `stat` fields from the state on (number 3) of a process and all below it."""
    if root is None:
        return {}
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            found[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
    kept = {root} & found.keys()
    while True:
        more = {pid for pid, stat in found.items() if int(stat[1]) in kept} - kept
        if not more:
            return {pid: found[pid] for pid in kept}
        kept |= more


def own_cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def process(
    command: Sequence[str], log: Path, cores: set[int], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A child on its cores; it inherits them, so that its threads are there from the start."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        with log.open("wb") as output:
            started = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=dict(environment),
            )  # fmt: skip
    finally:
        os.sched_setaffinity(0, before)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def wait_for(port: int, path: str, running: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a path answers 200."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if running.poll() is not None:
            break
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.2)
    tail = log.read_text(errors="replace")[-2000:]
    sys.exit(f"{log.stem} does not answer; the end of its log:\n{tail}")


class House:
    """A BEDSIDE_HOME with a config, a key and the secrets that its parts share."""

    def __init__(self, directory: Path, settings: dict[str, Any]) -> None:
        """`settings`: of the section `inference`, over ours; `mock`: of the mock engine."""
        self.directory = directory
        self.engine_port, self.gateway_port = free_port(), free_port()
        self.config = self.directory / "bench.yaml"
        ours: dict[str, Any] = {
            "model_name": MODEL,
            "engine": {"url": f"http://127.0.0.1:{self.engine_port}"},
            "gateway": {"port": self.gateway_port},
        }
        self.mock = [
            f"--{name.replace('_', '-')}={value}" for name, value in settings["mock"].items()
        ]
        for section in settings.keys() - {"mock"}:
            ours[section] = ours.get(section, {}) | settings[section]
        # JSON is YAML.
        self.config.write_text(json.dumps({"name": "bench", "inference": ours}))
        self.environment = lifeline.tied() | {
            "BEDSIDE_HOME": str(self.directory / "home"),
            "BEDSIDE_SECRETS": str(self.directory / "secrets"),
            "BEDSIDE_RUN_DIR": str(self.directory / "run"),
        }
        self.bedside("secrets")
        self.token = (self.directory / "secrets" / "engine-token").read_text().strip()

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "bedside_core.cli", "inference", *words]

    def bedside(self, *words: str) -> str:
        """Run a verb to its end; returns what it says."""
        done = subprocess.run(
            self.command(*words), env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(f"bedside inference {words[0]}: {done.stderr.strip()}")
        return done.stdout

    def new_key(self) -> str:
        """A key for the load; it has limits, so that they are counted, which nothing reaches."""
        limits = (f"--{name}-per-minute={UNREACHED}" for name in ("requests", "tokens"))
        said = self.bedside("keys", "create", *limits, "--config", str(self.config))
        found = re.search(r"bsk-\S+", said)
        if found is None:
            sys.exit("bedside inference keys create: no key in what it says")
        return found[0]

    @contextmanager
    def mock_engine(self) -> Iterator[Peer]:
        """The engine of all peers; asked directly, it is also the measure of what they add."""
        log = self.directory / "mock-engine.log"
        script = Path(__file__).parent.with_name("mock_engine.py")
        command = [sys.executable, str(script), "--config", str(self.config), *self.mock]
        with process(command, log, LOAD_CORES, self.environment) as running:
            wait_for(self.engine_port, "/health", running, log)
            yield Peer("direct", Target(self.engine_port, self.token, MODEL), running.pid)

    @contextmanager
    def gateway(self) -> Iterator[Peer]:
        """`bedside inference gateway` as a house runs it: keys, limits, admission and audit on."""
        key = self.new_key()
        log = self.directory / "bedside.log"
        command = self.command("gateway", "--config", str(self.config))
        with process(command, log, PEER_CORE, self.environment) as running:
            wait_for(self.gateway_port, "/readyz", running, log)
            yield Peer("bedside", Target(self.gateway_port, key, MODEL), running.pid)

    @contextmanager
    def passthrough(self) -> Iterator[Peer]:
        """The floor: what a Python process pays for being between and doing nothing else."""
        log = self.directory / "passthrough.log"
        port = free_port()
        script = Path(__file__).with_name("passthrough.py")
        command = [sys.executable, str(script), str(port), str(self.engine_port)]
        with process(command, log, PEER_CORE, self.environment) as running:
            wait_for(port, "/health", running, log)
            yield Peer("passthrough", Target(port, self.token, MODEL), running.pid)

    @contextmanager
    def litellm(self, environment: Path) -> Iterator[Peer]:
        """LiteLLM's proxy: one worker, a master key, no database, nothing recorded or limited.

        The settings are those of its own production guide (log level, mode, no verbosity).
        """
        key = f"sk-{secrets.token_hex(16)}"
        config = self.directory / "litellm.yaml"
        upstream = {
            "model": f"openai/{MODEL}",
            "api_base": f"http://127.0.0.1:{self.engine_port}/v1",
            "api_key": self.token,
        }
        config.write_text(
            json.dumps(
                {
                    "model_list": [{"model_name": MODEL, "litellm_params": upstream}],
                    "litellm_settings": {
                        "set_verbose": False,
                        "telemetry": False,
                        "num_retries": 0,
                        "request_timeout": 600,
                    },
                    "router_settings": {"num_retries": 0, "disable_cooldowns": True},
                    "general_settings": {"master_key": key, "disable_spend_logs": True},
                }
            )
        )
        log = self.directory / "litellm.log"
        port = free_port()
        command = [str(environment / "bin" / "litellm"), "--config", str(config)]
        command += ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        settings = {
            "LITELLM_LOG": "ERROR",
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_TELEMETRY": "False",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "NO_DOCS": "True",
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
        }
        with process(command, log, PEER_CORE, settings) as running:
            wait_for(port, "/health/liveliness", running, log)
            yield Peer("litellm", Target(port, key, MODEL), running.pid)


def running_in(engine: Peer) -> int:
    """Requests that the mock engine counts as running or waiting."""
    connection = http.client.HTTPConnection("127.0.0.1", engine.target.port, timeout=10)
    try:
        connection.request(
            "GET", "/metrics", headers={"Authorization": f"Bearer {engine.target.key}"}
        )
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    counts = re.findall(r"^vllm:num_requests_(?:running|waiting)\{.*\} (\S+)$", text, re.MULTILINE)
    return round(sum(float(count) for count in counts))


def litellm_environment(directory: Path) -> Path:
    """An environment with LiteLLM from the package index, made if it is missing."""
    if not (directory / "bin" / "litellm").exists():
        say(f"installing {LITELLM_PACKAGE} into {directory}, a few minutes")
        venv.create(directory, with_pip=True)
        subprocess.run(
            [str(directory / "bin" / "pip"), "install", "--quiet", LITELLM_PACKAGE], check=True
        )
    return directory


def litellm_version(environment: Path) -> str:
    code = "from importlib.metadata import version; print(version('litellm'))"
    asked = [str(environment / "bin" / "python"), "-c", code]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", info, re.MULTILINE)
    return {
        "cpu": model[1] if model else "unknown",
        "cores": len(CORES),
        "peer_core": sorted(PEER_CORE),
        "load_cores": sorted(LOAD_CORES),
        "load_average_before": round(os.getloadavg()[0], 2),
    }

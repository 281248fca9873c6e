"""`bedside inference gateway`: the gateway on its port."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import resource
import secrets
import shutil
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from types import FrameType

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from bedside_core import lifeline, log
from bedside_core.errors import ConfigError
from bedside_core.run import Run
from bedside_inference import reported
from bedside_inference.audit.journal import AuditLog, audit_directory
from bedside_inference.config import GatewayConfig, InferenceConfig
from bedside_inference.gateway.app import build
from bedside_inference.gateway.drain import STATE, Drain
from bedside_inference.gateway.protocol import Protocol
from bedside_inference.gateway.seats import BACKLOG, Seats, raise_open_files
from bedside_inference.gateway.telemetry.metrics import SHARED
from bedside_inference.paths import private_directory, run_directory
from bedside_inference.state.store import Store

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 75
"""Longer than a proxy or a client library keeps a connection that it does not use (nginx: 60), so
that none sends a request on one that is closing here."""
UNANSWERED_SECONDS = 30
"""Until the supervisor replaces a worker that says nothing. It asks at once, while the worker still
starts, and that takes a busy machine longer than uvicorn's 5 s."""
AGAIN_SECONDS = 5
"""Between two tries of workers that cannot begin."""
TICK_SECONDS = 1
"""The Date header has whole seconds."""
LOOK_SECONDS = 0.05
"""Between two looks whether the last answer has ended, while the gateway ends."""
SALT_BYTES = 32
GARBAGE_THRESHOLD = 10_000
"""New objects until the collector looks."""


def serve(config: InferenceConfig, run: Run) -> None:
    """Serve until SIGINT or SIGTERM, then let running answers finish.

    Raises:
        ConfigError: the address cannot be listened on, or workers lack a place to count together.
        ArtifactError: the audit or the state database cannot be used.
    """
    lifeline.hold(signal.SIGTERM)
    home = run.registry.home
    raise_open_files()
    with listen(config.gateway) as listening, suppress(KeyboardInterrupt):
        preflight(config, home)
        reported.note(config, home)
        if config.gateway.workers == 1:
            keep_out_of_garbage_collection()
            server(config, home).run([listening])
        else:
            numbers = run_directory(home) / "metrics"
            private_directory(numbers.parent)
            shutil.rmtree(numbers, ignore_errors=True)
            private_directory(numbers)
            os.environ[SHARED] = str(numbers)
            salt_key = secrets.token_bytes(SALT_BYTES)
            several = _settings(config, partial(worker, config, home, salt_key))
            Workers(several, [listening], numbers).run()


def preflight(config: InferenceConfig, home: Path) -> None:
    """Fail now and in clear words where every worker would fail.

    Raises:
        ConfigError: workers lack a place to count together, an engine's address or a certificate
            cannot be used.
        ArtifactError: the audit or the state database cannot be used.
    """
    if config.gateway.workers > 1:
        if config.limits.url is None:
            raise ConfigError(
                f"inference.gateway.workers is {config.gateway.workers}, and each would count "
                "rates for itself - set inference.limits.url to a PostgreSQL database, or use one"
            )
        # A worker that cannot be built is started again for ever.
        build(config, home, bytes(SALT_BYTES), seats_of(config))
    Store.open(config.state, home).close()
    with AuditLog(audit_directory(config.audit, home), config.audit) as audit:
        audit.admin("gateway_started", workers=config.gateway.workers)


class Server(uvicorn.Server):
    """The HTTP server of one process, woken by the signal that ends it.

    uvicorn's looks for one ten times a second, and to wake up costs more than the look: a part of
    what a gateway with little to do costs.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.wake: Callable[[], object] = lambda: None
        """Have `should_exit` looked at now."""

    async def main_loop(self) -> None:
        """Keep the Date header of answers fresh until a signal comes."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        self.wake = partial(loop.call_soon_threadsafe, ended.set)
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await ended.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let running answers finish; whoever comes meanwhile is told to come again.

        Only then nobody listens any more: a single gateway has nobody else who could say so.
        uvicorn's tells each connection to go, but not one that was accepted in the same instant and
        whose protocol begins a moment later: its client could go on asking until the drain is over.
        """
        await self._finish_answers()
        for server in self.servers:
            server.close()
        await asyncio.sleep(0)
        await super().shutdown(sockets)

    async def _finish_answers(self) -> None:
        drain: Drain = self.lifespan.state[STATE]
        drain.begun = True
        seconds = self.config.timeout_graceful_shutdown or 0
        until = monotonic() + seconds
        while drain.running and not self.force_exit and monotonic() < until:
            await asyncio.sleep(LOOK_SECONDS)
        # What is left of them is for connections that take their last bytes slowly.
        self.config.timeout_graceful_shutdown = max(0, round(until - monotonic()))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self.wake()


def server(config: InferenceConfig, home: Path) -> Server:
    """The HTTP server of the only process; quiet, because the gateway logs each request itself."""
    return Server(_settings(config, partial(build, config, home, secrets.token_bytes(SALT_BYTES))))


def worker(config: InferenceConfig, home: Path, salt_key: bytes, seats: Seats) -> ASGIApp:
    """The application within one of several processes.

    Raises:
        ConfigError: an engine's address or a certificate cannot be used.
    """
    lifeline.hold(signal.SIGTERM)
    log.configure()
    _forget(Path(os.environ[SHARED]), os.getpid())  # whoever had this number before
    app = build(config, home, salt_key, seats)
    keep_out_of_garbage_collection()
    return app


class Worker(Process):
    """One of several processes."""

    @property
    def server(self) -> uvicorn.Server:
        if self._server is None:
            self._server = Server(self.config)
        return self._server


class Workers(Multiprocess):
    """Processes that answer together; the gauges of one go when it does."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], numbers: Path) -> None:
        super().__init__(config, sockets)
        self.numbers = numbers
        self._begun = False
        """One of them has begun, so what keeps another from it may pass."""
        self._again = 0.0
        """When one that could not begin may be tried again, monotonic seconds."""

    def init_processes(self) -> None:
        for _ in range(self.processes_num):
            self.processes.append(self._started())

    def run(self) -> None:
        """Keep them alive until a signal.

        Raises:
            SystemExit: one could not begin, and none would.
        """
        super().run()
        if not self._begun and any(p.exitcode == STARTUP_FAILURE for p in self.processes):
            raise SystemExit(STARTUP_FAILURE)

    def keep_subprocess_alive(self) -> None:
        """Replace those that died.

        uvicorn's ends all of them when one cannot begin. Here the others go on: a disk that is full
        or a database that is away for a minute must not take what still answers.
        """
        for place, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if process.is_alive(UNANSWERED_SECONDS):
                self._begun = self._begun or process.is_ready(UNANSWERED_SECONDS)
                continue
            if process.exitcode is None:  # it hangs
                process.kill()
                process.join()
            if process.exitcode == STARTUP_FAILURE:
                if not self._begun:
                    self.should_exit.set()
                    return
                if monotonic() < self._again:
                    continue
                self._again = monotonic() + AGAIN_SECONDS
            logger.warning("worker replaced", extra=log.fields(exit=process.exitcode))
            self.processes[place] = self._started()
        alive = {process.pid for process in self.processes}
        for file in self.numbers.glob("gauge_live*_*.db"):
            if (pid := int(file.stem.rpartition("_")[2])) not in alive:
                _forget(self.numbers, pid)

    def _started(self) -> Worker:
        process = Worker(self.config, self.sockets)
        process.start()
        return process


def _forget(numbers: Path, pid: int) -> None:
    mark_process_dead(pid, str(numbers))  # type: ignore[no-untyped-call]


def keep_out_of_garbage_collection() -> None:
    """Let the collector look at what requests leave, not again and again at what is there to stay.

    With Python's thresholds its pauses stood out in a profile of the gateway (docs/log.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 50)


def seats_of(config: InferenceConfig) -> Seats:
    """The connections that this process has open files for."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Seats(files, config.admission.max_running)


def _settings(config: InferenceConfig, app: partial[ASGIApp]) -> uvicorn.Config:
    """`app`: what makes the application, but for its seats."""
    gateway, seats = config.gateway, seats_of(config)
    return uvicorn.Config(
        partial(app, seats),
        factory=True,
        http=partial(Protocol, seats),  # type: ignore[arg-type] # only ever called
        loop="uvloop",
        workers=gateway.workers,
        backlog=seats.backlog,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(gateway.trusted_proxies),
        forwarded_allow_ips=list(gateway.trusted_proxies),
        ws="none",
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=gateway.drain_seconds,
        timeout_worker_healthcheck=UNANSWERED_SECONDS,
    )


def listen(gateway: GatewayConfig) -> socket.socket:
    """A socket that listens on the gateway's address.

    Raises:
        ConfigError: the port is in use, or the address is not ours.
    """
    host, port = gateway.host, gateway.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"inference.gateway.host: {host}: {error.strerror}") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} on {host} is in use - stop what uses it, or take another with "
                "--set inference.gateway.port=N"
            ) from None
        raise ConfigError(
            f"cannot listen on {host} port {port} ({error.strerror}) - set inference.gateway.host "
            "and inference.gateway.port to an address of this machine"
        ) from None
    return listening

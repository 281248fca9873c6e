"""`bedside selftest`: prove that this container is confined; any image can.

Outside our containers it tries nothing: there it would prove nothing, and its connections would be
noise in somebody's firewall.

Covered: ways out (routes, name resolution, proxies, two connections that must fail), rights (user,
capabilities, root file system, container engine's socket), telemetry switches.
Not covered: what the host itself could do, and other containers - run it in each.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from bedside_core import offline
from bedside_core.commands import Command
from bedside_core.console import say
from bedside_core.errors import ConfigError, PolicyError
from bedside_core.registry.registry import Registry
from bedside_core.services import VERBS

LISTENER = "BEDSIDE_SELFTEST_LISTENER"
"""`address:port` of a listener outside the clinical network, which the test itself has started."""

SERVICE = "BEDSIDE_SERVICE"
"""Which service's image this is; the image sets it."""

MARKER = Path("/etc/bedside-image")
"""Only our images have this file, whose one line is the service."""

NOWHERE = ("192.0.2.1", 443)
"""An address of TEST-NET-1 (RFC 5737): it belongs to nobody, so trying it disturbs nobody."""

UNKNOWN_NAME = "bedside-selftest.invalid"
"""A name that never exists (RFC 2606); a resolver with a way out says so (NXDOMAIN)."""

DISCARD_PORT = 9
TIMEOUT_SECONDS = 3
NXDOMAIN, NOERROR = 3, 0

ENGINE_SOCKETS = (
    *("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock"),
    *("/run/podman/podman.sock", "/run/crio/crio.sock"),
)


class Check(NamedTuple):
    """One thing that was proved, or not."""

    name: str
    ok: bool
    detail: str


def selftest(registry: Registry) -> None:
    """Check this container.

    Raises:
        ConfigError: this is none of ours; nothing was tried.
        PolicyError: a check failed.
    """
    refuse_elsewhere()
    report(os.environ.get(SERVICE, "container"), chain(ways_out(), rights()))


def refuse_elsewhere() -> None:
    """Begin no check of a container where there is none.

    Raises:
        ConfigError: this process does not run in a container of ours.
    """
    if not MARKER.is_file():
        raise ConfigError(
            f"this is not a container of Bedside ({MARKER} is missing), so nothing was tried - "
            "`scripts/selftest.sh` asks every container of the running stack"
        )


def report(where: str, checks: Iterable[Check]) -> None:
    """Print each check as it is made: JSON lines, or a readable line on a terminal.

    Raises:
        PolicyError: names every check that failed.
    """
    failed = []
    for check in checks:
        if sys.stdout.isatty():
            say(f"{'ok    ' if check.ok else 'FAILED'} {where}: {check.name} ({check.detail})")
        else:
            line = {"ok": check.ok, "where": where, "check": check.name, "detail": check.detail}
            say(json.dumps(line))
        if not check.ok:
            failed.append(check.name)
    if failed:
        raise PolicyError(f"the self-test of the {where} failed: {', '.join(failed)}")


def ways_out() -> Iterator[Check]:
    """That nothing leads out of this container but to its neighbours."""
    routes = default_routes()
    yield Check("no default route", not routes, ", ".join(routes) or "none")
    answers = resolver_answers()
    yield Check("no name resolution", not answers, ", ".join(answers) or "no resolver answers")
    yield no_proxy()
    yield must_not_connect("no connection to 192.0.2.1", NOWHERE)
    if LISTENER in os.environ:
        yield must_not_connect("no connection to the listener outside", listener())
    yield host_is_silent()


def rights() -> Iterator[Check]:
    """That this process can do no harm here."""
    user = os.getuid()
    yield Check("not root", user != 0, f"user {user}")
    status = dict(
        line.split(":\t", 1)
        for line in Path("/proc/self/status").read_text().splitlines()
        if ":\t" in line
    )
    effective, bounding = status["CapEff"], status["CapBnd"]
    yield Check(
        "no capabilities",
        int(effective, 16) == 0 and int(bounding, 16) == 0,
        f"effective {effective}, bounding {bounding}",
    )
    yield Check("no new privileges", status["NoNewPrivs"].strip() == "1", status["NoNewPrivs"])
    read_only = bool(os.statvfs("/").f_flag & os.ST_RDONLY)
    yield Check("read-only root file system", read_only, "ro" if read_only else "rw")
    sockets = [path for path in ENGINE_SOCKETS if Path(path).exists()]
    yield Check("no container engine's socket", not sockets, ", ".join(sockets) or "none")
    unset = ", ".join(offline.STARTED_WITHOUT)
    yield Check("telemetry switched off", not unset, unset or "all switches set")


def default_routes() -> list[str]:
    """Interfaces with a default route, IPv4 and IPv6 (proc(5); unreachable routes aside)."""
    found = []
    for line in _lines("/proc/net/route")[1:]:
        interface, destination, *_, mask = line.split()[:8]
        if destination == mask == "00000000":
            found.append(f"{interface} (IPv4)")
    for line in _lines("/proc/net/ipv6_route"):
        destination, length, *_, flags, interface = line.split()
        reject = int(flags, 16) & 0x0200  # RTF_REJECT: the kernel's own "unreachable"
        if length == "00" and set(destination) == {"0"} and interface != "lo" and not reject:
            found.append(f"{interface} (IPv6)")
    return found


def resolver_answers() -> list[str]:
    """Resolvers of this container that know whether a public name exists (RFC 1035 query)."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in UNKNOWN_NAME.split("."))
    query = struct.pack(">HHHHHH", os.getpid() & 0xFFFF, 0x0100, 1, 0, 0, 0)
    query += labels + b"\0" + struct.pack(">HH", 1, 1)
    found = []
    for line in _lines("/etc/resolv.conf"):
        if not line.startswith("nameserver"):
            continue
        server = line.split()[1]
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.settimeout(TIMEOUT_SECONDS)
            try:
                asking.sendto(query, (server, 53))
                code = asking.recv(512)[3] & 0x0F
            except OSError:
                continue
        if code in (NOERROR, NXDOMAIN):
            found.append(f"{server} answers with code {code}")
    return found


def host_is_silent() -> Check:
    """That the first address of each network here, by custom the host's, is nobody's.

    A refused connection counts: somebody was there to refuse it.
    """
    found = []
    for line in _lines("/proc/net/route")[1:]:
        destination = line.split()[1]
        if destination != "00000000":
            first = ipaddress.ip_address(int(destination, 16).to_bytes(4, "little")) + 1
            if connect((str(first), DISCARD_PORT)) in (None, "ECONNREFUSED"):
                found.append(str(first))
    return Check("the host is out of reach", not found, ", ".join(found) or "no answer")


def no_proxy() -> Check:
    """That no variable names a proxy."""
    found = sorted(
        name for name in os.environ if name.lower().endswith("_proxy") and os.environ[name]
    )
    found = [name for name in found if name.lower() != "no_proxy"]
    return Check("no proxy", not found, ", ".join(found) or "no variable names one")


def listener() -> tuple[str, int]:
    """The listener that the test has started outside.

    Raises:
        ConfigError: the variable is not `address:port`.
    """
    host, _, port = os.environ[LISTENER].rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ConfigError(f"{LISTENER}: write address:port")
    return host, int(port)


def must_not_connect(name: str, address: tuple[str, int]) -> Check:
    """That a connection fails."""
    how = connect(address)
    return Check(name, how is not None, how or "connected")


def connect(address: tuple[str, int]) -> str | None:
    """Try a TCP connection; None if it succeeds, otherwise why it does not."""
    try:
        socket.create_connection(address, TIMEOUT_SECONDS).close()
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "failed")
    return None


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except FileNotFoundError:
        return []  # a kernel without IPv6


SELFTEST = (Command("selftest", VERBS["selftest"], selftest),)

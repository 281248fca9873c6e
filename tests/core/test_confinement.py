"""Each check finds what it is there to find; the whole test in real containers is tests/docker."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bedside_core import confinement, offline
from bedside_core.cli import main
from bedside_core.confinement import Check
from bedside_core.errors import ConfigError, PolicyError

ROUTES = """Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""
IPV6 = (
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth1\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n"
)


@pytest.fixture
def files(monkeypatch) -> dict[str, str]:
    """What the kernel's files say."""
    said: dict[str, str] = {}
    monkeypatch.setattr(confinement, "_lines", lambda path: said.get(path, "").splitlines())
    return said


def test_default_routes_are_found(files) -> None:
    files["/proc/net/route"] = ROUTES
    files["/proc/net/ipv6_route"] = IPV6
    assert confinement.default_routes() == ["eth0 (IPv4)", "eth1 (IPv6)"]


def test_a_network_without_a_way_out(files) -> None:
    files["/proc/net/route"] = "\n".join(ROUTES.splitlines()[::2])
    assert confinement.default_routes() == []


def serve_dns(code: int) -> tuple[socket.socket, threading.Thread]:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def answer() -> None:
        query, client = server.recvfrom(512)
        server.sendto(query[:3] + bytes([code]) + query[4:], client)

    thread = threading.Thread(target=answer)
    thread.start()
    return server, thread


@pytest.mark.parametrize(("code", "found"), [(0, True), (3, True), (2, False), (5, False)])
def test_a_resolver_that_knows_the_world(files, monkeypatch, code, found) -> None:
    server, thread = serve_dns(code)
    files["/etc/resolv.conf"] = "search x\nnameserver 127.0.0.53\n"
    port = server.getsockname()[1]

    class Redirected(socket.socket):
        def sendto(self, data: bytes, address: tuple[str, int]) -> int:
            assert address == ("127.0.0.53", 53)
            return super().sendto(data, ("127.0.0.1", port))

    monkeypatch.setattr(confinement.socket, "socket", Redirected)
    answers = confinement.resolver_answers()
    thread.join()
    server.close()
    assert answers == ([f"127.0.0.53 answers with code {code}"] if found else [])


def test_a_proxy_is_found(monkeypatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("no_proxy", "localhost")
    assert confinement.no_proxy().ok
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    assert confinement.no_proxy() == Check("no proxy", False, "https_proxy")


def test_a_connection_that_must_not_be(monkeypatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        assert confinement.must_not_connect("x", address) == Check("x", False, "connected")
    assert confinement.must_not_connect("x", address) == Check("x", True, "ECONNREFUSED")


def test_rights_of_this_process(monkeypatch) -> None:
    found = {check.name: check for check in confinement.rights()}
    assert found["not root"].ok == (os.getuid() != 0)
    assert set(found) == {
        *("not root", "no capabilities", "no new privileges", "read-only root file system"),
        *("no container engine's socket", "telemetry switched off"),
    }


def test_one_telemetry_switch_is_missing(monkeypatch) -> None:
    monkeypatch.setattr(offline, "STARTED_WITHOUT", ())
    assert list(confinement.rights())[-1].ok
    monkeypatch.setattr(offline, "STARTED_WITHOUT", ("DO_NOT_TRACK",))
    last = list(confinement.rights())[-1]
    assert last == Check("telemetry switched off", False, "DO_NOT_TRACK")


def test_engine_socket_is_found(monkeypatch, tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    path.touch()
    monkeypatch.setattr(confinement, "ENGINE_SOCKETS", (str(path),))
    [check] = [c for c in confinement.rights() if "socket" in c.name]
    assert check == Check("no container engine's socket", False, str(path))


def test_report_has_every_check_and_fails_with_the_names_of_the_failed(capsys) -> None:
    checks = [Check("a", True, "x"), Check("b", False, "y"), Check("c", False, "z")]
    with pytest.raises(PolicyError, match="self-test of the engine failed: b, c") as caught:
        confinement.report("engine", checks)
    assert caught.value.exit_code == 5
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"ok": True, "where": "engine", "check": "a", "detail": "x"},
        {"ok": False, "where": "engine", "check": "b", "detail": "y"},
        {"ok": False, "where": "engine", "check": "c", "detail": "z"},
    ]


@pytest.mark.parametrize(
    ("how", "ok"), [(None, False), ("ECONNREFUSED", False), ("no answer", True), ("x", True)]
)
def test_a_host_that_answers_is_a_neighbour(files, monkeypatch, how, ok) -> None:
    files["/proc/net/route"] = ROUTES
    asked = []

    def connect(address: tuple[str, int]) -> str | None:
        asked.append(address)
        return how

    monkeypatch.setattr(confinement, "connect", connect)
    found = "no answer" if ok else "172.17.0.1"
    assert confinement.host_is_silent() == Check("the host is out of reach", ok, found)
    assert asked == [("172.17.0.1", 9)]


@pytest.mark.parametrize("value", ["", "10.0.0.1", ":9000", "10.0.0.1:x", "10.0.0.1:99999"])
def test_listener_without_an_address(monkeypatch, value) -> None:
    monkeypatch.setenv(confinement.LISTENER, value)
    with pytest.raises(ConfigError, match="write address:port"):
        confinement.listener()


@contextmanager
def watched() -> Iterator[list[str]]:
    """What is sent or looked up meanwhile, as Python itself sees it."""
    tried: list[str] = []
    watching = True

    def watch(event: str, _: object) -> None:
        if watching and event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
            tried.append(event)

    sys.addaudithook(watch)  # for ever
    try:
        yield tried
    finally:
        watching = False


def test_something_is_tried_on_a_workstation(monkeypatch, capsys) -> None:
    """An image sets the variable of its service; a person may have it set too."""
    monkeypatch.setenv(confinement.SERVICE, "engine")
    monkeypatch.setenv(confinement.LISTENER, "192.0.2.9:9000")
    with watched() as tried:
        assert main(["selftest"]) == 2
    printed = capsys.readouterr()
    assert (printed.out, tried) == ("", [])
    assert "this is not a container of Bedside" in printed.err
    assert "scripts/selftest.sh" in printed.err


def test_nothing_is_tried_in_a_container(monkeypatch, capsys, tmp_path: Path) -> None:
    marker = tmp_path / "bedside-image"
    marker.write_text("engine\n")
    monkeypatch.setattr(confinement, "MARKER", marker)
    monkeypatch.setattr(confinement, "ways_out", lambda: iter([Check("no way", True, "none")]))
    monkeypatch.setattr(confinement, "rights", lambda: iter([Check("not root", False, "user 0")]))
    assert main(["selftest"]) == 5
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["check"] for line in lines] == ["no way", "not root"]

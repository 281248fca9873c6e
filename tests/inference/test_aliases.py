"""`bedside inference models`: they look, switch, try, go back or stop, each audited."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bedside_core import cli
from bedside_core.errors import ArtifactError
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
from bedside_inference.audit import journal
from bedside_inference.config import InferenceConfig
from bedside_inference.served import HEADER, ServedModel
from bedside_inference.state.records import Alias
from bedside_inference.state.store import Store

CONFIG = InferenceConfig(model_name="bedside")
A, B, C = "a1" * 32, "b2" * 32, "c3" * 32
UNSERVED = 6
Call = Callable[..., None]


class Engines:
    """What is asked for its health at loopback addresses: an engine for each of some models."""

    def __init__(self, *digests: str | None) -> None:
        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), _page(d)) for d in digests]
        for server in self.servers:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def addresses(self) -> list[str]:
        return [f"http://127.0.0.1:{server.server_port}" for server in self.servers]

    def close(self) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()


def _page(digest: str | None) -> type[BaseHTTPRequestHandler]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert "Authorization" not in self.headers
            self.send_response(200 if digest else 503)
            if digest:
                made = datetime(2026, 11, 1, tzinfo=UTC)
                served = ServedModel(
                    model=digest, created=made, evidence=None, verdict="UNPROVEN", run="demo/base"
                )
                self.send_header(HEADER, served.model_dump_json())
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    return Page


class House:
    """A state database, its verbs, and what they told the audit."""

    def __init__(self, home: Path) -> None:
        self.registry = Registry(home)
        self.store = Store.open(CONFIG.state, home)
        self.entries: list[tuple[str, dict[str, Any]]] = []
        self.full = False
        self.engines = Engines()
        self.serve(A, B, C)

    def audit(self, action: str, /, **ids: str | int) -> None:
        if self.full:
            raise ArtifactError("no space left - make room")
        self.entries.append((action, ids))

    def call(self, *words: str, code: int = 0) -> None:
        """`bedside inference models ...` as a whole."""
        config = str(self.registry.home / "run.yaml")
        assert cli.main(["inference", "models", "--config", config, *words]) == code

    def serve(self, *digests: str | None) -> list[str]:
        """Have an engine for each of these; returns where they are."""
        self.engines.close()
        self.engines = Engines(*digests)
        gateway = {"engines": self.engines.addresses, "port": 1}
        section = {"model_name": "bedside", "gateway": gateway, "state": {"poll_seconds": 0.01}}
        document = {"name": "demo", "inference": section}
        (self.registry.home / "run.yaml").write_text(json.dumps(document))
        return self.engines.addresses

    @property
    def alias(self) -> Alias:
        return self.store.snapshot().alias("bedside")

    @property
    def digests(self) -> tuple[str | None, str | None, str | None, float]:
        found = self.alias
        return found.primary, found.previous, found.canary, found.canary_share


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path))
    found = House(tmp_path)
    monkeypatch.setattr(journal, "audited", lambda config, home: found.audit)
    yield found
    found.engines.close()
    found.store.close()


def test_a_new_house_serves_what_the_engine_serves(house, capsys) -> None:
    house.call("list")
    assert "whatever the engine serves" in capsys.readouterr().out
    assert house.digests == (None, None, None, 0)
    assert house.entries == []


def test_switch_and_rollback(house) -> None:
    house.call("switch", A)
    assert house.digests == (A, None, None, 0)
    house.call("switch", B)
    assert house.digests == (B, A, None, 0)
    house.call("rollback")
    assert house.digests == (A, B, None, 0)
    house.call("rollback")
    assert house.digests == (B, A, None, 0)
    assert house.entries == [
        ("model_switched", {"name": "bedside", "model": A, "revision": 1}),
        ("model_switched", {"name": "bedside", "model": B, "revision": 2}),
        ("model_rolled_back", {"name": "bedside", "model": A, "revision": 3}),
        ("model_rolled_back", {"name": "bedside", "model": B, "revision": 4}),
    ]


def test_rollback_of_the_first_switch(house, capsys) -> None:
    house.call("switch", A)
    house.call("rollback")
    assert house.digests == (None, A, None, 0)
    assert house.entries[-1][1]["model"] == "engine"


def test_a_switch_to_what_is_there_keeps_the_way_back(house) -> None:
    for digest in (A, B, B):
        house.call("switch", digest)
    assert house.digests == (B, A, None, 0)
    assert len(house.entries) == 2


def test_canary(house, capsys) -> None:
    house.call("switch", A)
    house.call("canary", B, "--share", "0.1")
    assert house.digests == (A, None, B, 0.1)
    assert "canary, share 0.1" in capsys.readouterr().out
    house.call("canary", B, "--share", "0.5")
    assert house.digests == (A, None, B, 0.5)
    house.call("switch", B)
    assert house.digests == (B, A, None, 0)
    house.call("canary", C, "--share", "1")
    house.call("rollback")
    assert house.digests == (A, B, None, 0)
    house.call("canary", C, "--share", "0.2")
    house.call("canary", C, "--share", "0")
    assert house.digests == (A, B, None, 0)
    assert house.entries[1] == (
        "model_canary",
        {"name": "bedside", "model": B, "share": "0.1", "revision": 2},
    )


def test_stop_and_resume(house, capsys) -> None:
    house.call("stop", A)
    assert house.store.snapshot().stopped == {A}
    house.call("stop", A)
    house.call("stop", B)
    assert f"stopped  {A}\nstopped  {B}" in capsys.readouterr().out
    house.call("resume", A)
    assert house.store.snapshot().stopped == {B}
    assert [(action, ids["model"]) for action, ids in house.entries] == [
        ("model_stopped", A),
        ("model_stopped", B),
        ("model_resumed", A),
    ]


def test_no_way_to_a_stopped_model(house, capsys) -> None:
    for words in (["switch", A], ["switch", B], ["stop", A], ["stop", C]):
        house.call(*words)
    before = house.digests
    for words in (["switch", C], ["canary", C, "--share", "0.1"], ["rollback"]):
        house.call(*words, code=5)
        assert "is stopped" in capsys.readouterr().err
    assert house.digests == before
    house.call("resume", A)
    house.call("rollback")
    assert house.digests == (A, B, None, 0)


def test_nothing_to_go_back_to(house, capsys) -> None:
    house.call("rollback", code=5)
    assert "never switched" in capsys.readouterr().err


def test_no_trial_beside_whatever_the_engines_serve(house, capsys) -> None:
    house.call("canary", A, "--share", "0.1", code=5)
    assert "switch DIGEST" in capsys.readouterr().err
    house.call("canary", A, "--share", "0")
    assert house.entries == []


def test_nothing_happens_without_an_audit_entry(house) -> None:
    house.call("switch", A)
    house.call("switch", B)
    house.call("stop", C)
    before = house.store.snapshot()
    house.full = True
    for words in (["switch", A], ["canary", A, "--share", "0.1"], ["rollback"], ["stop", A],
                  ["resume", C]):  # fmt: skip
        house.call(*words, code=4)
    assert house.store.snapshot() == before


def promote(house: House, *models: str) -> None:
    found(house.registry)
    with house.registry.log.writing() as log:
        for model in models:
            log.add("promote", {"model": model, "evidence": "e" * 64, "by": "test"})


def test_abbreviations(house, capsys) -> None:
    twin = A[:40] + "f" * 24
    house.serve(A, B)
    promote(house, twin, C)
    house.call("switch", B[:8])
    assert house.digests == (B, None, None, 0)
    house.call("switch", A[:8])  # what is served comes before what was only promoted
    assert house.alias.primary == A
    house.serve(A, B, twin)
    house.call("switch", A[:8], code=3)
    assert f"several models fit - which of {A}, {twin}?" in capsys.readouterr().err
    house.call("switch", A[:41])
    house.call("switch", "d4" * 31, code=3)
    assert "no model here begins with" in capsys.readouterr().err
    house.call("stop", C[:8], code=UNSERVED)  # the registry has it
    house.call("resume", C[:8])


@pytest.mark.parametrize("word", ["current", "bedside"])
def test_the_model_that_answers_by_a_word(house, capsys, word) -> None:
    house.call("stop", word, code=3)  # which of three?
    assert f"several models fit - which of {A}, {B}, {C}?" in capsys.readouterr().err
    house.serve(A, A)
    house.call("stop", word)
    assert house.store.snapshot().stopped == {A}
    house.call("resume", word)
    house.serve(A, B)
    house.call("switch", B)
    house.call("stop", word)
    assert house.store.snapshot().stopped == {B}
    house.call("resume", B)
    house.call("rollback")
    house.serve(None)
    house.call("switch", word, code=3)
    assert "no engine answers, so bedside stands for no model" in capsys.readouterr().err


def test_what_nobody_serves_is_no_place_to_go(house, capsys) -> None:
    house.call("switch", A)
    house.call("switch", B)
    house.serve(B)
    for words in (["switch", C], ["canary", C, "--share", "0.1"], ["rollback"]):
        house.call(*words, code=5)
        said = capsys.readouterr().err
        assert "no engine serves model" in said
        assert f"serving: {B[:12]} - start an engine with it first, or say --force" in said
    assert house.digests == (B, A, None, 0)
    house.serve(None)
    house.call("switch", C, code=5)
    assert "no engine answers (http://127.0.0.1:" in capsys.readouterr().err
    house.call("switch", C, "--force")
    house.call("rollback", "--force")
    assert house.digests == (B, C, None, 0)


def test_a_kill_switch_that_stops_nothing_says_so(house, capsys) -> None:
    house.serve(A, None)
    house.call("stop", B, code=UNSERVED)
    said = capsys.readouterr()
    assert f"{B[:12]} is stopped from now on, but no engine serves it now" in said.err
    assert f"serving: {A[:12]}" in said.err
    assert house.store.snapshot().stopped == {B}
    assert house.entries == [("model_stopped", {"model": B, "revision": 1})]
    house.call("stop", A)


def test_what_each_engine_serves_is_listed(house, capsys) -> None:
    one, two = house.serve(A, None)
    house.call("stop", A)
    capsys.readouterr()
    house.call("list")
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [one, "stopped", A[:12], "UNPROVEN", "demo/base"] in said
    assert [two, "no", "answer", "-", "-", "-"] in said
    assert "no gateway answers at http://127.0.0.1:1;".split()[:4] in [line[:4] for line in said]


def test_a_kill_switch_needs_no_registry(house) -> None:
    house.serve(A)
    house.registry.log.path.write_text("damaged\n")
    house.call("stop", A[:8])
    house.call("stop", B[:8], code=4)
    assert house.store.snapshot().stopped == {A}


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["switch"], 2, "models switch: MODEL is missing"),
        (["stop"], 2, "models stop: MODEL is missing"),
        (["switch", A, B], 2, "takes MODEL, and 2 stand here"),
        (["canary", "--share", "0.1"], 2, "models canary: MODEL is missing"),
        (["canary", A], 2, "--share: is missing - Part of the requests"),
        (["canary", A, "0.1"], 2, "takes MODEL, and 2 stand here"),
        (["canary", A, "share=0.1"], 2, "`share=VALUE` is now written `--share VALUE`"),
        (["canary", A, "--share", "1.1"], 2, "--share: must be at most 1"),
        (["canary", A, "--share=-0.1"], 2, "--share: must be at least 0"),
        (["canary", A, "--share", "nan"], 2, "--share: must be "),
        (["list", A], 2, "takes no word"),
        (["rollback", A], 2, "takes no word"),
        (["promote", A], 2, "unknown verb 'promote'"),
        (["switch", A.upper()], 3, "64 characters"),
        (["switch", A + "0"], 3, "64 characters"),
        (["switch", "a1a1a1a"], 3, "64 characters"),
        (["switch", "../../etc/passwd"], 3, "64 characters"),
        (["resume", A], 3, "is not stopped"),
    ],
)
def test_wrong_words(house, capsys, words, code: int, told: str) -> None:
    house.call(*words, code=code)
    assert told in capsys.readouterr().err
    assert house.store.revision() == 0
    assert house.entries == []

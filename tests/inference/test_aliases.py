"""`bedside inference models`: switch, canary, rollback and the kill switch, each audited."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bedside_core import cli
from bedside_core.errors import ArtifactError
from bedside_core.registry.registry import Registry
from bedside_inference.audit import journal
from bedside_inference.config import InferenceConfig
from bedside_inference.state.records import Alias
from bedside_inference.state.store import Store

CONFIG = InferenceConfig(model_name="bedside")
A, B, C = "a1" * 32, "b2" * 32, "c3" * 32
Call = Callable[..., None]


class House:
    """A state database, its verbs, and what they told the audit."""

    def __init__(self, home: Path) -> None:
        self.registry = Registry(home)
        self.store = Store.open(CONFIG.state, home)
        self.entries: list[tuple[str, dict[str, Any]]] = []
        self.full = False

    def audit(self, action: str, /, **ids: str | int) -> None:
        if self.full:
            raise ArtifactError("no space left - make room")
        self.entries.append((action, ids))

    def call(self, *words: str, code: int = 0) -> None:
        """`bedside inference models ...` as a whole."""
        config = str(self.registry.home / "run.yaml")
        assert cli.main(["inference", "models", "--config", config, *words]) == code

    @property
    def alias(self) -> Alias:
        return self.store.snapshot().alias("bedside")

    @property
    def digests(self) -> tuple[str | None, str | None, str | None, float]:
        found = self.alias
        return found.primary, found.previous, found.canary, found.canary_share


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    (tmp_path / "run.yaml").write_text("name: demo\n")
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path))
    found = House(tmp_path)
    monkeypatch.setattr(journal, "audited", lambda config, home: found.audit)
    yield found
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
    with house.registry.log.writing() as log:
        for model in models:
            log.add("promote", {"model": model, "evidence": "e" * 64})


def test_abbreviations(house, capsys) -> None:
    twin = A[:40] + "f" * 24
    promote(house, A, B, twin, B)
    house.call("switch", B[:8])
    assert house.digests == (B, None, None, 0)
    house.call("switch", A[:8], code=3)
    assert "several models begin with" in capsys.readouterr().err
    house.call("switch", A[:41])
    assert house.alias.primary == A
    house.call("switch", C[:63], code=3)
    assert "no promoted model begins with" in capsys.readouterr().err
    house.call("stop", C)
    house.call("resume", C[:8])


def test_a_container_without_a_registry_needs_the_whole_digest(house, capsys) -> None:
    house.call("switch", A[:12], code=3)
    assert "give the whole digest" in capsys.readouterr().err
    house.call("switch", A)
    house.call("stop", A[:12])
    assert house.store.snapshot().stopped == {A}


def test_a_kill_switch_needs_no_registry(house) -> None:
    house.registry.log.path.write_text("damaged\n")
    house.call("stop", A)
    house.call("stop", B[:8], code=4)
    assert house.store.snapshot().stopped == {A}


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["switch"], 2, "models switch: DIGEST is missing"),
        (["stop"], 2, "models stop: DIGEST is missing"),
        (["switch", A, B], 2, "takes DIGEST, and 2 stand here"),
        (["canary", "--share", "0.1"], 2, "models canary: DIGEST is missing"),
        (["canary", A], 2, "--share: is missing - Part of the requests"),
        (["canary", A, "0.1"], 2, "takes DIGEST, and 2 stand here"),
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

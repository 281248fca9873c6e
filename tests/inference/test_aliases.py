"""`bedside inference models`: switch, canary, rollback and the kill switch, each audited."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bedside_core.errors import ArtifactError, BedsideError, ConfigError, InputError, PolicyError
from bedside_core.registry import Promotion, Registry
from bedside_inference.aliases import manage
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
            raise OSError(28, "No space left on device")
        self.entries.append((action, ids))

    def call(self, action: str, *words: str) -> None:
        manage(CONFIG, self.registry, action, words, self.audit)

    @property
    def alias(self) -> Alias:
        return self.store.snapshot().alias("bedside")

    @property
    def digests(self) -> tuple[str | None, str | None, str | None, float]:
        found = self.alias
        return found.primary, found.previous, found.canary, found.canary_share


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    found = House(tmp_path)
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
    house.call("canary", B, "share=0.1")
    assert house.digests == (A, None, B, 0.1)
    assert "canary, share 0.1" in capsys.readouterr().out
    house.call("canary", B, "share=0.5")
    assert house.digests == (A, None, B, 0.5)
    house.call("switch", B)
    assert house.digests == (B, A, None, 0)
    house.call("canary", C, "share=1")
    house.call("rollback")
    assert house.digests == (A, B, None, 0)
    house.call("canary", C, "share=0.2")
    house.call("canary", C, "share=0")
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


def test_no_way_to_a_stopped_model(house) -> None:
    for words in (["switch", A], ["switch", B], ["stop", A], ["stop", C]):
        house.call(*words)
    before = house.digests
    for words in (["switch", C], ["canary", C, "share=0.1"], ["rollback"]):
        with pytest.raises(PolicyError, match="is stopped"):
            house.call(*words)
    assert house.digests == before
    house.call("resume", A)
    house.call("rollback")
    assert house.digests == (A, B, None, 0)


def test_nothing_to_go_back_to(house) -> None:
    with pytest.raises(PolicyError, match="never switched"):
        house.call("rollback")


def test_no_trial_beside_whatever_the_engines_serve(house) -> None:
    with pytest.raises(PolicyError, match="switch DIGEST"):
        house.call("canary", A, "share=0.1")
    house.call("canary", A, "share=0")
    assert house.entries == []


def test_nothing_happens_without_an_audit_entry(house) -> None:
    house.call("switch", A)
    house.call("switch", B)
    house.call("stop", C)
    before = house.store.snapshot()
    house.full = True
    for words in (["switch", A], ["canary", A, "share=0.1"], ["rollback"], ["stop", A],
                  ["resume", C]):  # fmt: skip
        with pytest.raises(OSError, match="No space left"):
            house.call(*words)
    assert house.store.snapshot() == before


def promote(house: House, *models: str) -> None:
    now = datetime.now(UTC)
    lines = [
        Promotion(time=now, action="promote", model=model, evidence="e" * 64).model_dump_json()
        for model in models
    ]
    house.registry.log_path.write_text("\n".join(lines) + "\n")


def test_abbreviations(house) -> None:
    twin = A[:40] + "f" * 24
    promote(house, A, B, twin, B)
    house.call("switch", B[:8])
    assert house.digests == (B, None, None, 0)
    with pytest.raises(InputError, match="several models begin with"):
        house.call("switch", A[:8])
    house.call("switch", A[:41])
    assert house.alias.primary == A
    with pytest.raises(InputError, match="no promoted model begins with"):
        house.call("switch", C[:63])
    house.call("stop", C)
    house.call("resume", C[:8])


def test_a_container_without_a_registry_needs_the_whole_digest(house) -> None:
    with pytest.raises(InputError, match="give the whole digest"):
        house.call("switch", A[:12])
    house.call("switch", A)
    house.call("stop", A[:12])
    assert house.store.snapshot().stopped == {A}


def test_a_kill_switch_needs_no_registry(house) -> None:
    house.registry.log_path.write_text("damaged\n")
    house.call("stop", A)
    with pytest.raises(ArtifactError):
        house.call("stop", B[:8])
    assert house.store.snapshot().stopped == {A}


@pytest.mark.parametrize(
    ("words", "error", "told"),
    [
        (["switch"], ConfigError, "which model"),
        (["stop"], ConfigError, "which model"),
        (["switch", A, B], ConfigError, "one digest"),
        (["canary"], ConfigError, "which model"),
        (["canary", A], ConfigError, r"models canary\.share: is missing"),
        (["canary", A, "0.1"], ConfigError, "name=value"),
        (["canary", A, "share=1.1"], ConfigError, "share"),
        (["canary", A, "share=-0.1"], ConfigError, "share"),
        (["canary", A, "share=nan"], ConfigError, "share"),
        (["list", A], ConfigError, "no further word"),
        (["rollback", A], ConfigError, "no further word"),
        (["promote", A], ConfigError, "unknown action"),
        (["switch", A.upper()], InputError, "64 characters"),
        (["switch", A + "0"], InputError, "64 characters"),
        (["switch", "a1a1a1a"], InputError, "64 characters"),
        (["switch", "../../etc/passwd"], InputError, "64 characters"),
        (["resume", A], InputError, "is not stopped"),
    ],
)
def test_wrong_words(house, words, error: type[BedsideError], told) -> None:
    with pytest.raises(error, match=told):
        house.call(*words)
    assert house.store.revision() == 0
    assert house.entries == []

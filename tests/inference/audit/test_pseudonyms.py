"""Pseudonyms: stable in a period, unlinkable over two, irreversible without the key."""

from __future__ import annotations

import json
import multiprocessing
import re
import stat
import time
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_inference.audit import pseudonyms as module
from bedside_inference.audit.entries import AuditError
from bedside_inference.audit.pseudonyms import Pseudonyms
from bedside_inference.config import AuditConfig

DAY = 86400


@pytest.fixture
def house(directory, config) -> Pseudonyms:
    return Pseudonyms(directory, config)


def travel(monkeypatch, days: float) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + days * DAY)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(subject=st.text(st.characters(codec=None), max_size=300))
def test_every_subject_comes_back(house, subject) -> None:
    pseudonym = house.of(subject)
    assert re.fullmatch(r"1\.[A-Za-z0-9_-]+", pseudonym)
    assert house.reveal(pseudonym) == subject
    assert house.of(subject) == pseudonym


def test_two_subjects_differ_and_length_says_little(house) -> None:
    found = {house.of("x" * size) for size in range(64)}
    assert len(found) == 64
    assert len({len(pseudonym) for pseudonym in found}) == 1
    assert len(house.of("x" * 64)) > len(house.of("x" * 63))


def test_two_houses_differ(tmp_path, config) -> None:
    one, two = (Pseudonyms(tmp_path / name / "audit", config) for name in "ab")
    assert one.of("nurse") != two.of("nurse")
    with pytest.raises(InputError, match="no pseudonym of this house"):
        two.reveal(one.of("nurse"))


def test_the_keys_are_private(house) -> None:
    house.of("nurse")
    assert stat.S_IMODE(house.path.stat().st_mode) == 0o600
    assert "nurse" not in house.path.read_text()


def test_a_new_period_gives_a_new_pseudonym_and_the_old_one_can_still_be_opened(
    house, directory, config, monkeypatch
) -> None:
    old = house.of("nurse")
    travel(monkeypatch, 31)
    new = house.of("nurse")
    assert old.partition(".")[0] == "1"
    assert new.partition(".")[0] == "2"
    assert old.partition(".")[2] != new.partition(".")[2]
    assert [house.reveal(p) for p in (old, new)] == ["nurse", "nurse"]


def test_without_its_key_nobody_opens_it_nor_links_it(
    house, directory, config, monkeypatch
) -> None:
    old = house.of("nurse")
    travel(monkeypatch, 40)
    new = house.of("nurse")
    assert house.forget({2}) == 1
    for reader in (house, Pseudonyms(directory, config)):
        with pytest.raises(InputError, match="its key was deleted"):
            reader.reveal(old)
        assert reader.reveal(new) == "nurse"
    assert house.of("nurse") == new
    # A number is never given twice.
    travel(monkeypatch, 80)
    assert house.of("nurse").startswith("3.")


def test_keys_in_use_or_of_today_stay(house, monkeypatch) -> None:
    house.of("nurse")
    assert house.forget(set()) == 0
    travel(monkeypatch, 90)
    assert house.forget({1}) == 0
    assert house.forget(set()) == 1


def test_a_clock_set_back_finds_the_period_again(house, monkeypatch) -> None:
    first = house.of("nurse")
    with monkeypatch.context() as patch:
        travel(patch, 100)
        assert house.of("nurse") != first
    assert house.of("nurse") == first


def test_another_period_length_takes_no_number_again(directory, config, monkeypatch) -> None:
    Pseudonyms(directory, config).of("nurse")
    travel(monkeypatch, 40)
    assert Pseudonyms(directory, AuditConfig(pseudonym_days=1)).of("nurse").startswith("2.")
    travel(monkeypatch, 2)
    assert Pseudonyms(directory, AuditConfig(pseudonym_days=365)).of("nurse").startswith("3.")


def test_workers_that_meet_a_new_period_at_once_agree(house, directory, config) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        of = partial(Pseudonyms.of, Pseudonyms(directory, config))
        answers = set(pool.map(of, ["nurse"] * 32, chunksize=1))
    assert answers == {house.of("nurse")}
    assert json.loads(house.path.read_text())["last"] == 1


def test_the_cache_is_bounded(house, monkeypatch) -> None:
    monkeypatch.setattr(module, "CACHED", 10)
    first = house.of("0")
    for number in range(100):
        house.of(f"{number}")
    assert len(house._known) <= 10
    assert house.of("0") == first


@pytest.mark.parametrize(
    "wrong", ["", "1", "1.", "1.AAAA", "x.AAAA", "1.ä", "99.AAAA", "1.A A", "."]
)
def test_garbage_is_no_pseudonym(house, wrong) -> None:
    house.of("nurse")
    with pytest.raises(InputError, match="no pseudonym"):
        house.reveal(wrong)


def test_a_changed_pseudonym_is_none(house) -> None:
    number, _, text = house.of("nurse").partition(".")
    for position in range(0, len(text) - 1, 7):
        other = "A" if text[position] != "A" else "B"
        with pytest.raises(InputError):
            house.reveal(f"{number}.{text[:position]}{other}{text[position + 1 :]}")


def test_a_damaged_key_file_stops_the_gateway(house, directory, config) -> None:
    house.of("nurse")
    house.path.write_text("{")
    with pytest.raises(AuditError, match="no readable pseudonym keys"):
        Pseudonyms(directory, config).of("nurse")

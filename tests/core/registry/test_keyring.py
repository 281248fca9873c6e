"""The house's public keys, as entries of the log introduce them; what is no introduction."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.chain import ZEROS, Entry
from bedside_core.errors import ArtifactError
from bedside_core.registry.keyring import ROLES, Keyring, introduction, with_former
from bedside_core.signing import KeyPair, Keys, PublisherKeys, der, fingerprint

TIME = "2026-11-30T10:00:00.000000Z"


def pairs(folder: Path) -> dict[str, KeyPair]:
    found: dict[str, KeyPair] = {
        "operator": Keys(folder, stem="operator"),
        "evidence": Keys(folder, stem="evidence"),
        "publisher": PublisherKeys(folder, stem="publisher"),
    }
    for pair in found.values():
        pair.make()
    return found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> dict[str, KeyPair]:
    return pairs(tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> dict[str, KeyPair]:
    return pairs(tmp_path_factory.mktemp("other"))


def members(house: dict[str, Any], **more: Any) -> dict[str, Any]:
    keys = {role: pair.public for role, pair in house.items()}
    return introduction(keys, reason="because", by="me", **more)


def entry(members: dict[str, Any], prev: str = ZEROS) -> Entry:
    return Entry({"seq": 1, "time": TIME, "type": "keys", **members}, prev, "f" * 64)


@pytest.fixture
def ring(house) -> Keyring:
    ring = Keyring()
    ring.introduce(entry(members(house)))
    return ring


def test_an_empty_ring_is_none(house) -> None:
    assert not Keyring()
    with pytest.raises(ArtifactError, match="evidence key is not made yet"):
        Keyring().evidence("a" * 16)


def test_all_three_are_known_by_id(ring, house) -> None:
    for role in ROLES:
        found = ring.find(house[role].key_id)
        assert found == ring[role]
        assert (found.role, found.reason, found.by, found.replaced) == (role, "because", "me", None)
    assert ring.evidence(house["evidence"].key_id).id == house["evidence"].key_id
    for key_id in (house["operator"].key_id, "", "e" * 16):
        with pytest.raises(ArtifactError, match="this house's evidence key is"):
            ring.evidence(key_id)


def test_the_same_keys_again_change_nothing(ring, house) -> None:
    ring.introduce(entry(members(house)))
    assert ring.former == []


def test_another_operator_needs_the_word_of_the_former_one(ring, house, other) -> None:
    new = members({**house, "operator": other["operator"]})
    with pytest.raises(ValueError, match="without the former one's signature"):
        ring.introduce(entry(new))
    forged = with_former(new, other["operator"], "a" * 64)
    genuine = with_former(new, house["operator"], "a" * 64)
    for said, prev in (
        (forged, "a" * 64),
        (genuine, "b" * 64),
        ({**genuine, "reason": "else"}, "a" * 64),
        ({**genuine, "lost": ["operator"]}, "a" * 64),
        ({**genuine, "evidence": members(other)["evidence"]}, "a" * 64),
    ):
        with pytest.raises(ValueError, match="former operator key that does not fit"):
            ring.introduce(entry(said, prev))
    assert ring["operator"].id == house["operator"].key_id
    ring.introduce(entry(genuine, "a" * 64))
    assert ring["operator"].id == other["operator"].key_id


def test_a_lost_operator_cannot_give_his_word(ring, house, other) -> None:
    ring.introduce(entry(members({**house, "operator": other["operator"]}, lost=("operator",))))
    (former,) = ring.former
    assert former.replaced is not None
    assert former.replaced.lost


def test_a_key_does_not_come_back_or_serve_twice(ring, house, other) -> None:
    new = members({**house, "evidence": other["evidence"]}, lost=("evidence",))
    ring.introduce(entry(new))
    with pytest.raises(ValueError, match="names a key that the house has or had already"):
        ring.introduce(entry(members(house)))
    with pytest.raises(ValueError, match="names a key that the house has or had already"):
        Keyring().introduce(entry(members({**house, "evidence": house["operator"]})))


def named(key: Any) -> dict[str, str]:
    return {"public": base64.b64encode(der(key)).decode(), "fingerprint": fingerprint(key)}


def test_keys_of_another_kind(house) -> None:
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    p384 = ec.generate_private_key(ec.SECP384R1()).public_key()
    publisher, operator = house["publisher"].public, house["operator"].public
    for role, key in (
        ("operator", rsa_key), ("operator", publisher), ("evidence", publisher),
        ("publisher", operator), ("publisher", p384), ("publisher", rsa_key),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"names no usable {role} key"):
            Keyring().introduce(entry({**members(house), role: named(key)}))


def test_a_fingerprint_that_is_another_keys(house, other) -> None:
    wrong = {**named(house["operator"].public), "fingerprint": other["operator"].public}
    wrong["fingerprint"] = fingerprint(other["operator"].public)
    with pytest.raises(ValueError, match="fingerprint that is not its operator key's"):
        Keyring().introduce(entry({**members(house), "operator": wrong}))


@given(
    name=st.sampled_from([*ROLES, "reason", "by", "lost", "former"]),
    value=st.none() | st.integers() | st.text(max_size=20) | st.lists(st.text(max_size=9))
    | st.fixed_dictionaries({"public": st.text(max_size=80), "fingerprint": st.text(max_size=64)}),
)  # fmt: skip
def test_what_is_no_introduction_is_a_value_error(house, name: str, value: object) -> None:
    """Never another exception, and never a ring with half of the keys."""
    ring = Keyring()
    try:
        ring.introduce(entry({**members(house), name: value}))
    except ValueError:
        assert not ring
    else:
        assert all(ring[role].id == house[role].key_id for role in ROLES)

"""The chain: an entry says what it is, and no edit of a line or of their order goes unseen."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.chain import ZEROS, close_line, content, follow, open_line, parse, rfc3339

MOMENT = 1_790_000_000.25
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
names = st.text(min_size=1, max_size=8).filter(
    lambda n: n not in ("seq", "time", "type", "prev", "hash")
)


def line(seq: int = 1, prev: str = ZEROS, **members: object) -> bytes:
    return close_line(open_line(seq, MOMENT, content("test", {"n": seq, **members}), prev))[0]


def test_a_line_is_what_the_docstring_says() -> None:
    text = line(reason="süß")
    assert text.isascii()
    assert text.startswith(b'{"seq":1,"time":"2026-09-21T14:13:20.250000Z","type":"test","n":1')
    entry = parse(text)
    assert (entry.seq, entry.type, entry.members["reason"]) == (1, "test", "süß")
    without = text.replace(f',"hash":"{entry.hash}"'.encode(), b"").rstrip(b"\n")
    assert hashlib.sha256(without).hexdigest() == entry.hash
    assert json.loads(text)["hash"] == entry.hash


@given(st.dictionaries(names, values, min_size=1, max_size=4))
def test_what_is_written_is_read(members: dict[str, object]) -> None:
    text, digest = close_line(open_line(7, MOMENT, content("test", members), "ab" * 32))
    entry = parse(text)
    assert entry.hash == digest.hex()
    assert entry.prev == "ab" * 32
    assert {name: entry.members[name] for name in members} == members


@given(st.data())
def test_every_changed_byte_is_found(data: st.DataObject) -> None:
    text = line(reason="because")
    at = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != text[at]))
    with pytest.raises(ValueError, match=r"is not|does not|has no"):
        parse(text[:at] + bytes([byte]) + text[at + 1 :])


@given(st.binary(max_size=300))
def test_no_garbage_is_an_entry(raw: bytes) -> None:
    with pytest.raises(ValueError, match="is not a whole entry"):
        parse(raw)


@pytest.mark.parametrize(
    "middle", [b'"type":1', b'"kind":"x"', b'"type":"x","seq":"1"', b'"type":"x"}{', b"[" * 9000]
)
def test_a_line_with_a_right_hash_must_still_be_an_entry(middle: bytes) -> None:
    text, _ = close_line(open_line(1, MOMENT, middle, ZEROS))
    with pytest.raises(ValueError, match=r"is not JSON|has no number, type or time"):
        parse(text)


def test_order_is_part_of_it() -> None:
    first = line()
    second = line(2, parse(first).hash)
    assert follow(second, 1, parse(first).hash).seq == 2
    with pytest.raises(ValueError, match="has the number 1 where 2 follows"):
        follow(first, 1, parse(first).hash)
    with pytest.raises(ValueError, match="does not continue the entry before it"):
        follow(second, 1, ZEROS)


def test_a_moment_is_written_to_the_microsecond() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00.000000Z"
    assert rfc3339(0.9999999) == "1970-01-01T00:00:01.000000Z"

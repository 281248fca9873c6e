"""The hash chain: how an entry is written, read, and tied to the one before it.

A line is one JSON object, compact, in ASCII, and a newline:
`{"seq":…,"time":…,"type":…,…,"prev":…,"hash":…}`. `hash` is the SHA-256 (hex) of the line's bytes
without the member `,"hash":"…"` and without the newline; `prev` is the hash of the line before, and
64 zeros at the very first. `seq` begins at 1 and grows by one; it is the order, whatever the clock
does. So a line that was changed, removed, inserted or moved breaks the chain where it stood; an end
that was cut off must be found by other means (a signed head or checkpoint).

Two logs are such chains: the registry's (`signed_log`) and the gateway's audit, which has its own
writer for thousands of entries a second.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

ZEROS = "0" * 64
"""The hash before the first entry."""
_TAIL = re.compile(rb'"prev":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"}\n')
_TAIL_BYTES = len(f'"prev":"{ZEROS}","hash":"{ZEROS}"}}\n')
_HASH_BYTES = len(f',"hash":"{ZEROS}"}}\n')


class Entry(NamedTuple):
    """A line that holds together in itself."""

    members: dict[str, Any]
    prev: str
    hash: str

    @property
    def seq(self) -> int:
        return int(self.members["seq"])

    @property
    def type(self) -> str:
        return str(self.members["type"])


def content(kind: str, members: Mapping[str, Any]) -> bytes:
    """The middle of a line: its type and members, compact and in this order, without braces."""
    return b'"type":"%s",%s' % (kind.encode(), _encode(members)[1:-1].encode("ascii"))


def open_line(seq: int, moment: float, middle: bytes, prev: str) -> bytes:
    """A line up to its last member: all that `hash` covers but the closing brace.

    Args:
        seq: the entry's number.
        moment: when it is written, Unix seconds.
        middle: see `content`.
        prev: the hash of the entry before.
    """
    return b'{"seq":%d,"time":"%s",%s,"prev":"%s"' % (
        seq, rfc3339(moment).encode(), middle, prev.encode(),
    )  # fmt: skip


def close_line(line: bytes) -> tuple[bytes, bytes]:
    """Add the hash to an `open_line`; returns the whole line and the hash's 32 bytes."""
    digest = hashlib.sha256(line + b"}")
    return b'%s,"hash":"%s"}\n' % (line, digest.hexdigest().encode()), digest.digest()


def parse(line: bytes) -> Entry:
    """Read a whole line, newline included.

    Raises:
        ValueError: it is not one of ours, or does not match its own hash.
    """
    tail = _TAIL.fullmatch(line, max(len(line) - _TAIL_BYTES, 0))
    if tail is None:
        raise ValueError("is not a whole entry")
    digest = hashlib.sha256(line[:-_HASH_BYTES] + b"}").hexdigest()
    if digest != tail[2].decode():
        raise ValueError("does not match its hash")
    try:
        members = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    wanted = (("seq", int), ("type", str), ("time", str))
    if not isinstance(members, dict) or any(type(members.get(n)) is not t for n, t in wanted):
        raise ValueError("has no number, type or time")
    return Entry(members, tail[1].decode(), digest)


def follow(line: bytes, seq: int, digest: str) -> Entry:
    """Read the line that must come after the entry with this number and hash.

    Raises:
        ValueError: it does not.
    """
    entry = parse(line)
    if entry.seq != seq + 1:
        raise ValueError(f"has the number {entry.seq} where {seq + 1} follows")
    if entry.prev != digest:
        raise ValueError("does not continue the entry before it")
    return entry


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode

# One second's text: formatted once, used by all entries of that second.
_second: tuple[int, str] = (-1, "")


def rfc3339(moment: float) -> str:
    """RFC 3339 in UTC with microseconds, of Unix seconds."""
    global _second
    micros = round(moment * 1_000_000)
    seconds, rest = divmod(micros, 1_000_000)
    known, text = _second
    if known != seconds:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        _second = (seconds, text)
    return f"{text}.{rest:06d}Z"

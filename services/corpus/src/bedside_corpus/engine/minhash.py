"""How alike two texts are, from a few numbers of each: MinHash over runs of words.

A text is the set of its runs of `RUN` words in the canonical form for matching; how alike two texts
are is the Jaccard similarity of their sets (Broder, "On the resemblance and containment of
documents", 1997). The smallest of all hashes of a set is the smallest of another with just that
probability, so of `HASHES` such minima the share that agrees estimates it, with a standard error of
0.035 at 0.8. Candidates agree in all minima of one band (Leskovec, Rajaraman and Ullman, "Mining of
Massive Datasets", section 3.4); a hit in a band alone decides nothing.

The hashes are the same in every process and with every version of every library.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RUN = 5
"""Words; FineWeb's number (Penedo et al. 2024, section 3.4)."""
HASHES = 128
RECALL = 0.99
"""Least share of pairs at the wanted similarity that become candidates. FineWeb's 14 bands of 8
find 92 % at 0.8, because there a candidate is a copy; here each is looked at again."""
VERSION = 1
"""Of the hashes; another one begins a build anew."""

_PIECE = 512
"""Runs that are hashed at once: half a megabyte, which a core keeps near."""
_BLANK = ord(" ")


def _constants(purpose: str, number: int) -> NDArray[np.uint64]:
    digests = (blake2b(f"{purpose} {n}".encode(), digest_size=8) for n in range(number))
    return np.frombuffer(b"".join(digest.digest() for digest in digests), "<u8").astype(np.uint64)


_ODD = np.uint64(1)
_BYTES = _constants("byte", 256)
_PLACES = _constants("place", 64) | _ODD
_WORDS = _constants("word", RUN) | _ODD
_MINIMA = _constants("minimum", HASHES) | _ODD
_BANDS = _constants("band", HASHES) | _ODD
_MIX = _constants("mix", 2) | _ODD


class Bands(NamedTuple):
    """How the minima are divided: `number` bands of `rows` each."""

    number: int
    rows: int

    @classmethod
    def reaching(cls, jaccard: float) -> Bands:
        """The division with the fewest candidates in which `RECALL` of such pairs are some."""
        for rows in range(HASHES, 1, -1):
            if 1 - (1 - jaccard**rows) ** (HASHES // rows) >= RECALL:
                return cls(HASHES // rows, rows)
        return cls(HASHES, 1)

    def keys(self, minima: NDArray[np.uint32]) -> NDArray[np.uint64]:
        """A key of each band: equal where all minima of the band are.

        Args:
            minima: shape (texts, `HASHES`).

        Returns:
            Shape (texts, `number`).
        """
        used = self.number * self.rows
        weighed = minima[:, :used] * _BANDS[:used]
        return _mixed(weighed.reshape(-1, self.number, self.rows).sum(axis=2))


def minima(form: str) -> NDArray[np.uint32] | None:
    """The signature of a text, shape (`HASHES`,); None of one that has fewer than `RUN` words.

    Args:
        form: its canonical form for matching.
    """
    words = form.split(" ")
    if len(words) < RUN:
        return None
    least = np.full(HASHES, np.iinfo(np.uint64).max, np.uint64)
    for start in range(0, len(words) - RUN + 1, _PIECE):
        runs = _runs(words[start : start + _PIECE + RUN - 1])
        np.minimum(least, (runs[:, None] * _MINIMA).min(axis=0), out=least)
    return (least >> np.uint64(32)).astype(np.uint32)


def similarity(one: NDArray[np.uint32], other: NDArray[np.uint32]) -> NDArray[np.float64]:
    """The estimated Jaccard similarities of pairs; both of shape (pairs, `HASHES`)."""
    shares: NDArray[np.float64] = (one == other).mean(axis=1)
    return shares


def _runs(words: list[str]) -> NDArray[np.uint64]:
    """A hash of each run."""
    text = np.frombuffer(" ".join([*words, ""]).encode(), np.uint8)
    ends = np.flatnonzero(text == _BLANK)
    starts = np.concatenate(([0], ends[:-1] + 1))
    places = np.arange(len(text)) - np.repeat(starts, ends - starts + 1)
    # Of two words of over 64 bytes that are one another's rearrangements the hash may be one.
    hashes = _mixed(np.add.reduceat(_BYTES[text] * _PLACES[places % len(_PLACES)], starts))
    number = len(hashes) - RUN + 1
    return _mixed(
        sum((hashes[n : n + number] * _WORDS[n] for n in range(RUN)), np.zeros(number, np.uint64))
    )


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit depends on every bit, as in the last step of MurmurHash3."""
    for factor in _MIX:
        numbers = (numbers ^ (numbers >> np.uint64(33))) * factor
    return numbers ^ (numbers >> np.uint64(33))

"""Near-copies: what the first stage leaves of each text, and which pairs of texts are alike.

Two texts are near-copies if they have `min_words` each, their runs of words are alike and, unless
the setting says otherwise, they have the same values in the same order: letters of one template for
two patients are alike, but their dates and measurements differ.

Of a shard there are `SIGNED` rows, one for each text that is long enough, and the keys of their
bands, sorted; a range of keys leaves `PAIR` rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bedside_core.files import appearing
from bedside_corpus.config import NearDuplicates
from bedside_corpus.document import Document
from bedside_corpus.engine.keys import firsts, gather, keys_path, save, write_keys
from bedside_corpus.engine.minhash import HASHES, Bands, minima, similarity

SIGNED = np.dtype([("row", "<u4"), ("values", "<u8"), ("minima", "<u4", (HASHES,))])
"""`row`: of the document in its shard; `values`: a hash of the values that it names."""
BANDS = "bands"
BAND = np.dtype([("high", "<u8")])
"""Of a band; its row is that of the signature."""
PAIR = np.dtype([("shard", "<u4"), ("row", "<u4"), ("near_shard", "<u4"), ("near_row", "<u4")])
"""A document and an earlier one that it is alike."""
LEADERS = 8
"""Texts of one band that are all unlike each other, to which a further one is compared: a phrase
that thousands of texts share would else make each pair of them a candidate."""

_GROUP = 4096
_COMPARED = 65_536
"""Pairs at once, 70 MB of signatures."""
_VALUE = re.compile(r"\d+|[<>≤≥≦≧⩽⩾≪≫±≈~%‰²³¹⁰⁴-⁹₀-₉¼-¾]")


def values_of(text: str) -> str:
    """Numbers, comparators and raised digits of a text, in their order."""
    return " ".join(_VALUE.findall(text))


class Signing:
    """Notes the signatures of documents that pass, in files that appear when the block ends."""

    def __init__(self, near: NearDuplicates, folder: Path, rank: int) -> None:
        """`folder`: of the stage; `rank`: of the shard."""
        self._near, self._bands = near, Bands.reaching(near.jaccard)
        self._signed, self._keys = signed_path(folder, rank), keys_path(folder, BANDS, rank)

    def passing(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents, as they are."""
        keys: list[NDArray[np.uint64]] = []
        with appearing(self._signed) as file:
            group: list[tuple[int, int, NDArray[np.uint32]]] = []

            def write() -> None:
                signed = np.array(group, SIGNED)
                group.clear()
                file.write(signed.tobytes())
                keys.append(self._bands.keys(signed["minima"]))

            for row, document in enumerate(documents):
                found = self._signature(document)
                if found is not None:
                    group.append((row, *found))
                    if len(group) == _GROUP:
                        write()
                yield document
            write()
        together = np.concatenate(keys)
        rows = np.repeat(np.arange(len(together), dtype=np.uint32), self._bands.number)
        write_keys(self._keys, together.reshape(-1).view(BAND), rows)

    def _signature(self, document: Document) -> tuple[int, NDArray[np.uint32]] | None:
        form = document.form
        if form.count(" ") + 1 < self._near.min_words:
            return None
        found = minima(form)
        if found is None:
            return None
        values = values_of(document.text) if self._near.same_values else ""
        digest = blake2b(values.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little"), found


class Signatures:
    """The `SIGNED` rows of all shards, read where they are asked for."""

    def __init__(self, folder: Path) -> None:
        """`folder`: of the first stage."""
        self._folder = folder

    def of(self, shard: int) -> NDArray[np.void]:
        """All of a shard, mapped and not read."""
        path = signed_path(self._folder, shard)
        return np.memmap(path, SIGNED, "r") if path.stat().st_size else np.empty(0, SIGNED)

    def at(self, shards: NDArray[np.uint32], places: NDArray[np.uint32]) -> NDArray[np.void]:
        """Those at some places of shards."""
        found = np.empty(len(shards), SIGNED)
        for shard in np.unique(shards):
            here = shards == shard
            found[here] = self.of(shard)[places[here]]
        return found


def alike(one: NDArray[np.void], other: NDArray[np.void], jaccard: float) -> NDArray[np.bool_]:
    """Which pairs of `SIGNED` rows are near-copies."""
    same: NDArray[np.bool_] = one["values"] == other["values"]
    return same & (similarity(one["minima"], other["minima"]) >= jaccard)


def write_pairs(
    path: Path, files: Sequence[Path], kept: Path, number: int, of: int, near: NearDuplicates
) -> None:
    """Compare the texts that share a band, and write the `PAIR` rows, sorted, each once.

    A text is compared with the first of its band, then those that are not alike it among each
    other, and so on `LEADERS` times.

    Args:
        path: of the new file.
        files: of bands, one per group of shards.
        kept: folder of the first stage.
        number: of the range of keys that is looked at, from 0.
        of: ranges.
        near: the setting.
    """
    found = gather(files, number, of, BAND)
    signatures = Signatures(kept)
    pairs = [np.empty(0, PAIR)]
    for _ in range(LEADERS):
        first = firsts(found, BAND)
        # One text may have one key in two bands; it is no copy of itself.
        (later,) = np.nonzero(found[["shard", "row"]] != found[["shard", "row"]][first])
        if not len(later):
            break
        unlike = []
        for start in range(0, len(later), _COMPARED):
            some = later[start : start + _COMPARED]
            one, other = (
                signatures.at(rows["shard"], rows["row"])
                for rows in (found[some], found[first[some]])
            )
            are = alike(one, other, near.jaccard)
            part = np.empty(are.sum(), PAIR)
            part["shard"], part["row"] = found["shard"][some[are]], one["row"][are]
            part["near_shard"] = found["shard"][first[some[are]]]
            part["near_row"] = other["row"][are]
            pairs.append(part)
            unlike.append(some[~are])
        found = found[np.concatenate(unlike)]
    save(path, np.unique(np.concatenate(pairs)))


def signed_path(folder: Path, rank: int) -> Path:
    """Where the signatures of a shard are, without a header."""
    return folder / "signed" / f"{rank:05d}.bin"

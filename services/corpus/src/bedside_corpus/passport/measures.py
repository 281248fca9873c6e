"""What the passport counts of the documents that are kept, shard by shard.

Tested in tests/corpus/passport/test_measures.py.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bedside_core.errors import InputError
from bedside_core.kinds.corpus import TEXT

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Counted = dict[str, dict[str, int]]


class Measuring:
    """Sums over the batches of one shard."""

    def __init__(self, tokenizers: Mapping[str, Path]) -> None:
        """`tokenizers`: files, by the name that the passport gives them."""
        self.files = dict(tokenizers)
        self.languages: Counter[str] = Counter()
        self.sources: Counter[str] = Counter()
        self.words: Counter[tuple[str, str]] = Counter()
        self.lengths: Counter[int] = Counter()
        self.characters = 0
        self.tokens: Counter[str] = Counter()

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the documents of a batch of the corpus's columns."""
        for kind, documents in (("source", self.sources), ("language", self.languages)):
            grouped = pa.table({"of": batch.column(kind), "words": batch.column("words")}).group_by(
                "of"
            )
            for row in grouped.aggregate([("words", "sum"), ("words", "count")]).to_pylist():
                documents[row["of"]] += row["words_count"]
                self.words[kind, row["of"]] += row["words_sum"]
        # The exponent e of a length with 2 ** (e - 1) <= length < 2 ** e.
        exponents = np.frexp(batch.column("words").to_numpy())[1]
        self.lengths.update(exponents.tolist())
        self.characters += pc.sum(pc.utf8_length(batch.column(TEXT))).as_py()
        for name, tokenizer in self._tokenizers.items():
            texts = batch.column(TEXT).to_pylist()
            found = tokenizer.encode_batch(texts, add_special_tokens=False)
            self.tokens[name] += sum(len(one.ids) for one in found)

    def to_json(self) -> dict[str, Any]:
        """Counts that add up over shards (`total`), by plain names."""
        return {
            "characters": self.characters,
            "lengths": {str(e): n for e, n in sorted(self.lengths.items())},
            "languages": self._of("language", self.languages),
            "sources": self._of("source", self.sources),
            "tokens": dict(sorted(self.tokens.items())),
        }

    def _of(self, kind: str, documents: Counter[str]) -> Counted:
        return {
            name: {"documents": count, "words": self.words[kind, name]}
            for name, count in sorted(documents.items())
        }

    @cached_property
    def _tokenizers(self) -> dict[str, Tokenizer]:
        return {name: load_tokenizer(file) for name, file in self.files.items()}


def total(one: Any, other: Any) -> Any:
    """The sum of two results of `to_json`."""
    if isinstance(one, int):
        return one + int(other)
    return {
        name: total(one[name], other[name])
        if name in one and name in other
        else one.get(name, other.get(name))
        for name in [*one, *(name for name in other if name not in one)]
    }


def load_tokenizer(file: Path) -> Tokenizer:
    """A tokenizer of the `tokenizers` library.

    Raises:
        InputError: it is none.
    """
    # Each shard has a process of its own; threads beside them would only wait for each other.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(file))
    except Exception:  # noqa: BLE001 - the library raises nothing more special
        raise InputError(
            f"corpus.passport.tokenizers: {file} is no tokenizer of the tokenizers library - "
            "name the tokenizer.json of a model"
        ) from None

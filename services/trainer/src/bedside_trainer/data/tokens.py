"""Token ids of documents: text is never syntax of the tokenizer, and one separator ends each."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from bedside_core.errors import InputError
from bedside_models.texts import TextTokenizer
from bedside_trainer.data.separator import Separator

Dtype = Literal["uint16", "uint32"]
UNKNOWN_SHARE = 0.05
"""From this share of unknown tokens on, a tokenizer is not one for these texts; those of today's
models spell everything in bytes and have none."""
LIBRARIES = ("tokenizers", "transformers")


class Tokens(NamedTuple):
    """Token ids of some documents."""

    ids: list[NDArray[np.uint32]]
    """Each of shape (tokens,), with the separator at its end."""
    spelling: int
    """Documents with strings that spell control tokens."""
    unknown: int
    """Tokens that stand for what the tokenizer does not know."""


class Tokeniser:
    """A model's tokenizer, as documents are read with it."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        separator: Separator,
        *,
        vocabulary: int,
        files: Mapping[str, str],
    ) -> None:
        """Take a tokenizer.

        Args:
            tokenizer: the base model's.
            separator: ends every document.
            vocabulary: rows of the model's embedding.
            files: SHA-256 (hex) of the files that the tokenizer was read from.

        Raises:
            InputError: see `TextTokenizer`.
        """
        self.separator, self.vocabulary = separator, vocabulary
        self.dtype: Dtype = "uint16" if vocabulary <= 1 << 16 else "uint32"
        self._added = {separator.id, tokenizer.eos_token_id}
        # Those that spell everything in bytes often call their end of text unknown as well.
        unknown, framing = tokenizer.unk_token_id, (tokenizer.bos_token_id, tokenizer.eos_token_id)
        self._unknown = None if unknown in framing else unknown
        self._texts = TextTokenizer(tokenizer)
        self.identity: dict[str, Any] = {
            "tokenizer": dict(files),
            "separator": separator.id,
            "libraries": {name: version(name) for name in LIBRARIES},
        }
        """What token ids depend on, besides the texts."""

    def __call__(self, texts: list[str]) -> Tokens:
        """Tokenise documents.

        Raises:
            InputError: the tokenizer gives a token that the model does not have.
        """
        ids = [self._ended(found) for found in self._texts.ids(texts, framed=True)]
        highest = max(int(document.max()) for document in ids)
        if highest >= self.vocabulary:
            raise InputError(
                f"the tokenizer gives token {highest}, the model has {self.vocabulary} - the "
                "base's tokenizer and weights do not belong together"
            )
        unknown = self._unknown
        return Tokens(
            ids,
            spelling=sum(map(self._texts.spells_syntax, texts)),
            unknown=0 if unknown is None else sum(int((d == unknown).sum()) for d in ids),
        )

    def _ended(self, ids: list[int]) -> NDArray[np.uint32]:
        """The ids with the separator at the end (some tokenizers add an eos_token themselves)."""
        own = ids[:-1] if ids and ids[-1] in self._added else ids
        return np.array([*own, self.separator.id], dtype=np.uint32)

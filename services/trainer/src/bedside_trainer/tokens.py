"""From the corpus artifact to token ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from bedside_core.errors import InputError
from bedside_core.progress import Progress

BATCH = 256


def tokenise(
    corpus: Path, tokenizer: PreTrainedTokenizerBase, *, vocab_size: int
) -> list[NDArray[np.int32]]:
    """Token ids of every document, each of shape (tokens,), ended by the end-of-sequence token.

    Args:
        corpus: a Parquet file with a column `text`.
        tokenizer: the base model's.
        vocab_size: rows of the model's embedding.

    Raises:
        InputError: there is no document, or the tokenizer knows tokens that the model does not.
    """
    file = pyarrow.parquet.ParquetFile(corpus)
    total = file.metadata.num_rows
    if total == 0:
        raise InputError("the corpus has no documents - see its drop reasons, and add sources")
    documents: list[NDArray[np.int32]] = []
    with Progress("tokenise", total=total, unit="doc") as progress:
        for batch in file.iter_batches(batch_size=BATCH, columns=["text"]):
            texts = batch.column("text").to_pylist()
            documents += [ended(ids, tokenizer) for ids in token_ids(texts, tokenizer)]
            progress.update(len(texts))
    highest = max(int(document.max()) for document in documents)
    if highest >= vocab_size:
        raise InputError(
            f"the tokenizer gives token {highest}, the model has {vocab_size} - the base's "
            "tokenizer and weights do not belong together"
        )
    return documents


def token_ids(texts: list[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Token ids per text, with whatever the model's tokenizer puts at the start."""
    # Longer than the context is no problem here, so no warning about it (`verbose`).
    encoded: list[list[int]] = tokenizer(texts, verbose=False)["input_ids"]
    return encoded


def ended(ids: list[int], tokenizer: PreTrainedTokenizerBase) -> NDArray[np.int32]:
    """The ids with one end-of-sequence token at the end (some tokenizers add it themselves)."""
    eos = tokenizer.eos_token_id
    return np.array(ids if ids and ids[-1] == eos else [*ids, eos], dtype=np.int32)

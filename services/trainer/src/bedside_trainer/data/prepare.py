"""From base and corpus to the rows of every step.

Tested in tests/trainer/data/test_prepare.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from bedside_core.artifacts import Artifact
from bedside_core.errors import InputError
from bedside_core.kinds.corpus import shards
from bedside_core.kinds.model import CONFIG
from bedside_trainer.config import TrainerConfig
from bedside_trainer.data import separator
from bedside_trainer.data.order import Order, Stream
from bedside_trainer.data.rows import Rows, packed
from bedside_trainer.data.separator import Separator
from bedside_trainer.data.store import Documents, Store, tokenised
from bedside_trainer.data.texts import Texts
from bedside_trainer.data.tokens import UNKNOWN_SHARE, Tokeniser

ALL, OTHERS, REPLAYED = "all documents", "all others", "replayed texts"
"""Streams that have no source's name; those have no blank."""
NO_TOKENIZER = (CONFIG, ".safetensors")
"""Parts of the names of a base's files that no token id depends on."""


class Data(NamedTuple):
    """What a training reads."""

    rows: Rows
    order: Order
    separator: Separator


def prepare(
    config: TrainerConfig,
    *,
    base: Artifact,
    corpus: Artifact,
    tokenizer: PreTrainedTokenizerBase,
    vocabulary: int,
    room: Path,
    replay: Artifact | None = None,
    check: bool = True,
) -> Data:
    """Tokenise and pack what was not yet, and fix the order of the rows.

    Args:
        config: of the training.
        base: the model; the files of its tokenizer decide what is made again.
        corpus: the documents.
        tokenizer: the base's.
        vocabulary: rows of its embedding.
        room: where tokens and rows are kept for later runs.
        replay: general texts, a corpus as well; `config.replay` has their share.
        check: whether the hashes of what is there are compared; one of several processes does.

    Raises:
        InputError: no documents, a tokenizer that does not fit them or the model, a separator or a
            source of `trainer.mix` that is not there.
        ArtifactError: the disk is full.
    """
    ending = separator.find(config.packing.separator, tokenizer)
    files = {e.path: e.sha256 for e in base.manifest.files if not _is_model(e.path)}
    tokeniser = Tokeniser(tokenizer, ending, vocabulary=vocabulary, files=files)
    texts = [Texts(shards(artifact)) for artifact in (corpus, replay) if artifact is not None]
    stores = [tokenised(room, each, tokeniser, check=check) for each in texts]
    for store in stores:
        _refuse_unknown(store)
    streams = mixed(stores[0], config.mix)
    numbers = {name: documents for name, (documents, _) in streams.items()}
    if replay is not None:
        numbers[REPLAYED] = len(stores[0]) + np.arange(len(stores[1]))
    rows = packed(
        room,
        Documents(stores),
        numbers,
        capacity=config.sequence_length,
        packing=config.packing,
        seed=config.seed,
        check=check,
    )
    weights = {name: weight for name, (_, weight) in streams.items()}
    order = Order(
        taken(rows, weights, config.replay.share if config.replay else 0.0),
        rows.cost,
        batch_size=config.batch_size,
        num_epochs=config.num_epochs,
        max_steps=config.max_steps,
        seed=config.seed,
    )
    return Data(rows, order, ending)


def mixed(store: Store, mix: Mapping[str, float]) -> dict[str, tuple[NDArray[np.int64], float]]:
    """Documents and weight of each stream: every source of `mix` alone, all others together.

    Raises:
        InputError: the corpus has no such source.
    """
    if not mix:
        return {ALL: (np.arange(len(store)), 1.0)}
    number = {source: n for n, source in enumerate(store.record.sources)}
    if strange := sorted(mix.keys() - number.keys()):
        raise InputError(
            f"trainer.mix names {strange[0]!r}, the corpus has the sources {', '.join(number)} - "
            "name these, or build the corpus again"
        )
    sources = np.asarray(store.sources)
    others = [n for source, n in number.items() if source not in mix]
    parts = {source: (np.flatnonzero(sources == number[source]), mix[source]) for source in mix}
    parts[OTHERS] = (np.flatnonzero(np.isin(sources, others)), 1.0)
    kept = {name: part for name, part in parts.items() if len(part[0]) and part[1]}
    if not kept:
        raise InputError("trainer.mix leaves no document - give a source a weight above 0")
    return kept


def taken(rows: Rows, weights: Mapping[str, float], replayed: float) -> list[Stream]:
    """The streams of the order: an epoch takes `weight` times a source's rows.

    Args:
        rows: of all streams.
        weights: of the corpus's streams.
        replayed: the share of all rows that comes from the replayed texts, over and over if need
            be.
    """
    counts = {
        part.name: max(1, round(weights[part.name] * part.rows))
        for part in rows.streams
        if part.name in weights
    }
    counts[REPLAYED] = round(sum(counts.values()) * replayed / (1 - replayed))
    streams, first = [], 0
    for part in rows.streams:
        streams.append(Stream(range(first, first + part.rows), counts[part.name]))
        first += part.rows
    return streams


def _is_model(path: str) -> bool:
    return any(part in path for part in NO_TOKENIZER)


def _refuse_unknown(store: Store) -> None:
    unknown, tokens = store.record.unknown, store.record.total("tokens")
    if unknown > UNKNOWN_SHARE * tokens:
        raise InputError(
            f"the base's tokenizer does not know {unknown / tokens:.0%} of the corpus's tokens - "
            "it was not made for this language or script: use another base"
        )

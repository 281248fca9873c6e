"""A token classification model of transformers, from a directory.

A document is read in windows that overlap, so that a name at a border is seen whole once. The
labels may be those of GraSCCo, of Presidio or of the usual PER/LOC/ORG; `O` is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bedside_core.errors import InputError
from bedside_corpus.phi.patterns import entity_of
from bedside_corpus.phi.spans import OTHER, Span

OVERLAP = 64
"""Tokens that two windows share."""
SCORES = {"NAME": 1.0, "CONTACT": 0.9, "ID": 0.8, "DATE": 0.2, OTHER: 0.4}
"""What a finding weighs; a model does not say how much a category identifies."""
OTHERS = 0.1


class ModelRecognizer:
    """Finds what the model labels; needs transformers and torch."""

    def __init__(self, path: Path) -> None:
        try:
            from transformers import AutoModelForTokenClassification, AutoTokenizer
        except ImportError:
            raise InputError(
                "corpus.phi.model needs transformers and torch, which this environment has not - "
                "install them, or leave the setting out"
            ) from None
        if not (path / "config.json").is_file():
            raise InputError(f"corpus.phi.model: {path} is no directory with a model")
        try:
            options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
            self._tokenizer = AutoTokenizer.from_pretrained(str(path), **options)
            self._model = AutoModelForTokenClassification.from_pretrained(
                str(path), use_safetensors=True, **options
            ).eval()
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"corpus.phi.model: {path} cannot be loaded ({type(error).__name__}) - a token "
                "classification model with a fast tokenizer and safetensors is read"
            ) from None
        if not self._tokenizer.is_fast:
            raise InputError(f"corpus.phi.model: {path} has no fast tokenizer, so no positions")
        limit = getattr(self._model.config, "max_position_embeddings", 512)
        self._window = min(limit - 2, 512)

    def analyze(self, text: str, language: str) -> Iterator[Span]:
        import torch

        batch = self._tokenizer(
            text,
            truncation=True,
            max_length=self._window,
            stride=min(OVERLAP, self._window // 4),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        for ids, offsets in zip(batch["input_ids"], batch["offset_mapping"], strict=True):
            with torch.inference_mode():
                labels = self._model(input_ids=torch.tensor([ids])).logits[0].argmax(-1).tolist()
            yield from self._joined(labels, offsets)

    def _joined(self, labels: list[int], offsets: list[tuple[int, int]]) -> Iterator[Span]:
        """Neighbouring tokens of one category are one finding."""
        last: Span | None = None
        for number, (start, end) in zip(labels, offsets, strict=True):
            label = self._model.config.id2label[number]
            if label == "O" or start == end:
                continue
            entity = entity_of(label)
            if last is not None and last.entity_type == entity and start <= last.end + 1:
                last = Span(last.start, end, entity, last.score)
                continue
            if last is not None:
                yield last
            last = Span(start, end, entity, SCORES.get(entity, OTHERS))
        if last is not None:
            yield last

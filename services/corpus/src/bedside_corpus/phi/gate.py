"""Nothing is written of a document that says too much about a person.

Covered: each document by itself, by rules for German and French letters, the house's patterns and
model. Not covered: what no recogniser finds; docs/corpus.md says how much that is. Documents
together can say more than each alone. Fails closed: a document that a recogniser breaks on is out,
and counted.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from bedside_core.errors import InputError
from bedside_core.log import fields
from bedside_corpus.blocks.base import Block
from bedside_corpus.document import Document, Dropped
from bedside_corpus.phi.config import PhiConfig
from bedside_corpus.phi.pseudonymise import Leaked, pseudonym, pseudonymise
from bedside_corpus.phi.quarantine import Decision, lay_aside, read_review
from bedside_corpus.phi.recognisers import recognisers, risk, scan
from bedside_corpus.phi.spans import Recognizer, Span

log = logging.getLogger(__name__)

MIN_KEY_BYTES = 32


class PhiGate(Block):
    """Drops, lays aside or pseudonymises what is over the risk; see `PhiConfig`."""

    name = "phi"

    def __init__(self, config: PhiConfig, quarantine: Path) -> None:
        """`quarantine`: a folder for documents that a person looks at."""
        super().__init__()
        self.config = config
        self.quarantine = quarantine

    def apply(self, document: Document) -> Document:
        """Decide on one document.

        Raises:
            Dropped: `phi` (over the risk), `phi_unjudged` (a recogniser broke on it).
            InputError: the patterns, the model, the review file or the key cannot be read.
        """
        decision = self._decisions.get(document.sha256)
        if decision == "release":
            self.counts.noted["released"] += 1
            return document
        if decision == "keep out":
            raise Dropped("phi", by="review")
        spans = self._scan(document)
        if self.config.on_hit == "pseudonymise":
            return self._pseudonymised(document, spans)
        high = risk(document.text, spans)
        if high <= self.config.max_risk:
            return document
        self.counts.noted.update({f"with_{span.entity_type}" for span in spans if span.score})
        if self.config.on_hit == "quarantine":
            lay_aside(self.quarantine, document, spans, high)
        kinds = sorted({span.entity_type for span in spans if span.score})
        raise Dropped("phi", by=f"{high:.2f} {' '.join(kinds)}")

    @cached_property
    def _recognisers(self) -> tuple[Recognizer, ...]:
        return recognisers(self.config)

    @cached_property
    def _decisions(self) -> dict[str, Decision]:
        return read_review(self.config.review) if self.config.review else {}

    @cached_property
    def _key(self) -> bytes:
        return read_key(self.config.key) if self.config.key else b""

    def _scan(self, document: Document) -> list[Span]:
        by = self._recognisers
        try:
            return scan(document.text, document.language, by)
        except Exception as error:  # noqa: BLE001 - counted as phi_unjudged, the document stays out
            self._broken(document, error)
            raise Dropped("phi_unjudged") from None

    def _pseudonymised(self, document: Document, spans: list[Span]) -> Document:
        try:
            text = pseudonymise(document.text, spans, self._key, document.id)
        except Leaked:
            raise Dropped("phi") from None
        counts = Counter(f"replaced_{span.entity_type}" for span in spans)
        self.counts.noted.update(counts)
        changes = {f"{self.name}.{name}": count for name, count in counts.items()}
        # The place would lead from the pseudonym to the record without the key.
        return replace(
            document,
            text=text,
            id=pseudonym(self._key, document.id),
            place=pseudonym(self._key, document.place),
            changes={**document.changes, **changes},
        )

    def _broken(self, document: Document, error: Exception) -> None:
        # The class alone: the message of a recogniser may quote what it read.
        kind = type(error).__name__
        log.warning("a recogniser broke", extra=fields(place=document.place, error=kind))


def look_at(config: PhiConfig) -> None:
    """Read all that the gate will need.

    Raises:
        InputError: the patterns, the model, the review file or the key cannot be read.
    """
    recognisers(config)
    if config.review is not None:
        read_review(config.review)
    if config.key is not None:
        read_key(config.key)


def read_key(path: Path) -> bytes:
    """The key of pseudonyms.

    Raises:
        InputError: it cannot be read or is too short.
    """
    try:
        key = path.read_bytes()
    except OSError as error:
        raise InputError(f"corpus.phi.key: {path} cannot be read ({error.strerror})") from None
    if len(key) < MIN_KEY_BYTES:
        raise InputError(
            f"corpus.phi.key: {path} has {len(key)} bytes, {MIN_KEY_BYTES} are needed - "
            "head -c 32 /dev/urandom > FILE"
        )
    return key

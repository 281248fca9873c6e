"""A document, and what a record must hold to become one.

Tested in tests/corpus/engine/test_build.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from bedside_core.identifiers import Identifiers
from bedside_core.kinds.corpus import text_sha256
from bedside_core.matching import canonical, digest
from bedside_corpus.sources import SourceFile


class Dropped(Exception):  # noqa: N818 - an outcome, not an error
    """A record does not become a document of the corpus; `reason` is counted.

    `by` names what the reason refers to: the id of another document or of an exam's item, a number;
    never text of a document.
    """

    def __init__(self, reason: str, by: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.by = by


@dataclass(frozen=True)
class Document:
    """One text on its way into the corpus; a block that changes it makes another."""

    id: str
    text: str
    source: str
    licence: str
    language: str
    place: str
    """Where it stands, as statistics and messages call it: `source/file:line`."""
    patient: str | None = None
    """Whose it is: the house's keyed hash of the number, never the number."""
    document: str | None = None
    """The source document that it is a part of, hashed in the same way."""
    trace: str | None = None
    """By which it is recognised if it is withdrawn (`bedside_core.identifiers.Trace`)."""
    scores: Mapping[str, float | str] = field(default_factory=dict)
    """What blocks measured, by the name of the corpus's column."""
    as_read: str | None = None
    """The text before it was cleaned, where that changed it."""
    shared: tuple[tuple[int, int, int], ...] = ()
    """Words that it shares with what is asked of models: spelling, place, number of words."""
    changes: Mapping[str, int] = field(default_factory=dict)
    """What blocks changed, and how often: `cleaning.url`; one that says no more is named alone."""

    @cached_property
    def form(self) -> str:
        """The canonical form for matching of the text as it came, which no cleaner has touched."""
        return canonical(self.text if self.as_read is None else self.as_read)

    @property
    def forms(self) -> tuple[str, ...]:
        """That and, where cleaning changed the text, the form of what is trained on.

        Mojibake hides a copy before it is decoded; a mistake of the cleaner would hide one after.
        """
        return (self.form,) if self.as_read is None else (self.form, canonical(self.text))

    @property
    def words(self) -> int:
        """Number of blank-separated words, as `wc -w` counts them."""
        return len(self.text.split())

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) of the text; equal texts are one document."""
        return text_sha256(self.text)

    @cached_property
    def matching_sha256(self) -> str:
        """SHA-256 (hex) of the canonical form; documents that differ by signs only share it."""
        return digest(self.form)

    def says_the_same(self, other: Document) -> bool:
        """Whether all but the scores is as in the other."""
        return self is other or all(
            getattr(self, name) == getattr(other, name)
            for name in ("text", "id", "source", "licence", "language")
        )


def make_document(
    fields: Mapping[str, Any],
    file: SourceFile,
    line: int | None,
    language: str,
    names: Identifiers | None = None,
) -> Document:
    """Check the fields of a record.

    Args:
        fields: of the record.
        file: that it stands in.
        line: where.
        language: of documents that do not say theirs.
        names: make the hashes of patient and source document; without them there are none.

    Raises:
        Dropped: `no_text` (missing, or not a string), `bad_field` (an id, licence or language that
            is not a string), `not_utf8` (half a surrogate pair, which JSON can spell),
            `empty` (its text is blank) or `no_licence`.
    """
    text = fields.get("text")
    if not isinstance(text, str):
        raise Dropped("no_text")
    given = _string(fields, "id")
    identifier = file.place(line) if given is None else file.named(given, line)
    licence = _string(fields, "licence") or file.source.licence
    spoken = _string(fields, "language") or file.source.language or language
    try:
        "".join((text, identifier, licence or "", spoken)).encode()
    except UnicodeEncodeError:
        raise Dropped("not_utf8") from None
    if not text.strip():
        raise Dropped("empty")
    if licence is None:
        raise Dropped("no_licence")
    made = Document(identifier, text, file.source.name, licence, spoken, file.place(line))
    if names is None:
        return made
    patient, part_of = _string(fields, "patient"), _string(fields, "document")
    return replace(
        made,
        patient=None if patient is None else names.patient(patient),
        document=None if part_of is None else names.document(part_of),
    )


def _string(fields: Mapping[str, Any], name: str) -> str | None:
    """An optional field: a number is written out, a blank string counts as absent."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise Dropped("bad_field")
    return value.strip() or None

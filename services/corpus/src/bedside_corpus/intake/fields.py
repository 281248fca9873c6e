"""From what a record calls its fields to what a document needs: text, id, licence, language.

An id, a language or a patient's number that cannot be read never costs a document: its place stands
in for the id, its source's declaration for the language. A licence that cannot be read does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from bedside_core.errors import InputError
from bedside_corpus.intake.encoding import decode
from bedside_corpus.intake.licence import of_record, tighten
from bedside_corpus.intake.record import MAX_DOCUMENT_BYTES, Parsed, RawRecord, UnreadableError
from bedside_corpus.sources import SourceFile

KNOWN: dict[str, tuple[str, ...]] = {
    "text": ("text",),
    "id": ("id",),
    "licence": ("licence", "license", "metadata.licence", "metadata.license"),
    "language": ("language",),
    "patient": (),
    "document": (),
}
"""What a field is looked for under where the source maps none."""
LANGUAGES = {
    "deu": "de", "ger": "de", "fra": "fr", "fre": "fr", "eng": "en", "ita": "it", "spa": "es",
    "nld": "nl", "dut": "nl", "por": "pt", "pol": "pl", "ces": "cs", "cze": "cs", "dan": "da",
    "swe": "sv", "nor": "no", "fin": "fi", "hun": "hu", "ron": "ro", "rum": "ro", "tur": "tr",
}  # fmt: skip
"""ISO 639-2 and -3 (as FineWeb2 has them) to ISO 639-1; a code that has none stays."""
MAX_NAMES, MAX_NAME = 20, 40


class Mapper:
    """Maps the records of one file, and says at its end if none had a text."""

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        given = file.source.fields.paths
        self.paths = KNOWN | given
        self.is_joined = len(given.get("text", ())) > 1
        self.mapped = 0
        self.found = False
        self.names: tuple[str, ...] = ()

    def record(
        self, line: int | None, size: int, fields: Mapping[str, Any], encoding: str = ""
    ) -> RawRecord:
        """The record of these fields."""
        self.mapped += 1
        if self.mapped == 1:
            self.names = tuple(fields)
        text = self._found(fields)
        self.found = self.found or text is not None
        try:
            text, binary = _text(text, self.file.source.join)
        except UnreadableError as error:
            return RawRecord(line, size, None, str(error))
        mapped: dict[str, Any] = {"text": text, "id": _identifier(_first(fields, self.paths["id"]))}
        mapped["licence"] = own = _first(fields, self.paths["licence"])
        if isinstance(own, str):
            own = of_record(own) if own.strip() else None
        if own is None or isinstance(own, str):
            mapped["licence"] = tighten(self.file.source.licence, own)
        mapped["language"] = language(_first(fields, self.paths["language"]))
        for name in ("patient", "document"):
            mapped[name] = _identifier(_first(fields, self.paths[name]))
        kept = {name: value for name, value in mapped.items() if value is not None}
        return RawRecord(line, size, kept, notes=noted(binary or encoding))

    def _found(self, fields: Mapping[str, Any]) -> Any:
        """The text, or the list of those that are joined."""
        paths = self.paths["text"]
        if not self.is_joined:
            return _first(fields, paths)
        parts = [_first(fields, (path,)) for path in paths]
        return [part for part in parts if part is not None] or None

    def finish(self) -> None:
        """To be called at the end of the file.

        Raises:
            InputError: none of its records had a text.
        """
        if self.mapped and not self.found:
            raise self.without_text(self.names)

    def require(self, names: Iterable[str]) -> None:
        """To be called where the names of all fields are known before the first record.

        Raises:
            InputError: there is none for the text, or two have its name.
        """
        names = list(names)
        if not self.has_text(names):
            raise self.without_text(names)
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise InputError(
                f"{self.file.path}: two columns are named {twice[0]!r} - rename one of them"
            )

    def has_text(self, names: Iterable[str]) -> bool:
        """Whether one of the names is the text's, or all of them, where several are joined."""
        names = set(names)
        found = [not names.isdisjoint((path, path.split(".")[0])) for path in self.paths["text"]]
        return all(found) if self.is_joined else any(found)

    def without_text(self, names: Iterable[str]) -> InputError:
        """The error that lists the fields there are."""
        printable = [
            n for n in names if isinstance(n, str) and n.isprintable() and len(n) <= MAX_NAME
        ]
        listed = ", ".join(printable[:MAX_NAMES]) or "none"
        wanted = " and ".join(map(repr, self.paths["text"]))
        return InputError(
            f"{self.file.path}: no field {wanted}; its fields: {listed} - set "
            f"fields.text of source {self.file.source.name!r} to the one with the text"
        )


def whole(
    file: SourceFile, parsed: Parsed, line: int | None, size: int, identifier: str
) -> RawRecord:
    """The record of a document that has no fields of its own."""
    if len(parsed.text) > MAX_DOCUMENT_BYTES:
        return RawRecord(line, size, None, "too_large")
    known = {"licence": file.source.licence, "language": language(parsed.language)}
    known["patient"] = parsed.patient
    fields = {name: value for name, value in known.items() if value is not None}
    fields |= {"text": parsed.text, "id": identifier}
    return RawRecord(line, size, fields, notes=parsed.notes)


def noted(encoding: str) -> tuple[str, ...]:
    """The note on an encoding; UTF-8 is not worth one."""
    return (f"encoding {encoding}",) if encoding and encoding != "utf-8" else ()


def language(value: object) -> str | None:
    """An ISO 639 code: the first part of `de-AT`, `deu_Latn`; None if it is none."""
    if not isinstance(value, str):
        return None
    code = value.strip().replace("_", "-").split("-")[0].lower()
    if not (2 <= len(code) <= 3 and code.isascii() and code.isalpha()):
        return None
    return LANGUAGES.get(code, code)


def _first(fields: Mapping[str, Any], paths: Iterable[str]) -> Any:
    for path in paths:
        value = fields.get(path)
        if value is None and "." in path:
            value = _below(fields, path.split("."))
        if value is not None:
            return value
    return None


def _below(value: Any, names: list[str]) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _text(value: Any, join: str) -> tuple[Any, str]:
    """A text, and of bytes their encoding; the parts of a list, which may be such, become one text.

    Raises:
        UnreadableError: bytes in no encoding that is sure enough.
    """
    if isinstance(value, bytes):
        return decode(value)
    if not isinstance(value, list) or not value:
        return value, ""
    parts = [_text(part, join) for part in value]
    if not all(isinstance(text, str) for text, _ in parts):
        return value, ""
    return join.join(text for text, _ in parts), next((name for _, name in parts if name), "")


def _identifier(value: Any) -> str | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float):  # pandas makes floats of whole numbers where one is missing
        return str(int(value)) if math.isfinite(value) and value.is_integer() else None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, int | date):
        return str(value)
    return value.strip() or None if isinstance(value, str) else None

"""`bedside corpus review`: document after document on the terminal, an answer each.

Texts go to the terminal and nowhere else. What was answered is in the file before the next document
is shown, so closing the window loses nothing.

Tested in tests/corpus/labelling/test_people.py.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from bedside_core.console import say
from bedside_core.errors import InputError
from bedside_core.kinds.corpus import text_sha256
from bedside_core.registry.registry import Registry
from bedside_corpus.labelling.review import (
    SKIPPED,
    Row,
    answered,
    answered_by,
    documents_of,
    read_rows,
    write_rows,
)

KEYS: Mapping[str, str] = {
    **dict.fromkeys(("y", "j", "o", "yes", "ja", "oui"), "yes"),
    **dict.fromkeys(("n", "no", "nein", "non"), "no"),
    **dict.fromkeys(("s", "skip"), SKIPPED),
}
PROMPT = "[y]es, [n]o, [s]kip, [b]ack, [q]uit: "


def go_through(registry: Registry, path: Path, by: str) -> None:
    """Show the documents of a review file, from the first without an answer, and ask.

    Raises:
        InputError: it is no review file, somebody else filled it in, or its labelled set is gone.
        ArtifactError: the labelled set was changed, or the file cannot be written.
    """
    rows = read_rows(path)
    person = answered_by(path, rows)
    if person not in ("", by):
        raise InputError(
            f"{path}: another person filled it in - take a copy without answers; each has their own"
        )
    texts = _texts(registry, rows)
    at = next((n for n, row in enumerate(rows) if not row.label), len(rows))
    while at < len(rows):
        _show(rows[at], texts[rows[at].sha256], at, len(rows))
        key = _key()
        if key in ("q", "quit", None):
            break
        if key in ("b", "back"):
            at = max(0, at - 1)
        elif key in KEYS:
            rows[at] = answered(rows[at], KEYS[key], by)
            write_rows(path, rows)
            at += 1
    done = sum(bool(row.label) for row in rows)
    say(f"\n{done} of {len(rows)} documents have an answer in {path}")


def _texts(registry: Registry, rows: list[Row]) -> dict[str, str]:
    labels = registry.get(rows[0].labels)
    registry.refuse_withdrawn(labels.kind, labels.digest)
    registry.refuse_erased(labels.kind, labels.digest)
    wanted = {row.sha256 for row in rows}
    found = {
        digest: document.text
        for document in documents_of(labels)
        if (digest := text_sha256(document.text)) in wanted
    }
    if wanted - found.keys():
        raise InputError(
            f"{len(wanted - found.keys())} documents of the file are not in labels "
            f"{labels.digest[:12]} - copy the file as it was written"
        )
    return found


def _show(row: Row, text: str, at: int, of: int) -> None:
    said = f"\n{row.said}" if row.said else ""
    before = f" (now: {row.label})" if row.label else ""
    say(f"\n--- {at + 1} of {of}: {_shown(row.id)}{before}{said}\n\n{_shown(text)}\n")


def _shown(text: str) -> str:
    """What a terminal cannot take for a command."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def _key() -> str | None:
    """What was typed; None at the end of input."""
    sys.stdout.write(PROMPT)
    sys.stdout.flush()
    line = sys.stdin.readline()
    return line.strip().casefold() if line else None

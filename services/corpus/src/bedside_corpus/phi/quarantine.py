"""Documents that wait for a person, and what the person decided.

One file a document, `work/phi-RECIPE/ab/abcd....json` below BEDSIDE_HOME, mode 0600 in directories
of mode 0700: a build that is repeated writes the same files. Beside them `review.csv`, which names
each document and what was found, never its text. `bedside registry gc` removes the folder when it
has not been touched for 30 days, so copy the review file away before it is filled in.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal, cast, get_args

from bedside_core.errors import InputError
from bedside_core.files import write_atomic
from bedside_corpus.document import Document
from bedside_corpus.phi.spans import Span

REVIEW = "review.csv"
COLUMNS = ("sha256", "source", "id", "risk", "found", "decision", "by")
Decision = Literal["release", "keep out"]


def quarantine_of(room: Path) -> Path:
    """Where a build lays documents aside: beside its room for unfinished work, and kept longer."""
    return room.with_name(f"phi-{room.name}")


def lay_aside(folder: Path, document: Document, spans: Sequence[Span], risk: float) -> None:
    """Write one document and what was found in it."""
    digest = document.sha256
    place = folder / digest[:2]
    place.mkdir(parents=True, exist_ok=True)
    for directory in (folder, place):
        directory.chmod(0o700)
    value = {
        "sha256": digest,
        "source": document.source,
        "id": document.id,
        "risk": round(risk, 2),
        "found": [asdict(span) for span in spans],
        "text": document.text,
    }
    data = json.dumps(value, ensure_ascii=False).encode()
    write_atomic(place / f"{digest}.json", data, mode=0o600)


def write_review(folder: Path) -> int:
    """Write the review file of all that lies aside; returns how many documents."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    files = sorted(folder.glob("??/*.json"))
    for file in files:
        value = json.loads(file.read_text(encoding="utf-8"))
        counts = Counter(span["entity_type"] for span in value["found"])
        found = " ".join(f"{name}:{number}" for name, number in sorted(counts.items()))
        row = (value["sha256"], value["source"], value["id"], value["risk"], found, "", "")
        table.writerow([harmless(str(cell)) for cell in row])
    if files:
        write_atomic(folder / REVIEW, out.getvalue().encode(), mode=0o600)
    return len(files)


def read_review(path: Path) -> dict[str, Decision]:
    """What a person decided, by the SHA-256 of the text; rows without a decision are left out.

    Raises:
        InputError: it cannot be read, has other columns, or a decision without a name.
    """
    where = f"corpus.phi.review: {path}"
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    except OSError as error:
        raise InputError(f"{where} cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error):
        raise InputError(f"{where} is not a CSV file in UTF-8") from None
    decisions: dict[str, Decision] = {}
    for number, row in enumerate(rows, start=2):
        if not {"sha256", "decision", "by"} <= row.keys():
            raise InputError(
                f"{where} needs the columns sha256, decision and by, as it was written"
            )
        decision = (row["decision"] or "").strip()
        if not decision:
            continue
        if decision not in get_args(Decision):
            raise InputError(f"{where}, line {number}: decide `release` or `keep out`, or nothing")
        if not (row["by"] or "").strip():
            raise InputError(f"{where}, line {number}: `by` is empty - say who decided")
        decisions[row["sha256"]] = cast(Decision, decision)
    return decisions


def harmless(cell: str) -> str:
    """A cell that no spreadsheet runs, as it would one that begins as a formula."""
    return f"'{cell}" if cell[:1] in tuple("=+-@\t\r") else cell

"""Held-out texts: folders of UTF-8 `.txt` files, or `.jsonl` files; never trained on.

Texts of one patient or one document are no independent measurements. Beside files a `clusters.csv`
says which belong together: a header `text,cluster`, then for each text its file name without
`.txt` and the name of its source. Without the file each text is a cluster of its own.

In a `.jsonl` file each line is a text: `id`, `text` and, in every line or in none, `cluster`; also
`source`, `language`, `patient`, `document` and `original`, as `bedside corpus split` writes them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from bedside_core.clusters import is_name
from bedside_core.errors import InputError
from bedside_core.matching import canonical, digest

CLUSTERS = "clusters.csv"
HEADER = ["text", "cluster"]
JSONL = ".jsonl"
MAX_SHOWN = 5
"""Names in a message; a folder may have thousands."""


@dataclass(frozen=True, slots=True)
class HeldoutText:
    """A text, its id (of a file its name without the suffix) and its cluster."""

    id: str
    text: str
    cluster: str = ""
    """The patient or document that it is from; left out, the text is its own."""
    patient: str | None = None
    """Whose it is, as `bedside_core.identifiers` names patients, where the set says so."""
    document: str | None = None
    """What it is a part of, in the same way."""
    original: str | None = None
    """The name of the text that it was before it was pseudonymised, in the same way."""

    def __post_init__(self) -> None:
        """Fill in the cluster."""
        if not self.cluster:
            object.__setattr__(self, "cluster", self.id)

    @property
    def wordings(self) -> list[str]:
        """What makes another text or item a copy of it."""
        return [self.text]

    @property
    def spellings(self) -> list[str]:
        """How it may stand in a corpus."""
        return self.wordings

    @property
    def option_set(self) -> None:
        """It has no options."""
        return

    @property
    def identity(self) -> str:
        """SHA-256 (hex) of its canonical form: a text that was saved again keeps it."""
        return digest(canonical(self.text))

    @property
    def content(self) -> bytes:
        """What is measured."""
        return self.text.encode()

    def of_cluster(self, cluster: str) -> Self:
        """The same text in another cluster."""
        return replace(self, cluster=cluster)


class _Line(BaseModel):
    """A line of a `.jsonl` file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    # It names a file where parts of a set are written.
    id: Annotated[str, StringConstraints(pattern=r"^[^/\\\x00-\x1f.][^/\\\x00-\x1f]{0,59}$")]
    text: str
    cluster: str | None = None
    source: str | None = None
    language: str | None = None
    patient: str | None = None
    document: str | None = None
    original: str | None = None


def heldout_files(folder: Path) -> dict[str, Path]:
    """The text files of a folder by name, sorted; of a `.jsonl` file itself.

    Raises:
        InputError: the folder does not exist or holds no `.txt` file, or one has a name that is not
            UTF-8.
    """
    if folder.suffix == JSONL and folder.is_file():
        return {folder.name: folder}
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputError(
            f"{folder}: {what} - a held-out set is a folder of UTF-8 .txt files, or a .jsonl file"
        )
    files = {path.name: path for path in sorted(folder.glob("*.txt")) if path.is_file()}
    if not files:
        raise InputError(f"{folder}: no .txt files - a held-out set is a folder of UTF-8 texts")
    for name in files:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InputError(f"{folder}: a file name is not UTF-8 ({name!a}) - rename it") from None
    return files


def measured_files(folder: Path) -> dict[str, Path]:
    """All files of a held-out set by name: its texts and, if there is one, its `clusters.csv`.

    Raises:
        InputError: see `heldout_files`.
    """
    clusters = folder / CLUSTERS
    return heldout_files(folder) | ({CLUSTERS: clusters} if clusters.is_file() else {})


def read_heldout(folder: Path) -> list[HeldoutText]:
    """Read a held-out set with its clusters: files sorted by name, lines in their order.

    Raises:
        InputError: no files, a file that is not UTF-8, an empty one, a `clusters.csv` that does
            not name each text once with its cluster, or a line that is no such text; the message
            names what is wrong.
    """
    if folder.suffix == JSONL and folder.is_file():
        return _read_lines(folder)
    texts = []
    for path in heldout_files(folder).values():
        text = _read(path).strip()
        if not text:
            raise InputError(f"{path}: empty - remove it or fill it")
        texts.append(HeldoutText(path.stem, text))
    path = folder / CLUSTERS
    if not path.exists():
        return texts
    clusters = _read_clusters(path, {text.id for text in texts})
    return [text.of_cluster(clusters[text.id]) for text in texts]


def clusters_csv(texts: Iterable[HeldoutText]) -> str:
    """The content of a `clusters.csv`."""
    file = io.StringIO(newline="")
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(HEADER)
    rows.writerows((text.id, text.cluster) for text in texts)
    return file.getvalue()


def heldout_line(text: HeldoutText, **more: str) -> bytes:
    """The line of a `.jsonl` file for a text; `more` are `source` and `language`."""
    said = {name: getattr(text, name) for name in ("patient", "document", "original")} | more
    line = {"id": text.id, "text": text.text, "cluster": text.cluster}
    line |= {name: value for name, value in said.items() if value is not None}
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _read_lines(path: Path) -> list[HeldoutText]:
    texts: dict[str, HeldoutText] = {}
    lines: dict[str, int] = {}
    named: set[bool] = set()
    # Not `splitlines`: JSON may hold other line ends as they are.
    for number, content in enumerate(_read(path).removeprefix("\ufeff").split("\n"), start=1):
        if not content.strip():
            continue
        where = f"{path}, line {number}"
        line = _parse(content, where)
        text = line.text.strip()
        if not text:
            raise InputError(f"{where}: empty - remove it or fill it")
        if line.id in texts:
            raise InputError(
                f"{where}: id {line.id!r} again, as in line {lines[line.id]} - name each text once"
            )
        if line.cluster is not None and not is_name(line.cluster):
            raise InputError(
                f"{where}: text {line.id!r} has no cluster - write the name of its patient or "
                "document, or its own name if it stands alone"
            )
        named.add(line.cluster is not None)
        if len(named) == 2:
            raise InputError(
                f"{where}: some texts have a cluster and others none - write one for each, or for "
                "none"
            )
        lines[line.id] = number
        texts[line.id] = HeldoutText(
            line.id,
            text,
            (line.cluster or "").strip(),
            line.patient,
            line.document,
            line.original,
        )
    if not texts:
        raise InputError(f"{path}: no texts - a held-out set has a line of JSON for each")
    return list(texts.values())


def _parse(content: str, where: str) -> _Line:
    try:
        line = _Line.model_validate(json.loads(content))
        line.text.encode()
    except (ValueError, RecursionError) as error:
        # What pydantic and json say quotes the text.
        wrong = error.errors(include_input=False) if isinstance(error, ValidationError) else []
        names = {str(one["loc"][0]) for one in wrong if one["loc"]}
        known = sorted(names & set(_Line.model_fields))
        what = f" ({', '.join(known)})" if known else " (unknown field)" if names else ""
        raise InputError(
            f"{where}: is not a text of a held-out set{what} - id (a name as of a file), text and "
            "cluster are strings; allowed beside them: " + ", ".join(list(_Line.model_fields)[3:])
        ) from None
    return line


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}) - make it readable") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 - convert it, for example with iconv") from None


def _read_clusters(path: Path, texts: set[str]) -> Mapping[str, str]:
    """The cluster of each of these texts."""
    # Excel writes a byte-order mark.
    content = _read(path).removeprefix("\ufeff")
    clusters: dict[str, str] = {}
    lines: dict[str, int] = {}
    rows = csv.reader(io.StringIO(content, newline=""), strict=True)
    try:
        if [cell.strip() for cell in next(rows, [])] != HEADER:
            raise InputError(f"{path}, line 1: must be `{','.join(HEADER)}`")
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(HEADER):
                raise InputError(f"{where}: {len(row)} values - must be a text and its cluster")
            text, cluster = (cell.strip() for cell in row)
            if text in lines:
                raise InputError(
                    f"{where}: text {text!r} again, as in line {lines[text]} - name each text once"
                )
            if not is_name(cluster):
                raise InputError(
                    f"{where}: text {text!r} has no cluster - write the name of its patient or "
                    "document, or its own name if it stands alone"
                )
            lines[text], clusters[text] = rows.line_num, cluster
    except csv.Error as error:
        raise InputError(f"{path}, line {rows.line_num}: no valid CSV ({error})") from None
    for names, problem in (
        (texts - clusters.keys(), "not named - add a line for each"),
        (clusters.keys() - texts, "named, but no .txt file here - take the line out"),
    ):
        if names:
            shown = ", ".join(map(repr, sorted(names)[:MAX_SHOWN]))
            more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
            raise InputError(f"{path}: text {shown}{more}: {problem}")
    return clusters

"""Which files the configured sources stand for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from bedside_core.console import say
from bedside_core.errors import ConfigError, InputError
from bedside_core.heldout import heldout_files
from bedside_corpus.config import Source

PACKED = ("", ".gz", ".zst")
SUFFIXES = {
    "jsonl": tuple(kind + pack for kind in (".jsonl", ".ndjson", ".json") for pack in PACKED),
    "csv": tuple(kind + pack for kind in (".csv", ".tsv") for pack in PACKED),
    "parquet": (".parquet",),
    "text": (".txt",),
    "lines": tuple(".txt" + pack for pack in PACKED),
    "html": (".html", ".htm", ".xhtml"),
    "pdf": (".pdf",),
    "docx": (".docx", ".docm"),
    "xlsx": (".xlsx", ".xlsm"),
    "cda": (".xml", ".cda"),
    "xml": (".xml", ".xml.gz"),
    "warc": (".warc", ".warc.gz"),
    "wet": (".wet", ".wet.gz"),
}
"""Which files belong to a format, upper case or lower."""
MAX_SUFFIXES = 12
POINTER, MAX_POINTER_BYTES = b"version https://git-lfs.github.com/spec/", 1024
"""How a Git LFS pointer begins, and what it is shorter than, by its specification."""


class Part(NamedTuple):
    """What is read of a file that is too large for one worker."""

    start: int
    """First byte, at the beginning of a line; of Parquet the first row group."""
    end: int
    """Behind the last one."""
    lines: int
    """Lines, or rows, of the file before it."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source."""

    source: Source
    path: Path
    name: str
    """The path below the source's folder, with `/`; of a single file, its name."""
    part: Part | None = None
    """None is all of it."""

    @property
    def label(self) -> str:
        """What messages and statistics call this file."""
        return f"{self.source.name}/{self.name}"

    def place(self, line: int | None) -> str:
        """What they call one of its records; `line` counts from 1."""
        return self.label if line is None else f"{self.label}:{line}"

    def named(self, given: str, line: int | None) -> str:
        """The id of a record that has one: other files may use it as well."""
        return given if line is None else f"{self.label}#{given}"

    @property
    def stem(self) -> str:
        """The label less the suffix of the format: the id of a document that is a file."""
        endings = (s for s in SUFFIXES[self.source.format] if self.label.lower().endswith(s))
        return self.label[: -len(max(endings, key=len, default="")) or None]


def find_files(source: Source, root: Path | None = None) -> list[SourceFile]:
    """The files of a source, sorted by name.

    `root` is where they lie instead of the source's path, after they were fetched.

    In a folder, hidden files are passed over; so are other suffixes, or what is not asked for,
    which the user is told of by suffix with its count. Links are followed to files, not to folders.

    Raises:
        ConfigError: the path is a file whose suffix does not belong to the format.
        InputError: the path does not exist, or holds no file of the format, or one that was not
            downloaded: a Git LFS pointer, or a link to a file that is not there.
    """
    suffixes = SUFFIXES[source.format]
    wanted = source.files or " or ".join(suffixes)
    root = root or Path(source.path)
    if root.is_file():
        if not root.name.lower().endswith(suffixes):
            raise ConfigError(
                f"corpus.sources: {source.name}: {source.path} is not a {wanted} file - correct "
                f"the path or the format {source.format!r}"
            )
        return _present([SourceFile(source, root, root.name)])
    if not root.is_dir():
        raise InputError(
            f"source {source.name!r}: {source.path} does not exist - correct corpus.sources"
        )
    found = sorted(
        path.relative_to(root)
        for path in root.rglob("*")
        if path.is_file() or (path.is_symlink() and not path.exists())
    )
    visible = [p.as_posix() for p in found if not any(part.startswith(".") for part in p.parts)]
    names = [name for name in visible if _is_wanted(name, source)]
    others = set(visible) - set(names)
    if others:
        say(f"source {source.name}: passed over: {_by_suffix(others)}")
    if not names:
        raise InputError(f"source {source.name!r}: no {wanted} files in {source.path}")
    files = [SourceFile(source, root / name, name) for name in names]
    for file in files:
        _check_name(file)
    return _present(files)


def _is_wanted(name: str, source: Source) -> bool:
    if source.files is not None:
        return PurePosixPath(name).match(source.files)
    return name.lower().endswith(SUFFIXES[source.format])


def _present(files: list[SourceFile]) -> list[SourceFile]:
    """The files, if all of them were downloaded."""
    for file in files:
        try:
            size = file.path.stat().st_size
            is_pointer = size < MAX_POINTER_BYTES and _begins(file.path, POINTER)
        except FileNotFoundError:
            raise InputError(
                f"source {file.source.name!r}: {file.path} is a link to a file that is not there - "
                "finish the download, or copy the files themselves"
            ) from None
        except OSError:  # said by who reads it
            continue
        if is_pointer:
            raise InputError(
                f"source {file.source.name!r}: {file.path} is a Git LFS pointer, not the file - "
                "fetch it where there is a network (`git lfs pull`, `hf download`) and copy it here"
            )
    return files


def _begins(path: Path, head: bytes) -> bool:
    with path.open("rb") as content:
        return content.read(len(head)) == head


def input_files(
    files: Iterable[SourceFile], heldout: Iterable[Path], exams: Iterable[Path]
) -> dict[str, Path]:
    """Everything that goes into the corpus from outside, by a name for the recipe.

    Raises:
        InputError: a held-out folder is missing or empty, or an exam is no file.
    """
    inputs = {f"source/{file.label}": file.path for file in files}
    for folder in heldout:
        for name, path in heldout_files(folder).items():
            inputs[f"heldout/{folder}/{name}"] = path
    for path in exams:
        if not path.is_file():
            raise InputError(f"{path}: no such file - correct corpus.exams")
        inputs[f"exam/{path}"] = path
    return inputs


def _by_suffix(names: Iterable[str]) -> str:
    """`3 .pdf, 2 .docx`: the most frequent first."""
    counts = Counter(Path(name).suffix.lower() or "without a suffix" for name in names)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    listed = [f"{count} {suffix}" for suffix, count in ordered[:MAX_SUFFIXES]]
    rest = sum(count for _, count in ordered[MAX_SUFFIXES:])
    return ", ".join([*listed, *([f"{rest} others"] if rest else [])])


def _check_name(file: SourceFile) -> None:
    # A name becomes an id in the corpus, which is UTF-8; Linux allows any bytes in a name.
    try:
        file.name.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"source {file.source.name!r}: a file name in {file.source.path} is not UTF-8 "
            f"({file.name!a}) - rename it"
        ) from None

"""Which files of a snapshot belong to a split and a language, by the words in their names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from bedside_core.errors import InputError
from bedside_eval.importing.layout import Layout
from bedside_eval.importing.medicine import TRUTH


def chosen(path: Path, layout: Layout, *, split: str, language: str) -> list[Path]:
    """The files to read: a file itself, or those of a folder and the folders in it.

    Args:
        path: a file or a folder.
        layout: says how splits are called.
        split: empty takes every one.
        language: BCP 47; where files name languages, those of others are not taken.

    Raises:
        InputError: there is no such path, or nothing in it is of this split and language.
    """
    if path.is_file():
        return [path]
    found = sorted(
        file for file in path.rglob("*")
        if file.suffix.lower() in layout.suffixes and file.is_file() and file.name != TRUTH
    )  # fmt: skip
    if not found:
        raise InputError(f"{path}: no {' or '.join(layout.suffixes)} file - name a file or folder")
    words = {file: _words(file.relative_to(path)) for file in found}
    return _of_split(path, _of_language(path, words, layout, language), layout, split)


def _words(name: Path) -> frozenset[str]:
    return frozenset(re.split(r"[^a-z0-9]+", str(name).lower()))


def _of_language(
    path: Path, words: dict[Path, frozenset[str]], layout: Layout, language: str
) -> dict[Path, frozenset[str]]:
    own = language.partition("-")[0]
    # Of a layout of one language, a name such as "de" in a folder is no language.
    named = {lang for lang in layout.languages if any(lang in found for found in words.values())}
    if len(layout.languages) == 1 or not named:
        return words
    if own not in named:
        raise InputError(
            f"{path}: no file of language {language} - it has {_listed(named)}; name one of them "
            "with --language"
        )
    return {file: found for file, found in words.items() if own in found}


def _of_split(
    path: Path, words: dict[Path, frozenset[str]], layout: Layout, split: str
) -> list[Path]:
    if not split:
        return list(words)
    if split not in layout.splits:
        raise InputError(f"no split {split!r} - there are {_listed(layout.splits)}")
    taken = [file for file, found in words.items() if found & layout.splits[split]]
    if taken:
        return taken
    named = {
        name for name, known in layout.splits.items()
        if any(found & known for found in words.values())
    }  # fmt: skip
    if not named:  # by row, or a snapshot of one split
        return list(words)
    raise InputError(f"{path}: no file of split {split!r} - it has {_listed(named)}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))

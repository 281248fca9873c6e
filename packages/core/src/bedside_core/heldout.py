"""Held-out texts: folders of UTF-8 `.txt` files that are measured on and never trained on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from bedside_core.errors import InputError


class HeldoutText(NamedTuple):
    """A text and its id (the file name without its suffix)."""

    id: str
    text: str


def heldout_files(folder: Path) -> dict[str, Path]:
    """The text files of a folder by name, sorted.

    Raises:
        InputError: the folder does not exist or holds no `.txt` file.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputError(f"{folder}: {what} - a held-out set is a folder of UTF-8 .txt files")
    files = {path.name: path for path in sorted(folder.glob("*.txt")) if path.is_file()}
    if not files:
        raise InputError(f"{folder}: no .txt files - a held-out set is a folder of UTF-8 texts")
    return files


def read_heldout(folder: Path) -> list[HeldoutText]:
    """Read a held-out set, sorted by file name.

    Raises:
        InputError: no files, a file that is not UTF-8, or an empty one; the message names it.
    """
    texts = []
    for path in heldout_files(folder).values():
        try:
            text = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}) - make it readable"
            ) from None
        except UnicodeDecodeError:
            raise InputError(f"{path}: not UTF-8 - convert it, for example with iconv") from None
        if not text:
            raise InputError(f"{path}: empty - remove it or fill it")
        texts.append(HeldoutText(path.stem, text))
    return texts

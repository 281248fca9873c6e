"""A source as transformers shall see it: its own files and nothing else of the directory.

Tested in tests/trainer/importing/test_shapes.py.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bedside_core.errors import InputError
from bedside_core.kinds.model import CHAT_TEMPLATE, CONFIG, GENERATION, TOKENIZER_CONFIG
from bedside_trainer.importing.directory import PROCESSOR_TEMPLATE, Source
from bedside_trainer.importing.generation import repair


class Stage(NamedTuple):
    """A directory of links."""

    path: Path
    repairs: list[str]
    """What was changed on the way, for people."""


@contextmanager
def staged(source: Source) -> Iterator[Stage]:
    """A directory with links to the files of a source, and its generation config repaired.

    Raises:
        InputError: the generation config cannot be repaired, or a file is no JSON.
    """
    with TemporaryDirectory(prefix="bedside-import-") as name:
        path, repairs = Path(name), []
        for file, real in source.files.items():
            (path / file).parent.mkdir(exist_ok=True)
            (path / file).symlink_to(real.resolve())
        (path / PROCESSOR_TEMPLATE).unlink(missing_ok=True)
        generation = source.read_json(GENERATION)
        content, changes = repair(generation)
        if content != generation:
            (path / GENERATION).unlink()
            (path / GENERATION).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            repairs += [f"{GENERATION}: {change}" for change in changes]
        if template := _adopted(source):
            (path / CHAT_TEMPLATE).write_text(template, encoding="utf-8")
            repairs.append(f"{CHAT_TEMPLATE}: taken from {PROCESSOR_TEMPLATE}")
        yield Stage(path, repairs)


def copy_rest(stage: Path, target: Path) -> None:
    """Copy everything but weights and `config.json`, byte for byte."""
    for path in sorted(stage.rglob("*")):
        name = path.relative_to(stage)
        if path.is_file() and ".safetensors" not in path.name and path.name != CONFIG:
            (target / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target / name)


def _adopted(source: Source) -> str | None:
    """The template of a processor for text and images, where the tokenizer has none."""
    if CHAT_TEMPLATE in source.files or source.read_json(TOKENIZER_CONFIG).get("chat_template"):
        return None
    template = source.read_json(PROCESSOR_TEMPLATE).get("chat_template")
    if template is not None and not isinstance(template, str):
        raise InputError(
            f"{source.files[PROCESSOR_TEMPLATE]}: its template is no text - write the one to use "
            f"as {CHAT_TEMPLATE}"
        )
    return template

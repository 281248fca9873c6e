"""`bedside corpus passport`: a copy of a passport, with texts for those who may see them.

Tested in tests/corpus/passport/test_copy.py.
"""

from __future__ import annotations

import json
from pathlib import Path

from bedside_core.artifacts import Artifact
from bedside_core.config import Config
from bedside_core.console import say
from bedside_core.errors import ArtifactError, InputError
from bedside_core.files import write_atomic
from bedside_core.kinds.corpus import PASSPORT, PASSPORT_PAGE, SELECTED
from bedside_core.registry.registry import Registry
from bedside_corpus.which import corpus_of


class Copy(Config):
    """What is copied, and where to."""

    config: Path | None = None
    """A run config: the corpus of its run is meant."""
    out: Path
    """A folder for the copy, which only its owner can read."""
    with_examples: bool = False
    """Show texts: three that were kept, and three for each reason. For readers who may see them."""


def copy_passport(registry: Registry, corpus: str | None, asked: Copy) -> None:
    """Write the passport of a corpus to a folder, mode 0600.

    Args:
        registry: that has the corpus.
        corpus: a run or a digest; may be left out where there is only one.
        asked: the options.

    Raises:
        InputError: it has no passport of this form, or it is not clear which corpus is meant.
        ArtifactError: there is no such corpus, or its passport was changed.
    """
    from bedside_corpus.passport.content import VERSION
    from bedside_corpus.passport.examples import examples
    from bedside_corpus.passport.page import page

    found = corpus_of(registry, corpus, asked.config)
    if not any(entry.path == PASSPORT for entry in found.manifest.files):
        raise InputError(
            f"corpus {found.digest[:12]} has no passport (made by {found.manifest.recipe.verb}, "
            f"{found.manifest.recipe.version}) - build it again"
        )
    found.verify(PASSPORT)
    passport = json.loads(found.file(PASSPORT).read_bytes())
    if passport["passport"] != VERSION:
        raise InputError(
            f"the passport of corpus {found.digest[:12]} has form {passport['passport']}, and this "
            f"version writes {VERSION} - build the corpus again, or take {PASSPORT_PAGE} of it"
        )
    more = ""
    if asked.with_examples:
        other, work = _selected_from(registry, found), registry.workrooms[0]
        more = examples(found, passport["content_sha256"], other, work)
    title = f"Corpus {found.digest[:12]}"
    files = {
        PASSPORT_PAGE: page(passport, title, more).encode(),
        PASSPORT: found.file(PASSPORT).read_bytes(),
    }
    asked.out.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, data in files.items():
        write_atomic(asked.out / name, data, mode=0o600)
    say(f"{asked.out / PASSPORT_PAGE}{' holds texts: keep it private' if more else ''}")


def _selected_from(registry: Registry, corpus: Artifact) -> Artifact | None:
    """The corpus that a narrowed one was selected from, if it is still here."""
    selected = corpus.manifest.facts.get(SELECTED)
    try:
        return registry.get(selected["from"]) if selected else None
    except ArtifactError:
        return None

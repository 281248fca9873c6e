"""`bedside corpus why DOCUMENT`: what became of one record, step by step, without its text.

Tested in tests/corpus/test_why.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bedside_core.config import Config
from bedside_core.console import say
from bedside_core.errors import InputError
from bedside_core.registry.registry import Registry
from bedside_corpus.which import corpus_of

if TYPE_CHECKING:
    from bedside_corpus.lookup import Decided, Lookup


class WhyOptions(Config):
    """Which corpus is meant."""

    config: Path | None = None
    """A run config: the corpus of its run is asked."""


def why(registry: Registry, document: str, corpus: str | None, asked: WhyOptions) -> None:
    """Say what was decided on a record, why, and what became of it.

    Args:
        registry: that has the corpus.
        document: an id or a place (`source/file:line`), or the beginning of one.
        corpus: a run or a digest; may be left out where there is only one.
        asked: the options.

    Raises:
        InputError: no record is called so, or it is not clear which corpus is meant.
        ArtifactError: there is no such corpus, or the file that has the answer was changed.
    """
    from bedside_corpus.explain import explain
    from bedside_corpus.lookup import Lookup

    lookup = Lookup(corpus_of(registry, corpus, asked.config))
    decided = lookup.find(document)
    if decided is None:
        alike = lookup.beginning(document)
        if len(alike) != 1:
            _tell_alike(document, alike, lookup)
            return
        decided = lookup.find(alike[0].name) or alike[0]
    for line in explain(registry, lookup, decided):
        say(line)


def _tell_alike(name: str, alike: list[Decided], lookup: Lookup) -> None:
    from bedside_corpus.lookup import SHOWN

    if not alike:
        near = lookup.near(name)
        hint = "\n  ".join(["; near ones:", *near]) if near else ""
        corpus = lookup.corpus.digest[:12]
        raise InputError(f"corpus {corpus} was made from no record {name!r}{hint}")
    more = f" the first {SHOWN} of more" if len(alike) > SHOWN else f" {len(alike)}"
    say(f"{name!r} is the beginning of{more} records - name one:")
    for one in alike[:SHOWN]:
        say(f"  {one.name}  {one.reason or 'in'}")

"""Which corpus a verb is asked about.

Tested in tests/corpus/test_why.py.
"""

from __future__ import annotations

import re
from pathlib import Path

from bedside_core.artifacts import Artifact
from bedside_core.config import load_document
from bedside_core.errors import InputError
from bedside_core.registry.registry import Registry

_RUN = re.compile(r"[\w-]{1,60}")


def corpus_of(registry: Registry, named: str | None, config: Path | None) -> Artifact:
    """The corpus of a run, a digest or a run config; without any, the only one that runs have.

    Raises:
        ConfigError: the run config cannot be read.
        InputError: it has no corpus yet, or none is named and there are several.
        ArtifactError: there is none of this name.
    """
    if config is not None:
        if named is not None:
            raise InputError(f"a corpus ({named}) and --config are both given - leave one out")
        named = str(load_document(config, [])["name"])
    if named is not None:
        digest = registry.slot(named, "corpus") if _RUN.fullmatch(named) else None
        found = registry.get(digest or named)
        if found.kind != "corpus":
            raise InputError(
                f"{named} is of the kind {found.kind} - name a run, a corpus's digest or --config"
            )
        return found
    of = {d: slot.split("/")[0] for slot, d in registry.slots() if slot.endswith("/corpus")}
    if len(of) == 1:
        return registry.get(next(iter(of)))
    runs = ", ".join(sorted(of.values()))
    raise InputError(
        f"which corpus? - name one of the runs {runs}, a digest, or --config FILE"
        if of
        else "no run has a corpus yet - `bedside corpus build --config FILE` makes one"
    )

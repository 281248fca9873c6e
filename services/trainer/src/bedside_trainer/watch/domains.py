"""Held-out likelihood by domain: every set of the development part, before and after training.

`trainer.heldout` says what training shall gain; the other sets say what it costs elsewhere.

Tested in tests/trainer/watch/test_watcher.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bedside_core.artifacts import Artifact
from bedside_core.files import write_atomic
from bedside_core.kinds.heldout import read_set, set_names
from bedside_models.likelihood import EncodedSet, encode, measure
from bedside_models.scores import Scores

BEFORE = "domains.json"
"""In the work folder: the base's scores, which a run that goes on cannot measure again."""
_SCORES = TypeAdapter(dict[str, Scores])


def others(
    parts: Artifact, heldout: str, tokenizer: PreTrainedTokenizerBase, num_texts: int | None
) -> dict[str, EncodedSet]:
    """The development parts of all sets but `heldout`, each cut to its first `num_texts` texts.

    Raises:
        InputError: a text has no token.
        ArtifactError: a file was changed.
    """
    names = [name for name in set_names(parts) if name != heldout]
    return {name: encode(read_set(parts, name)[:num_texts], tokenizer) for name in names}


def measured(
    model: PreTrainedModel, sets: Mapping[str, EncodedSet], *, length: int, when: str
) -> dict[str, Scores]:
    """Score every set in windows of `length`."""
    return {
        name: measure(model, texts, length=length, name=f"{name} {when}")
        for name, texts in sets.items()
    }


def keep(work: Path, scores: Mapping[str, Scores]) -> None:
    """Remember the base's scores."""
    write_atomic(work / BEFORE, json.dumps(_SCORES.dump_python(dict(scores))).encode())


def kept(work: Path) -> dict[str, Scores]:
    """What `keep` wrote; nothing if that is gone or damaged."""
    try:
        return _SCORES.validate_json((work / BEFORE).read_bytes())
    except (OSError, ValueError):
        return {}

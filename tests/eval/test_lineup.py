"""Who sits the paper: by lineage, whatever the slots say."""

from __future__ import annotations

from typing import Any

import pytest

from bedside_core.errors import ArtifactError, InputError
from bedside_core.run import Run
from bedside_eval.lineup import lineup, shortlisted

World = Any


def test_base_and_checkpoint_are_the_candidates_own(world: World) -> None:
    """A random model in the slot `base` is nobody to compare with (review, finding 10)."""
    world.add_models()
    base = world.registry.slot("tiny", "base")
    world.registry.set_slot("tiny", "base", world.registry.slot("tiny", "checkpoint"))
    run = Run("tiny", "eval", "run", world.registry)
    (candidate,) = shortlisted(run, ["merged"]).values()

    models = lineup(world.registry, candidate, None)

    assert {role: model.digest for role, model in models.items()} == {
        "base": base,
        "checkpoint": world.registry.slot("tiny", "checkpoint"),
        "candidate": candidate.digest,
    }


def test_what_is_no_candidate_is_refused(world: World) -> None:
    world.add_models()
    run = Run("tiny", "eval", "run", world.registry)

    with pytest.raises(ArtifactError, match="has no evidence yet"):
        shortlisted(run, ["evidence"])
    with pytest.raises(InputError, match="is a corpus, no model"):
        shortlisted(run, ["tiny/corpus"])
    with pytest.raises(InputError, match="does not name the base"):
        lineup(world.registry, world.registry.get("tiny/base"), None)

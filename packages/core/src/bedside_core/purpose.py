"""What a model may be used for: as far as all that it was made from may.

A corpus says for which purpose it was built (fact `purpose`); what is made from it keeps the
narrowest purpose of its parents.

Tested in tests/core/test_purpose.py.
"""

from __future__ import annotations

from collections.abc import Iterable

from bedside_core.artifacts import Artifact
from bedside_core.errors import PolicyError
from bedside_core.licences import COVERED, USES, Use, uses

PURPOSE = "purpose"
"""The fact."""


def narrowest(parents: Iterable[Artifact]) -> Use | None:
    """The purpose of what is made from these; None where no parent has one or one is not known.

    A base has no purpose of its own: it narrows by its licences, as far as they are known. A corpus
    without one (of an earlier release) does so too, where all of its licences are known.

    Raises:
        PolicyError: no use is permitted by all of them.
    """
    permitted, is_stated, is_known = USES, False, True
    told = []
    for parent in parents:
        purpose = parent.manifest.facts.get(PURPOSE)
        if purpose is not None:
            is_stated = True
            allowed = [COVERED[purpose]]
        else:
            found = [uses(item.id) for item in parent.manifest.licences]
            is_known = is_known and (parent.kind != "corpus" or None not in found)
            allowed = [one for one in found if one is not None]
        here = USES.intersection(*allowed)
        told.append(f"{parent.kind} {parent.digest[:12]} {_listed(here)}")
        permitted &= here
    if not permitted:
        raise PolicyError(
            f"what is made from these may be used for nothing: {', '.join(told)} - build the "
            "corpora for one purpose (corpus.purpose), or take another base"
        )
    if not (is_stated and is_known):
        return None
    return next(use for use in COVERED if use in permitted)


def _listed(permitted: frozenset[Use]) -> str:
    return "for " + (" and ".join(sorted(permitted)) or "nothing")

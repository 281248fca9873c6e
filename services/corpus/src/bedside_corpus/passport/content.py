"""What the passport says, for machines: `passport.json`.

Counts, declarations and versions; no text, no id and no file name, since a file may be named after
a patient. Of equal corpora it has equal bytes: there is no time of day in it.

Tested in tests/corpus/passport/test_passport.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bedside_core.artifacts import FileEntry, Recipe
from bedside_core.config import sha256_of
from bedside_core.licences import licence
from bedside_core.purpose import PURPOSE
from bedside_corpus.blocks.cleaning import Cleaning
from bedside_corpus.blocks.heldout import HeldoutFilter
from bedside_corpus.config import CorpusConfig
from bedside_corpus.counts import Counts
from bedside_corpus.engine.records import Record
from bedside_corpus.intake.licence import each
from bedside_corpus.passport.measures import total
from bedside_corpus.phi.gate import PhiGate
from bedside_corpus.reasons import reason
from bedside_corpus.tally import Tally

VERSION = 2
"""Of the form of `passport.json`; one more for every change that a reader must know of."""
IS_NOT = (
    "No proof of anonymity. The gate for personal data finds what its rules and models know; where "
    "there was no gate, nothing was looked for.",
    "No proof that no exam is in it. What is not in a held-out set that was named to the build was "
    "not looked for.",
    "No legal opinion. Licences are what the house declared and what records say of themselves.",
    "No judgement of the medicine. Texts may be wrong, out of date or one-sided; which languages, "
    "sources and lengths they have is counted here.",
)
_DUPLICATES = ("duplicate_text", "duplicate_near")
_OWN = (Cleaning.name, HeldoutFilter.name, PhiGate.name)
"""Steps whose notes have a section of their own; those of held-out texts name texts and paths."""
TAKEN_OVER = ("personal_data", "held_out", "classifiers", "left_out")
"""What a narrowed corpus says as the passport of the one it was selected from does."""
NAMING = ("id", "patient", "document")
"""Columns whose values may say of whom a document is."""


def content(
    config: CorpusConfig,
    recipe: Recipe,
    tally: Tally,
    records: Sequence[Mapping[str, Any]],
    outcomes: Iterable[Mapping[str, Mapping[str, int]]],
    files: Sequence[FileEntry],
    held_out: Mapping[str, Mapping[str, int]],
    classifiers: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """The passport of a corpus.

    Args:
        config: that it was built by.
        recipe: of the artifact.
        tally: of all steps.
        records: the measures of each shard (`Measuring.to_json`).
        outcomes: of each shard, records per source and reason.
        files: of documents and decisions, with their hashes.
        held_out: by set, what was looked for and found of it (`blocks.heldout.totals`).
        classifiers: by column (`passport.classifiers.described`).
    """
    measures: dict[str, Any] = {}
    for one in records:
        measures = total(measures, one)
    steps = tally.steps
    dropped = tally.dropped
    return {
        "passport": VERSION,
        "purpose": config.purpose,
        **_counted(tally, measures),
        "sources": _sources(
            {one.name: {**one.declared(), "format": one.format} for one in config.used_sources},
            tally,
            measures,
            outcomes,
        ),
        "left_out": dict(config.left_out),
        "cleaning": tally.cleaning,
        "duplicates": {name: dropped[name] for name in _DUPLICATES},
        "personal_data": _personal(config, steps.get(PhiGate.name)),
        "held_out": {
            # Of a path the last part: where a set lies concerns nobody else.
            "sets": [{"set": Path(name).name, **counts} for name, counts in held_out.items()],
            "dropped": {n: c for n, c in sorted(dropped.items()) if n.startswith("heldout")},
        },
        "classifiers": {name: dict(of) for name, of in classifiers.items()},
        "notes": {
            name: dict(sorted(counts.noted.items()))
            for name, counts in steps.items()
            if counts.noted and name not in _OWN
        },
        **_made(recipe, files),
    }


def narrowed(
    recipe: Recipe,
    tally: Tally,
    records: Sequence[Record],
    files: Sequence[FileEntry],
    selected: Mapping[str, Any],
    facts: Mapping[str, Any],
    before: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The passport of a corpus that was selected from another one, which says the rest.

    Args:
        recipe: of the artifact.
        tally: of the selection.
        records: of each file.
        files: of documents and decisions, with their hashes.
        selected: from which corpus, and by which conditions.
        facts: of the new corpus.
        before: the passport of the other one; None where it has none of this form.
    """
    measures: dict[str, Any] = {}
    for one in records:
        measures = total(measures, one.measures)
    select = {
        column: {"values": len(wanted)} if column in NAMING else wanted
        for column, wanted in selected["select"].items()
    }
    names = {name for one in records for name in one.outcomes}
    declared = facts.get("declared", {})
    sources = {
        name: {"personal_data": "unknown", **declared.get(name, {}), "format": "corpus"}
        for name in sorted(names)
    }
    return {
        "passport": VERSION,
        "purpose": facts.get(PURPOSE, "unstated"),  # by earlier versions
        "selected": {**selected, "select": select, "has_passport": before is not None},
        **_counted(tally, measures),
        "sources": _sources(sources, tally, measures, [one.outcomes for one in records]),
        **{name: before[name] for name in TAKEN_OVER if before is not None},
        **_made(recipe, files),
    }


def _made(recipe: Recipe, files: Sequence[FileEntry]) -> dict[str, Any]:
    return {
        "content_sha256": sha256_of([entry.model_dump() for entry in files]),
        "recipe_sha256": recipe.sha256,
        "made_by": {"verb": recipe.verb, "version": recipe.version, **recipe.environment},
        "is_not": list(IS_NOT),
    }


def _counted(tally: Tally, measures: Mapping[str, Any]) -> dict[str, Any]:
    """What is counted of the documents of any corpus."""
    lengths = sorted(measures.get("lengths", {}).items(), key=lambda one: int(one[0]))
    return {
        "read": tally.read,
        "documents": tally.kept,
        "words": tally.words,
        "characters": measures.get("characters", 0),
        "tokens": measures.get("tokens", {}),
        "funnel": [_step(name, counts) for name, counts in tally.steps.items() if counts.read],
        "licences": _licences(tally),
        "languages": measures.get("languages", {}),
        "lengths": [
            {"from": 2 ** (int(e) - 1), "to": 2 ** int(e) - 1, "documents": count}
            for e, count in lengths
        ],
    }


def _step(name: str, counts: Counts) -> dict[str, Any]:
    return {
        "step": name,
        "read": counts.read,
        "kept": counts.kept,
        "changed": counts.changed,
        "dropped": {
            name: {"records": count, "the_record": reason(name).says}
            for name, count in sorted(counts.dropped.items(), key=lambda one: (-one[1], one[0]))
            if count
        },
    }


def _sources(
    said: Mapping[str, Mapping[str, Any]],
    tally: Tally,
    measures: Mapping[str, Any],
    outcomes: Iterable[Mapping[str, Mapping[str, int]]],
) -> list[dict[str, Any]]:
    """Sources by their names, with what is said of each and what became of it."""
    became: dict[str, Counter[str]] = {}
    for shard in outcomes:
        for name, counts in shard.items():
            became.setdefault(name, Counter()).update(counts)
    found = []
    for source, declared in said.items():
        counts = became.get(source, Counter())
        kept = measures.get("sources", {}).get(source, {"documents": 0, "words": 0})
        found.append(
            {
                "name": source,
                **declared,
                "read": counts.total(),
                **kept,
                "licences": dict(sorted(tally.licences.get(source, {}).items())),
                "dropped": {name: n for name, n in counts.most_common() if name},
            }
        )
    return found


def _licences(tally: Tally) -> list[dict[str, Any]]:
    documents: Counter[str] = Counter()
    for counts in tally.licences.values():
        documents.update(counts)
    return [
        {
            "licence": name,
            "documents": count,
            "obligations": sorted(
                {duty for one in each(name) for duty in licence(one).obligations}
            ),
        }
        for name, count in documents.most_common()
    ]


def _personal(config: CorpusConfig, counts: Counts | None) -> dict[str, Any] | None:
    """What the gate did; None where there was none."""
    if config.phi is None or counts is None:
        return None
    found = {
        kind: {
            label.removeprefix(prefix): count
            for label, count in sorted(counts.noted.items())
            if label.startswith(prefix)
        }
        for kind, prefix in (("categories", "with_"), ("replaced", "replaced_"))
    }
    return {
        "on_hit": config.phi.on_hit,
        "max_risk": config.phi.max_risk,
        "read": counts.read,
        "dropped": dict(sorted(counts.dropped.items())),
        "released": counts.noted["released"],
        **found,
    }

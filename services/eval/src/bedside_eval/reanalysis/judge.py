"""A printed table judged three ways: as papers do, unpaired with Holm, over every pairing."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict
from scipy import stats

from bedside_eval.reanalysis.pairings import pairings
from bedside_eval.reanalysis.printed import Paper, Score, Scores, Table
from bedside_eval.statistics.families import holm

Standing = Literal["proven", "possible", "impossible", "unknown"]
"""Of a paired test after Holm: under every pairing, under some, under none, no pairing known."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PairingRange(_Record):
    """Exact McNemar tests over all pairings that the printed numbers allow."""

    items: int
    best_p: float
    worst_p: float
    best_p_holm: float | None
    worst_p_holm: float | None
    fewest_discordant: int
    most_discordant: int
    critical_discordant: int | None
    """Most discordant items with which p is at most alpha, before Holm."""


class Claim(_Record):
    """A model against its base in one column."""

    task: str
    model: str
    base: str
    difference: float
    flagged: bool
    """The intervals of one standard error do not overlap."""
    p: float
    """Unpaired, two-sided."""
    p_holm: float | None
    """None outside of the family: averages and doubtful cells."""
    half_width: float
    """Of the unpaired interval."""
    pairing: PairingRange | None
    standing: Standing
    doubtful: bool


class JudgedTable(_Record):
    """One table's claims."""

    title: str
    source: str
    family: int
    """Claims that Holm's correction is over."""
    claims: tuple[Claim, ...]
    doubts: tuple[str, ...]


class Reanalysis(_Record):
    """One paper's claims: a file `*.json`."""

    schema_version: Literal[1] = 1
    paper: str
    alpha: float
    tables: tuple[JudgedTable, ...]


def judge(paper: Paper, cells: tuple[Scores, ...], *, alpha: float) -> Reanalysis:
    """Judge each model that has a base, in every column that both have."""
    tables = zip(paper.tables, cells, strict=True)
    return Reanalysis(
        paper=paper.paper,
        alpha=alpha,
        tables=tuple(_table(table, found, alpha) for table, found in tables),
    )


def _table(table: Table, cells: Scores, alpha: float) -> JudgedTable:
    pairs = {
        (row.name, row.base, task): (cells[row.name, task], cells[row.base, task])
        for row in table.models
        if row.base is not None
        for task in (*table.tasks, *table.averages)
        if (row.name, task) in cells and (row.base, task) in cells
    }
    family = [
        key
        for key, scores in pairs.items()
        if key[2] in table.tasks and not any(score.doubtful for score in scores)
    ]
    p = {key: _unpaired(*scores) for key, scores in pairs.items()}
    ranges = {
        key: pairings(base.counts, new.counts, base.items, alpha=alpha)
        for key, (new, base) in pairs.items()
        if key in set(family) and base.items is not None
    }
    adjusted = holm({key: p[key] for key in family})
    # A claim without a known n counts in the family as one that no test has settled.
    best = holm({key: ranges[key].best if key in ranges else 0.0 for key in family})
    worst = holm({key: ranges[key].worst if key in ranges else 1.0 for key in family})
    claims = []
    for key, (new, base) in pairs.items():
        model, name, task = key
        found = ranges.get(key)
        pairing: PairingRange | None = None
        standing: Standing = "unknown"
        if found is not None and base.items is not None:
            pairing = PairingRange(
                items=base.items, best_p=found.best, worst_p=found.worst,
                best_p_holm=best[key], worst_p_holm=worst[key],
                fewest_discordant=found.fewest, most_discordant=found.most,
                critical_discordant=found.critical,
            )  # fmt: skip
            standing = (
                "proven" if worst[key] <= alpha
                else "possible" if best[key] <= alpha
                else "impossible"
            )  # fmt: skip
        error = math.hypot(new.error, base.error)
        claims.append(
            Claim(
                task=task, model=model, base=name, difference=new.value - base.value,
                flagged=abs(new.value - base.value) - new.error - base.error > 1e-9,
                p=p[key], p_holm=adjusted.get(key),
                half_width=float(stats.norm.isf(alpha / 2)) * error,
                pairing=pairing, standing=standing, doubtful=new.doubtful or base.doubtful,
            )
        )  # fmt: skip
    return JudgedTable(
        title=table.title, source=table.source, family=len(family), claims=tuple(claims),
        doubts=tuple(f"{d.name}, {d.task}: {d.why}" for d in table.doubtful),
    )  # fmt: skip


def _unpaired(new: Score, base: Score) -> float:
    """Of a difference of two independent means; equal values differ by nothing."""
    error = math.hypot(new.error, base.error)
    if new.value == base.value:
        return 1.0
    return 2 * float(stats.norm.sf(abs(new.value - base.value) / error)) if error else 0.0

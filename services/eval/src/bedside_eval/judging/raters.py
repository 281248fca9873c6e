"""What people chose on blind forms: files read, sides undone, agreement counted.

A pair that a person left open or could not judge counts for nobody and is counted; a file of
another form, an unknown pair or a person twice is refused.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from bedside_core.errors import InputError
from bedside_eval.judging.agreement import cohen_kappa, gwet_ac1
from bedside_eval.judging.blind import Blinding
from bedside_eval.statistics.clusters import cluster_means
from bedside_eval.statistics.difference import difference
from bedside_eval.statistics.estimate import Estimate
from bedside_eval.statistics.resampling import seed_of

MAX_BYTES = 1 << 22
COLUMNS = ["form", "rater", "pair", "choice"]
Winner = Literal["A", "B", "0"]
"""The candidate, the other model, neither."""
SCORE: Mapping[Winner, float] = {"A": 1, "B": 0, "0": 0.5}


class Filled(BaseModel):
    """One person's form."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    form: str = Field(pattern=r"^[0-9a-f]{16}$")
    rater: str = Field(pattern=r"^[A-Za-z0-9_-]{1,20}$")
    choices: dict[str, Literal["left", "right", "equal", "none"]]


class Place(NamedTuple):
    """Where an item stands."""

    exam: str
    item: str
    cluster: str


class Agreed(NamedTuple):
    """Two raters, or a rater and the judges, on the pairs that both judged."""

    one: str
    other: str
    pairs: int
    same: int
    kappa: float | None
    ac1: float | None


class Rated(NamedTuple):
    """What people said of the pairs of one form."""

    raters: dict[str, int]
    """By code: pairs that this person judged."""
    pairs: int
    """Judged by anybody."""
    of: int
    """Clean items; where both models wrote the same, there is no pair on the form."""
    wins: int
    ties: int
    losses: int
    win_rate: Estimate
    agreement: tuple[Agreed, ...]
    """Between two people, and of the majority of people with the judges."""


def read_filled(path: Path) -> Filled:
    """A downloaded result, JSON or CSV.

    Raises:
        InputError: it is none, or holds more than one person.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path}: cannot be read as UTF-8 text") from None
    if len(raw) > MAX_BYTES:
        raise InputError(f"{path}: is no result of a blind form, it is too long")
    try:
        return Filled.model_validate(_table(text) if path.suffix == ".csv" else json.loads(text))
    except (ValueError, csv.Error, RecursionError):
        raise InputError(
            f"{path}: is no result of a blind form - take the file as the form saved it"
        ) from None


def _table(text: str) -> dict[str, Any]:
    """Raises ValueError for another table, two people, or a pair twice."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    if reader.fieldnames != COLUMNS:
        raise ValueError("other columns")
    rows = list(reader)
    if any(None in row or None in row.values() for row in rows):
        raise ValueError("a row is longer or shorter")
    heads = {(row["form"], row["rater"]) for row in rows}
    choices = {row["pair"]: row["choice"] for row in rows}
    if len(heads) != 1 or len(choices) != len(rows):
        raise ValueError("not one person's")
    form, rater = heads.pop()
    return {"form": form, "rater": rater, "choices": choices}


def unblinded(
    blinding: Blinding, places: Sequence[Place], filled: Sequence[Filled]
) -> dict[str, dict[Place, Winner]]:
    """By rater, what was chosen of each pair that was judged.

    Raises:
        InputError: a form is another one's, or a person or a pair is not as it must be.
    """
    named = {blinding.pair(place.exam, place.item): place for place in places}
    found: dict[str, dict[Place, Winner]] = {}
    for one in filled:
        if one.form != blinding.form:
            raise InputError(
                f"rater {one.rater}: form {one.form} is not {blinding.form}, that of this evidence"
            )
        if one.rater in found:
            raise InputError(f"rater {one.rater} is there twice - give one file of each")
        unknown = set(one.choices) - set(named)
        if unknown:
            raise InputError(
                f"rater {one.rater}: {len(unknown)} pair(s) are not of this form, as "
                f"{min(unknown)[:16]!r}"
            )
        found[one.rater] = {
            named[pair]: _winner(blinding, named[pair], choice)
            for pair, choice in one.choices.items()
            if choice != "none"
        }
    return found


def _winner(blinding: Blinding, place: Place, choice: str) -> Winner:
    if choice == "equal":
        return "0"
    left = blinding.candidate_left(place.exam, place.item)
    return "A" if (choice == "left") == left else "B"


def rate(
    said: Mapping[str, Mapping[Place, Winner]],
    judges: Mapping[Place, Winner],
    of: int,
    *,
    confidence: float,
    seed: str,
) -> Rated:
    """Win-rate by people and agreement.

    Args:
        said: by rater.
        judges: what the judges say of each pair, as far as they do.
        of: pairs on the form.
        confidence: of the interval, two-sided.
        seed: SHA-256 that the resamples follow from.

    Raises:
        InputError: nobody judged anything.
    """
    places = sorted({place for choices in said.values() for place in choices})
    if not places:
        raise InputError("no pair was judged on these forms")
    scores = [_mean([SCORE[c[place]] for c in said.values() if place in c]) for place in places]
    means = cluster_means(scores, [f"{place.exam}/{place.cluster}" for place in places])
    rate = difference(means, confidence=confidence, seed=seed_of([seed], "people")).estimate
    majority: dict[Place, Winner] = {
        place: "A" if score > 0.5 else "B" if score < 0.5 else "0"
        for place, score in zip(places, scores, strict=True)
    }
    between = [_agreed(a, said[a], b, said[b]) for a, b in combinations(said, 2)]
    return Rated(
        raters={rater: len(choices) for rater, choices in said.items()},
        pairs=len(places), of=of,
        wins=sum(score > 0.5 for score in scores), ties=sum(score == 0.5 for score in scores),
        losses=sum(score < 0.5 for score in scores),
        win_rate=rate,
        agreement=(*between, _agreed("people", majority, "judges", judges)),
    )  # fmt: skip


def _agreed(
    one: str, ours: Mapping[Place, Winner], other: str, theirs: Mapping[Place, Winner]
) -> Agreed:
    common = sorted(ours.keys() & theirs.keys())
    a, b = [ours[place] for place in common], [theirs[place] for place in common]
    same = sum(x == y for x, y in zip(a, b, strict=True))
    return Agreed(one, other, len(common), same, cohen_kappa(a, b), gwet_ac1(a, b))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

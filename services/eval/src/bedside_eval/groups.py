"""Groups of exams, as papers have them: which sets, how they are asked, and what is averaged.

DeFineMed averages four German exams and five general ones (tables 3 and 11), PARCOMED seven tasks
in each of {English, French} x {medicine, other} (table 2). `averaged` has the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedside_core.errors import ConfigError
from bedside_core.kinds.exam import read_exam
from bedside_core.kinds.measures import MEASURES, Measure, of_items
from bedside_core.messages import did_you_mean
from bedside_eval.config import EvalConfig, GroupSet

Groups = Mapping[str, Mapping[str, str]]
"""The measure of each set, by group and set."""


def check_groups(config: EvalConfig) -> None:
    """See that each group's sets are there, as they are to be asked.

    Raises:
        ConfigError: a set is not in eval.exams, its measure cannot be averaged or not be taken of
            it, or its items have another number of examples.
        InputError: an exam is unusable.
    """
    for group, sets in config.groups.items():
        for name, asked in sets.items():
            where = f"eval.groups.{group}.{name}"
            if name not in config.exams:
                known = did_you_mean(name, config.exams)
                raise ConfigError(f"{where}: not in eval.exams - {known}")
            _check_set(where, config, name, asked)


def _averaged(measure: Measure) -> bool:
    """Whether it has a number for each item, by the models alone."""
    return measure.form in ("binary", "mean") and measure.taken != "judge"


def _check_set(where: str, config: EvalConfig, name: str, asked: GroupSet) -> None:
    items = read_exam(config.exams[name])
    measure = MEASURES.get(asked.measure)
    if measure is not None and not _averaged(measure):
        averaged = [m for m in of_items() if _averaged(MEASURES[m])]
        raise ConfigError(
            f"{where}: {asked.measure} has no number for each item by the model alone, so it has "
            f"no average over sets - name {', '.join(averaged)}"
        )
    if measure is not None and items[0].type not in measure.of:
        raise ConfigError(
            f"{where}: {asked.measure} is of items of type {' or '.join(measure.of)}, and "
            f"{config.exams[name]} has items of type {items[0].type}"
        )
    others = sum(len(item.shots) != asked.shots for item in items)
    if others:
        raise ConfigError(
            f"{where}: shots is {asked.shots}, and {others} item(s) of {config.exams[name]} have "
            "another number of examples - import it with that --shots, or correct the group"
        )


def groups_of(config: EvalConfig) -> dict[str, dict[str, str]]:
    """The measures that are averaged."""
    return {
        group: {name: asked.measure for name, asked in sets.items()}
        for group, sets in config.groups.items()
    }


def planned_groups(setting: Mapping[str, Any]) -> Groups:
    """The groups of a plan; those that were not planned are no part of evidence."""
    return {
        group: {name: str(asked["measure"]) for name, asked in sets.items()}
        for group, sets in setting.get("groups", {}).items()
    }

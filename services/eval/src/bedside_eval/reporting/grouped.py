"""Subgroups as a section of the report, the worst first and named."""

from __future__ import annotations

from collections.abc import Sequence

from bedside_eval.records import Subgroup
from bedside_eval.reporting.numerals import number
from bedside_eval.reporting.parts import Section, Table
from bedside_eval.reporting.sentences import Speaker


def subgroups_section(groups: Sequence[Subgroup], say: Speaker) -> Section:
    """All groups of the evidence; small ones stand there without a claim."""
    words = say.words
    names = ("set", "group", "measure", "against", "items", "gain", "interval", "p_worse")
    rows = tuple(
        (
            words["exam"].format(name=group.exam), _name(group, say), say.measure(group.measure),
            words[f"role_{group.against}"], number(group.items, 0, say.language),
            f"{say.value(group.measure, group.gain.estimate, signed=True)} "
            f"{say.unit(group.measure)}",
            say.interval(group.measure, group.gain) or words["no_information"],
            "–" if group.p_worse is None else number(group.p_worse, 3, say.language),
        )
        for group in groups
    )  # fmt: skip
    telling = [group for group in groups if group.gain.informative]
    worst = (_worst(telling[0], say),) if telling else ()
    text = (words["subgroups_text"], *worst)
    table = Table(tuple(words[name] for name in names), rows)
    return Section("subgroups", words["subgroups"], text, table=table)


def _name(group: Subgroup, say: Speaker) -> str:
    return f"{say.words[f'by_{group.by}']}: {group.name}"


def _worst(group: Subgroup, say: Speaker) -> str:
    words = say.words
    return words["subgroups_worst"].format(
        group=_name(group, say), of=words["exam"].format(name=group.exam),
        value=say.value(group.measure, group.gain.estimate, signed=True),
        unit=say.unit(group.measure), range=say.interval(group.measure, group.gain),
    )  # fmt: skip

"""What may be wrong with items that people wrote, by code; no rule quotes an item.

Errors make a number wrong: a key that contradicts another, an example that is asked, an answer that
a position gives away. Warnings are for the author to look at.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from scipy import stats

from bedside_core.errors import InputError
from bedside_core.kinds.exam import ChoiceItem, ExamItem, InstructionItem, OpenItem
from bedside_core.matching import canonical
from bedside_eval.answering.instructions import check_known, followed

Severity = Literal["error", "warning"]
CHANCE = 0.001
"""A position or length that gives the answer away is named from this p-value on."""
FEWEST = 8
"""Items from which a position says anything."""
OPTIONAL = ("licence", "source", "reviewed_by", "specialty")

RULES: dict[str, tuple[Severity, str]] = {
    "invalid": ("error", "no item; `bedside check` names the fault of the first"),
    "id_again": ("error", "an id that another item has"),
    "types_mixed": ("error", "of another type than the file's first item"),
    "contradiction": ("error", "asks what another item asks, with another right answer"),
    "example_is_asked": ("error", "an example asks what an item asks, and gives its answer away"),
    "one_position": ("error", "all right options of the file stand in one position"),
    "check_unknown": ("error", "names a check that no program does, or with other arguments"),
    "check_disagrees": ("error", "its `passes` fails a check, or its `fails` passes all"),
    "equal": ("warning", "asks what another item asks"),
    "equal_question": ("warning", "has another item's question with other options"),
    "position": ("warning", "right options stand in some positions too often"),
    "longest": ("warning", "the right option is the longest too often"),
    "in_question": ("warning", "of all options, the question holds the right one alone"),
    "no_key_points": ("warning", "an open question without key points, that people could judge by"),
    "no_licence": ("warning", "names no licence"),
    "no_source": ("warning", "names no source"),
    "no_reviewed_by": ("warning", "names no role that checked it"),
    "no_specialty": ("warning", "names no specialty, so it is in no subgroup"),
}


class Line(NamedTuple):
    """One item and where it stands."""

    path: Path
    number: int
    item: ExamItem


class Found(NamedTuple):
    """One rule that lines break."""

    code: str
    places: tuple[tuple[Path, int], ...]

    @property
    def severity(self) -> Severity:
        return RULES[self.code][0]


def judge(lines: Sequence[Line], invalid: Sequence[tuple[Path, int]]) -> list[Found]:
    """Every rule that something breaks, errors first.

    Args:
        lines: the items of all files that are looked at together.
        invalid: lines that are no items.
    """
    broken: dict[str, list[tuple[Path, int]]] = defaultdict(list, {"invalid": list(invalid)})
    for code, line in (*_of_each(lines), *_of_files(lines), *_of_pairs(lines)):
        broken[code].append((line.path, line.number))
    return [Found(code, tuple(sorted(set(broken[code])))) for code in RULES if broken.get(code)]


def _of_each(lines: Sequence[Line]) -> Iterator[tuple[str, Line]]:
    for line in lines:
        item = line.item
        for name in OPTIONAL:
            if not getattr(item, name):
                yield f"no_{name}", line
        if isinstance(item, OpenItem) and not item.key_points:
            yield "no_key_points", line
        if isinstance(item, ChoiceItem) and _given_away(item):
            yield "in_question", line
        if isinstance(item, InstructionItem):
            yield from ((code, line) for code in _checks(item))


def _given_away(item: ChoiceItem) -> bool:
    asked = f" {canonical(item.question)} "
    held = [f" {canonical(option)} " in asked for option in item.options]
    return sum(held) == 1 and len(item.answers) == 1 and held[item.answers[0]]


def _checks(item: InstructionItem) -> Iterator[str]:
    try:
        check_known("", [item])
    except InputError:
        yield "check_unknown"
        return
    passes = not item.passes or all(followed(item, item.passes))
    fails = not item.fails or not all(followed(item, item.fails))
    if not passes or not fails:
        yield "check_disagrees"


def _of_files(lines: Sequence[Line]) -> Iterator[tuple[str, Line]]:
    """What only many items together show."""
    by_file: dict[Path, list[Line]] = defaultdict(list)
    for line in lines:
        by_file[line.path].append(line)
    for found in by_file.values():
        yield from (("types_mixed", one) for one in found if one.item.type != found[0].item.type)
        by_size: dict[int, list[tuple[Line, ChoiceItem]]] = defaultdict(list)
        for line in found:
            if isinstance(line.item, ChoiceItem) and len(line.item.answers) == 1:
                by_size[len(line.item.options)].append((line, line.item))
        for size, group in by_size.items():
            for code in _artefacts([item for _, item in group], size):
                yield from ((code, line) for line, _ in group)


def _artefacts(items: Sequence[ChoiceItem], size: int) -> Iterator[str]:
    """Of items with so many options each and one right: does a habit find the answers?"""
    places = Counter(item.answers[0] for item in items)
    if len(items) >= FEWEST:
        if len(places) == 1:
            yield "one_position"
        elif stats.chisquare([places[place] for place in range(size)]).pvalue < CHANCE:
            yield "position"
    longest = sum(_is_longest(item) for item in items)
    if stats.binomtest(longest, len(items), 1 / size, alternative="greater").pvalue < CHANCE:
        yield "longest"


def _is_longest(item: ChoiceItem) -> bool:
    lengths = [len(option) for option in item.options]
    right = lengths.pop(item.answers[0])
    return right > max(lengths)


def _of_pairs(lines: Sequence[Line]) -> Iterator[tuple[str, Line]]:
    """Across all files: an exam is examined beside the others."""
    ids: dict[str, Line] = {}
    asked: dict[str, Line] = {}
    questions: dict[str, Line] = {}
    for line in lines:
        item = line.item
        if ids.setdefault(item.id, line) is not line and ids[item.id].path == line.path:
            yield "id_again", line
        first = asked.setdefault(item.identity, line)
        question = "\n".join(map(canonical, (item.context, item.question)))
        if first is not line:
            yield ("contradiction" if item.contradicts(first.item) else "equal"), line
        elif questions.setdefault(question, line) is not line:
            yield "equal_question", line
    own = {canonical(line.item.question) for line in lines}
    for line in lines:
        if any(canonical(shot.question) in own for shot in line.item.shots):
            yield "example_is_asked", line

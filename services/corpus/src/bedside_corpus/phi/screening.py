"""`bedside corpus screen-exam FILE...`: the gate's recognisers on the items of an exam, by line.

An exam that people of the house wrote may quote a letter. Nothing is written and no word of an item
is said: lines, kinds and risks alone. What no recogniser finds it does not find either;
docs/corpus.md says how much that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from bedside_core.config import Config
from bedside_core.console import say, table
from bedside_core.errors import InputError
from bedside_core.kinds.exam import ExamItem, read_exam
from bedside_corpus.phi.config import PhiConfig
from bedside_corpus.phi.recognisers import recognisers, risk, scan

if TYPE_CHECKING:
    from bedside_core.registry.registry import Registry

FIXED = frozenset({"type", "language", "domain", "licence", "task"})
"""Fields with words of ours. An id, a cluster or a specialty that names a person would stand in
plans and evidence."""


class ScreenOptions(Config):
    """As in `corpus.phi`."""

    max_risk: float = Field(default=0.3, ge=0)
    """Largest sum of the scores of distinct findings in one item."""
    patterns: Path | None = None
    """The house's own recognisers."""
    model: Path | None = None
    """A directory with a token classification model."""


def screen_exam(registry: Registry, files: tuple[str, ...], options: ScreenOptions) -> None:
    """Look for what identifies a person in items of exams.

    Raises:
        InputError: a file, the patterns or the model cannot be read, a recogniser broke on an item,
            or an item is over the risk.
    """
    by = recognisers(PhiConfig(patterns=options.patterns, model=options.model))
    rows, over, looked = [], 0, 0
    for path in map(Path, files):
        for number, item in enumerate(read_exam(path), start=1):
            text = "\n\n".join(_texts(item))
            try:
                spans = scan(text, item.language.partition("-")[0], by)
            except Exception as error:  # noqa: BLE001 - its message may quote the item
                raise InputError(
                    f"{path}, item {number}: a recogniser broke on it ({type(error).__name__}) - "
                    "look at the item yourself, or mend the pattern"
                ) from None
            looked += 1
            found = risk(text, spans)
            if found > 0:
                kinds = sorted({span.entity_type for span in spans if span.score})
                too_high = found > options.max_risk
                over += too_high
                rows.append(
                    [f"{path.name}", f"{number}", "over" if too_high else "below", f"{found:.2f}",
                     " ".join(kinds)]
                )  # fmt: skip
    if rows:
        say(table([["file", "item", "risk", "sum", "what was found"], *rows]))
    say(f"{looked} item(s) looked at, {over} over {options.max_risk:g}")
    if over:
        raise InputError(
            f"{over} item(s) say too much about a person - change them, or raise --max-risk where "
            "what was found is none"
        )


def _texts(item: ExamItem) -> Iterator[str]:
    """Every text of an item, in whatever field."""
    for name, value in item.model_dump(exclude_defaults=True).items():
        if name not in FIXED:
            yield from _strings(value)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for one in value.values() for text in _strings(one))
    elif isinstance(value, list):
        yield from (text for one in value for text in _strings(one))

"""A multiple-choice exam: JSON Lines, an item per line; how it is written, read and looked up."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bedside_core.clusters import is_name
from bedside_core.config import canonical_json
from bedside_core.errors import InputError
from bedside_core.matching import canonical, digest
from bedside_core.messages import sentence

PROMPT = "Frage: {question}\nAntwort:"
"""Every option follows this after one space."""
LETTERS = "ABCD"
MIN_QUESTION_WORDS = 13
"""From here a question alone is looked up in a corpus: GPT-3's longest n-gram, at which chance hits
were rare. Shorter ones ("Which of these is a first-line drug?") stand in many places."""


class ExamItem(BaseModel):
    """One question; its text goes to the models and nowhere else."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, str_strip_whitespace=True)

    id: str = Field(min_length=1, max_length=100)
    question: str = Field(min_length=1)
    options: list[str] = Field(min_length=4, max_length=4)
    answer: int = Field(ge=0, le=3)
    topic: str = Field(min_length=1)
    cluster: str = Field(
        default_factory=lambda data: data.get("id", ""), min_length=1, max_length=100
    )
    """The source document or patient that it was written from; items of one cluster are not
    independent. Left out, an item is its own."""

    @field_validator("cluster")
    @classmethod
    def _a_name(cls, cluster: str) -> str:
        if not is_name(cluster):
            raise ValueError("must name a source - leave it out where an item stands alone")
        return cluster

    @model_validator(mode="after")
    def _distinct_options(self) -> ExamItem:
        if not all(self.options) or len(set(self.options)) < len(self.options):
            raise ValueError("options must be four different, non-empty texts")
        return self

    @property
    def prompt(self) -> str:
        """What a model reads before an option."""
        return PROMPT.format(question=self.question)

    @property
    def wordings(self) -> list[str]:
        """What makes another item or text a copy of it: with its options; the question alone."""
        found = ["\n".join((self.question, *self.options))]
        if len(canonical(self.question).split()) >= MIN_QUESTION_WORDS:
            found.append(self.question)
        return found

    @property
    def spellings(self) -> list[str]:
        """How the item may stand in a corpus: as it is worded, and with lettered options.

        Between two items the letters would count as words that both have.
        """
        lettered = (f"{letter}) {x}" for letter, x in zip(LETTERS, self.options, strict=True))
        return [*self.wordings, "\n".join((self.question, *lettered))]

    @property
    def option_set(self) -> tuple[str, list[str]] | None:
        """Question and options, which stand for the item in whatever order.

        None where the question alone does.
        """
        return None if self.question in self.wordings else (self.question, self.options)

    @property
    def identity(self) -> str:
        """SHA-256 (hex) of canonical question and options, whatever their order."""
        return digest("\n".join((canonical(self.question), *sorted(map(canonical, self.options)))))

    @property
    def content(self) -> bytes:
        """What is measured: prompt, options and key."""
        return canonical_json([self.prompt, self.options, self.answer])

    def of_cluster(self, cluster: str) -> Self:
        """The same item in another cluster."""
        return self.model_copy(update={"cluster": cluster})

    def contradicts(self, other: ExamItem) -> bool:
        """Whether both ask the same, with the same options, and one of the keys must be wrong."""
        if self.identity != other.identity:
            return False
        mine, others = (item.options[item.answer] for item in (self, other))
        # Options that differ in signs alone ("< 5", "> 5") have one canonical form.
        exactly = set(self.options) == set(other.options)
        return mine != others if exactly else canonical(mine) != canonical(others)


def read_exam(path: Path) -> list[ExamItem]:
    """Read an exam in the order of its lines; blank lines are skipped.

    Raises:
        InputError: unreadable, not UTF-8, no items, a line that is no valid item, or a question
            that comes again with another right answer; the message names file and line and never
            quotes the item.
    """
    items: list[ExamItem] = []
    seen: dict[str, int] = {}
    asked: dict[str, ExamItem] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        item = _parse(line, f"{path}, line {number}")
        if item.id in seen:
            raise InputError(
                f"{path}, line {number}: the id of line {seen[item.id]} again - every item needs "
                "an id of its own"
            )
        seen[item.id] = number
        earlier = asked.setdefault(item.identity, item)
        if item.contradicts(earlier):
            raise InputError(
                f"{path}, line {number}: the question of line {seen[earlier.id]} again, with "
                "another right answer - correct one of them"
            )
        items.append(item)
    if not items:
        raise InputError(f"{path}: no items - an exam has one JSON object per line")
    return items


def _lines(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 - convert it, for example with iconv") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _parse(line: str, where: str) -> ExamItem:
    try:
        return ExamItem.model_validate_json(line)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        # Only our own names: an unknown key may be anything that stood in the file.
        field = next((f"{x}: " for x in problem["loc"][:1] if x in ExamItem.model_fields), "")
        raise InputError(
            f"{where}: {field}{sentence(problem, ExamItem)} - an item has id, question, four "
            "options, answer (0 to 3), topic and, if several share a source, cluster"
        ) from None

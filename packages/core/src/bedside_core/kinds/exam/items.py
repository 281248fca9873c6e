"""The five types of exam items.

    choice         2 to 10 options, one or several right
    short          a word or number that is compared exactly
    open           a free answer, judged beside another model's; with a reference answer
    instructions   an answer whose form a program checks (IFEval, Zhou et al. 2023)
    document       a task on a letter or report: summarise, extract, plain language, codes

What an item holds goes to the models and nowhere else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bedside_core.clusters import is_name
from bedside_core.config import canonical_json
from bedside_core.kinds.exam.wording import LETTERS, MAX_OPTIONS, PLACE, lettered, wording
from bedside_core.matching import canonical, digest

MIN_QUESTION_WORDS = 13
"""From here a question alone is looked up in a corpus: GPT-3's longest n-gram, at which chance hits
were rare. Shorter ones ("Which of these is a first-line drug?") stand in many places."""

Text = Annotated[str, Field(min_length=1)]
Options = Annotated[list[str], Field(min_length=2, max_length=MAX_OPTIONS)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, str_strip_whitespace=True)


class Shot(_Part):
    """A question with its answer that stands before an item's own, as an example."""

    question: Text
    options: list[str] = Field(default=[], max_length=MAX_OPTIONS)
    answer: Text
    """As it is to be given; of a question with options the text of the right one."""

    @model_validator(mode="after")
    def _answer_is_an_option(self) -> Shot:
        if self.options and self.answer not in self.options:
            raise ValueError("shots: the answer must be one of the options, word for word")
        return self


class Item(_Part, ABC):
    """What all types have."""

    type: str
    id: str = Field(min_length=1, max_length=100)
    language: str = Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
    """BCP 47 of question and answer; it says how the question is put."""
    domain: Literal["medical", "general"] = "medical"
    specialty: str = Field(default="", max_length=100)
    cluster: str = Field(
        default_factory=lambda data: data.get("id", ""), min_length=1, max_length=100
    )
    """The source document, case or patient that it was written from; items of one cluster are not
    independent. Left out, an item is its own."""
    source: str = Field(default="", max_length=200)
    licence: str = Field(default="", max_length=100)
    """SPDX identifier."""
    reviewed_by: str = Field(default="", max_length=100)
    """The role of who checked it: a role, no name."""
    context: str = ""
    """What the question is about: a letter, a report, an abstract."""
    question: Text
    template: str = ""
    """In place of the language's; has `{question}` once."""
    shots: list[Shot] = []

    @field_validator("cluster")
    @classmethod
    def _a_name(cls, cluster: str) -> str:
        if not is_name(cluster):
            raise ValueError("must name a source - leave it out where an item stands alone")
        return cluster

    @field_validator("template")
    @classmethod
    def _one_place(cls, template: str) -> str:
        if template and template.count(PLACE) != 1:
            raise ValueError("must have {question} once")
        return template

    @model_validator(mode="after")
    def _no_shot_is_the_item(self) -> Self:
        if canonical(self.question) in {canonical(shot.question) for shot in self.shots}:
            raise ValueError("shots: one is the question itself, which would give away the answer")
        return self

    @property
    def prompt(self) -> str:
        """What a model reads before an option: examples, context and question."""
        template = self.template or wording(self.language).template
        parts = [f"{template.replace(PLACE, shot.question)} {shot.answer}" for shot in self.shots]
        return "\n\n".join(
            filter(None, (*parts, self.context, template.replace(PLACE, self.question)))
        )

    @property
    def asked(self) -> str:
        """What a person would write to a model: context, question and what to answer with."""
        return "\n\n".join(part for part in (self.context, self.question) if part)

    @property
    @abstractmethod
    def belongs(self) -> list[str]:
        """What makes a copy of a short question a copy of the item: options or answers."""

    @property
    @abstractmethod
    def key(self) -> frozenset[str] | None:
        """What two items that ask the same must agree on; None where they need not."""

    @property
    def wordings(self) -> list[str]:
        """What makes another item or text a copy of it.

        With what belongs to it; the question alone; the context alone.
        """
        found = ["\n".join((self.question, *self.belongs))]
        if self.belongs and len(canonical(self.question).split()) >= MIN_QUESTION_WORDS:
            found.append(self.question)
        return [*found, self.context] if self.context else found

    @property
    def spellings(self) -> list[str]:
        """How the item may stand in a corpus."""
        return self.wordings

    @property
    def option_set(self) -> tuple[str, list[str]] | None:
        """Question and options, which stand for the item in whatever order; None where none do."""
        return None

    @property
    def identity(self) -> str:
        """SHA-256 (hex) of what is asked in canonical form; the order of options is free."""
        about = [canonical(self.context)] if self.context else []
        return digest("\n".join((*about, canonical(self.question), *self._ordered)))

    @property
    def _ordered(self) -> list[str]:
        return []

    @property
    def content(self) -> bytes:
        """What is measured: everything but names and origin."""
        unmeasured = {"id", "cluster", "specialty", "source", "licence", "reviewed_by", "domain"}
        return canonical_json(self.model_dump(mode="json", exclude=unmeasured))

    def of_cluster(self, cluster: str) -> Self:
        """The same item in another cluster."""
        return self.model_copy(update={"cluster": cluster})

    def contradicts(self, other: ExamItem) -> bool:
        """Whether both ask the same and one of the keys must be wrong."""
        if self.identity != other.identity or self.key is None or other.key is None:
            return False
        mine, others = self.key, other.key
        # Options that differ in signs alone ("< 5", "> 5") have one canonical form.
        exactly = set(self.belongs) == set(other.belongs)
        return (
            mine != others if exactly else set(map(canonical, mine)) != set(map(canonical, others))
        )


class ChoiceItem(Item):
    """A question with options."""

    type: Literal["choice"] = "choice"
    options: Options
    answer: int | Annotated[list[int], Field(min_length=1)]
    """Index of the right option, or of all right ones."""
    abstain: int | None = None
    """Index of the option that says: this cannot be answered from what is given."""

    @model_validator(mode="after")
    def _consistent(self) -> ChoiceItem:
        if not all(self.options) or len(set(self.options)) < len(self.options):
            raise ValueError("options must be 2 to 10 different, non-empty texts")
        places = range(len(self.options))
        if len(set(self.answers)) < len(self.answers) or not set(self.answers) <= set(places):
            raise ValueError("answer must be the index of an option, from 0, or different ones")
        if self.abstain is not None and self.abstain not in places:
            raise ValueError("abstain must be the index of an option, from 0")
        return self

    @property
    def answers(self) -> tuple[int, ...]:
        """Indices of the right options, in ascending order."""
        return tuple(sorted([self.answer] if isinstance(self.answer, int) else self.answer))

    @property
    def several(self) -> bool:
        """Whether all right options are asked for."""
        return not isinstance(self.answer, int)

    @property
    def asked(self) -> str:
        """Examples, context, question, lettered options, and what to answer with."""
        words = wording(self.language)
        shots = [
            f"{shot.question}\n{lettered(shot.options)}\n"
            f"{words.cue} {LETTERS[shot.options.index(shot.answer)]}"
            for shot in self.shots
            if shot.options
        ]
        own = f"{self.question}\n{lettered(self.options)}"
        last = words.several if self.several else words.one
        return "\n\n".join(part for part in (*shots, self.context, own, last) if part)

    @property
    def belongs(self) -> list[str]:
        return self.options

    @property
    def key(self) -> frozenset[str]:
        return frozenset(self.options[number] for number in self.answers)

    @property
    def spellings(self) -> list[str]:
        """As it is worded, and with lettered options.

        Between two items the letters would count as words that both have.
        """
        return [*self.wordings, f"{self.question}\n{lettered(self.options)}"]

    @property
    def option_set(self) -> tuple[str, list[str]] | None:
        """None where the question alone stands for the item."""
        return None if self.question in self.wordings else (self.question, self.options)

    @property
    def _ordered(self) -> list[str]:
        return sorted(map(canonical, self.options))

    @property
    def content(self) -> bytes:
        """Prompt, options and key; how options are lettered follows from them."""
        return canonical_json([self.prompt, self.options, self.answer])


class ShortItem(Item):
    """A question with an answer of a word or a number."""

    type: Literal["short"]
    answers: Annotated[list[Text], Field(min_length=1)]
    """Spellings of the right answer."""

    @property
    def asked(self) -> str:
        """Examples with their answers, context and question."""
        cue = wording(self.language).cue
        shots = [f"{shot.question}\n{cue} {shot.answer}" for shot in self.shots]
        return "\n\n".join(part for part in (*shots, self.context, self.question) if part)

    @property
    def belongs(self) -> list[str]:
        return self.answers

    @property
    def key(self) -> frozenset[str]:
        return frozenset(self.answers)


class OpenItem(Item):
    """A question that is answered in sentences."""

    type: Literal["open"]
    reference: Text
    """A good answer."""
    key_points: list[str] = []
    """What a good answer says."""
    must_not: list[str] = []
    """Mistakes that endanger a patient."""

    @property
    def belongs(self) -> list[str]:
        return [self.reference]

    @property
    def key(self) -> None:
        return None


class InstructionItem(Item):
    """A task whose answer has a form that a program checks."""

    type: Literal["instructions"]
    instruction_id_list: Annotated[list[Text], Field(min_length=1)]
    """IFEval's names of the checks."""
    kwargs: list[dict[str, Any]]
    """Arguments of each check."""
    passes: str = ""
    """An answer that follows all of them."""
    fails: str = ""
    """One that does not."""

    @model_validator(mode="after")
    def _arguments_of_each(self) -> InstructionItem:
        if len(self.kwargs) != len(self.instruction_id_list):
            raise ValueError("kwargs must have one mapping for each of instruction_id_list")
        return self

    @property
    def belongs(self) -> list[str]:
        return []

    @property
    def key(self) -> None:
        return None


class DocumentItem(Item):
    """A task on a document, which is the context."""

    type: Literal["document"]
    context: Text
    task: Literal["summarise", "extract", "plain_language", "codes"]
    reference: Text
    """A good answer; of `extract` the expected JSON object."""
    facts: dict[str, Any] | list[str] = []
    """What must be in an answer; of `extract` the values by key, of `codes` the codes."""

    @property
    def asked(self) -> str:
        """Examples with their answers, the task, and then the document."""
        cue = wording(self.language).cue
        shots = [f"{shot.question}\n{cue} {shot.answer}" for shot in self.shots]
        return "\n\n".join((*shots, self.question, self.context))

    @property
    def belongs(self) -> list[str]:
        return [self.reference]

    @property
    def key(self) -> None:
        return None


ExamItem = ChoiceItem | ShortItem | OpenItem | InstructionItem | DocumentItem
TYPES: dict[str, type[ExamItem]] = {
    "choice": ChoiceItem, "short": ShortItem, "open": OpenItem, "instructions": InstructionItem,
    "document": DocumentItem,
}  # fmt: skip

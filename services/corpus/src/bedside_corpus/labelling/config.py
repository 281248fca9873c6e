"""The section `corpus.annotate`.

Tested in tests/corpus/labelling/test_annotate.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from bedside_core.config import Config
from bedside_core.endpoint.config import EndpointConfig

Answer = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,20}$")]


class Published(Config):
    """Labels that others published for these documents, joined by the documents' own ids."""

    path: Path
    """A Parquet file, or a folder of them."""
    id: str = "id"
    """Column with the id that a source calls the document by."""
    column: str
    """Column with the score: a number, or words that `words` knows."""
    words: dict[str, float] = Field(default_factory=dict)
    """The score that a word of the column stands for; any other word is 0, and of a list of words
    the highest counts (propella-1 has words)."""
    yes_from: float
    """Smallest score that means yes."""


class Question(Config):
    """What a model is asked about each document."""

    prompt: Path | None = None
    """UTF-8 text with `<DOCUMENT>` where the document goes; default: the prompt of DeFineMed's
    appendix A.1, which asks for content that is medical, scientific and no news."""
    answers: Annotated[tuple[Answer, ...], Field(min_length=2, max_length=20)] = ("yes", "no")
    """All answers, each a single token of the model, for example 0 to 5."""
    yes: Annotated[tuple[Answer, ...], Field(min_length=1)] = ("yes",)
    """Those of them that mean yes."""
    constraint: Literal["structured_outputs", "guided_choice", "none"] = "structured_outputs"
    """How the server is told that nothing else may be answered: vLLM's name for it, that of vLLM
    before 0.12, or not at all. The probabilities are read before any of it applies."""
    max_characters: Annotated[int, Field(ge=200)] = 20_000
    """Of a longer document the beginning is asked about, up to the last blank before this many; of
    one that the server refuses (HTTP 400) half of that, and so on, five times at most."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        folded = [answer.casefold() for answer in self.answers]
        if len(set(folded)) < len(folded):
            raise ValueError("answers are equal but for their case - make them different words")
        meant = {answer.casefold() for answer in self.yes}
        if not meant < set(folded):
            raise ValueError("yes must be some of the answers, and not all of them - mend yes")
        return self


class Review(Config):
    """What people look at, to say how often the labels are right."""

    documents: Annotated[int, Field(ge=0)] = 200
    """Drawn at random, half of them from each class, into a file that `bedside corpus review`
    goes through; 0 writes none."""
    text: bool = False
    """Write the texts into the file, too, for an editor or a spreadsheet."""
    filled: tuple[Path, ...] = ()
    """Copies of that file, each filled in by another person: their agreement becomes a fact."""


class AnnotateConfig(Config):
    """A labelled set, from the same sources and blocks as the corpus, without its filters."""

    documents: Annotated[int, Field(ge=2)] = 10_000
    """How many are drawn, all alike, of those that the blocks let through; equal texts are one."""
    seed: int = 0
    """Another one draws others."""
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Of each class, about; near copies and documents of one patient stay together."""
    endpoint: EndpointConfig | None = None
    """The server whose model labels the documents; they leave this process only here, behind the
    PHI gate."""
    question: Question = Question()
    """What it is asked."""
    labelled: Path | None = None
    """In its place a file of labels that people gave: CSV or JSON Lines with `label` (yes or no)
    and `id` or `sha256` (of the cleaned text). Every document that it names is taken."""
    published: Published | None = None
    """In its place labels that others published."""
    review: Review = Review()
    """How people check them."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [n for n in ("endpoint", "labelled", "published") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError(
                f"labels come from {' and '.join(given) or 'nowhere'} - set one of endpoint, "
                "labelled and published"
            )
        return self

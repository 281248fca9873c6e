"""The sections `corpus.train_classifier`, `classifiers`, `select` and `sample`.

Tested in tests/corpus/classifier/test_verb.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from bedside_core.config import Config
from bedside_corpus.labelling.config import Published

RunName = Annotated[str, StringConstraints(pattern=r"^[\w-]{1,60}$")]


class EncoderTraining(Config):
    """Fine-tuning of an encoder; needs torch and transformers."""

    path: Path
    """A directory with an encoder of transformers, for example XLM-RoBERTa-base."""
    epochs: int = Field(default=2, ge=1)
    """As the paper has them."""
    batch_size: int = Field(default=32, ge=1)
    """Windows of a step."""
    learning_rate: float = Field(default=2e-5, gt=0)
    """At the end of the warm-up; it falls to nothing from there."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Of matrices."""
    beta: float = Field(default=0.5, gt=0)
    """Of the F-beta by which weights are chosen; below 1 precision counts more."""
    looks: int = Field(default=4, ge=1)
    """Times in an epoch that it is measured on the validation part."""
    patience: int = Field(default=4, ge=1)
    """Looks without a rise after which training ends."""
    first_stage: float | None = Field(default=None, gt=0, lt=1)
    """Puts the n-gram model in front, which lets this share of the medical documents through, 0.99
    for example: most of a crawl then never reaches the encoder."""

    def inputs(self) -> dict[str, Path]:
        """The files of the encoder, by a name for the recipe."""
        return {f"encoder/{p.name}": p for p in sorted(self.path.glob("*")) if p.is_file()}


class TrainClassifier(Config):
    """A classifier from labelled documents, with a certificate of its threshold."""

    labels: Path | None = None
    """A folder with train.parquet and test.parquet: `id`, `text`, and `label` (yes or no) or
    `classes` (a list of names); `cluster` and `probability` may be there. Default: the run's labels
    (`bedside corpus annotate`)."""
    target_precision: float = Field(default=0.9, gt=0, lt=1)
    """What the threshold shall reach at the prevalence; the certificate says whether it does."""
    prevalence: float | None = Field(default=None, gt=0, lt=1)
    """Share of medical documents where the classifier will work; German FineWeb2 has about 0.02.
    Default: that of the test set, which must then be a random draw from there."""
    validation: float = Field(default=0.2, gt=0, lt=1)
    """Share of the training clusters on which the threshold is chosen, and nothing is fitted."""
    encoder: EncoderTraining | None = None
    """An encoder in place of the n-gram model."""
    seed: int = Field(default=0, ge=0)
    """Of that division and of the training."""
    false_positives: Path | None = None
    """A file for the beginnings of the texts that are false positives, readable by its owner alone;
    without it they are named by id and score only."""


class Joined(Published):
    """Scores that others published, by which a classifier need not look at most documents."""

    no_below: float
    """Documents with a lower score are as one below the threshold, and those from `yes_from` on as
    one above; the classifier scores what lies between, and what has no score."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.no_below > self.yes_from:
            raise ValueError(
                f"no_below {self.no_below} is above yes_from {self.yes_from} - exchange them"
            )
        return self


class Classifier(Config):
    """A trained classifier at work in the build; its score is a column."""

    run: RunName | None = None
    """The run that trained it; default: this one."""
    threshold: Literal["certificate"] | Annotated[float, Field(ge=0, le=1)] | None
    """Lowest score of a document that is kept; `certificate` takes the certified threshold, `null`
    keeps every document with its score, for `select`. A classifier of several classes has none."""
    published: Joined | None = None
    """Scores of others for these documents, which go before the classifier's, into a column
    `..._published`. A classifier of several classes has none."""


class Range(Config):
    """Numbers of a column that are kept, the limits themselves among them."""

    min: float | None = None
    """Lowest."""
    max: float | None = None
    """Highest."""
    missing: bool = False
    """Whether documents without a score are kept, too."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("min and max are missing - set one of them or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max} - exchange them")
        return self


Select = Range | Annotated[tuple[str, ...], Field(min_length=1)]
"""Of a column with numbers a range, of one with names those that are kept."""


class Sample(Config):
    """A random subset, the same for the same corpus, seed and number of words."""

    words: int | None = Field(default=None, ge=1)
    """So many, but for half a document."""
    like: RunName | None = None
    """As many as the corpus of this run has."""
    seed: int = Field(default=0, ge=0)
    """Which subset."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.words is None) == (self.like is None):
            raise ValueError("a sample has words or like - set one of them")
        return self

"""The files of a classifier artifact, and the model in them.

    classifier.json            what it is, its classes and thresholds
    weights.npz                of the n-gram model, alone or as the first stage
    encoder/                   the encoder and its tokenizer
    certificate.json, .png     what its threshold is worth (of yes and no)
    report.json                its F1 for each class (of several classes)

Tested in tests/corpus/classifier/test_verb.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.errors import ArtifactError
from bedside_corpus.classifier.ngram import NgramModel

DESCRIPTION, CERTIFICATE, PLOT, REPORT = (
    "classifier.json", "certificate.json", "certificate.png", "report.json"
)  # fmt: skip
FORMAT = 1
"""Of these files and of the features; with another one a classifier is trained again."""


class Description(BaseModel):
    """`classifier.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    kind: Literal["ngram", "encoder"]
    classes: tuple[str, ...]
    """`yes` alone, or the names of several classes."""
    thresholds: tuple[float, ...]
    """Of each class."""
    first_stage: float | None = None
    """Threshold of the n-gram model in front of an encoder."""
    certified: bool | None
    """Whether the certificate reaches its target; nothing where there are several classes."""


class Scorer(Protocol):
    """A model with its weights loaded."""

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Scores of each class, 0 to 1, of shape (texts, classes)."""


def describe(folder: Path) -> Description:
    """What a classifier artifact is.

    Raises:
        ArtifactError: it is not of this version.
    """
    try:
        return Description.model_validate_json((folder / DESCRIPTION).read_bytes())
    except (OSError, ValidationError):
        raise ArtifactError(
            f"classifier {folder.name[:12]} has no {DESCRIPTION} of this version - train it again"
        ) from None


def load(folder: Path, rank: int = 0) -> Scorer:
    """The model; `rank` says on which of several GPUs.

    Raises:
        InputError: it is an encoder, and torch and transformers are missing.
        ArtifactError: its files are not of this version.
    """
    described = describe(folder)
    if described.kind == "ngram":
        return NgramModel.load(folder)
    from bedside_corpus.classifier.cascade import Cascade
    from bedside_corpus.classifier.encoder import Encoder

    encoder = Encoder.load(folder, rank)
    if described.first_stage is None:
        return encoder
    return Cascade(NgramModel.load(folder), encoder, described.first_stage)

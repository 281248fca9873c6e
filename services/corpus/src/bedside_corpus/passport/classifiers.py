"""What the passport says of a classifier: what its threshold is worth; no text and no id.

Tested in tests/corpus/classifier/test_passport.py.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError
from bedside_corpus.classifier.applying import Applied
from bedside_corpus.classifier.certificate import Certificate
from bedside_corpus.classifier.report import Report
from bedside_corpus.classifier.stored import CERTIFICATE, REPORT

DIGITS = 4
"""Of the curve, which is a picture."""
T = TypeVar("T", bound=BaseModel)


def described(made: Artifact, applied: Applied) -> dict[str, Any]:
    """An entry of `classifiers`.

    Args:
        made: the classifier, whose files were verified.
        applied: how the corpus used it.

    Raises:
        ArtifactError: its certificate or report is not of this version.
    """
    said: dict[str, Any] = {
        **applied.facts(made.digest),
        "kind": applied.kind,
        "certificate": None,
        "classes": None,
    }
    if len(applied.classes) == 1:
        return said | {"certificate": _certificate(_read(made, CERTIFICATE, Certificate))}
    return said | {"classes": _read(made, REPORT, Report).model_dump(mode="json")}


def _certificate(certificate: Certificate) -> dict[str, Any]:
    # False positives are named by ids, which may say of whom they are.
    apart = {"schema_version", "false_positives", "curve"}
    curve = certificate.curve
    columns: dict[str, list[float | None]] = {
        "threshold": [point.threshold for point in curve],
        "precision": [point.precision for point in curve],
        "precision_low": [point.precision_low for point in curve],
        "recall": [point.recall.value for point in curve],
        "recall_low": [point.recall.low for point in curve],
        "recall_high": [point.recall.high for point in curve],
    }
    return certificate.model_dump(mode="json", exclude=apart) | {
        "curve": {
            name: [None if value is None else round(value, DIGITS) for value in values]
            for name, values in columns.items()
        }
    }


def _read(made: Artifact, name: str, kind: type[T]) -> T:
    try:
        return kind.model_validate_json((made.path / name).read_bytes())
    except (OSError, ValidationError):
        raise ArtifactError(
            f"classifier {made.digest[:12]} has no {name} of this version - train it again"
        ) from None

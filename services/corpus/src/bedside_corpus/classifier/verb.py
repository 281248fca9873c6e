"""`bedside corpus train-classifier`: labels to a model and what its threshold is worth."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bedside_core.console import say, table
from bedside_core.errors import ConfigError, InputError
from bedside_core.files import write_atomic
from bedside_core.log import fields
from bedside_core.run import Run
from bedside_corpus.classifier.config import TrainClassifier
from bedside_corpus.config import CorpusConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bedside_core.artifacts import Artifact
    from bedside_corpus.classifier.certificate import FalsePositive, FirstStage
    from bedside_corpus.classifier.labelled import Labelled
    from bedside_corpus.classifier.stored import Scorer

    Scores = NDArray[np.float32]

log = logging.getLogger(__name__)

SHOWN = 10
"""False positives on the terminal; the certificate has more."""
EXCERPT = 300
"""Characters of a false positive's text, where a file for them is named."""


def train_classifier(config: CorpusConfig, run: Run) -> None:
    """Fit on the training set, choose the threshold on a part of it, certify it on the test set.

    Raises:
        ConfigError: the section `corpus.train_classifier` is missing.
        InputError: the labels are missing, damaged or one-sided, or the encoder cannot be read.
        PolicyError: the labels were withdrawn.
        ArtifactError: the classifier cannot be written.
    """
    settings = config.train_classifier
    if settings is None:
        raise ConfigError(
            "corpus.train_classifier is missing - add the section; `{}` takes every default"
        )
    from bedside_corpus.classifier.labelled import PARTS, read_labelled
    from bedside_corpus.classifier.stored import CERTIFICATE, FORMAT

    labels = None if settings.labels else run.input("labels")
    folder = labels.path if labels is not None else settings.labels or Path()
    train, test = read_labelled(folder)
    inputs = {} if labels is not None else {f"labels/{name}": folder / name for name in PARTS}
    libraries: tuple[str, ...] = ("numpy", "scikit-learn", "scipy")
    device = None
    if settings.encoder is not None:
        if len(train.classes) > 1 and settings.encoder.first_stage is not None:
            raise ConfigError(
                "corpus.train_classifier.encoder.first_stage is for labels of yes and no - leave "
                "it out"
            )
        from bedside_corpus.classifier.encoder import device_kind

        inputs |= settings.encoder.inputs()
        libraries, device = (*libraries, "torch", "transformers"), device_kind()
    recipe = run.recipe(
        # Who looks at the false positives changes nothing of the classifier.
        settings.model_copy(update={"false_positives": None}),
        parents={} if labels is None else {"labels": labels},
        inputs=inputs,
        formats={"classifier": FORMAT},
        libraries=libraries,
        device=device,
    )
    artifact = run.reuse("classifier", recipe)
    if artifact is None:
        with run.write("classifier", recipe) as writer:
            writer.facts.update(_make(settings, train, test, writer.path))
        artifact = writer.result
    if (artifact.path / CERTIFICATE).exists():
        _show(artifact, test, settings.false_positives)
    log.info("classifier trained", extra=fields(train=len(train.ids), test=len(test.ids)))


def _make(
    settings: TrainClassifier, train: Labelled, test: Labelled, folder: Path
) -> dict[str, Any]:
    """Write the files of the artifact; returns its facts."""
    from bedside_corpus.classifier.stored import DESCRIPTION, Description

    fitted, validation = _divided(train, settings)
    trained = _train(settings, fitted, validation, folder)
    scores = trained.scorer.score(validation.texts), trained.scorer.score(test.texts)
    if len(train.classes) > 1:
        thresholds, facts = _report(scores, validation, test, folder)
    else:
        thresholds, facts = _certify(settings, scores, validation, test, trained, folder)
    described = Description(
        kind="ngram" if settings.encoder is None else "encoder",
        classes=train.classes,
        thresholds=thresholds,
        first_stage=trained.first_stage,
        certified=facts.get("certified"),
    )
    (folder / DESCRIPTION).write_text(described.model_dump_json(indent=2) + "\n", "ascii")
    return {"classifier": described.kind, "classes": list(train.classes), **facts, **trained.facts,
            "trained_on": len(fitted.ids), "validated_on": len(validation.ids)}  # fmt: skip


class _Trained(NamedTuple):
    """What scores, and the threshold of its first stage where it has one."""

    scorer: Scorer
    first_stage: float | None
    facts: dict[str, Any]


def _train(
    settings: TrainClassifier, fitted: Labelled, validation: Labelled, folder: Path
) -> _Trained:
    from bedside_corpus.classifier.ngram import NgramModel

    if settings.encoder is None:
        model = NgramModel.fit(fitted.texts, fitted.truth, settings.seed)
        model.save(folder)
        return _Trained(model, None, {})
    from bedside_corpus.classifier.cascade import Cascade, first_threshold
    from bedside_corpus.classifier.finetune import fine_tune

    encoder, value = fine_tune(settings.encoder, fitted, validation, settings.seed)
    encoder.save(folder)
    facts = {"f_beta": {"beta": settings.encoder.beta, "validation": value}}
    if settings.encoder.first_stage is None:
        return _Trained(encoder, None, facts)
    model = NgramModel.fit(fitted.texts, fitted.truth, settings.seed)
    model.save(folder)
    yes = model.score(validation.texts)[validation.labels[:, 0], 0]
    threshold = first_threshold(yes, settings.encoder.first_stage)
    return _Trained(Cascade(model, encoder, threshold), threshold, facts)


def _divided(train: Labelled, settings: TrainClassifier) -> tuple[Labelled, Labelled]:
    fitted, validation = train.divided(settings.validation, settings.seed)
    for part in (fitted, validation):
        yes = part.labels.sum(axis=0)
        if not len(part.ids) or (yes == 0).any() or (yes == len(part.ids)).any():
            raise InputError(
                f"labels: with {len(train.ids)} documents to train on, a part has none of some "
                "class - label more of them, or set corpus.train_classifier.validation otherwise"
            )
    return fitted, validation


def _certify(
    settings: TrainClassifier,
    scores: tuple[Scores, Scores],
    validation: Labelled,
    test: Labelled,
    trained: _Trained,
    folder: Path,
) -> tuple[tuple[float, ...], dict[str, Any]]:
    from bedside_corpus.classifier.certificate import as_drawn, certify, curve, scored
    from bedside_corpus.classifier.plot import draw
    from bedside_corpus.classifier.stored import CERTIFICATE, PLOT

    on, of = (
        scored(score[:, 0], part.labels[:, 0], part.clusters)
        for score, part in zip(scores, (validation, test), strict=True)
    )
    certificate = certify(on, of, target=settings.target_precision, prevalence=settings.prevalence)
    score, labels = scores[1][:, 0], test.labels[:, 0]
    kept = score >= np.float32(certificate.threshold)
    certificate = certificate.model_copy(
        update={
            "curve": curve(of, settings.prevalence),
            "as_drawn": as_drawn(kept, labels, test.clusters),
            "false_positives": _false_positives(test, score, kept & ~labels),
            "first_stage": _first_stage(trained, test, certificate.threshold),
        }
    )
    (folder / CERTIFICATE).write_text(certificate.model_dump_json(indent=2) + "\n", "ascii")
    draw(certificate, folder / PLOT)
    facts = certificate.model_dump(
        mode="json",
        include={"certified", "threshold", "target_precision", "precision_low", "prevalence"},
    )
    return (certificate.threshold,), facts


def _first_stage(trained: _Trained, test: Labelled, threshold: float) -> FirstStage | None:
    from bedside_corpus.classifier.cascade import Cascade, measure

    cascade = trained.scorer
    if not isinstance(cascade, Cascade):
        return None
    first, alone = (one.score(test.texts)[:, 0] for one in (cascade.first, cascade.encoder))
    return measure(first, alone, test.labels[:, 0], (cascade.threshold, threshold))


def _false_positives(
    test: Labelled, score: Scores, wrong: NDArray[np.bool_]
) -> tuple[FalsePositive, ...]:
    from bedside_corpus.classifier.certificate import LISTED, FalsePositive

    rows = sorted(np.flatnonzero(wrong).tolist(), key=lambda row: (-score[row], test.ids[row]))
    return tuple(FalsePositive(id=test.ids[r], score=float(score[r])) for r in rows[:LISTED])


def _report(
    scores: tuple[Scores, Scores], validation: Labelled, test: Labelled, folder: Path
) -> tuple[tuple[float, ...], dict[str, Any]]:
    from bedside_corpus.classifier.report import report, thresholds
    from bedside_corpus.classifier.stored import REPORT

    at = thresholds(scores[0], validation.labels)
    found = report(scores[1], test.labels, test.clusters, at, test.classes)
    (folder / REPORT).write_text(found.model_dump_json(indent=2) + "\n", "ascii")
    say(
        f"macro-F1 of {len(test.classes)} classes on {found.documents:,} documents: "
        f"{found.macro_f1.value:.1%} ({found.macro_f1.low:.1%} to {found.macro_f1.high:.1%})"
    )
    return at, {"macro_f1": found.macro_f1.model_dump()}


def _show(artifact: Artifact, test: Labelled, path: Path | None) -> None:
    """Say what the certificate says; texts go to the file alone, whose owner may see them."""
    from bedside_corpus.classifier.certificate import Certificate
    from bedside_corpus.classifier.stored import CERTIFICATE

    certificate = Certificate.model_validate_json((artifact.path / CERTIFICATE).read_bytes())
    say(certificate.said())
    if (first := certificate.first_stage) is not None:
        say(
            f"first stage: {first.passed_no.value:.1%} of other documents reach the encoder; of "
            f"medical ones {first.lost.value:.1%} are lost ({first.lost.low:.1%} to "
            f"{first.lost.high:.1%})"
        )
    wrong = certificate.false_positives
    if not wrong:
        return
    rows = [["false positive", "score"]]
    rows += [[one.id, f"{one.score:.3f}"] for one in wrong[:SHOWN]]
    say(table(rows))
    if path is not None:
        texts = dict(zip(test.ids, test.texts, strict=True))
        lines = [
            json.dumps({"id": one.id, "score": one.score, "text": texts[one.id][:EXCERPT]})
            for one in wrong
        ]
        write_atomic(path, "".join(f"{line}\n" for line in lines).encode("ascii"), mode=0o600)
        say(f"the texts of {len(lines):,} false positives: {path}")

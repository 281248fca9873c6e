"""People compare what judges compared: from evidence to forms, from filled forms to numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import NamedTuple

from bedside_core.artifacts import Artifact
from bedside_core.console import say, table
from bedside_core.errors import InputError
from bedside_core.files import write_atomic
from bedside_core.kinds.evidence import read_evidence
from bedside_core.kinds.exam import ExamItem
from bedside_core.run import Run
from bedside_eval.config import EvalConfig
from bedside_eval.evidence import Evidence, load_evidence
from bedside_eval.judging.blind import PURPOSE, Blinding, Shown, form
from bedside_eval.judging.kept import kept
from bedside_eval.judging.options import Against, FormOptions, ReadOptions
from bedside_eval.judging.pairs import is_judged, scores
from bedside_eval.judging.raters import (
    Agreed,
    Place,
    Rated,
    Winner,
    rate,
    read_filled,
    unblinded,
)
from bedside_eval.plan import read_papers
from bedside_eval.planned import plan_of
from bedside_eval.reporting.numerals import Language


class _Examined(NamedTuple):
    artifact: Artifact
    evidence: Evidence
    exams: dict[str, Sequence[ExamItem]]
    """The sealed part of those that are judged."""
    clean: dict[str, list[bool]]
    """Which of their items stand in no corpus of the models."""


def write_form(config: EvalConfig, run: Run, options: FormOptions) -> None:
    """Write the form for the newest evidence of this run.

    Raises:
        InputError: there is no evidence, no such model, no answers were kept, or no pair differs.
        PolicyError: the plan is another one now.
        ArtifactError: the evidence was changed, or the disk is full.
    """
    found = _examined(config, run)
    digests = _digests(found.evidence, options.against)
    shown = []
    for exam, items in found.exams.items():
        ours, theirs = (
            kept(run.registry, found.artifact.manifest.recipe, digest, exam) for digest in digests
        )
        if ours is None or theirs is None:
            raise InputError(
                f"exam {exam}: what the models wrote was not kept - set eval.keep_answers before "
                "`bedside eval run`"
            )
        clean = found.clean[exam]
        shown.append(
            Shown(
                exam,
                list(compress(items, clean)),
                list(compress(ours, clean)),
                list(compress(theirs, clean)),
            )
        )
    language = options.language or _language(found.exams)
    blinding = _blinding(run, found.artifact, options.against)
    page = form(blinding, shown, language)
    path = options.out / f"blind-form-{blinding.form}.html"
    write_atomic(path, page.encode(), mode=0o600)
    say(
        f"{path}: questions and answers in plain text, because you asked for them. If they are "
        "about patients, so is this file: give it to raters alone, by a way that your data "
        "protection allows, and delete every copy afterwards."
    )
    say(f"then: bedside eval read-forms --against {options.against} FILE... with what they saved")


def read(config: EvalConfig, run: Run, files: tuple[str, ...], options: ReadOptions) -> None:
    """Print what people chose, and how they agree with each other and with the judges.

    Raises:
        InputError: there is no evidence or no such model, or a file is no result of its form.
        PolicyError: the plan is another one now.
        ArtifactError: the evidence was changed.
    """
    found = _examined(config, run)
    _digests(found.evidence, options.against)
    places = _places(found)
    blinding = _blinding(run, found.artifact, options.against)
    said = unblinded(blinding, places, [read_filled(Path(file)) for file in files])
    rated = rate(
        said, _judges(found, places, options.against), len(places),
        confidence=found.evidence.confidence, seed=found.artifact.digest,
    )  # fmt: skip
    _show(rated, options.against)


def _examined(config: EvalConfig, run: Run) -> _Examined:
    artifact = run.input("evidence")
    read_evidence(artifact, run.registry.keyring())
    evidence = load_evidence(artifact)
    planned = plan_of(config, run)
    if evidence.plan != planned.hash or evidence.setting is None:
        raise InputError(
            "the newest evidence of this run is of another plan, or compared nothing - run "
            "`bedside eval run` first"
        )
    _, sealed = read_papers(config, planned.plan.sets)
    exams = {name: items for name, items in sealed.exams.items() if is_judged(items)}
    if not exams:
        raise InputError("eval.exams: none has open questions or tasks on documents to compare")
    clean = {
        exam: [
            cluster not in evidence.setting.excluded[f"exam/{exam}"]
            for cluster in evidence.setting.clusters[f"exam/{exam}"]
        ]
        for exam in exams
    }
    return _Examined(artifact, evidence, exams, clean)


def _digests(evidence: Evidence, against: Against) -> tuple[str, str]:
    if against not in evidence.models:
        raise InputError(f"--against: no {against} was compared with the candidate")
    return evidence.candidate, evidence.models[against].digest


def _blinding(run: Run, artifact: Artifact, against: Against) -> Blinding:
    secret = run.registry.evidence_keys.derive(PURPOSE)
    return Blinding.of(secret, artifact.digest, against)


def _language(exams: dict[str, Sequence[ExamItem]]) -> Language:
    first = next(iter(exams.values()))[0].language.partition("-")[0]
    return first if first in ("de", "fr") else "en"  # type: ignore[return-value]


def _places(found: _Examined) -> list[Place]:
    """Where each clean item stands."""
    setting = found.evidence.setting
    assert setting is not None  # noqa: S101 - asked before
    return [
        Place(exam, item.id, f"{cluster}")
        for exam, items in found.exams.items()
        for item, cluster in compress(
            zip(items, setting.clusters[f"exam/{exam}"], strict=True), found.clean[exam]
        )
    ]


def _judges(found: _Examined, places: Sequence[Place], against: Against) -> dict[Place, Winner]:
    judging = found.evidence.judging
    if judging is None:
        return {}
    by_item: dict[tuple[str, str], Winner] = {}
    for pair in judging.judged.pairs:
        if (pair.first, pair.second) == ("candidate", against):
            for item, score in zip(found.exams[pair.exam], scores(pair), strict=True):
                by_item[pair.exam, item.id] = "A" if score > 0.5 else "B" if score < 0.5 else "0"
    return {p: by_item[p.exam, p.item] for p in places if (p.exam, p.item) in by_item}


def _show(rated: Rated, against: Against) -> None:
    rows = [["rater", "pairs judged"], *([name, f"{n} of {rated.of}"] for name, n in
                                         rated.raters.items())]  # fmt: skip
    say(table(rows))
    envelope = rated.win_rate.envelope
    interval = (
        "no interval: too few clusters, or all alike"
        if envelope is None
        else f"{100 * rated.win_rate.confidence:g} % interval {100 * envelope.low:.1f} to "
        f"{100 * envelope.high:.1f} %"
    )
    say(
        f"win-rate of the candidate against the {against}, by people: "
        f"{100 * rated.win_rate.estimate:.1f} % ({interval}); {rated.wins} won, {rated.ties} tied, "
        f"{rated.losses} lost"
    )
    say(table([["between", "pairs", "same", "kappa", "AC1"], *map(_row, rated.agreement)]))


def _row(found: Agreed) -> list[str]:
    numbers = ("-" if value is None else f"{value:.2f}" for value in (found.kappa, found.ac1))
    return [f"{found.one} and {found.other}", f"{found.pairs}", f"{found.same}", *numbers]

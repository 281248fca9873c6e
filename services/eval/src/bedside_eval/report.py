"""Evidence as tables: on the terminal and as Markdown.

Tested in tests/eval/test_run.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bedside_core.console import say, table
from bedside_core.kinds.measures import MEASURES
from bedside_eval.evidence import Evidence
from bedside_eval.records import (
    LABELS,
    METRICS,
    Contamination,
    Finding,
    Found,
    PairDifference,
    Removed,
    Role,
)
from bedside_eval.statistics.estimate import Estimate, turned

Rows = list[list[str]]

DEMO = "A demo's policy judged a demo's texts: this verdict says nothing about clinical use."
MARKS = {"holds": "holds", "open": "not shown", "fails": "FAILS"}


def show(evidence: Evidence) -> None:
    """Print the table, the verdict and its reasons."""
    if evidence.setting is not None:
        say(table(overview(evidence)))
        say("\n".join(_legend(evidence)))
    say(f"verdict: {_verdict(evidence)}")
    for reason in evidence.reasons:
        say(f"  - {reason}")
    if evidence.scope == "demo":
        say(DEMO)


def overview(evidence: Evidence) -> Rows:
    """One row per held-out set and per exam: the models, then candidate minus base."""
    roles = _roles(evidence)
    interval = f"{100 * evidence.confidence:g} % interval"
    rows = [["set", "measure", *(LABELS[r] for r in roles), "candidate - base", interval]]
    difference = next(d for d in evidence.differences if d.reference == "base")
    for name, change in difference.heldout.items():
        values = [f"{evidence.models[r].bits_per_byte[name].estimate:.4f}" for r in roles]
        rows.append([name, "bits per byte", *values, *_bits(change)])
        values = [f"{evidence.models[r].nats_per_token[name]:.3f}" for r in roles]
        rows.append([name, "nats per token", *values, "", ""])
    for name, changes in difference.exams.items():
        for metric in METRICS:
            shares = [evidence.models[r].accuracy[name][metric].estimate for r in roles]
            values = [f"{100 * share:.1f} %" for share in shares]
            rows.append([f"{name} exam", metric, *values, *_points(changes[metric].difference)])
    for name, gains in difference.gains.items():
        for measure, gain in gains.items():
            values = [_share(evidence.models[r].values[name][measure].estimate) for r in roles]
            rows.append([f"{name} exam", measure, *values, *_points(_change(measure, gain))])
    return rows + _group_rows(evidence, difference, roles)


def _group_rows(evidence: Evidence, difference: PairDifference, roles: Sequence[Role]) -> Rows:
    """Both averages of each group of exams, in points; then the groups that have none."""
    rows = []
    for name, group in difference.groups.items():
        for label, which in (("by questions", "by_questions"), ("by sets", "by_sets")):
            own = [getattr(evidence.models[r].groups[name], which).estimate for r in roles]
            values = [f"{100 * value:.1f} %" for value in own]
            rows.append([f"{name} group", label, *values, *_points(getattr(group, which))])
    blank = ["" for _ in roles]
    for name, missing in evidence.unmeasured_groups.items():
        rows.append([f"{name} group", f"not measured: {', '.join(missing)}", *blank, "", ""])
    return rows


def _change(measure: str, gain: Estimate) -> Estimate:
    """Candidate minus reference, as every row of these tables."""
    return turned(gain) if MEASURES[measure].less_is_better else gain


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def markdown(evidence: Evidence) -> str:
    """The whole report, `report.md`."""
    parts = [
        f"# Evidence on {evidence.candidate[:12]}: {_verdict(evidence)}",
        *([DEMO] if evidence.scope == "demo" else []),
        "\n".join(f"- {reason}" for reason in evidence.reasons),
    ]
    if evidence.setting is not None:
        contamination = evidence.setting.contamination
        parts += [
            _markdown_table(overview(evidence)),
            " ".join(_legend(evidence)),
            "![paired differences](evidence.png)",
            "## Conditions",
            _markdown_table(_conditions(evidence.findings)),
            "## Models",
            _markdown_table(_models(evidence)),
            "## Found in the training corpora",
            *contaminated(contamination),
        ]
    for difference in evidence.differences:
        title = f"## {LABELS[difference.candidate]} minus {LABELS[difference.reference]}"
        parts += [title, _markdown_table(_pair(difference, evidence.confidence))]
    parts += [
        "## Plan",
        f"Policy {evidence.policy.name} ({evidence.policy_sha256[:12]}), plan "
        f"{evidence.plan[:12]}, look {(evidence.look or 'none')[:12]}: entries of this house's log "
        "(`bedside registry log`), written before the sealed texts were opened.",
    ]
    return "\n\n".join(parts) + "\n"


def _verdict(evidence: Evidence) -> str:
    return f"{evidence.verdict}{' (demo)' if evidence.scope == 'demo' else ''}"


def _roles(evidence: Evidence) -> list[Role]:
    return [role for role in LABELS if role in evidence.models]


def _legend(evidence: Evidence) -> list[str]:
    assert evidence.setting is not None  # noqa: S101 - asked by the callers
    return [
        "Each cluster (patient, document) counts once. Differences on texts are in bits per byte "
        "(negative: the candidate predicts better), on exams in percentage points; an interval "
        "reaches over those of all methods.",
        f"Likelihood: {evidence.setting.estimand}.",
        "acc takes the likeliest option, acc_norm the likeliest per character.",
        _found(evidence.setting.contamination),
    ]


def _found(contamination: Contamination) -> str:
    counts = (
        f"{name} {found.exact} / {found.near} / {found.ngram} of {found.of}"
        for name, found in _sets(contamination).items()
    )
    told = _removed_sets(contamination)
    removed = (
        f"{name} {_removed(told.get(name), found.of)}"
        for name, found in _sets(contamination).items()
    )
    return (
        "Found in the training corpora (exact / near copy / n-gram, each includes the one before), "
        f"and left out of all numbers: {', '.join(counts)}. Removed from them before training: "
        f"{', '.join(removed)}."
    )


def _sets(contamination: Contamination) -> dict[str, Found]:
    exams = {f"{name} exam": found for name, found in contamination.exams.items()}
    return contamination.heldout | exams


def _corpora(contamination: Contamination) -> str:
    names = [corpus.digest[:12] for corpus in contamination.corpora]
    known = f"Corpora {', '.join(names)}" if names else "No corpus"
    if not contamination.unknown:
        return known
    gone = ", ".join(digest[:12] for digest in contamination.unknown)
    return f"{known}; {gone} were deleted, so that nothing counts as clean"


def contaminated(contamination: Contamination) -> list[str]:
    """What was removed from the corpora and what was left in, in Markdown: a table and its key."""
    header = ["set", "removed before training", "exact", "near copy", "n-gram", "of", "which"]
    rows, removed = [header], _removed_sets(contamination)
    for name, found in _sets(contamination).items():
        counts = map(str, (found.exact, found.near, found.ngram, found.of))
        rows.append([name, _removed(removed.get(name), found.of), *counts, ", ".join(found.ids)])
    return [
        _markdown_table(rows),
        "Removed before training: the texts or items for which documents were left out of the "
        "corpora, and how many documents; the other columns say what was left in.",
        f"{_corpora(contamination)}, whatever spacing, Unicode form, case or punctuation. "
        f"Near copy: at least {100 * contamination.near_share:g} % of the words stand in one "
        f"document in runs of {contamination.run}; n-gram: at least "
        f"{100 * contamination.ngram_share:g} % in all documents together. Each count includes the "
        "one before.",
    ]


def _removed_sets(contamination: Contamination) -> dict[str, Removed]:
    exams = {f"{name} exam": one for name, one in contamination.removed_exams.items()}
    return contamination.removed_heldout | exams


def _removed(removed: Removed | None, of: int) -> str:
    if removed is None or not removed.looked_for:
        return "not looked for"
    ways = ", ".join(f"{way} {count}" for way, count in removed.documents.items() if count)
    parts = [f"{removed.found} ({ways})" if ways else "none"]
    if removed.let_in:
        parts.append(f"{removed.let_in} in too many documents to remove")
    if removed.looked_for < of:
        parts.append(f"looked for {removed.looked_for}")
    return "; ".join(parts)


def _conditions(findings: Iterable[Finding]) -> Rows:
    rows = [["condition", "measure", "of", "against", "outcome", "by method", "still needed"]]
    for finding in findings:
        against = "" if finding.against is None else LABELS[finding.against]
        methods = "" if finding.estimate is None else _methods(finding.estimate)
        needed = "" if finding.needed is None else f"{finding.needed} clusters"
        rows.append(
            [finding.condition, finding.measure, finding.of, against, MARKS[finding.outcome],
             methods, needed]
        )  # fmt: skip
    return rows


def _methods(estimate: Estimate) -> str:
    return "; ".join(
        f"{name} {interval.low:+z.4f} to {interval.high:+z.4f}"
        for name, interval in estimate.methods.items()
    )


def _models(evidence: Evidence) -> Rows:
    rows = [["model", "digest", "set", "measure", "value", f"{100 * evidence.confidence:g} %"]]
    for role in _roles(evidence):
        model = evidence.models[role]
        head = [LABELS[role], model.digest[:12]]
        for name, value in model.bits_per_byte.items():
            rows.append([*head, name, "bits per byte", *_plain(value, 1, "")])
        for name, rates in model.accuracy.items():
            for metric in METRICS:
                rows.append([*head, f"{name} exam", metric, *_plain(rates[metric], 100, " %")])
        for name, values in model.values.items():
            for measure, value in values.items():
                rows.append([*head, f"{name} exam", measure, *_plain(value, 100, " %")])
    return rows


def _pair(difference: PairDifference, confidence: float) -> Rows:
    header = ["set", "measure", "difference", f"{100 * confidence:g} % interval"]
    rows = [[*header, "only candidate right", "only reference right", "McNemar p"]]
    for name, change in difference.heldout.items():
        rows.append([name, "bits per byte", *_bits(change), "", "", ""])
    for name, changes in difference.exams.items():
        for metric in METRICS:
            item = changes[metric]
            counts = [str(item.gained), str(item.lost), f"{item.mcnemar_p:.3f}"]
            rows.append([f"{name} exam", metric, *_points(item.difference), *counts])
    for name, gains in difference.gains.items():
        for measure, gain in gains.items():
            points = _points(_change(measure, gain))
            rows.append([f"{name} exam", measure, *points, "", "", ""])
    return rows


def _plain(value: Estimate, factor: float, unit: str) -> list[str]:
    digits = 4 if factor == 1 else 1
    shown = f"{factor * value.estimate:.{digits}f}{unit}"
    envelope = value.envelope
    if envelope is None:
        return [shown, "no information"]
    return [shown, f"{factor * envelope.low:.{digits}f} to {factor * envelope.high:.{digits}f}"]


def _bits(change: Estimate) -> list[str]:
    return _signed(change, 1, 4)


def _points(change: Estimate) -> list[str]:
    return _signed(change, 100, 1)


def _signed(change: Estimate, factor: float, digits: int) -> list[str]:
    shown = f"{factor * change.estimate:+z.{digits}f}"
    envelope = change.envelope
    if envelope is None:
        return [shown, "no information"]
    low, high = factor * envelope.low, factor * envelope.high
    return [shown, f"{low:+z.{digits}f} to {high:+z.{digits}f}"]


def _markdown_table(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines)

"""Evidence as tables: on the terminal and as Markdown.

Tested in tests/eval/test_run.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from bedside_core.console import say, table
from bedside_eval.evidence import Evidence, judged
from bedside_eval.records import (
    LABELS,
    METRICS,
    ROLES,
    Contamination,
    Found,
    PairDifference,
)
from bedside_eval.statistics.estimate import Interval

Rows = list[list[str]]

EXPLORATORY = (
    "Exploratory: the models' answers were known before this policy was, so it promotes nothing. A "
    "new policy needs a run of its own: another `name` in the run config."
)


def show(evidence: Evidence) -> None:
    """Print the table, the verdict and its reasons."""
    say(table(overview(evidence)))
    say("\n".join(_legend(evidence)))
    say(f"verdict: {_verdict(evidence)}")
    for reason in evidence.reasons:
        say(f"  - {reason}")
    if evidence.exploratory:
        say(EXPLORATORY)


def _verdict(evidence: Evidence) -> str:
    return f"{evidence.verdict}{' (exploratory)' if evidence.exploratory else ''}"


def overview(evidence: Evidence) -> Rows:
    """One row per held-out set and per exam: the three models, then merged minus base."""
    interval = f"{100 * evidence.confidence:g} % interval"
    rows = [["set", "measure", *(LABELS[role] for role in ROLES), "merged - base", interval]]
    difference = judged(evidence.differences)
    for name, change in difference.heldout.items():
        values = [f"{evidence.models[r].perplexity[name].estimate:.2f}" for r in ROLES]
        rows.append([name, "perplexity", *values, *_nats(change)])
    for name, changes in difference.exams.items():
        for metric in METRICS:
            shares = [evidence.models[r].accuracy[name][metric].estimate for r in ROLES]
            values = [f"{100 * share:.1f} %" for share in shares]
            rows.append([f"{name} exam", metric, *values, *_points(changes[metric].difference)])
    return rows


def markdown(evidence: Evidence) -> str:
    """The whole report, `report.md`."""
    parts = [
        f"# Evidence on {evidence.candidate[:12]}: {_verdict(evidence)}",
        *([EXPLORATORY] if evidence.exploratory else []),
        "\n".join(f"- {reason}" for reason in evidence.reasons),
        _markdown_table(overview(evidence)),
        " ".join(_legend(evidence)),
        "![paired differences](evidence.png)",
        "## Models",
        _markdown_table(_models(evidence)),
        "## Found in the training corpus",
        *_contaminated(evidence.setting.contamination),
    ]
    for difference in evidence.differences:
        title = f"## {LABELS[difference.candidate]} minus {LABELS[difference.reference]}"
        parts += [title, _markdown_table(_pair(difference, evidence.confidence))]
    return "\n\n".join(parts) + "\n"


def _legend(evidence: Evidence) -> list[str]:
    return [
        "Differences on texts are in nats per token (negative: the merged model predicts better), "
        "on exams in percentage points.",
        f"Perplexity: {evidence.setting.estimand}.",
        "acc takes the likeliest option, acc_norm the likeliest per character.",
        _found(evidence.setting.contamination),
    ]


def _found(contamination: Contamination) -> str:
    counts = (
        f"{name} {found.exact} / {found.near} / {found.ngram} of {found.of}"
        for name, found in _sets(contamination).items()
    )
    return (
        "Found in the training corpus (exact / near copy / n-gram, each includes the one before): "
        f"{', '.join(counts)}."
    )


def _sets(contamination: Contamination) -> dict[str, Found]:
    exams = {f"{name} exam": found for name, found in contamination.exams.items()}
    return contamination.heldout | exams


def _contaminated(contamination: Contamination) -> list[str]:
    rows = [["set", "exact", "near copy", "n-gram", "of", "which"]]
    for name, found in _sets(contamination).items():
        counts = map(str, (found.exact, found.near, found.ngram, found.of))
        rows.append([name, *counts, ", ".join(found.ids)])
    return [
        _markdown_table(rows),
        f"Corpus {contamination.corpus[:12]}, whatever spacing, Unicode form, case or punctuation. "
        f"Near copy: at least {100 * contamination.near_share:g} % of the words stand in one "
        f"document in runs of {contamination.run}; n-gram: at least "
        f"{100 * contamination.ngram_share:g} % in all documents together. Each count includes the "
        "one before.",
    ]


def _models(evidence: Evidence) -> Rows:
    rows = [["model", "digest", "set", "measure", "value", f"{100 * evidence.confidence:g} %"]]
    for role in ROLES:
        model = evidence.models[role]
        head = [LABELS[role], model.digest[:12]]
        for name, value in model.perplexity.items():
            cells = [f"{value.estimate:.2f}", f"{value.low:.2f} to {value.high:.2f}"]
            rows.append([*head, name, "perplexity", *cells])
        for name, rates in model.accuracy.items():
            for metric in METRICS:
                rate = rates[metric]
                cells = [
                    f"{100 * rate.estimate:.1f} %",
                    f"{100 * rate.low:.1f} to {100 * rate.high:.1f}",
                ]
                rows.append([*head, f"{name} exam", metric, *cells])
    return rows


def _pair(difference: PairDifference, confidence: float) -> Rows:
    header = ["set", "measure", "difference", f"{100 * confidence:g} % interval"]
    rows = [[*header, "only candidate right", "only reference right", "McNemar p"]]
    for name, change in difference.heldout.items():
        rows.append([name, "nats per token", *_nats(change), "", "", ""])
    for name, changes in difference.exams.items():
        for metric in METRICS:
            item = changes[metric]
            counts = [str(item.gained), str(item.lost), f"{item.mcnemar_p:.3f}"]
            rows.append([f"{name} exam", metric, *_points(item.difference), *counts])
    return rows


def _nats(change: Interval) -> list[str]:
    return [f"{change.estimate:+z.3f}", f"{change.low:+z.3f} to {change.high:+z.3f}"]


def _points(change: Interval) -> list[str]:
    return [
        f"{100 * change.estimate:+z.1f}",
        f"{100 * change.low:+z.1f} to {100 * change.high:+z.1f}",
    ]


def _markdown_table(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines)

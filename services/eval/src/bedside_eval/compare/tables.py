"""A comparison as tables: on the terminal and as Markdown. No word of a document is in it."""

from __future__ import annotations

from bedside_core.console import table
from bedside_eval.compare.result import CompareResult, PairedDifference, TaskResult
from bedside_eval.statistics.estimate import Estimate, Relation

Rows = list[list[str]]

_WORDS: dict[Relation, str] = {
    "above": "better",
    "below": "worse",
    "undecided": "not shown",
    "depends on the method": "depends on the method",
    "no information": "no information",
}


def terminal(result: CompareResult) -> str:
    """What the command prints."""
    parts = []
    for title, rows in _sections(result):
        parts.append(f"{title}\n\n{table(rows)}")
    return "\n\n".join([*parts, "\n".join(_remarks(result))])


def markdown(result: CompareResult) -> str:
    """`compare.md`, which shows `compare.png`."""
    parts = ["# Paired comparison"]
    for title, rows in _sections(result):
        parts += [f"## {title}", _markdown_table(rows)]
    parts += ["![paired differences](compare.png)", "\n".join(f"- {r}" for r in _remarks(result))]
    return "\n\n".join(parts) + "\n"


def _sections(result: CompareResult) -> list[tuple[str, Rows]]:
    found = [
        ("Models", [["", "model", "log"], *([m.label, m.name, m.path] for m in result.models)]),
        (f"Scores in %, {_level(result)} intervals", _scores(result)),
        (f"Differences from A in points, {_level(result)} intervals", _differences(result)),
    ]
    if result.averages:
        over = f"over {len(result.tasks)} tasks, {_level(result)} intervals"
        found.append((f"Averages in %, {over}", _averages(result)))
        found.append((f"Average ranks, {over}", _ranks(result)))
    return found


def _scores(result: CompareResult) -> Rows:
    rows = [["task", "metric", "items", "clusters", "model", "score", "interval", "by item",
             "not measured", "no answer found"]]  # fmt: skip
    for task in result.tasks:
        first = [task.task, task.metric, str(task.items), str(task.clusters)]
        for model in task.models:
            share = f"{100 * model.item_mean:.1f}"
            counts = [str(model.unmeasured), str(model.unread)]
            rows.append([*first, model.label, *_points(model.score), share, *counts])
            first = [""] * len(first)
    return rows


def _differences(result: CompareResult) -> Rows:
    rows = [["task", "models", "difference", "interval", "all methods", "gained/lost",
             "McNemar p", "p", "p (Holm)"]]  # fmt: skip
    for task in result.tasks:
        for found in task.differences:
            rows.append(
                [
                    task.task,
                    f"{found.label} - A",
                    *_points(found.difference, signed=True),
                    _WORDS[found.relation],
                    "-" if found.gained is None else f"{found.gained}/{found.lost}",
                    "-" if found.mcnemar_p is None else _p(found.mcnemar_p),
                    _p(found.p),
                    _p(found.p_holm),
                ]
            )
    return rows


def _averages(result: CompareResult) -> Rows:
    rows = [["", "model", "score", "interval", "minus A's", "interval", "all methods", "p"]]
    for found in result.averages:
        change = ["", "", "", ""]
        if found.difference is not None and found.relation is not None and found.p is not None:
            change = [*_points(found.difference, signed=True), _WORDS[found.relation], _p(found.p)]
        rows.append([found.name, found.label, *_points(found.value), *change])
    return rows


def _ranks(result: CompareResult) -> Rows:
    rows = [["model", "average rank", "interval"]]
    for found in result.ranks:
        bounds = found.interval
        shown = f"{bounds.low:.2f} to {bounds.high:.2f}" if bounds else "-"
        rows.append([found.label, f"{found.rank:.2f}", shown])
    return rows


def _remarks(result: CompareResult) -> list[str]:
    """What the numbers mean and what they do not."""
    pairs = [found for task in result.tasks for found in task.differences]
    alpha = 1 - result.confidence
    standing = sum(_stands(found, alpha) for found in pairs)
    remarks = [
        f"{standing} of {len(pairs)} difference(s) hold by every method after Holm at "
        f"{100 * alpha:g} %.",
        "Each cluster counts once; `by item` is the mean over items, as lm-eval prints it.",
    ]
    for task in result.tasks:
        remarks += _about(task)
    if result.averages:
        remarks.append("Averages and ranks are not corrected by Holm; rank 1 is best.")
    return [*remarks, *result.notes]


def _stands(found: PairedDifference, alpha: float) -> bool:
    return found.relation in ("above", "below") and found.p_holm <= alpha


def _about(task: TaskResult) -> list[str]:
    found = []
    if task.other_prompts:
        found.append(
            f"{task.task}: {task.other_prompts} of {task.items} items were put in other words to "
            "some models (template, examples or cue), so this is not the same exam."
        )
    if task.repeats:
        found.append(f"{task.task}: {task.repeats} repeated answer(s) per model, averaged by item.")
    if any(model.unmeasured for model in task.models):
        found.append(f"{task.task}: answers that nobody measured count as wrong.")
    if any(not found.difference.informative for found in task.differences):
        found.append(
            f"{task.task}: no interval where clusters are fewer than 8 or all differences the same."
        )
    return found


def _points(estimate: Estimate, *, signed: bool = False) -> list[str]:
    envelope, sign = estimate.envelope, "+" if signed else ""
    value = f"{100 * estimate.estimate:{sign}.1f}"
    if envelope is None:
        return [value, "-"]
    return [value, f"{100 * envelope.low:{sign}.1f} to {100 * envelope.high:{sign}.1f}"]


def _p(value: float) -> str:
    return "< .0001" if value < 1e-4 else f"{value:.4f}".lstrip("0") if value < 1 else "1"


def _level(result: CompareResult) -> str:
    return f"{100 * result.confidence:g} %"


def _markdown_table(rows: Rows) -> str:
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])

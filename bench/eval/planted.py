"""Which verdict planted models get: better, worse, equal, broken in one way each.

    .venvs/dev/bin/python bench/eval/planted.py

The models and what each must get are those of `tests/eval/test_planted.py`, which run here through
the product's own verbs (`bedside eval plan`, `bedside eval run`); this records the evidence that
they left. Figures go to `bench/results/planted.json`, the conditions with their intervals to
`planted.png`. A verdict that is not as it should be is an error, and nothing is written.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench/results"
TESTS = "tests/eval/test_planted.py"
COLOURS = {"holds": "#009e73", "open": "#999999", "fails": "#d55e00"}
"""Okabe and Ito's palette."""


def evidence_of_all() -> list[dict[str, Any]]:
    """Let every planted model be judged; one evidence each."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "evidence.jsonl"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", TESTS]
        environment = os.environ | {"BEDSIDE_RECORD_PLANTED": str(record)}
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        return [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]


def summary(evidence: dict[str, Any]) -> dict[str, Any]:
    conditions = [
        {
            key: finding[key]
            for key in ("condition", "measure", "of", "against", "outcome", "margin")
        }
        | {"estimate": _interval(finding["estimate"])}
        for finding in evidence["findings"]
    ]
    return {
        "planted": evidence["planted"].removeprefix("test_"),
        "verdict": evidence["verdict"],
        "first_reason": evidence["reasons"][0],
        "conditions": conditions,
    }


def _interval(estimate: dict[str, Any] | None) -> dict[str, float] | None:
    """Point and envelope of all methods."""
    if estimate is None:
        return None
    bounds = [method for method in estimate["methods"].values() if method is not None]
    return {
        "estimate": estimate["estimate"],
        "low": min((b["low"] for b in bounds), default=estimate["estimate"]),
        "high": max((b["high"] for b in bounds), default=estimate["estimate"]),
    }


def plot(found: list[dict[str, Any]], path: Path) -> None:
    figure, axes = plt.subplots(
        len(found), 1, figsize=(9, 1.5 * len(found)), layout="constrained", squeeze=False
    )
    for axis, one in zip(axes[:, 0], found, strict=True):
        shown = [c for c in one["conditions"] if c["estimate"] is not None]
        for row, condition in enumerate(shown):
            value = condition["estimate"]
            axis.errorbar(
                [value["estimate"]], [row],
                xerr=[[value["estimate"] - value["low"]], [value["high"] - value["estimate"]]],
                fmt="o", capsize=3, color=COLOURS[condition["outcome"]],
            )  # fmt: skip
        if not shown:
            reason = textwrap.fill(one["first_reason"], 90)
            axis.text(0.5, 0.5, reason, ha="center", va="center", transform=axis.transAxes)
        names = [f"{c['condition']}: {c['measure']} of {c['of']}" for c in shown]
        axis.set_yticks(range(len(shown)), labels=names, fontsize="small")
        axis.set_ylim(-0.6, max(len(shown), 1) - 0.4)
        axis.set_xlim(-1.1, 1.1)
        axis.axvline(0, color="grey", linewidth=0.8)
        axis.set_title(f"{one['planted'].replace('_', ' ')}: {one['verdict']}", fontsize="medium")
    figure.suptitle(
        "target: gain, guard: loss, floor: the candidate's own (green holds, red fails)"
    )
    figure.savefig(path, dpi=110)


def main() -> None:
    found = [summary(one) for one in evidence_of_all()]
    results = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "models": found}
    (RESULTS / "planted.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    plot(found, RESULTS / "planted.png")


if __name__ == "__main__":
    main()

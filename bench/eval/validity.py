"""How often the verdict's statistics err, where the truth is known because it was made.

    .venvs/dev/bin/python bench/eval/validity.py

Every cell makes 10,000 data sets of one kind and lets the product's own functions judge them. A
cell fails when its 99 % interval lies wholly beyond the limit: at most 5 % of useless candidates
promoted (target condition by every method, and tail guard), at least 93 % of true values within the
envelope of the methods, and power within 3 points of what the planner says. Cells without a limit,
the rule of the papers (intervals of one standard error that do not overlap) and the unpaired
comparison of lm-eval's script stand beside it. The figures go to `bench/results/validity.json` and
`validity.png`.
"""

from __future__ import annotations

import functools
import json
import math
import os
import platform
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import scipy
from numpy.typing import NDArray
from scipy import stats

from bedside_core.console import say
from bedside_eval.statistics import power as planner
from bedside_eval.statistics.accuracy import accuracy_difference
from bedside_eval.statistics.clusters import cluster_ratios
from bedside_eval.statistics.difference import difference
from bedside_eval.statistics.estimate import Estimate, standing
from bedside_eval.statistics.resampling import FLOOR, resolved
from bedside_eval.statistics.rule import Rule, TailRule, envelopes, shortfall

Array = NDArray[np.float64]
Random = np.random.Generator
Found = dict[str, float]

RESULTS = Path(__file__).parents[2] / "bench/results"
REPETITIONS = 10_000
RESAMPLES = 4_000
"""Of each data set; a verdict has at least 20,000. Their chance averages out over a cell."""
CONFIDENCE = 0.95
# Clusters that lose 3 standard deviations: with light tails the guard says next to nothing, so that
# what a cell shows is the interval's doing.
DEMO = TailRule(delta=3, max_share=0.2)
HOSPITAL = TailRule(delta=3, max_share=0.03)
FALSE, COVERED, POINTS = 0.05, 0.93, 0.03

SHAPES: dict[str, Callable[[Random, tuple[int, int]], Array]] = {
    "normal": lambda random, size: random.normal(size=size),
    "t3": lambda random, size: random.standard_t(3, size=size) / math.sqrt(3),
    "outliers": lambda random, size: (
        random.normal(size=size) * np.where(random.random(size) < 0.05, 10, 1) / math.sqrt(5.95)
    ),
    "tail of harm": lambda random, size: -lognormal(random, size),
    "tail of benefit": lambda random, size: lognormal(random, size),
}
"""Differences per cluster with mean 0 and standard deviation 1."""


def lognormal(random: Random, size: tuple[int, int]) -> Array:
    return (random.lognormal(size=size) - math.exp(0.5)) / math.sqrt((math.e - 1) * math.e)


class Cell(NamedTuple):
    """One kind of data, and which of the shares found have a limit."""

    name: str
    measure: Callable[[Random, int], Found]
    limits: tuple[str, ...]


# Means


def judged(
    gains: Array, tail: TailRule, truth: float = 0.0, confidence: float = CONFIDENCE
) -> Found:
    """Shares of the data sets of which a gain over 0 is claimed, and whose envelope is right."""
    low, high = envelopes(gains, CONFIDENCE, number=RESAMPLES, seed=1)
    error = gains.std(axis=1, ddof=1) / math.sqrt(gains.shape[1])
    student = 2 * stats.t.isf((1 - CONFIDENCE) / 2, gains.shape[1] - 1) * error
    return {
        "promoted": float(np.mean(shortfall(gains, low, Rule(0, CONFIDENCE, tail)) < 0)),
        "promoted_without_tail_guard": float(np.mean(low > 0)),
        "covered": float(np.mean((low <= truth) & (truth <= high))),
        "width_by_t": float(np.mean(high - low) / np.mean(student)),
    }


def shaped(shape: str, clusters: int, tail: TailRule) -> Callable[[Random, int], Found]:
    def measure(random: Random, repetitions: int) -> Found:
        return judged(SHAPES[shape](random, (repetitions, clusters)), tail)

    return measure


def clustered(icc: float, clusters: int) -> Callable[[Random, int], Found]:
    """2 to 10 texts of each patient, of different lengths."""

    def measure(random: Random, repetitions: int) -> Found:
        gains, naive = np.empty((repetitions, clusters)), 0
        for row in range(repetitions):
            patients = np.repeat(np.arange(clusters), random.integers(2, 11, size=clusters))
            own = random.normal(0, math.sqrt(icc), size=clusters)[patients]
            texts = own + random.normal(0, math.sqrt(1 - icc), size=len(patients))
            length = random.integers(500, 5000, size=len(patients))
            gains[row] = cluster_ratios(texts * length, length, [f"{p:03}" for p in patients])
            naive += stats.ttest_1samp(texts, 0, alternative="greater").pvalue < 0.025
        beside = {"t_that_takes_texts_as_independent": naive / repetitions}
        return judged(gains, DEMO) | beside

    return measure


def best_of(candidates: int, development: int, sealed: int) -> Callable[[Random, int], Found]:
    """Useless candidates that correlate by .5; the best on the development part is judged."""

    def measure(random: Random, repetitions: int) -> Found:
        shared = random.normal(size=(repetitions, 1, development + sealed))
        own = random.normal(size=(repetitions, candidates, development + sealed))
        gains = math.sqrt(0.5) * (shared + own)
        rows = np.arange(repetitions)
        chosen = gains[rows, gains[:, :, :development].mean(axis=2).argmax(axis=1)]
        hindsight = gains[rows, gains.mean(axis=2).argmax(axis=1)]
        low, _ = envelopes(hindsight, CONFIDENCE, number=RESAMPLES, seed=2)
        beside = {"chosen_on_all_the_texts": float(np.mean(low > 0))}
        return judged(chosen[:, development:].copy(), DEMO) | beside

    return measure


def looks(sizes: range, tail: TailRule | None) -> Callable[[Random, int], Found]:
    """A look each time that so many clusters are there; promoted at the first that passes."""

    def measure(random: Random, repetitions: int) -> Found:
        gains = random.normal(size=(repetitions, sizes[-1]))
        ever = {"promoted": 1 - (1 - CONFIDENCE) / len(sizes), "full_alpha_each_look": CONFIDENCE}
        found = {}
        for name, confidence in ever.items():
            passed = np.zeros(repetitions, dtype=bool)
            for clusters in sizes:
                part = gains[:, :clusters].copy()
                low, _ = envelopes(part, confidence, number=RESAMPLES, seed=clusters)
                passed |= shortfall(part, low, Rule(0, confidence, tail)) < 0
            found[name] = float(passed.mean())
        return found

    return measure


def rare(clusters: int, tail: TailRule) -> Callable[[Random, int], Found]:
    """3 % of the clusters lose 5 nats, the others gain .15: on average useless."""

    def measure(random: Random, repetitions: int) -> Found:
        gains = random.normal(0.15, 0.1, size=(repetitions, clusters))
        gains[random.random(gains.shape) < 0.03] -= 5.15
        return judged(gains, TailRule(1, tail.max_share), truth=0.97 * 0.15 - 0.03 * 5)

    return measure


# Accuracies


@functools.cache
def exam(items: int, gained: int, lost: int) -> Estimate:
    """Half of the items are right by the reference; its order is that of the counts."""
    both = max(0, items // 2 - lost)
    reference = [True] * (both + lost) + [False] * (items - both - lost)
    candidate = [True] * both + [False] * lost + [True] * gained
    candidate += [False] * (items - len(candidate))
    clusters = [str(n) for n in range(items)]
    return accuracy_difference(
        candidate, reference, clusters, confidence=CONFIDENCE, seed=1
    ).estimate


def paired(items: int, discordance: float, truth: float) -> Callable[[Random, int], Found]:
    """`promoted`: the difference is claimed to lie above what it truly is."""

    def measure(random: Random, repetitions: int) -> Found:
        gaining, losing = (discordance + truth) / 2, (discordance - truth) / 2
        counts = random.multinomial(items, [gaining, losing, 1 - discordance], size=repetitions)
        estimates = [exam(items, int(g), int(n)) for g, n, _ in counts]
        return claims(estimates, truth) | unpaired(counts[:, 0], counts[:, 1], items)

    return measure


def clustered_exam(cases: int, per_case: int) -> Callable[[Random, int], Found]:
    """Useless candidate; the items of a case are gained or lost together in half of the cases."""

    def measure(random: Random, repetitions: int) -> Found:
        clusters = [str(n // per_case) for n in range(cases * per_case)]
        estimates = []
        for _ in range(repetitions):
            together = np.repeat(random.random(cases) < 0.5, per_case)
            common = np.repeat(random.random(cases), per_case)
            chance = np.where(together, common, random.random(len(clusters)))
            # 10 % gained, 10 % lost, 40 % right by both.
            candidate, reference = (chance < 0.1) | (chance > 0.6), (chance > 0.5)
            estimates.append(
                accuracy_difference(
                    candidate.tolist(), reference.tolist(), clusters,
                    confidence=CONFIDENCE, seed=1,
                ).estimate
            )  # fmt: skip
        return claims(estimates, 0.0)

    return measure


def claims(estimates: list[Estimate], truth: float) -> Found:
    envelopes_ = [e.envelope for e in estimates if e.envelope]
    tango = [e.methods["tango"] for e in estimates]
    return {
        "promoted": sum(standing(e, truth).relation == "above" for e in estimates) / len(estimates),
        "covered": sum(e.low <= truth <= e.high for e in envelopes_) / len(estimates),
        "width": float(np.mean([e.high - e.low for e in envelopes_])),
        "tango_covered": sum(t.low <= truth <= t.high for t in tango) / len(estimates),
    }


def unpaired(gained: NDArray[np.int64], lost: NDArray[np.int64], items: int) -> Found:
    """A gain claimed by the papers' rule and by lm-eval's script, which do not see the pairs."""
    reference, candidate = 0.5, 0.5 + (gained - lost) / items
    errors = [np.sqrt(p * (1 - p) / (items - 1)) for p in (np.clip(candidate, 0, 1), reference)]
    ahead = candidate - reference
    return {
        "papers_rule": float(np.mean(ahead > errors[0] + errors[1])),
        "lm_eval_unpaired": float(np.mean(ahead > 1.96 * np.hypot(*errors))),
    }


# The planner


def powered(effect: float, clusters: int, tail: TailRule) -> Callable[[Random, int], Found]:
    def measure(random: Random, repetitions: int) -> Found:
        found = judged(random.normal(effect, 1, size=(repetitions, clusters)), tail, effect)
        planned = planner.power(effect, 1, clusters, Rule(0, CONFIDENCE, tail))
        return found | {"planned": planned}

    return measure


def exam_powered(effect: float, items: int, margin: float) -> Callable[[Random, int], Found]:
    """20 % of the answers differ."""

    def measure(random: Random, repetitions: int) -> Found:
        shares = [(0.2 + effect) / 2, (0.2 - effect) / 2, 0.8]
        counts = random.multinomial(items, shares, size=repetitions)
        estimates = [exam(items, int(g), int(n)) for g, n, _ in counts]
        promoted = sum(standing(e, margin).relation == "above" for e in estimates) / repetitions
        planned = planner.accuracy_power(effect, 0.2, items, margin=margin, confidence=CONFIDENCE)
        beside = unpaired(counts[:, 0], counts[:, 1], items)
        return {"promoted": promoted, "planned": planned} | beside

    return measure


def enough(effect: float, tail: TailRule) -> Callable[[Random, int], Found]:
    """Power at the clusters that the planner asks for, and at 10 % fewer and more."""

    def measure(random: Random, repetitions: int) -> Found:
        rule = Rule(0, CONFIDENCE, tail)
        clusters = planner.needed(effect, 1, rule) or 0
        found: Found = {"clusters": clusters}
        for name, size in (("fewer", 0.9), ("here", 1), ("more", 1.1)):
            gains = random.normal(effect, 1, size=(repetitions, round(size * clusters)))
            found[name] = judged(gains, tail, effect)["promoted"]
        return found

    return measure


BOTH = ("promoted", "covered")
CELLS = (
    *(Cell(f"{s}, {n} clusters", shaped(s, n, DEMO), BOTH) for s in SHAPES for n in (16, 40, 100)),
    *(
        Cell(f"ICC {icc}, {n} clusters", clustered(icc, n), BOTH)
        for icc in (0.3, 0.5)
        for n in (16, 40, 100)
    ),
    Cell("best of 20, 8 + 16 clusters", best_of(20, 8, 16), BOTH),
    Cell("best of 20, 20 + 40 clusters", best_of(20, 20, 40), BOTH),
    Cell("nine looks, 24 to 40 clusters", looks(range(24, 41, 2), DEMO), ("promoted",)),
    Cell("nine looks, 8 to 40 clusters, no guard", looks(range(8, 41, 4), None), ("promoted",)),
    Cell("rare catastrophe, 100 clusters, hospital", rare(100, HOSPITAL), BOTH),
    Cell("rare catastrophe, 40 clusters", rare(40, DEMO), ()),
    Cell("rare catastrophe, 16 clusters", rare(16, DEMO), ()),
    *(
        Cell(f"exam of {n}, {d:g} discordant, {t:+g}", paired(n, d, t), BOTH)
        for n in (20, 40, 100)
        for d, t in ((0.05, -0.05), (0.1, 0.0), (0.1, -0.05), (0.2, 0.0))
    ),
    Cell("exam of 400, 0.1 discordant, -0.05", paired(400, 0.1, -0.05), BOTH),
    Cell("exam of 25 cases of 4 items", clustered_exam(25, 4), BOTH),
    Cell("power: +1, 16 clusters, demo", powered(1, 16, DEMO), ("planned",)),
    Cell("power: +0.5, 40 clusters, demo", powered(0.5, 40, DEMO), ("planned",)),
    Cell("power: +0.3, 100 clusters, hospital", powered(0.3, 100, HOSPITAL), ("planned",)),
    Cell("power: exam of 100, +0.1", exam_powered(0.1, 100, 0.0), ("planned",)),
    Cell("power: exam of 400, not 5 worse", exam_powered(0.0, 400, -0.05), ("planned",)),
    Cell("needed: +0.7, demo", enough(0.7, DEMO), ()),
    Cell("needed: +0.25, hospital", enough(0.25, HOSPITAL), ()),
)


def interval(share: float, repetitions: int) -> tuple[float, float]:
    test = stats.binomtest(round(share * repetitions), repetitions)
    low, high = test.proportion_ci(0.99, method="exact")
    return float(low), float(high)


def failures(cell: Cell, found: Found, repetitions: int) -> list[str]:
    """Which of the cell's limits its 99 % interval lies wholly beyond."""
    wrong = []
    for limit in cell.limits:
        low, high = interval(found["promoted" if limit == "planned" else limit], repetitions)
        beyond = {
            "promoted": low > FALSE,
            "covered": high < COVERED,
            "planned": limit == "planned"
            and not (low - POINTS <= found["planned"] <= high + POINTS),
        }
        if beyond[limit]:
            wrong.append(limit)
    return wrong


def run(number: int, repetitions: int = REPETITIONS) -> dict[str, Any]:
    """One cell; its chance follows from its number."""
    cell = CELLS[number]
    began = time.process_time()
    found = cell.measure(np.random.default_rng([13, number]), repetitions)
    return {
        "cell": cell.name,
        "limits": cell.limits,
        **{name: round(value, 4) for name, value in found.items()},
        "failed": failures(cell, found, repetitions),
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def seeds(number: int) -> float:
    """How far the lower bound moves among 5 seeds, in standard errors: mean of 60 data sets."""
    gains = SHAPES["tail of harm"](np.random.default_rng(0), (60, 16))
    lows = [envelopes(gains, CONFIDENCE, number=number, seed=s).low for s in range(5)]
    return round(float(np.mean(np.ptp(lows, axis=0) / stats.sem(gains, axis=1))), 3)


def large() -> dict[str, float]:
    """A verdict's resamples of 10,000 clusters."""
    gains = np.random.default_rng(0).normal(0.1, 1, size=10_000)
    began, cpu = time.perf_counter(), time.process_time()
    difference(gains, confidence=CONFIDENCE, seed=0)
    return {
        "clusters": len(gains),
        "resamples": resolved(CONFIDENCE, 1, len(gains))[1],
        "seconds": round(time.perf_counter() - began, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def plot(cells: list[dict[str, Any]], path: Path) -> None:
    """False promotion and coverage of each cell with their 99 % intervals, and the limits."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 11), sharey=True)
    shown = [cell for cell in cells if "planned" not in cell and "clusters" not in cell]
    spans = ((0, 8), (90, 100))
    for axis, key, limit, span in zip(axes, BOTH, (FALSE, COVERED), spans, strict=True):
        for row, cell in enumerate(shown):
            if key not in cell:
                continue
            low, high = interval(cell[key], REPETITIONS)
            judged_by_it = key in cell["limits"]
            colour = (
                "#c1440e" if key in cell["failed"] else "#0b6e4f" if judged_by_it else "#7f7f7f"
            )
            if not span[0] <= 100 * cell[key] <= span[1]:
                at = span[1] if cell[key] > limit else span[0]
                axis.annotate(f"{100 * cell[key]:.0f} %", (at, row), fontsize=8, color=colour,
                              ha="right" if at == span[1] else "left", va="center")  # fmt: skip
                continue
            axis.plot([100 * low, 100 * high], [row, row], color=colour, lw=2)
            axis.plot(100 * cell[key], row, "o", ms=4, color=colour)
        axis.set_xlim(span[0] - 0.2, span[1] + 0.2)
        axis.axvline(100 * limit, color="black", lw=0.8, ls="--")
        axis.grid(alpha=0.3, lw=0.5)
    axes[0].set_yticks(range(len(shown)), [cell["cell"] for cell in shown], fontsize=8)
    axes[0].invert_yaxis()
    axes[0].set_xlabel("false promotion by the whole rule, %")
    axes[1].set_xlabel("true value within the envelope, %")
    figure.suptitle(
        f"{REPETITIONS:,} data sets a cell, 99 % intervals; dashed: limit; grey: without one",
        fontsize=10,
    )
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def record(cells: list[dict[str, Any]]) -> None:
    result = {
        "repetitions": REPETITIONS,
        "resamples": RESAMPLES,
        "confidence": CONFIDENCE,
        "limits": {"promoted": FALSE, "covered": COVERED, "planned": POINTS},
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
        "cells": cells,
        "bound_moves_with_the_seed_by_standard_errors": {
            str(number): seeds(number) for number in (1000, FLOOR)
        },
        "large": large(),
        "load_average": round(os.getloadavg()[0], 2),
    }
    (RESULTS / "validity.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    plot(cells, RESULTS / "validity.png")
    say(f"failed: {[cell['cell'] for cell in cells if cell['failed']]}")


def bench() -> None:
    with ProcessPoolExecutor(max_workers=2) as pool:
        cells = []
        for result in pool.map(run, range(len(CELLS))):
            say(json.dumps(result))
            cells.append(result)
    record(cells)


if __name__ == "__main__":
    bench()

"""Whether the classifier's certificate holds as often as it says, where the truth is known.

    .venvs/dev/bin/python bench/corpus/certificate.py

Scores of both classes are drawn from normal distributions on the logistic scale, so that the true
precision of any threshold at any prevalence is known. Each round draws a validation set and a test
set, lets `certify` choose the threshold on the one and bound its precision on the other, and looks
whether the bound is at or below the truth: 95 % of the rounds must be. Beside it, what the same
test set would claim without a correction for the prevalence (`as_drawn`), and how many documents a
certificate takes. Nothing is asserted; to `bench/results/classifier_certificate.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from bedside_core.console import say, table
from bedside_corpus.classifier.certificate import (
    CONFIDENCE,
    Certificate,
    Scored,
    certify,
    interval,
    needed,
    precision_at,
)

RESULTS = Path(__file__).parents[2] / "bench/results/classifier_certificate.json"
ROUNDS = 1000
TARGET = 0.9
PREVALENCES = (0.01, 0.05, 0.2)
SHAPES = {"good": (4.0, 1.5), "fair": (2.0, 1.5)}
"""Half the distance of the means and the deviation of both classes, in logits."""
SIZES = {"small": (500, 2000), "large": (5000, 45000)}
"""Of the test set, medical and other documents; validation has a quarter of them."""
Random = np.random.Generator


def drawn(random: Random, shape: str, yes: int, no: int) -> Scored:
    half, deviation = SHAPES[shape]
    values = random.normal(half, deviation, yes), random.normal(-half, deviation, no)
    return Scored(*(np.sort(1 / (1 + np.exp(-one))) for one in values))


def truth(shape: str, threshold: float, prevalence: float) -> float:
    half, deviation = SHAPES[shape]
    logit = np.log(threshold / (1 - threshold))
    recall, rate = (float(stats.norm.sf(logit, mean, deviation)) for mean in (half, -half))
    return precision_at(recall, rate, prevalence) or 0.0


def one_round(
    random: Random, shape: str, sizes: tuple[int, int], prevalence: float, *, known: bool
) -> tuple[Certificate, float]:
    yes, no = sizes
    if not known:
        # A random draw from the deployment: its classes are as many as chance makes them.
        yes = max(1, int(random.binomial(sum(sizes), prevalence)))
        no = sum(sizes) - yes
    certificate = certify(
        drawn(random, shape, max(4, yes // 4), no // 4),
        drawn(random, shape, yes, no),
        target=TARGET,
        prevalence=prevalence if known else None,
    )
    return certificate, truth(shape, certificate.threshold, prevalence)


def simulate(shape: str, size: str, prevalence: float, *, known: bool) -> dict[str, Any]:
    random = np.random.default_rng(15)
    rounds = [one_round(random, shape, SIZES[size], prevalence, known=known) for _ in range(ROUNDS)]
    held = sum(found.precision_low <= true for found, true in rounds)
    certified = [(found, true) for found, true in rounds if found.certified]
    yes, no = SIZES[size]
    balanced = [precision_at(f.recall.value, f.false_positive_rate.value, yes / (yes + no))
                for f, _ in rounds]  # fmt: skip
    covered = interval(held, ROUNDS)
    return {
        "shape": shape,
        "test": {"yes": yes, "no": no} if known else {"documents": yes + no},
        "prevalence": prevalence,
        "prevalence_known": known,
        "coverage": covered.value,
        "coverage_interval": [covered.low, covered.high],
        "certified": len(certified) / ROUNDS,
        "wrongly_certified": sum(true < TARGET for _, true in certified) / ROUNDS,
        "true_precision_median": float(np.median([true for _, true in rounds])),
        "bound_median": float(np.median([found.precision_low for found, _ in rounds])),
        "as_drawn_median": float(np.median([one for one in balanced if one is not None])),
        "recall_median": float(np.median([found.recall.value for found, _ in rounds])),
    }


def main() -> None:
    level = CONFIDENCE**0.5
    found = [
        simulate(shape, size, prevalence, known=known)
        for shape in SHAPES
        for size in SIZES
        for prevalence in PREVALENCES
        for known in (True, False)
    ]
    result = {
        "rounds": ROUNDS,
        "target_precision": TARGET,
        "confidence": CONFIDENCE,
        "simulated": found,
        "other_documents_needed_without_a_false_positive": {
            f"prevalence {prevalence}, recall {recall}": needed(recall, prevalence, TARGET, level)
            for prevalence in PREVALENCES
            for recall in (0.8, 0.9)
        },
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", "ascii")
    rows = [["shape", "test", "prevalence", "known", "coverage", "certified", "wrongly", "as drawn",
             "truth", "bound"]]  # fmt: skip
    rows += [
        [
            one["shape"],
            str(one["test"].get("documents") or one["test"]["yes"] + one["test"]["no"]),
            f"{one['prevalence']:.0%}",
            str(one["prevalence_known"]),
            f"{one['coverage']:.3f}",
            f"{one['certified']:.3f}",
            f"{one['wrongly_certified']:.3f}",
            f"{one['as_drawn_median']:.3f}",
            f"{one['true_precision_median']:.3f}",
            f"{one['bound_median']:.3f}",
        ]
        for one in found
    ]
    say(table(rows))


if __name__ == "__main__":
    main()

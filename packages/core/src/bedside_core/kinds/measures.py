"""What can be measured of a model, by the names that a policy gives it.

It lives here because an operator's policy names measures, the evaluation takes them, and the
registry knows which sets a verdict rests on.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

LIKELIHOOD = "likelihood"
"""Negative log-likelihood of held-out texts in bits per byte of UTF-8."""


class Measure(NamedTuple):
    """One number for each text or item, or one statistic of all of them."""

    of: tuple[str, ...]
    """Types of exam items; empty for held-out texts."""
    form: Literal["rate", "binary", "mean", "statistic"]
    """`rate`: sums by cluster; `binary`: right or wrong; `mean`: a number between 0 and 1 for each
    item; `statistic`: a function of all items, compared by cluster jackknife."""
    taken: Literal["likelihood", "engine", "judge"] = "likelihood"
    """From likelihoods in the evaluation's process, from answers of the engine that serves, or from
    what judges say of those answers."""
    less_is_better: bool = False


WIN_RATE = "win_rate"
"""How often the candidate's answer is preferred to another model's; its gain is what it has above
one half. A model alone has none."""
WRITTEN = ("choice", "short", "open", "instructions", "document")
MEASURES = {
    LIKELIHOOD: Measure((), "rate", less_is_better=True),
    "accuracy": Measure(("choice",), "binary"),
    "accuracy_norm": Measure(("choice",), "binary"),
    "brier": Measure(("choice",), "mean", less_is_better=True),
    "ece": Measure(("choice",), "statistic", less_is_better=True),
    "coverage_accuracy": Measure(("choice",), "statistic"),
    "accuracy_constrained": Measure(("choice",), "binary", "engine"),
    "consistent_accuracy": Measure(("choice",), "binary", "engine"),
    "abstention": Measure(("choice",), "binary", "engine"),
    "accuracy_generated": Measure(("choice",), "binary", "engine"),
    "exact_match": Measure(("short",), "binary", "engine"),
    "instructions_followed": Measure(("instructions",), "binary", "engine"),
    "document_fidelity": Measure(("document",), "binary", "engine"),
    "facts_found": Measure(("document",), "mean", "engine"),
    "rouge_l": Measure(("open", "document"), "mean", "engine"),
    "failure_numbers": Measure(("document",), "binary", "engine", less_is_better=True),
    "failure_turned": Measure(("document",), "binary", "engine", less_is_better=True),
    **{
        f"failure_{name}": Measure(WRITTEN, "binary", "engine", less_is_better=True)
        for name in ("empty", "truncated", "repetition", "language_mixing", "template_leakage")
    },
    WIN_RATE: Measure(("open", "document"), "mean", "judge"),
    **{
        f"failure_{name}": Measure(("open", "document"), "mean", "judge", less_is_better=True)
        for name in (
            *("typo", "contradiction", "hallucination", "omission", "overgeneralization"),
            *("irrelevance", "verbosity", "underexplained", "ambiguity", "instruction_ignoring"),
            *("overconfidence", "bias_or_harm"),
        )
    },
}
ACCURACIES = ("accuracy", "accuracy_norm")
"""Share of right answers in an exam: the likeliest option, the likeliest per character."""


def of_items() -> tuple[str, ...]:
    """The measures of exams."""
    return tuple(name for name, measure in MEASURES.items() if measure.of)

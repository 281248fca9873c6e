"""A reanalysis as text and as a plot.

Tested in tests/eval/reanalysis/test_verb.py.
"""

from __future__ import annotations

from io import BytesIO

from matplotlib.figure import Figure

from bedside_core.console import table
from bedside_eval.reanalysis.judge import Claim, JudgedTable, Reanalysis, Standing

_COLOURS: dict[Standing, str] = {
    "proven": "#d55e00",
    "possible": "#0072b2",
    "impossible": "#999999",
    "unknown": "#cc79a7",
}
"""Okabe and Ito's palette."""


_SMALLEST = 1e-12
"""Smaller p are drawn there."""


def survives(claim: Claim, alpha: float) -> bool:
    """Whether the unpaired test stands after Holm."""
    return claim.p_holm is not None and claim.p_holm <= alpha


def terminal(result: Reanalysis) -> str:
    """The counts of every table, then each claim that any rule makes."""
    head = ["table", "claims", "1 SE apart", "of doubtful cells", "p unpaired", "after Holm",
            "every pairing", "some pairing", "no pairing"]  # fmt: skip
    rows = [head, *(_counts(found, result.alpha) for found in result.tables)]
    parts = [f"{result.paper}, level {100 * result.alpha:g} %", "", table(rows)]
    for found in result.tables:
        shown = [c for c in found.claims if c.flagged or c.p <= result.alpha or _proven(c)]
        if shown:
            lines = [["model", "task", "points", "1 SE apart", "p", "p (Holm)", "paired p",
                      "pairings"], *map(_line, shown)]  # fmt: skip
            parts += ["", f"{found.title} ({found.source})", "", table(lines)]
        parts += [f"doubtful: {doubt}" for doubt in found.doubts]
    return "\n".join(parts)


def _proven(claim: Claim) -> bool:
    return claim.standing == "proven"


def _counts(found: JudgedTable, alpha: float) -> list[str]:
    """Averages and doubtful cells are in no count but their own."""
    family = [claim for claim in found.claims if claim.p_holm is not None]
    doubtful = [claim for claim in found.claims if claim.doubtful]
    standings = [claim.standing for claim in family]
    return [
        found.title,
        str(found.family),
        str(sum(claim.flagged for claim in family)),
        f"{sum(claim.flagged for claim in doubtful)} of {len(doubtful)}",
        str(sum(claim.p <= alpha for claim in family)),
        str(sum(survives(claim, alpha) for claim in family)),
        *(str(standings.count(name)) for name in ("proven", "possible", "impossible")),
    ]


def _line(claim: Claim) -> list[str]:
    span = claim.pairing
    return [
        claim.model,
        claim.task,
        f"{100 * claim.difference:+.1f}",
        "yes" if claim.flagged else "no",
        _p(claim.p),
        "-" if claim.p_holm is None else _p(claim.p_holm),
        f"{_p(span.best_p)} to {_p(span.worst_p)}" if span else "-",
        "doubtful" if claim.doubtful else claim.standing,
    ]


def _p(value: float) -> str:
    return "< .0001" if value < 1e-4 else f"{value:.4f}".lstrip("0") if value < 0.99995 else "1"


def forest_plot(result: JudgedTable, alpha: float) -> bytes:
    """A PNG: each difference with its unpaired interval, and the paired p of every pairing."""
    claims = [claim for claim in result.claims if not claim.doubtful]
    figure = Figure(figsize=(10, 1.6 + 0.2 * len(claims)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    drawn: set[Standing] = set()
    for place, claim in enumerate(reversed(claims)):
        colour = _COLOURS[claim.standing]
        label = None if claim.standing in drawn else f"significant: {_WORDS[claim.standing]}"
        drawn.add(claim.standing)
        left.errorbar(100 * claim.difference, place, xerr=100 * claim.half_width, fmt="o",
                      markersize=3, color=colour, label=label)  # fmt: skip
        if claim.pairing is not None:
            span = [max(p, _SMALLEST) for p in (claim.pairing.best_p, claim.pairing.worst_p)]
            right.plot(span, [place] * 2, "|-", color=colour)
    left.axvline(0, color="grey", linewidth=0.8)
    left.set_xlabel(f"difference in points,\nunpaired {100 * (1 - alpha):g} % interval")
    right.set_xscale("log")
    right.axvline(alpha, color="grey", linewidth=0.8, linestyle="--")
    right.set_xlabel("exact McNemar p before Holm,\nfrom the best to the worst pairing")
    # A name is no formula: matplotlib would set what stands between dollar signs as one.
    names = [f"{claim.model}: {claim.task}".replace("$", r"\$") for claim in reversed(claims)]
    left.set_yticks(range(len(names)), labels=names, fontsize=7)
    left.set_ylim(-0.6, len(names) - 0.4)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=2,
                  fontsize="small")  # fmt: skip
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


_WORDS: dict[Standing, str] = {
    "proven": "by every pairing after Holm",
    "possible": "by some pairings after Holm",
    "impossible": "by no pairing after Holm",
    "unknown": "pairings not known",
}

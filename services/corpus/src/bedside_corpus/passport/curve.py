"""The certificate of a classifier as SVG: precision and recall over all thresholds.

Tested in tests/corpus/classifier/test_passport.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bedside_corpus.passport.pictures import picture, text

LEFT, TOP, WIDE, HIGH = 48, 12, 700, 220
"""Pixels: where the axes begin, and how long they are."""
_STYLE = """<style>
.line { fill: none; stroke-width: 2; } .band { opacity: .18; stroke: none; }
.dots { stroke-dasharray: 2 4; } .axis { stroke: #475963; stroke-width: .5; opacity: .5; }
.mark { stroke: #475963; stroke-width: 1.2; } .target { stroke-dasharray: 7 4; }
.precision { stroke: #0b5c6b; fill: #0b5c6b; } .recall { stroke: #b4690e; fill: #b4690e; }
.precision.line, .recall.line { fill: none; }
@media (prefers-color-scheme: dark) { .axis, .mark { stroke: #aebfc7; }
  .precision { stroke: #5fb4c4; fill: #5fb4c4; } .recall { stroke: #e0a458; fill: #e0a458; } }
</style>"""
Points = Sequence[tuple[float, float]]


def curve(certificate: Mapping[str, Any]) -> str:
    """Precision with its lower bound, and recall with its interval, by threshold.

    Args:
        certificate: of an entry of `classifiers` of the passport.
    """
    of = certificate["curve"]
    precision, low, recall, least, most = (
        _points(of["threshold"], of[name])
        for name in ("precision", "precision_low", "recall", "recall_low", "recall_high")
    )
    # Where no document passes there is no precision, and a bound of nothing.
    low = low[: len(precision)]
    at, target = _x(certificate["threshold"]), _y(certificate["target_precision"])
    parts = [_STYLE]
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts += [
            _line("axis", ((LEFT, _y(share)), (LEFT + WIDE, _y(share)))),
            text(LEFT - 6, _y(share) + 4, f"{share:.0%}", anchor="end", soft=True),
            text(_x(share), TOP + HIGH + 18, f"{share:g}", anchor="middle", soft=True),
        ]
    parts += [
        _line("precision band", (*low, *reversed(precision))),
        _line("recall band", (*least, *reversed(most))),
        _line("precision line dots", low),
        _line("precision line", precision),
        _line("recall line", recall),
        _line("mark target", ((LEFT, target), (LEFT + WIDE, target))),
        _line("mark", ((at, TOP), (at, TOP + HIGH))),
    ]
    y, legend = TOP + HIGH + 42, LEFT
    for kind, said, wide in (
        ("precision line", "precision", 90),
        ("precision line dots", "its lower bound", 125),
        ("recall line", "recall", 75),
        ("mark target", "target", 75),
        ("mark", f"threshold {certificate['threshold']:.4g}", 0),
    ):
        parts.append(_line(kind, ((legend, y - 4), (legend + 18, y - 4))))
        parts.append(text(legend + 24, y, said))
        legend += 24 + wide
    share = certificate["prevalence"]["value"]
    title = f"precision at a prevalence of {share:.2%}, and recall, by threshold"
    return picture(y + 8, title, parts)


def _points(thresholds: Sequence[float], values: Sequence[float | None]) -> Points:
    pairs = zip(thresholds, values, strict=True)
    return [(_x(at), _y(value)) for at, value in pairs if value is not None]


def _x(threshold: float) -> float:
    return LEFT + WIDE * threshold


def _y(share: float) -> float:
    return TOP + HIGH * (1 - share)


def _line(kind: str, points: Points) -> str:
    shape = "polygon" if "band" in kind else "polyline"
    return f'<{shape} class="{kind}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'

"""The certificate as a picture: precision and recall over thresholds, as figure 4 of DeFineMed.

Tested in tests/corpus/classifier/test_verb.py.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files only: there is no display on a server

from matplotlib.figure import Figure

from bedside_corpus.classifier.certificate import Certificate


def draw(certificate: Certificate, path: Path) -> None:
    """Write a PNG."""
    curve = certificate.curve
    at = [point.threshold for point in curve]
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    precision = [float("nan") if p.precision is None else p.precision for p in curve]
    label = f"precision at {certificate.prevalence.value:.2%}"
    [line] = axes.plot(at, precision, label=label)
    # Its own rates bound a precision from below; an upper bound nobody needs.
    low = [point.precision_low for point in curve]
    axes.plot(at, low, color=line.get_color(), linestyle=":", label="its lower bound")
    axes.fill_between(at, low, precision, color=line.get_color(), alpha=0.15)
    [line] = axes.plot(at, [p.recall.value for p in curve], label="recall")
    axes.fill_between(
        at,
        [p.recall.low for p in curve],
        [p.recall.high for p in curve],
        color=line.get_color(),
        alpha=0.15,
    )
    axes.axhline(certificate.target_precision, color="grey", linewidth=0.8, label="target")
    axes.axvline(certificate.threshold, color="black", linewidth=0.8, label="threshold")
    said = "certified" if certificate.certified else "not certified"
    axes.set(xlabel="threshold", ylim=(0, 1.02), xlim=(0, 1), title=f"Classifier, {said}")
    axes.legend(loc="lower left", fontsize="small")
    # Without a date or version in it, equal certificates have equal pictures.
    figure.savefig(path, dpi=120, metadata={"Software": None})

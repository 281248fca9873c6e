"""All files of the report: what the evidence artifact holds and its signature covers."""

from __future__ import annotations

import csv
import io
import json

from bedside_eval.evidence import Evidence
from bedside_eval.reporting.contents import DATA, RESULTS, names
from bedside_eval.reporting.figures import forest
from bedside_eval.reporting.gains import gains_of
from bedside_eval.reporting.numerals import LANGUAGES
from bedside_eval.reporting.page import html
from bedside_eval.reporting.pdf import pdf
from bedside_eval.reporting.view import failure_gains, view_of
from bedside_eval.reporting.words import WORDS

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a cell that begins so."""


def report_files(evidence: Evidence) -> dict[str, bytes]:
    """By name; equal evidence gives equal bytes.

    Raises:
        InputError: the PDF cannot be set.
    """
    gains = gains_of(evidence)
    found = {}
    for language in LANGUAGES:
        view = view_of(evidence, language)
        figures = {
            name: forest(rows, language)
            for name, rows in (("forest", gains), ("failures", failure_gains(evidence)))
            if rows
        }
        page, paper = names(language)
        found[page] = html(view, figures).encode()
        found[paper] = pdf(view, figures)
    return found | {DATA: _json(evidence), RESULTS: _csv(evidence)}


def badges(evidence: Evidence) -> dict[str, str]:
    """What a page that serves this model may say of it, by language."""
    key = "unproven"
    if evidence.verdict == "PROMOTE":
        key = "demo" if evidence.scope == "demo" else "proven"
    return {language: WORDS[language][f"badge_{key}"] for language in LANGUAGES}


def _rows(evidence: Evidence) -> list[dict[str, str | float | None]]:
    """One for each model, set and measure: shares between 0 and 1, or bits per byte."""
    rows: list[dict[str, str | float | None]] = []
    for role, model in evidence.models.items():
        values = [("heldout", n, "likelihood", e) for n, e in model.bits_per_byte.items()]
        for name, rates in model.accuracy.items():
            for metric, rate in rates.items():
                measure = "accuracy" if metric == "acc" else "accuracy_norm"
                values.append(("exam", name, measure, rate))
        for name, others in model.values.items():
            values += [("exam", name, measure, value) for measure, value in others.items()]
        for kind, name, measure, estimate in values:
            bounds = estimate.envelope
            rows.append(
                {
                    "model": role, "digest": model.digest, "kind": kind, "set": name,
                    "measure": measure, "value": estimate.estimate,
                    "low": None if bounds is None else bounds.low,
                    "high": None if bounds is None else bounds.high,
                    "confidence": estimate.confidence, "clusters": estimate.clusters,
                }
            )  # fmt: skip
    return rows


def _json(evidence: Evidence) -> bytes:
    content = {
        "schema_version": 1,
        "verdict": evidence.verdict,
        "scope": evidence.scope,
        "candidate": evidence.candidate,
        "base": evidence.base,
        "plan": evidence.plan,
        "look": evidence.look,
        "policy_sha256": evidence.policy_sha256,
        "results": _rows(evidence),
        "gains": [
            {"set": g.of, "kind": g.kind, "measure": g.measure, "against": g.against,
             "margin": g.margin, "gain": g.estimate.model_dump(mode="json")}
            for g in gains_of(evidence)
        ],
        "subgroups": [group.model_dump(mode="json") for group in evidence.subgroups],
        "judging": None if evidence.judging is None else evidence.judging.model_dump(
            mode="json", exclude={"judged"}
        ),
        "findings": [finding.model_dump(mode="json") for finding in evidence.findings],
    }  # fmt: skip
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _csv(evidence: Evidence) -> bytes:
    out = io.StringIO()
    names = ("model", "digest", "kind", "set", "measure", "value", "low", "high", "confidence",
             "clusters")  # fmt: skip
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in row.items()} for row in _rows(evidence))
    return out.getvalue().encode()


def cell(value: str | float | None) -> str | float | None:
    """Text that a spreadsheet would run gets an apostrophe; numbers stay numbers."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value

"""A finding's sentence comes from its fields, in each language."""

from __future__ import annotations

import pytest

from bedside_core.kinds.measures import MEASURES
from bedside_eval.evidence import Evidence
from bedside_eval.records import Finding, Lost
from bedside_eval.reporting.numerals import LANGUAGES, Language
from bedside_eval.reporting.sentences import Speaker
from tests.eval.reporting.conftest import estimate


def finding(**fields: object) -> Finding:
    base = {"condition": "guard", "measure": "likelihood", "of": "medical", "against": "base",
            "outcome": "open", "reason": "ENGLISH"}  # fmt: skip
    return Finding.model_validate(base | fields)


def test_gain_loss_and_what_is_missing(evidence: Evidence) -> None:
    gain, loss = (Speaker(evidence, "de").finding(f) for f in evidence.findings)
    assert gain == (
        "medical: Der Gewinn gegenüber dem Ausgangsmodell (Vorhersage der Texte) beträgt "
        "0,0500 Bit pro Byte (Bereich 0,0400 bis 0,0600); verlangt sind mehr als 0,0100."
    )
    assert "beträgt \u22122,0 Prozentpunkte (Bereich \u221210,0 bis 6,0)" in loss
    assert "1.234 Gruppen" in loss


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("fields", [
    {"measure": "tail", "margin": 0.1, "lost": Lost(clusters=3, of=40, bound=0.2)},
    {"condition": "floor", "measure": "accuracy", "against": None, "margin": 0.3,
     "estimate": estimate(0.2, 0.05), "outcome": "fails"},
    {"margin": 0.02, "estimate": estimate(0.09, 0.01), "outcome": "fails", "p": 0.001},
    {"measure": "exact_match"},
    {"condition": "setting", "against": None, "needed": 14},
    *({"condition": "setting", "measure": measure, "against": None}
      for measure in ("finite", "generation", "contamination", "another")),
])  # fmt: skip
def test_every_kind_has_a_sentence(
    evidence: Evidence, language: Language, fields: dict[str, object]
) -> None:
    said = Speaker(evidence, language).finding(finding(**fields))
    assert said.startswith("medical") or "medical" in said
    assert "ENGLISH" not in said
    assert "{" not in said


@pytest.mark.parametrize("language", LANGUAGES)
def test_measures_have_a_name(evidence: Evidence, language: Language) -> None:
    speaker = Speaker(evidence, language)
    assert {m for m in MEASURES if speaker.measure(m) == m} == set()

"""Each damage changes what it names and nothing else."""

from __future__ import annotations

import pytest

from bedside_eval.judging.damage import ten_times, turned, undenied


@pytest.mark.parametrize(
    ("text", "worse"),
    [
        ("Ramipril 5 mg täglich", "Ramipril 50 mg täglich"),
        ("0,5 mg i.m.", "5 mg i.m."),
        ("7,5 mg", "75 mg"),
        ("0,15 bis 0,6 mg/kg", "1,5 bis 6 mg/kg"),
        ("50-100 ml", "500-1000 ml"),
        ("14 Einheiten", "140 Einheiten"),
        ("Paracétamol 1 g", "Paracétamol 10 g"),
        ("1 000 µg", None),  # a number in groups is left alone, not its last group changed
        ("38,5 °C seit 3 Tagen, Puls 110", None),
        ("3 ganze Tage", None),
    ],
)
def test_doses_are_ten_times_as_high(text: str, worse: str | None) -> None:
    assert ten_times(text, "de") == worse


@pytest.mark.parametrize(
    ("language", "text", "worse"),
    [
        ("de", "Hernie rechts, linke Hüfte", "Hernie links, rechte Hüfte"),
        ("de", "Linkes Bein", "Rechtes Bein"),
        ("de", "rechtzeitig, rechtlich", None),
        ("fr", "main gauche et jambe droite", "main droite et jambe gauche"),
        ("fr", "à droit", None),
    ],
)
def test_sides_are_turned(language: str, text: str, worse: str | None) -> None:
    assert turned(text, language) == worse


@pytest.mark.parametrize(
    ("language", "text", "worse"),
    [
        ("de", "Es besteht keine Indikation, nicht nun.", "Es besteht eine Indikation, nicht nun."),
        ("de", "Kortison nicht abrupt absetzen", "Kortison abrupt absetzen"),
        ("de", "nicht nur Fieber", None),
        ("fr", "Il ne faut pas attendre.", "Il faut attendre."),
        ("fr", "Elle n'est pas tératogène.", "Elle est tératogène."),
        ("fr", "Il faut attendre.", None),
    ],
)  # fmt: skip
def test_a_denial_becomes_a_statement(language: str, text: str, worse: str | None) -> None:
    assert undenied(text, language) == worse

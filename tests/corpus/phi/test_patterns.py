from pathlib import Path

import pytest

from bedside_core.errors import InputError
from bedside_corpus.phi.patterns import entity_of, read_patterns
from bedside_corpus.phi.spans import Span

TOLD = """
recognizers:
  - name: visit
    supported_language: de
    supported_entity: ID
    patterns: [{name: number, regex: "V-[0-9]{5}", score: 0.4}]
    context: [Visite]
  - name: staff
    supported_entity: PERSON
    deny_list: [Quendolin]
  - {name: spare, enabled: false, supported_entity: ID, deny_list: [Haus]}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "patterns.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_patterns_context_and_deny_lists(tmp_path):
    visit, staff = read_patterns(written(tmp_path, TOLD))
    text = "Visite V-12345, dann Quendolin im Haus. " + "-" * 80 + " V-54321"
    first, second = visit.analyze(text, "de")
    assert first == Span(7, 14, "ID", 0.75)
    assert second.score == 0.4
    assert list(visit.analyze(text, "fr")) == []
    assert [text[s.start : s.end] for s in staff.analyze(text, "fr")] == ["Quendolin"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recognizers: [{name: x, type: predefined}]", "type"),
        ("recognizers: [{name: x, supported_entity: A, patterns: [{regex: (, score: 1}]}]", "none"),
        ("recognizers: [{name: x, supported_entity: A, patterns: [{regex: a, score: 2}]}]", "scor"),
        (": : :", "YAML"),
        ("[]", "patterns.yaml"),
    ],
)  # fmt: skip
def test_what_is_no_recogniser_is_said(tmp_path, text, said):
    with pytest.raises(InputError, match=said):
        read_patterns(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_patterns(tmp_path / "nix")


@pytest.mark.parametrize(
    ("label", "category"),
    [
        ("B-PER", "NAME"), ("NAME_DOCTOR", "NAME"), ("I-LOCATION_CITY", "LOCATION"),
        ("PHONE_NUMBER", "CONTACT"), ("DATE_TIME", "DATE"), ("ORG", "LOCATION"), ("SHOE", "OTHER"),
    ],
)  # fmt: skip
def test_labels_of_others(label, category):
    assert entity_of(label) == category

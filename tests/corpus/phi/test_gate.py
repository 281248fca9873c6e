import json
import logging

import pytest
from pydantic import ValidationError

from bedside_core.errors import InputError
from bedside_corpus.document import Document
from bedside_corpus.phi import gate as module
from bedside_corpus.phi.config import PhiConfig
from bedside_corpus.phi.gate import PhiGate

NAMED = "Herr Wiesengrund kam am 3.4.2030 und am 5.4.2030. Tel.: 0551 391234"
CLEAN = "Die 73-jährige Patientin hat einen M. Crohn, erstmals 2019; Ramipril 5 mg 1-0-1."


def document(text, identifier="a"):
    return Document(identifier, text, "ward", "CC0-1.0", "de", f"ward/{identifier}:1")


def gate(tmp_path, **settings):
    return PhiGate(PhiConfig(**settings), tmp_path / "aside")


def kept(gate, *documents):
    return list(gate.run(iter(documents)))


def test_over_the_risk_is_out_and_counted_by_category(tmp_path):
    one = gate(tmp_path)
    assert kept(one, document(NAMED), document(CLEAN, "b")) == [document(CLEAN, "b")]
    assert one.counts.dropped == {"phi": 1}
    assert {"with_NAME", "with_DATE", "with_CONTACT"} <= one.counts.noted.keys()
    assert not (tmp_path / "aside").exists()


def test_the_threshold_is_the_houses(tmp_path):
    assert len(kept(gate(tmp_path, max_risk=9), document(NAMED))) == 1
    dated = document("Kontrolle am 3.4.2030 geplant.")
    assert len(kept(gate(tmp_path), dated)) == 1
    assert kept(gate(tmp_path, max_risk=0), dated) == []


def test_quarantine_and_what_a_person_released(tmp_path):
    one = gate(tmp_path, on_hit="quarantine")
    assert kept(one, document(NAMED)) == []
    [file] = (tmp_path / "aside").glob("??/*.json")
    digest = json.loads(file.read_text())["sha256"]
    review = tmp_path / "review.csv"
    for decision, out in (("release", 1), ("keep out", 0)):
        review.write_text(f"sha256,decision,by\n{digest},{decision},Dr. X\n")
        assert len(kept(gate(tmp_path, review=review), document(NAMED))) == out


def test_pseudonymised_with_another_id(tmp_path):
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    one = gate(tmp_path, on_hit="pseudonymise", key=key)
    [new] = kept(one, document(NAMED, "Wiesengrund-2030"))
    assert "Wiesengrund" not in new.text + new.id
    assert one.counts.noted["replaced_NAME"] == 1
    [clean] = kept(one, document(CLEAN))
    assert clean.text == CLEAN


def test_a_recogniser_that_breaks_keeps_the_document_out(tmp_path, monkeypatch, caplog):
    class Broken:
        def analyze(self, text, language):
            raise ValueError(text)

    monkeypatch.setattr(module, "recognisers", lambda config: (Broken(),))
    one = gate(tmp_path)
    with caplog.at_level(logging.DEBUG):
        assert kept(one, document(CLEAN)) == []
    assert one.counts.dropped == {"phi_unjudged": 1}
    assert "Crohn" not in caplog.text + "".join(str(vars(r)) for r in caplog.records)


def test_a_pattern_without_end_keeps_the_document_out(tmp_path, monkeypatch):
    monkeypatch.setattr("bedside_corpus.phi.patterns.SECONDS", 0.05)
    patterns = tmp_path / "slow.yaml"
    patterns.write_text(
        'recognizers: [{name: slow, supported_entity: ID, patterns: [{regex: "(a|aa)+$", score: 1}]}]'  # noqa: E501
    )
    one = gate(tmp_path, patterns=patterns)
    assert kept(one, document("a" * 200 + "!")) == []
    assert one.counts.dropped == {"phi_unjudged": 1}


@pytest.mark.parametrize("size", [None, 5])
def test_a_key_that_is_none(tmp_path, size):
    key = tmp_path / "key"
    if size:
        key.write_bytes(b"k" * size)
    with pytest.raises(InputError, match=r"corpus\.phi\.key"):
        kept(gate(tmp_path, on_hit="pseudonymise", key=key), document(NAMED))


@pytest.mark.parametrize("settings", [{"on_hit": "pseudonymise"}, {"key": "file"}])
def test_pseudonyms_and_the_key_belong_together(settings):
    with pytest.raises(ValidationError, match="belong together"):
        PhiConfig(**settings)

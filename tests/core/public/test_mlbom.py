"""The ML-BOM: every element is there or says why not; no text, name of a file or person is."""

from __future__ import annotations

import json
from dataclasses import replace

from bedside_core.public.elements import ELEMENTS, PREFIX
from bedside_core.public.mlbom import ml_bom

ABSENT_EVERYWHERE = {"SLP-03", "MDL-05", "INF-02", "SP-02", "SP-04", "KPI-01"}


def elements(bom):
    found = {p["name"]: p["value"] for p in bom["metadata"]["properties"]}
    return {name.removeprefix(PREFIX): v for name, v in found.items() if name.startswith(PREFIX)}


def test_every_element_is_there_or_says_why_not(promoted):
    said = elements(ml_bom(promoted, {"model.sig": "0" * 64}, "f" * 64))
    assert list(said) == [element.number for element in ELEMENTS]
    absent = {number for number, value in said.items() if ": absent, " in value}
    assert absent == ABSENT_EVERYWHERE
    assert not any(value.endswith(": absent, ") for value in said.values())


def test_a_model_without_training_says_so(promoted, models):
    alone = replace(promoted, model=models["base"], lineage=(models["base"],))
    said = elements(ml_bom(alone, {"model.sig": "0" * 64}, "f" * 64))
    assert said["MDL-11"].endswith("no training of this house is in the model's lineage")
    assert ": absent, " in said["DP-01"]


def test_numbers_come_with_the_envelope_of_their_intervals(promoted):
    card = ml_bom(promoted, {}, "f" * 64)["metadata"]["component"]["modelCard"]
    first, constant, exam = card["quantitativeAnalysis"]["performanceMetrics"]
    assert first == {
        "type": "negative log-likelihood, bits per byte, merged minus base",
        "slice": "medical_de",
        "value": "-0.157",
        "confidenceInterval": {"lowerBound": "-0.167", "upperBound": "-0.148"},
    }
    assert constant["slice"] == "general_en"
    assert "confidenceInterval" not in constant
    assert exam["type"] == "acc, share of right answers, merged minus base"


def test_the_sets_of_the_verdict_are_named_by_hash_and_size(promoted):
    card = ml_bom(promoted, {}, "f" * 64)["metadata"]["component"]["modelCard"]
    corpus, examined = card["modelParameters"]["datasets"]
    assert list(corpus) == ["ref"]
    assert examined["name"] == "heldout/medical_de"
    counted = {p["name"]: p["value"] for p in examined["contents"]["properties"]}
    assert counted["bedside:sha256"] == "d" * 64
    assert (counted["bedside:sealed"], counted["bedside:sealed-clusters"]) == ("2", "2")


def test_neither_persons_nor_files_of_documents_are_named(promoted):
    text = json.dumps(ml_bom(promoted, {}, "f" * 64))
    assert "brief-von-frau-m" not in text
    assert "anna" not in text


def test_a_demo_says_that_it_is_one(promoted):
    policy = {"policy": {"name": "hospital-default", "scope": "house"}}
    house = replace(promoted, plan=None, content=policy)
    for bom, demo in ((ml_bom(promoted, {}, "f"), True), (ml_bom(house, {}, "f"), False)):
        text = json.dumps(bom)
        assert ("BEDSIDE_PROMOTED_DEMO" in text) is demo
        assert ("a demonstration, not for work with patients" in text) is demo

"""What the passport says of classifiers, and the passport of a narrowed corpus."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lxml import html

from bedside_core.artifacts import Artifact
from bedside_core.registry.registry import Registry


def passport(corpus: Artifact) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(corpus.file("passport.json").read_bytes())
    return found


def page(corpus: Artifact) -> tuple[str, str]:
    """The page, and what it shows."""
    text = corpus.file("passport.html").read_text(encoding="utf-8")
    return text, " ".join(html.fromstring(text).text_content().split())


def scored(threshold: object) -> dict[str, Any]:
    return {"medical_score": {"run": "c", "threshold": threshold}}


def test_the_certificate_is_in_it_with_its_plot(house: Any, registry: Registry) -> None:
    assert house("filtered", classifiers=scored("certificate")) == 0
    corpus, made = registry.get("filtered/corpus"), registry.get("c/classifier")
    certificate = json.loads(made.file("certificate.json").read_bytes())
    said = passport(corpus)["classifiers"]["medical_score"]
    assert (said["classifier"], said["kind"]) == (made.digest, "ngram")
    assert said["threshold"] == certificate["threshold"]
    kept = said["certificate"]
    for name in ("target_precision", "prevalence", "threshold", "certified", "precision_low",
                 "recall", "false_positive_rate", "needed_no", "clusters"):  # fmt: skip
        assert kept[name] == certificate[name], name
    assert kept["certified"] is True and "false_positives" not in kept
    # Every 25th point of the curve, where the picture must have it.
    text, shown = page(corpus)
    (picture,) = html.fromstring(text).xpath("//svg[contains(@aria-label, 'prevalence of 20.00%')]")
    recall = picture.xpath(".//polyline[@class='recall line']")[0].get("points").split()
    for number in range(0, 101, 25):
        point = certificate["curve"][number]
        x, y = map(float, recall[number].split(","))
        assert x == pytest.approx(48 + 700 * point["threshold"], abs=0.06)
        assert y == pytest.approx(12 + 220 * (1 - point["recall"]["value"]), abs=0.06)
    low = certificate["precision_low"]
    for words in ("precision of 70.0%", "20.00%, as was set", f"at least {low:.1%} with 95%",
                  "40 texts and 80 others", "certified yes"):  # fmt: skip
        assert words.replace(" ", "") in shown.replace(" ", ""), words
    assert "does not certify" not in shown
    before = {name: corpus.file(name).read_bytes() for name in ("passport.json", "passport.html")}
    (corpus.path / "data/00000.parquet").unlink()
    assert house("filtered", classifiers=scored("certificate")) == 0
    again = registry.get("filtered/corpus")
    assert {name: again.file(name).read_bytes() for name in before} == before


def test_a_threshold_of_ones_own_and_a_failed_certificate_are_told(
    house: Any, registry: Registry, labelled: Any
) -> None:
    section = {"labels": str(labelled(test=(8, 8))), "prevalence": 0.01, "target_precision": 0.9}
    assert house.run("train-classifier", "c", train_classifier=section) == 0
    assert house("own", classifiers=scored(0.5)) == 0
    corpus = registry.get("own/corpus")
    of = passport(corpus)["classifiers"]["medical_score"]["certificate"]
    assert of["certified"] is False
    shown = page(corpus)[1]
    assert f"{of['needed_no']:,} others without one false positive" in shown
    assert "the corpus is built at 0.5, which it does not certify" in shown
    assert "train-" not in page(corpus)[0] and "test-" not in json.dumps(passport(corpus))


def test_of_several_classes_the_report_is_in_it(
    house: Any, registry: Registry, labelled: Any
) -> None:
    def classes(part: str, yes: int, no: int) -> list[list[str]]:
        return [["ward"] if n < yes else ["kitchen"] for n in range(yes + no)]

    section = {"labels": str(labelled(classes=classes))}
    assert house.run("train-classifier", "s", train_classifier=section) == 0
    assert house("both", classifiers={"specialty": {"run": "s", "threshold": None}}) == 0
    corpus = registry.get("both/corpus")
    report = json.loads(registry.get("s/classifier").file("report.json").read_bytes())
    assert passport(corpus)["classifiers"]["specialty"]["classes"] == report
    assert "specialty: macro-F1" in page(corpus)[1]

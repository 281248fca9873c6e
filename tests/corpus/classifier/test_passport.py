"""What the passport says of classifiers, and the passport of a narrowed corpus."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from lxml import html

from bedside_core.artifacts import Artifact
from bedside_core.cli import main
from bedside_core.config import Config
from bedside_core.registry.registry import Registry
from bedside_core.run import Run


def passport(corpus: Artifact) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(corpus.file("passport.json").read_bytes())
    return found


def page(corpus: Artifact) -> tuple[str, str]:
    """The page, and what it shows."""
    text = corpus.file("passport.html").read_text(encoding="utf-8")
    return text, " ".join(html.fromstring(text).text_content().split())


def scored(threshold: object) -> dict[str, Any]:
    return {"medical_score": {"run": "c", "threshold": threshold}}


def word_tokenizer(folder: Path) -> Path:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    made = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


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


class Old(Config):
    """Of a corpus that was made before there were passports."""


NAMES = ("passport.html", "passport.json", "funnel.svg", "croissant.json")


def test_a_narrowed_corpus_has_a_passport_of_its_own(
    house: Any, registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert house("all", classifiers=scored(None), phi={}) == 0
    tokenizer = word_tokenizer(tmp_path)
    wanted: dict[str, Any] = {
        "existing": "all",
        "select": {"medical_score": {"min": 0.6}, "language": ["de"]},
        "sample": {"words": 300, "seed": 1},
        "passport": {"tokenizers": {"blanks": str(tokenizer)}},
    }
    assert house("narrow", existing="all", passport=wanted["passport"]) == 2  # nothing is counted
    capsys.readouterr()
    assert house("narrow", **wanted) == 0
    assert "its passport:" in capsys.readouterr().out
    other, corpus = registry.get("all/corpus"), registry.get("narrow/corpus")
    said, facts = passport(corpus), corpus.manifest.facts
    assert said["selected"]["from"] == other.digest
    assert (said["read"], said["documents"], said["words"]) == (
        60, facts["documents"], facts["words"],
    )  # fmt: skip
    (step,) = said["funnel"]
    dropped = {name: one["records"] for name, one in step["dropped"].items()}
    assert dropped == facts["dropped"] and set(dropped) == {"not_selected", "not_sampled"}
    (source,) = said["sources"]
    assert (source["name"], source["read"], source["dropped"]) == ("crawl", 60, dropped)
    assert sum(one["documents"] for one in said["lengths"]) == facts["documents"]
    assert said["languages"] == {"de": {"documents": facts["documents"], "words": facts["words"]}}
    assert 0 < said["tokens"]["blanks"] < passport(other)["characters"]
    assert "cleaning" not in said and "duplicates" not in said
    for name in ("classifiers", "personal_data", "held_out"):
        assert said[name] == passport(other)[name]
    text, shown = page(corpus)
    for words in (other.digest, "at least 0.6", "one of de", "300 words, seed 1",
                  f"bedside corpus passport {other.digest[:12]}"):  # fmt: skip
        assert words in shown
    assert "Ramipril" not in text and "#m" not in text
    described = json.loads(corpus.file("croissant.json").read_bytes())
    assert described["isBasedOn"]["identifier"] == f"sha256:{other.digest}"
    listed = {one["@id"] for one in described["distribution"]} - {"data"}
    assert listed == {entry.path for entry in corpus.manifest.files} - {"croissant.json"}
    before = {name: corpus.file(name).read_bytes() for name in NAMES}
    (corpus.path / "data/00000.parquet").unlink()
    assert house("narrow", **wanted, executor={"workers": 2}) == 0
    again = registry.get("narrow/corpus")
    assert {name: again.file(name).read_bytes() for name in NAMES} == before


def test_a_private_copy_shows_what_was_not_selected(
    house: Any, registry: Registry, tmp_path: Path
) -> None:
    assert house("all", classifiers=scored(None)) == 0
    assert house("narrow", existing="all", select={"medical_score": {"min": 0.6}}) == 0
    out = tmp_path / "private"
    assert main(["corpus", "passport", "narrow", "--out", str(out)]) == 0
    assert "Teig" not in (out / "passport.html").read_text(encoding="utf-8")
    command = ["corpus", "passport", "narrow", "--with-examples", "--out", str(out)]
    assert main(command) == 0
    text = (out / "passport.html").read_text(encoding="utf-8")
    kept, left = (html.fromstring(text).xpath(f"//section[h2[starts-with(., '{of}')]]")[0]
                  for of in ("Kept", "Out: not_selected"))  # fmt: skip
    for section, prefix in ((kept, "#m"), (left, "#k")):
        texts = [pre.text_content() for pre in section.xpath("pre")]
        assert len(texts) == 3 and all(len(one) > 50 for one in texts)
        assert all(prefix in code for code in section.xpath("p/code/text()"))
    shutil.rmtree(registry.get("all/corpus").path)
    assert main(command) == 0
    assert "is not here any more" in (out / "passport.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("form", [None, 1])
def test_of_a_corpus_without_such_a_passport_nothing_is_taken_over(
    house: Any, registry: Registry, tmp_path: Path, capsys: Any, form: int | None
) -> None:
    assert house("all", classifiers=scored(None)) == 0
    made = registry.get("all/corpus")
    run = Run("old", "corpus", "build", registry)
    with run.write("corpus", run.recipe(Old())) as artifact:
        for entry in made.manifest.files:
            if entry.path not in NAMES:
                artifact.take(made.path / entry.path, entry)
        if form is not None:
            (artifact.path / "passport.json").write_text(json.dumps({"passport": form}))
        artifact.facts.update(made.manifest.facts)
        artifact.licences = made.manifest.licences
    assert main(["corpus", "passport", "old", "--out", str(tmp_path / "out")]) == 3
    assert ("has no passport" if form is None else "has form 1") in capsys.readouterr().err
    assert house("narrow", existing="old", select={"words": {"min": 1}}) == 0
    corpus = registry.get("narrow/corpus")
    said = passport(corpus)
    assert said["selected"]["has_passport"] is False and "personal_data" not in said
    shown = page(corpus)[1]
    assert "no passport of this form" in shown and "There was no gate" not in shown
    assert "carries all of these, and those of the other corpus" in shown


def test_documents_that_are_selected_by_name_are_not_named(house: Any, registry: Registry) -> None:
    assert house("all", classifiers=scored(None)) == 0
    named = ["crawl/0.jsonl#m0", "crawl/1.jsonl#m1"]
    assert house("narrow", existing="all", select={"id": named}) == 0
    corpus = registry.get("narrow/corpus")
    assert passport(corpus)["documents"] == 2
    assert "one of 2, which are not named here" in page(corpus)[1]
    for name in NAMES:
        assert not any(of in corpus.file(name).read_text(encoding="utf-8") for of in named)

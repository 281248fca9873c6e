"""Trained classifiers in `bedside corpus build`: columns, thresholds, and narrower corpora."""

import os
import shutil
import signal
from pathlib import Path

import pyarrow.parquet as pq

from bedside_core.cli import main
from bedside_core.config import Config
from bedside_core.run import Run
from bedside_corpus.blocks.base import BatchBlock
from bedside_corpus.document import Document, Dropped
from bedside_corpus.engine import shards


def scored(threshold="certificate"):
    return {"medical_score": {"run": "c", "threshold": threshold}}


def rows(registry, name):
    folder = registry.get(f"{name}/corpus").path / "data"
    return [row for file in sorted(folder.iterdir()) for row in pq.read_table(file).to_pylist()]


def files(registry, name):
    manifest = registry.get(f"{name}/corpus").manifest
    return {e.path: e.sha256 for e in manifest.files if e.path.startswith(("data", "documents"))}


def is_medical(row):
    return "#m" in row["id"]


def test_what_the_certificate_lets_through_is_kept_with_its_score(house, registry):
    assert house("filtered", classifiers=scored()) == 0
    corpus = registry.get("filtered/corpus")
    kept = rows(registry, "filtered")
    assert 25 <= len(kept) <= 30
    assert all(map(is_medical, kept))
    threshold = corpus.manifest.facts["classifiers"]["medical_score"]["threshold"]
    assert min(row["medical_score"] for row in kept) >= threshold
    made = registry.get("c/classifier")
    assert corpus.manifest.parents == {"classifier.medical_score": made.digest}
    assert corpus.manifest.facts["dropped"]["not_medical"] == 60 - len(kept)
    assert corpus.digest in {one.digest for one in registry.descendants(made)}


def test_a_threshold_changes_without_scoring_again(house, registry, monkeypatch):
    assert house("direct", classifiers=scored(0.6)) == 0
    assert house("all", classifiers=scored(None)) == 0
    assert len(rows(registry, "all")) == 60
    monkeypatch.setattr("bedside_corpus.classifier.ngram.NgramModel.score", None)
    assert house("narrow", existing="all", select={"medical_score": {"min": 0.6}}) == 0
    # To the byte what a build at that threshold makes, listing and all.
    assert files(registry, "narrow") == files(registry, "direct")
    narrow, direct = (registry.get(f"{name}/corpus").manifest for name in ("narrow", "direct"))
    assert narrow.parents == {"corpus": registry.get("all/corpus").digest}
    assert "removed.jsonl" in {entry.path for entry in narrow.files}
    assert narrow.licences == direct.licences
    for fact in ("documents", "words", "sources", "declared", "matching_version", "purpose"):
        assert narrow.facts[fact] == direct.facts[fact], fact
    assert narrow.facts["dropped"] == {"not_selected": 60 - narrow.facts["documents"]}
    assert house("narrow", existing="all", select={"medical_score": {"min": 0.6}}) == 0  # reused


def test_it_is_the_same_however_divided(house, registry, monkeypatch):
    monkeypatch.setattr(
        "bedside_corpus.engine.build.divide", lambda files: shards.divide(files, 3000)
    )
    assert house("one", classifiers=scored(0.6)) == 0
    assert house("all", classifiers=scored(None)) == 0
    monkeypatch.setattr(Run, "reuse", lambda self, kind, recipe: None)
    for name, workers in (("a", 1), ("b", 2)):
        assert house(name, existing="all", select={"medical_score": {"min": 0.6}},
                     sample={"words": 300}, executor={"workers": workers}) == 0  # fmt: skip
    assert files(registry, "a") == files(registry, "b")
    ids = {row["id"] for row in rows(registry, "one")}
    assert {row["id"] for row in rows(registry, "a")} < ids


STOPS = ("measure/00001", "select/data/00002", "select/decisions/00003", "runs/narrow")
"""Where a file would get its name."""


def test_a_kill_while_narrowing_changes_no_byte(house, registry, monkeypatch):
    monkeypatch.setattr(
        "bedside_corpus.engine.build.divide", lambda files: shards.divide(files, 3000)
    )
    assert house("all", classifiers=scored(None)) == 0

    def narrow(name):
        select, sample = {"medical_score": {"max": 0.9}}, {"words": 300}
        return house(name, existing="all", select=select, sample=sample)

    for stop in STOPS:
        if not (child := os.fork()):
            kill_at(stop)
            os._exit(narrow("narrow"))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, stop
        assert registry.slot("narrow", "corpus") is None
    assert narrow("narrow") == 0
    monkeypatch.setattr(Run, "reuse", lambda self, kind, recipe: None)
    assert narrow("undisturbed") == 0
    assert files(registry, "narrow") == files(registry, "undisturbed")


def kill_at(stop):
    replace = Path.replace

    def killed(path, target):
        if stop in str(target):
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(path, target)

    Path.replace = killed


def test_a_random_subset_of_equal_words(house, registry):
    assert house("filtered", classifiers=scored()) == 0
    assert house("all", classifiers=scored(None)) == 0
    drawn = {}
    for seed in (0, 1):
        assert house(f"r{seed}", existing="all", sample={"like": "filtered", "seed": seed}) == 0
        drawn[seed] = rows(registry, f"r{seed}")
    words = registry.get("filtered/corpus").manifest.facts["words"]
    longest = max(row["words"] for row in rows(registry, "all"))
    for kept in drawn.values():
        assert abs(sum(row["words"] for row in kept) - words) <= longest / 2 + 1
        assert 0 < sum(map(is_medical, kept)) < len(kept)  # of both kinds, as the crawl is
    assert {r["id"] for r in drawn[0]} != {r["id"] for r in drawn[1]}
    facts = registry.get("r1/corpus").manifest.facts
    assert facts["selected"]["sample"] == {"words": words, "like": None, "seed": 1}


def test_specialties_are_an_axis(house, registry, labelled, tmp_path):
    def classes(part, yes, no):
        return [["ward"] if n < yes else ["kitchen"] for n in range(yes + no)]

    section = {"labels": str(labelled(classes=classes))}
    assert house.run("train-classifier", "s", train_classifier=section) == 0
    axes = {**scored(None), "specialty": {"run": "s", "threshold": None}}
    assert house("both", classifiers=axes) == 0
    assert house("ward", existing="both", select={"specialty": ["ward"], "words": {"min": 3}}) == 0
    kept = rows(registry, "ward")
    assert len(kept) == 30
    assert all(map(is_medical, kept))
    assert {row["specialty"] for row in kept} == {"ward"}
    assert all(0.5 < row["specialty_score"] <= 1 for row in kept)
    assert house("none", classifiers={"specialty": {"run": "s", "threshold": 0.5}}) == 2


def test_a_decision_names_the_score_or_the_column(house, registry, capsys):
    assert house("filtered", classifiers=scored(0.6)) == 0
    assert house("all", classifiers=scored(None)) == 0
    assert house("narrow", existing="all", select={"medical_score": {"min": 0.6}}) == 0
    found = {}
    for name in ("filtered", "narrow"):
        table = pq.read_table(registry.get(f"{name}/corpus").path / "decisions").to_pylist()
        found[name] = {
            (row["step"], row["reason"], (row["by"] or "").split(" ")[0]) for row in table
        }
    assert found["filtered"] == {("classifiers", "not_medical", "medical_score"), (None, None, "")}
    assert found["narrow"] == {("selecting", "not_selected", "medical_score"), (None, None, "")}
    document = next(row["id"] for row in rows(registry, "all") if not is_medical(row))
    capsys.readouterr()
    for name, said in (("filtered", "medical_score 0."), ("narrow", "not_selected")):
        assert main(["corpus", "why", document, name]) == 0
        assert said in capsys.readouterr().out


WRONG = (
    ({"select": {"nix": {"min": 1}}}, 2, "no column 'nix' but id, source"),
    ({"select": {"medical_score": ["high"]}}, 2, "takes a range (min, max)"),
    ({"select": {"source": {"min": 1}}}, 2, "takes a list of names"),
    ({"select": {"medical_score": {"min": 2}}}, 3, "none of 60 documents is left"),
    ({"sample": {"words": 10**9}}, 3, "1,000,000,000 words are asked for"),
    ({"sample": {"like": "nix"}}, 3, "run 'nix' has no corpus yet"),
    ({"sample": {}}, 2, "words or like"),
    ({"select": {"words": {}}}, 2, "min and max are missing"),
    ({"select": {"words": {"min": 5, "max": 4}}}, 2, "min 5.0 is above max 4.0"),
)


def test_what_cannot_be_selected(house, registry, capsys):
    assert house("all", classifiers=scored(None)) == 0
    for corpus, code, said in WRONG:
        assert house("narrow", existing="all", **corpus) == code, said
        assert said in capsys.readouterr().err
        assert registry.slot("narrow", "corpus") is None


def test_a_withdrawn_source_is_refused(house, registry, capsys):
    assert house("all", classifiers=scored(None)) == 0
    assert main(["registry", "withdraw", "crawl", "--reason", "test"]) == 0
    assert house("narrow", existing="all", select={"words": {"min": 1}}) == 5
    assert "withdrawn" in capsys.readouterr().err


def test_classifiers_that_cannot_be_applied(house, labelled, capsys):
    assert house("x", classifiers={"medical_score": {"run": "nix", "threshold": None}}) == 3
    assert "train-classifier" in capsys.readouterr().err
    section = {"labels": str(labelled(test=(8, 8))), "prevalence": 0.01, "target_precision": 0.9}
    assert house.run("train-classifier", "c", train_classifier=section) == 0
    assert house("x", classifiers=scored()) == 3
    assert "certificate does not reach its target precision" in capsys.readouterr().err


class Twos(BatchBlock):
    """Lets every second document through, two at a time."""

    name = "twos"
    batch_documents = 2

    def apply_batch(self, documents):
        self.sizes = [*getattr(self, "sizes", []), len(documents)]
        return [documents[0], *[Dropped("second", "1") for _ in documents[1:]]]


def test_a_batch_block_keeps_order_counts_and_bounds_its_batches():
    documents = [Document(str(n), "x" * n, "s", "CC0-1.0", "de", f"s/a:{n}") for n in range(7)]
    block = Twos()
    assert [d.id for d in block.run(documents)] == ["0", "2", "4", "6"]
    assert block.sizes == [2, 2, 2, 1]
    assert (block.counts.read, block.counts.kept) == (7, 4)
    assert block.counts.places["second"] == ["s/a:1", "s/a:3", "s/a:5"]
    block.batch_documents, block.batch_characters, block.sizes = 99, 5, []
    list(block.run(documents))
    assert block.sizes == [4, 2, 1]  # lengths 0 + 1 + 2 + 3, 4 + 5 and 6


class Narrow(Config):
    """Of a classifier that was trained on texts for research."""


def test_a_classifier_of_narrower_texts_chooses_none_for_wider_use(house, registry, capsys):
    trained = registry.get("c/classifier")
    run = Run("narrow", "corpus", "train-classifier", registry)
    with run.write("classifier", run.recipe(Narrow())) as artifact:
        for entry in trained.manifest.files:
            shutil.copy(trained.path / entry.path, artifact.path / entry.path)
        artifact.facts.update(trained.manifest.facts, purpose="research")
    applied = {"medical_score": {"run": "narrow", "threshold": None}}
    assert house("sold", classifiers=applied) == 5
    assert "was made from texts for research use alone" in capsys.readouterr().err
    assert registry.slot("sold", "corpus") is None
    assert house("studied", classifiers=applied, purpose="research") == 0
    assert registry.get("studied/corpus").manifest.facts["purpose"] == "research"

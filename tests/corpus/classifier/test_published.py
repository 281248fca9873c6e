"""Published scores in `bedside corpus build`: they decide, the classifier what is left."""

import json
import os
import signal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedside_core.cli import main
from bedside_core.run import Run
from bedside_corpus.classifier.applying import Applied
from bedside_corpus.classifier.config import Joined
from bedside_corpus.classifier.ngram import NgramModel
from bedside_corpus.classifier.published import KEYS, SCORES, Index, keys_of, write_index
from bedside_corpus.config import CorpusConfig
from bedside_corpus.engine import shards
from bedside_corpus.engine.work import Work

NO, YES = 0.3, 0.7


def batch(ids, scores):
    return pa.RecordBatch.from_pydict({"id": ids, "score": pa.array(scores, pa.float32())})


def test_the_scores_of_many_ids(tmp_path):
    ids = [f"<urn:uuid:{n}>" for n in range(20_000)]
    scores = np.random.default_rng(1).random(len(ids), np.float32)
    count = write_index(tmp_path, [batch(ids[n::3], scores[n::3]) for n in range(3)])
    assert count == len(ids)
    index = Index(tmp_path)
    assert index.find(ids) == scores.tolist()
    assert index.find(["", "nix", ids[7], "ü"]) == [None, None, scores[7], None]
    keys = np.fromfile(tmp_path / KEYS, "<u8")
    assert (keys[1:] > keys[:-1]).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == [KEYS, SCORES]


def test_an_id_with_two_scores_has_none(tmp_path):
    rows = [batch(["a", "b", "c"], [1, 2, 3]), batch(["b", "a", "b"], [4, 1, 2]), batch([], [])]
    assert write_index(tmp_path, rows) == 2
    assert Index(tmp_path).find(["a", "b", "c", "d"]) == [1, None, 3, None]
    assert write_index(tmp_path, [batch([], [])]) == 0


def test_the_order_of_rows_and_a_kill_change_no_byte(tmp_path):
    ids, scores = [str(n) for n in range(999)], list(range(999))
    write_index(tmp_path / "one", [batch(ids, scores)])

    def killed():
        yield batch(ids[500:], scores[500:])
        os.kill(os.getpid(), signal.SIGKILL)

    if not (child := os.fork()):
        write_index(tmp_path / "other", killed())
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not (tmp_path / "other" / KEYS).exists()
    write_index(tmp_path / "other", [batch(ids[n::7], scores[n::7]) for n in reversed(range(7))])
    for name in (KEYS, SCORES):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_keys_are_the_same_on_every_machine():
    assert keys_of(["a", "ü"]).tolist() == [0x2F42665B399EF840, 0x372F39C1F59DF155]


@pytest.fixture
def scores(tmp_path):
    """Published scores of the crawl in two files: half of each kind is without dispute."""
    folder = tmp_path / "propella"
    (folder / "more").mkdir(parents=True)
    found = {}
    for n in range(60):
        name, sure = f"{'m' if n < 30 else 'k'}{n}", 0.9 if n < 30 else 0.1
        found[name] = (sure, sure, 0.5, None)[n % 4]  # the half, a quarter, a quarter
    found["m0"] = YES  # the limits
    found["k32"] = NO
    found["m4"] = float("nan")
    dirty = [(None, 0.1), ("m8", 0.9), ("m8", 0.1), ("m9", 0.9), ("m9", 0.9), ("nobody", 0.1)]
    rows = [*((n, s) for n, s in found.items() if n != "m8"), *dirty]
    for path, part in ((folder / "a.parquet", rows[:40]), (folder / "more/a.parquet", rows[40:])):
        ids, values = zip(*part, strict=True)
        kind = pa.float32() if "more" in str(path) else pa.float64()
        columns = {"doc": ids, "medical": pa.array(values, kind), "else": [0] * len(ids)}
        pq.write_table(pa.table(columns), path, row_group_size=7)
    return {"path": str(folder), "id": "doc", "column": "medical",
            "no_below": NO, "yes_from": YES}  # fmt: skip


def joined(scores, threshold=0.6, **more):
    return {"medical_score": {"run": "c", "threshold": threshold, "published": {**scores, **more}}}


def test_only_what_is_disputed_is_classified(
    house, registry, scores, monkeypatch, tmp_path, capsys
):
    asked = []
    score = NgramModel.score
    monkeypatch.setattr(
        NgramModel, "score", lambda self, texts: asked.extend(texts) or score(self, texts)
    )
    assert house("joined", classifiers=joined(scores)) == 0
    assert len(asked) == 33
    corpus = registry.get("joined/corpus")
    rows = pq.read_table(corpus.path / "data").to_pylist()
    kept = {row["id"].split("#")[1]: row for row in rows}
    assert {name[0] for name in kept} == {"m"}
    assert len(kept) >= 28
    for name, row in kept.items():
        published, own = row["medical_score_published"], row["medical_score"]
        if name in ("m4", "m8") or int(name[1:]) % 4 == 3:
            assert published is None
        assert (own is None) == (published is not None and published >= np.float32(YES)), name
    assert kept["m0"]["medical_score_published"] == np.float32(YES)
    notes = json.loads((corpus.path / "stats.json").read_bytes())["notes"]
    assert notes == {
        "medical_score published yes": 14, "medical_score published no": 13,
        "medical_score published disputed": 16, "medical_score not published": 17,
    }  # fmt: skip
    fact = corpus.manifest.facts["classifiers"]["medical_score"]
    assert fact["published"] == {"id": "doc", "column": "medical", "words": {},
                                 "no_below": NO, "yes_from": YES}  # fmt: skip
    page = (corpus.path / "passport.html").read_text()
    assert "a document is out below 0.3 and in from 0.7" in page
    assert "propella" not in page
    decisions = pq.read_table(corpus.path / "decisions").to_pylist()
    by = [row["by"] for row in decisions if (row["by"] or "").startswith("medical_score_pub")]
    assert by == ["medical_score_published 0.1000"] * 13
    capsys.readouterr()
    assert main(["corpus", "why", "crawl/0.jsonl#k33", "joined"]) == 0
    assert "medical_score_published 0.1" in capsys.readouterr().out
    # Another file of scores makes another corpus.
    assert house("joined", classifiers=joined(scores)) == 0
    assert registry.slot("joined", "corpus") == corpus.digest
    pq.write_table(pa.table({"doc": ["m1"], "medical": [0.1]}), tmp_path / "propella/b.parquet")
    assert house("joined", classifiers=joined(scores)) == 0
    assert registry.get("joined/corpus").manifest.recipe.inputs.keys() - (
        corpus.manifest.recipe.inputs.keys()
    ) == {"classifiers/medical_score/published/b.parquet"}


def test_the_same_bytes_with_two_workers_and_by_select(house, registry, scores, monkeypatch):
    monkeypatch.setattr(
        "bedside_corpus.engine.build.divide", lambda files: shards.divide(files, 3000)
    )
    monkeypatch.setattr(Run, "reuse", lambda self, kind, recipe: None)
    for name, workers in (("one", 1), ("two", 2)):
        executor = {"workers": workers}
        assert house(name, classifiers=joined(scores), executor=executor) == 0
    assert files(registry, "one") == files(registry, "two")
    # Without a threshold all are kept, so that another one is a matter of minutes.
    assert house("all", classifiers=joined(scores, None)) == 0
    assert registry.get("all/corpus").manifest.facts["documents"] == 60
    select = {"medical_score": {"min": 0.6, "missing": True},
              "medical_score_published": {"min": NO, "missing": True}}  # fmt: skip
    assert house("narrow", existing="all", select=select) == 0
    assert files(registry, "narrow") == files(registry, "one")


def files(registry, name):
    manifest = registry.get(f"{name}/corpus").manifest
    return {e.path: e.sha256 for e in manifest.files if e.path.startswith(("data", "documents"))}


def test_a_task_on_another_machine_knows_them(tmp_path):
    applied = Applied("m", tmp_path, 0.5, ("m",), "ngram", Joined(
        path=tmp_path, column="c", words={"a": 1}, no_below=NO, yes_from=YES
    ))  # fmt: skip
    work = Work(CorpusConfig(existing="x"), (), tmp_path, classifiers=(applied,))
    work.save()
    assert Work.load(tmp_path) == work


WRONG = (
    ({"column": "nix"}, 3, "has no column 'nix'"),
    ({"path": "nix"}, 3, "nix is no Parquet file"),
    ({"column": "doc"}, 3, "is no number"),
    ({"no_below": 0.9}, 2, "no_below 0.9 is above yes_from 0.7"),
    ({"id": "empty"}, 3, "no row has an id and a score"),
)


def test_published_scores_that_cannot_be(house, registry, labelled, scores, tmp_path, capsys):
    for path in (tmp_path / "propella").rglob("*.parquet"):
        table = pq.read_table(path)
        pq.write_table(table.append_column("empty", pa.nulls(len(table), pa.string())), path)
    for wrong, code, said in WRONG:
        assert house("x", classifiers=joined(scores, **wrong)) == code, said
        err = capsys.readouterr().err
        assert said in err
        assert "corpus.classifiers" in err
        assert registry.slot("x", "corpus") is None

    def classes(part, yes, no):
        return [["ward"] if n < yes else ["kitchen"] for n in range(yes + no)]

    twice = joined(scores) | {"medical_score_published": {"run": "c", "threshold": None}}
    assert house("x", classifiers=twice) == 2
    assert "two columns 'medical_score_published'" in capsys.readouterr().err
    section = {"labels": str(labelled(classes=classes))}
    assert house.run("train-classifier", "c", train_classifier=section) == 0
    assert house("x", classifiers=joined(scores, None)) == 2
    assert "tells 2 classes - leave it out" in capsys.readouterr().err

"""The verb from a dirty crawl to a labelled set: what is drawn, asked, split and written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedside_core.cli import main
from bedside_core.heldout import read_heldout
from bedside_core.kinds.corpus import listed_documents
from bedside_core.kinds.labels import PARTS, LabelledDocument, read_part, sizes


def documents(labels) -> dict[str, LabelledDocument]:
    """Those of a set by their own number; `copy-0` is number 0."""
    found = [document for part in PARTS for document in read_part(labels, part)]
    numbered = {d.id.rpartition("urn:")[2].removeprefix("copy-"): d for d in found}
    assert len(numbered) == len(found)
    return numbered


def medical(number: str) -> bool:
    return int(number) % 4 == 0


def asked(labeller) -> Counter[str]:
    return Counter(body["messages"][0]["content"] for body in labeller.bodies)


def test_a_model_labels_what_was_drawn(annotate, labeller, labels, capsys):
    assert annotate(documents=30, endpoint={"address": labeller.address, "model": "m"}) == 0
    found = documents(labels())
    assert len(found) == 30
    assert {n: d.label for n, d in found.items()} == {n: medical(n) for n in found}
    assert all(d.probability is not None and 0.04 < d.probability < 0.95 for d in found.values())
    assert len({d.probability for d in found.values()}) > 10
    facts = labels().manifest.facts
    assert facts["drawn"] == {"documents": 30, "of": 66, "seed": 0}
    assert facts["dropped"] == {"malformed": 3}
    assert facts["annotator"]["model"] == "ab" * 32
    counts = sizes(labels())
    assert sum(counts["train"].values()) + sum(counts["test"].values()) == 30
    assert counts["test"]["yes"] == round(0.2 * (counts["train"]["yes"] + counts["test"]["yes"]))
    assert {d["id"] for d in listed_documents(labels())} == {d.id for d in found.values()}
    # Every document once, and the first question, in a form that allows one token.
    assert set(asked(labeller).values()) == {1}
    assert len(labeller.bodies) == 31
    for body in labeller.bodies:
        assert (body["max_tokens"], body["temperature"], body["top_logprobs"]) == (1, 0, 20)
        assert body["structured_outputs"] == {"choice": ["yes", "no"]}
    said = capsys.readouterr()
    assert "drew 30 documents of 66" in said.out
    assert "wort" not in said.out + said.err


def test_the_same_sample_whatever_the_workers_and_another_seed_another(annotate, labeller, labels):
    endpoint = {"address": labeller.address, "model": "m"}
    drawn = []
    for workers, seed in ((1, 0), (2, 0), (1, 7)):
        assert (
            annotate({"executor": {"workers": workers}}, documents=30, seed=seed, endpoint=endpoint)
            == 0
        )
        drawn.append(set(documents(labels())))
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


def test_a_killed_run_goes_on_without_asking_twice(annotate, labeller, labels, tmp_path):
    endpoint = {"address": labeller.address, "model": "m", "concurrency": 1}
    answer = labeller.rule
    child: list[subprocess.Popen[bytes]] = []

    def killing(body):
        if len(labeller.bodies) == 15 and child:
            child[0].send_signal(signal.SIGKILL)
            child[0].wait()
        return answer(body)

    labeller.rule = lambda body: 503  # nothing is asked in this process, but the config is written
    assert annotate(documents=30, endpoint=endpoint | {"retries": 0}) == 3
    labeller.bodies.clear()
    labeller.rule = killing
    command = [sys.executable, "-m", "bedside_core.cli", "corpus", "annotate", "--config",
               str(tmp_path / "run.yaml")]  # fmt: skip
    child.append(subprocess.Popen(command, env=os.environ.copy(), stderr=subprocess.DEVNULL))
    assert child[0].wait(60) == -signal.SIGKILL
    before = len(labeller.bodies)
    assert before == 15
    assert annotate(documents=30, endpoint=endpoint) == 0
    # What was under way when it was killed is asked again, everything else once.
    again = {question: n for question, n in asked(labeller).items() if n > 1}
    assert sum(again.values()) <= 2
    assert len(asked(labeller)) == 31
    assert len(documents(labels())) == 30


def test_another_model_is_asked_anew_and_the_same_not(annotate, labeller, labels):
    endpoint = {"address": labeller.address, "model": "m"}
    assert annotate(documents=10, endpoint=endpoint) == 0
    first = labels().digest
    assert annotate(documents=10, endpoint=endpoint | {"concurrency": 3}) == 0
    assert (labels().digest, len(labeller.bodies)) == (first, 11)
    assert annotate(documents=12, endpoint=endpoint) == 0
    assert len(labeller.bodies) == 13  # the two that were not in the smaller sample
    labeller.digest = "cd" * 32
    assert annotate(documents=10, endpoint=endpoint) == 0
    assert len(labeller.bodies) == 24
    assert labels().digest != first


def test_texts_stay_here_until_a_gate_has_seen_them(annotate, labeller, crawl, capsys):
    crawl["personal_data"] = "pseudonymised"
    settings = {"documents": 10, "endpoint": {"address": labeller.address, "model": "m"}}
    assert annotate(**settings) == 2
    assert "past the PHI gate" in capsys.readouterr().err
    with Path(crawl["path"], "3.jsonl").open("w") as file:
        named = "Patientin: Erika Mustermann, geb. 03.04.1951, Tel. 0341 5550123, Ramipril wurde"
        file.write(json.dumps({"id": "urn:200", "text": f"{named} abgesetzt."}) + "\n")
    assert annotate({"phi": {}}, **settings | {"documents": 200}) == 0
    assert not any("Mustermann" in question for question in asked(labeller))


def test_near_copies_are_on_one_side(annotate, labeller, labels, crawl):
    with Path(crawl["path"], "3.jsonl").open("w") as file:
        body = " ".join(f"satz{i}" for i in range(60))
        for n in range(100, 112):
            text = f"Nach der Appendektomie {body} {body[: n % 7 * 9]} Fassung {n}"
            file.write(json.dumps({"id": f"urn:{n}", "text": text}) + "\n")
    assert (
        annotate(
            documents=200, test_share=0.4, endpoint={"address": labeller.address, "model": "m"}
        )
        == 0
    )
    sides = {part: list(read_part(labels(), part)) for part in PARTS}
    copies = {part: [d for d in side if "satz3" in d.text] for part, side in sides.items()}
    assert sorted(map(len, copies.values())) == [0, 12]
    assert len({d.cluster for side in copies.values() for d in side}) == 1
    together = {d.cluster for d in sides["train"]} & {d.cluster for d in sides["test"]}
    assert together == set()


def test_held_out_sets_of_the_run_are_not_labelled(
    annotate, labeller, labels, registry, tmp_path, capsys
):
    sets = {"folder": str(tmp_path / "held"), "sets": {"a": {"size": 9}}}
    endpoint = {"address": labeller.address, "model": "m"}
    assert annotate({"split": sets}, documents=48, endpoint=endpoint) == 3
    assert "run `bedside corpus split --config FILE` first" in capsys.readouterr().err
    assert main(["corpus", "split", "--config", str(tmp_path / "run.yaml")]) == 0
    assert annotate({"split": sets}, documents=48, endpoint=endpoint) == 0
    path = tmp_path / "held/a.jsonl"
    held = [one.text for one in read_heldout(path)]
    assert (len(held), len(documents(labels()))) == (9, 39)
    assert not any(text in question for text in held for question in asked(labeller))
    assert labels().manifest.parents["split"] == registry.slot("test", "split")
    assert labels().manifest.facts["dropped"]["heldout"] >= 9
    path.write_text(path.read_text().replace("wort", "Wort", 1))
    assert annotate({"split": sets}, documents=48, endpoint=endpoint) == 3
    assert "was changed after it was drawn" in capsys.readouterr().err
    own = {"split": sets, "classifiers": {"medical_score": {"threshold": None}}}
    assert annotate(own, documents=48, endpoint=endpoint) == 2
    assert "annotate and train it in another run" in capsys.readouterr().err


def test_labels_of_people(annotate, labels, tmp_path, crawl):
    named = [0, 1, 4, 5, 8, 9, 500]
    lines = ["id,label"] + [f"urn:{n},{'ja' if n % 4 == 0 else 'nein'}" for n in named]
    (tmp_path / "people.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    assert annotate(labelled=str(tmp_path / "people.csv"), test_share=0.4) == 0
    found = documents(labels())
    assert {n: d.label for n, d in found.items()} == {str(n): medical(str(n)) for n in named[:-1]}
    assert all(document.probability is None for document in found.values())
    assert labels().manifest.facts["annotator"]["kind"] == "person"
    rows = [{"sha256": "0" * 64, "label": True}, {"id": "urn:3", "label": "no"}]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert annotate(labelled=str(tmp_path / "p.jsonl")) == 0
    assert {n: d.label for n, d in documents(labels()).items()} == {"3": False}


def test_labels_of_people_name_documents_that_the_gate_renames(annotate, labels, tmp_path):
    (tmp_path / "key").write_bytes(b"k" * 32)
    (tmp_path / "people.csv").write_text("id,label\nurn:0,yes\nurn:1,no\n")
    corpus = {"phi": {"on_hit": "pseudonymise", "key": str(tmp_path / "key")}}
    assert annotate(corpus, labelled=str(tmp_path / "people.csv"), test_share=0.4) == 0
    facts = labels().manifest.facts
    assert sum(sum(part.values()) for part in facts["classes"].values()) == 2


def test_labels_of_others_are_joined_by_id(annotate, labels, tmp_path, capsys):
    scores = {f"urn:{n}": float(n % 4 == 0) * 4 + 0.5 for n in range(45)}
    scores["urn:3"] = None
    table = pa.table({"doc": list(scores), "edu": list(scores.values()), "x": [0] * len(scores)})
    pq.write_table(table, tmp_path / "propella.parquet", row_group_size=7)
    published = {"path": str(tmp_path / "propella.parquet"), "id": "doc", "column": "edu"}
    assert annotate(documents=48, published=published | {"yes_from": 3}) == 0
    found = documents(labels())
    assert {n: d.label for n, d in found.items()} == {n: medical(n) for n in found}
    facts = labels().manifest.facts
    assert facts["unlabelled"] == {"not_labelled": 48 - len(found)}
    # Copies of a document are drawn under the id of whichever stands first.
    assert len(found) > 30
    with (labels().path / "unlabelled.jsonl").open() as lines:
        rows = [json.loads(line) for line in lines]
    assert "crawl/0.jsonl#urn:3" in {row["id"] for row in rows}
    assert annotate(published=published | {"yes_from": 3, "column": "quality"}) == 3
    assert "no column 'quality' - it has doc, edu, x" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "labels come from nowhere - set one of endpoint, labelled and published"),
        ({"labelled": "nix.csv"}, "nix.csv"),
        ({"published": {"path": "nix", "column": "a", "yes_from": 1}}, "nix"),
        ({"endpoint": {"address": "https://example.org", "model": "m"}}, "texts stay in the house"),
        ({"labelled": "a", "question": {"yes": ["yes", "no"]}}, "not all of them"),
        ({"labelled": "a", "question": {"answers": ["yes", "YES"]}}, "equal but for their case"),
    ],
)
def test_settings_that_do_not_fit(annotate, capsys, settings, message):
    assert annotate(**settings) in (2, 3)
    assert message in capsys.readouterr().err


def test_scores_as_answers_and_a_prompt_of_the_house(annotate, labeller, labels, tmp_path):
    (tmp_path / "prompt.txt").write_text("Note 0 bis 5. Content: <DOCUMENT>\nNote:")

    def scoring(body):
        content = body["messages"][0]["content"]
        top = [{"token": str(n), "logprob": -1.0 - n * len(content) % 7 / 10} for n in range(6)]
        said = {"token": "2", "logprob": -1.0, "top_logprobs": top}
        message = {"content": "2"}
        return {"choices": [{"message": message, "logprobs": {"content": [said]}}]}

    labeller.rule = scoring
    question = {
        "prompt": str(tmp_path / "prompt.txt"),
        "answers": list("012345"),
        "yes": ["4", "5"],
    }
    endpoint = {"address": labeller.address, "model": "m"}
    assert annotate(documents=30, endpoint=endpoint, question=question) == 0
    assert all(0.2 < d.probability < 0.5 for d in documents(labels()).values())
    assert labeller.bodies[0]["structured_outputs"] == {"choice": list("012345")}
    assert labeller.bodies[0]["messages"][0]["content"].startswith("Note 0 bis 5.")

"""A server's faults, each from the verb: a counted reason, or an end that says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bedside_core.endpoint import client


@pytest.fixture
def endpoint(labeller):
    return {"address": labeller.address, "model": "m", "retries": 1}


def on(labeller, words, fault):
    """A rule under which documents with one of these words meet a fault."""
    rule = labeller.rule

    def faulty(body):
        about = body["messages"][0]["content"].rpartition("Content:")[2]
        return fault(body) if any(word in about for word in words) else rule(body)

    labeller.rule = faulty


def unlabelled(labels) -> dict[str, int]:
    found: dict[str, int] = labels().manifest.facts["unlabelled"]
    return found


def test_what_a_model_does_not_answer_is_counted_and_listed(annotate, labeller, labels, endpoint):
    def refusing(body):
        return {"choices": [{"message": {"content": "", "refusal": "no"}, "logprobs": None}]}

    on(labeller, ["wort1x", "wort2x"], refusing)
    assert annotate(documents=48, endpoint=endpoint) == 0
    assert unlabelled(labels) == {"refused": 2}
    lines = (labels().path / "unlabelled.jsonl").read_text().splitlines()
    rows = list(map(json.loads, lines))
    assert rows == [{"id": f"crawl/{n}.jsonl#urn:{n}", "reason": "refused"} for n in (1, 2)]


def test_nonsense_for_most_is_an_end(annotate, labeller, endpoint, capsys):
    def nonsense(body):
        said = {"token": "Der", "logprob": -0.01, "top_logprobs": []}
        return {"choices": [{"message": {"content": "Der"}, "logprobs": {"content": [said]}}]}

    on(labeller, ["wort"], nonsense)
    assert annotate(documents=48, endpoint=endpoint) == 3
    assert "48 of 48 documents have no label (no_answer 48)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda body: {"choices": [{"message": {"content": "yes"}}]}, "gives no log-probabilities"),
        (lambda body: {"choices": [{"message": {"content": "yes"}, "logprobs": {"content": [3]}}]},
         "look at what the server is"),
        (lambda body: 422, "constraint: none"),
        (lambda body: 401, "may not ask"),
        (lambda body: 404, "no model 'm'"),
        (lambda body: 503, "http_503"),
    ],
)  # fmt: skip
def test_an_unfit_server_is_found_at_the_first_question(
    annotate, labeller, endpoint, capsys, fault, words
):
    labeller.rule = fault
    assert annotate(documents=48, endpoint=endpoint) in (2, 3)
    assert words in capsys.readouterr().err
    assert len(labeller.bodies) <= 2


def test_dead_probabilities_are_an_end(annotate, labeller, endpoint, capsys):
    rule = labeller.rule

    def dead(body):
        said = rule(body)["choices"][0]["message"]["content"]
        tops = [{"token": t, "logprob": 0.0 if t == said else -9999.0} for t in ("yes", "no")]
        one = {**tops[said == "no"], "top_logprobs": tops}
        return {"choices": [{"message": {"content": said}, "logprobs": {"content": [one]}}]}

    labeller.rule = dead
    assert annotate(documents=48, endpoint=endpoint) == 3
    assert "48 answers have 2 different probabilities" in capsys.readouterr().err


def test_a_server_that_hangs_is_no_label_and_goes_on(
    annotate, labeller, labels, endpoint, capsys, monkeypatch
):
    monkeypatch.setattr(client, "GIVE_UP", 4)
    rule = labeller.rule
    on(labeller, ["wort3x", "wort7x"], lambda body: labeller.over.wait(10) and None)
    assert annotate(documents=48, endpoint=endpoint | {"timeout_seconds": 0.3}) == 3
    message = capsys.readouterr().err
    assert "2 of 48 documents have no answer (timeout 2)" in message
    asked = len(labeller.bodies)
    labeller.rule = rule
    assert annotate(documents=48, endpoint=endpoint) == 0
    assert len(labeller.bodies) == asked + 2
    assert unlabelled(labels) == {}


def test_a_server_that_dies_on_the_way(annotate, labeller, labels, endpoint, capsys):
    rule = labeller.rule
    labeller.rule = lambda body: None if len(labeller.bodies) > 15 else rule(body)
    endpoint |= {"concurrency": 1}
    assert annotate(documents=48, endpoint=endpoint) == 3
    assert "the same command goes on from here" in capsys.readouterr().err
    with pytest.raises(Exception, match="no labels yet"):
        labels()
    labeller.rule, labeller.bodies = rule, []
    assert annotate(documents=48, endpoint=endpoint) == 0
    assert len(labeller.bodies) == 49 - 15


def test_another_model_on_the_way(annotate, labeller, labels, endpoint, capsys):
    rule = labeller.rule

    def changing(body):
        if len(labeller.bodies) > 15:
            labeller.digest = "cd" * 32
        return rule(body)

    labeller.rule = changing
    assert annotate(documents=48, endpoint=endpoint) == 3
    assert "answers come from model cdcdcdcdcdcd now" in capsys.readouterr().err
    with pytest.raises(Exception, match="no labels yet"):
        labels()
    assert annotate(documents=48, endpoint=endpoint) == 0
    assert labels().manifest.facts["annotator"]["model"] == "cd" * 32
    assert len(labeller.bodies) >= 16 + 49  # nothing of the other model's was taken


def test_documents_over_the_context_are_cut_and_counted(
    annotate, labeller, labels, endpoint, crawl
):
    words = " ".join(f"laborwert{i}" for i in range(400))
    with Path(crawl["path"], "4.jsonl").open("w") as file:
        for n in (300, 301):
            file.write(json.dumps({"id": f"urn:{n}", "text": f"Ramipril {n} {words}"}) + "\n")
    rule = labeller.rule
    labeller.rule = lambda body: 400 if len(body["messages"][0]["content"]) > 3000 else rule(body)
    question = {"max_characters": 4000}
    assert annotate(documents=100, endpoint=endpoint, question=question) == 0
    facts = labels().manifest.facts
    assert (facts["annotator"]["cut"], facts["unlabelled"]) == (2, {})
    # One that is refused whatever its length is no label.
    on(labeller, ["wort5x"], lambda body: 400)
    assert annotate(documents=99, seed=3, endpoint=endpoint | {"model": "n"}) == 0
    assert unlabelled(labels)["http_400"] == 1

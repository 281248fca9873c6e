"""What is asked, and what an answer says: every spelling counts, and nothing silent."""

from __future__ import annotations

import math

import pytest

from bedside_core.errors import ConfigError
from bedside_corpus.labelling.config import Question
from bedside_corpus.labelling.question import HALVINGS, Asked, Unlabelled


def answer(said="yes", top=(), **choice):
    tokens = [{"token": token, "logprob": logprob} for token, logprob in top]
    content = [{"token": said, "logprob": dict(top).get(said, -3.0), "top_logprobs": tokens}]
    return {"choices": [{"message": {"content": said}, "logprobs": {"content": content}, **choice}]}


def test_spellings_share_their_probability() -> None:
    top = [("yes", math.log(0.3)), (" Yes", math.log(0.2)), ("\u2581YES", math.log(0.1)),
           ("\u0120no", math.log(0.15)), ('"No', math.log(0.05)), ("I", math.log(0.2))]  # fmt: skip
    reading = Asked(Question()).read(answer(top=top))
    assert reading.probability == pytest.approx(0.6 / 0.8)
    assert reading.mass == pytest.approx(0.8)


def test_the_drawn_token_counts_once_though_it_stands_twice() -> None:
    reading = Asked(Question()).read(answer("no", [("no", math.log(0.5)), ("yes", math.log(0.5))]))
    assert reading.probability == pytest.approx(0.5)


def test_a_constraint_does_not_decide() -> None:
    """The server had to draw an answer, but the model wants to say something else."""
    top = [("I", math.log(0.995)), ("yes", math.log(0.001))]
    with pytest.raises(Unlabelled) as error:
        Asked(Question()).read(answer("yes", top))
    assert error.value.reason == "no_answer"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"choices": [{"message": {"content": "yes"}}]}, "no_logprobs"),
        ({"choices": [{"message": {}, "logprobs": {"content": []}}]}, "no_logprobs"),
        (answer(top=[("yes", -0.1)], finish_reason="content_filter"), "refused"),
        ({"choices": [{"message": {"content": None, "refusal": "I cannot"}}]}, "refused"),
        (answer(top=[("yes", float("nan"))]), "malformed"),
        (answer(top=[("yes", 3.0)]), "malformed"),
        (answer(top=[("yes", "-1")]), "malformed"),
        ({"choices": ["yes"]}, "malformed"),
        ({"choices": [{"message": "yes", "logprobs": {"content": [1]}}]}, "malformed"),
        (answer("As", [("As", -0.1), ("The", -3.0)]), "no_answer"),
        (answer("yes", [("yes", -9999.0), ("no", -9999.0)]), "no_answer"),
    ],
)  # fmt: skip
def test_what_gives_no_label(given, reason) -> None:
    with pytest.raises(Unlabelled) as error:
        Asked(Question()).read(given)
    assert error.value.reason == reason


def test_a_long_document_is_cut_at_a_blank() -> None:
    asked = Asked(Question(max_characters=200))
    text = "Hypertonie " * 40
    assert asked.cut("kurz") == "kurz"
    assert asked.cut(text) == ("Hypertonie " * 18).rstrip()
    assert asked.cut(text, 1) == ("Hypertonie " * 9).rstrip()
    assert len(asked.cut("x" * 1000, 2)) == 50  # one without a blank
    assert len(Asked(Question()).cut("x" * 10**6, HALVINGS)) == 625


def test_the_paper_prompt_is_the_default_and_a_house_has_its_own(tmp_path) -> None:
    content = Asked(Question()).body("BEFUND")["messages"][0]["content"]
    assert content.startswith("You are a medical expert tasked with identifying")
    assert content.endswith("Content: BEFUND")
    own = tmp_path / "prompt.txt"
    own.write_text("Ist das medizinisch? <DOCUMENT>\nAntwort:", encoding="utf-8")
    question = Question(prompt=own, constraint="none")
    body = Asked(question).body("BEFUND")
    assert body["messages"][0]["content"] == "Ist das medizinisch? BEFUND\nAntwort:"
    assert body.keys().isdisjoint({"structured_outputs", "guided_choice"})
    assert "guided_choice" in Asked(Question(constraint="guided_choice")).body("a")
    others = [Question(), question, Question(answers=("ja", "nein"), yes=("ja",))]
    assert len({Asked(one).sha256 for one in others}) == 3


@pytest.mark.parametrize(("content", "words"), [
    (b"Ist das medizinisch?", "0 times"), (b"<DOCUMENT> <DOCUMENT>", "2 times"),
    (b"\xff<DOCUMENT>", "not UTF-8"), (None, "No such file"),
])  # fmt: skip
def test_prompts_that_cannot_be(tmp_path, content, words) -> None:
    own = tmp_path / "prompt.txt"
    if content is not None:
        own.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        Asked(Question(prompt=own))

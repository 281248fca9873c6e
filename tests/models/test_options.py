from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bedside_core.kinds.exam import ChoiceItem
from bedside_models.load import load_model, load_tokenizer
from bedside_models.options import answer, likeliest, log_likelihoods


def test_an_option_is_scored_after_the_prompt(make_model: Callable[..., Path]) -> None:
    path = make_model()
    model, tokenizer = load_model(path).eval(), load_tokenizer(path)
    prompt, options = "Frage: Wer?\nAntwort:", ["Ödem", "ja", "5 mg täglich"]
    found = log_likelihoods(model, tokenizer, prompt, options)
    for value, option in zip(found, options, strict=True):
        ids = torch.tensor([tokenizer.encode(f"{prompt} {option}")])
        start = len(tokenizer.encode(prompt))
        with torch.no_grad():
            log_p = model(ids).logits[0].double().log_softmax(-1)
        expected = sum(float(log_p[i - 1, ids[0, i]]) for i in range(start, ids.shape[1]))
        assert value == pytest.approx(expected, rel=1e-6)


def test_an_answer_is_the_likeliest_per_character(make_model: Callable[..., Path]) -> None:
    path = make_model()
    model, tokenizer = load_model(path).eval(), load_tokenizer(path)
    options = ["Ödem", "ja", "5 mg täglich", "nein"]
    item = ChoiceItem(id="q", question="Wer?", options=options, answer=0, language="de")
    scores = log_likelihoods(model, tokenizer, "Frage: Wer?\nAntwort:", options)
    shares = [score / len(option) for score, option in zip(scores, options, strict=True)]
    assert answer(model, tokenizer, item) == shares.index(max(shares))


def test_the_choice() -> None:
    options = ["a", "bb", "cccc"]
    assert likeliest([-3.0, -2.0, -2.0], options, per_character=False) == 1
    assert likeliest([-3.0, -2.0, -2.0], options, per_character=True) == 2

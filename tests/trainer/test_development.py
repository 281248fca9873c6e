"""What a milestone scores is what the evaluation would measure, on the development parts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bedside_core.heldout import HeldoutText
from bedside_core.kinds.exam import ChoiceItem
from bedside_models.likelihood import encode, measure
from bedside_models.load import load_model, load_tokenizer
from bedside_trainer.development import Development
from bedside_trainer.milestones import Sitting


def item(number: int, answer: int) -> ChoiceItem:
    options = ["Fieber", "Husten", "Befund", "Therapie"]
    return ChoiceItem(
        id=f"q{number}", question=f"Was {number}?", options=options, answer=answer, language="de"
    )


def test_likelihood_and_right_answers(model_directory: Path) -> None:
    model, tokenizer = load_model(model_directory), load_tokenizer(model_directory)
    texts = encode([HeldoutText("a", "Fieber und Husten"), HeldoutText("b", "Befund")], tokenizer)
    # Every question is asked with each key in turn, so exactly one of four is right.
    items = [item(number, answer) for number in range(2) for answer in range(4)]
    part = Development(texts, 32, tokenizer, {"ward": items, "half": items[:4]})
    model.train()
    found = part.candidate(model, 7)
    assert found.exams == {"ward": Sitting(items=8, right=2), "half": Sitting(items=4, right=1)}
    assert found.right == 0.25
    expected = measure(model, texts, length=32, name="again").nll_per_token
    assert (found.step, found.name) == (7, "step 7")
    assert found.nll_per_token == pytest.approx(expected)
    assert part.candidate(model, 7, (3, 7)).name == "mean of 2"
    assert torch.is_grad_enabled()

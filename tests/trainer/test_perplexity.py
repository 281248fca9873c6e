from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_core.heldout import HeldoutText
from bedside_trainer.models import load_model, load_tokenizer
from bedside_trainer.perplexity import EncodedText, Scores, TextScore, encode, measure, windows

CPU = torch.device("cpu")


@given(ids=st.lists(st.integers(), min_size=2, max_size=60), length=st.integers(2, 20))
def test_windows_predict_every_token_but_the_first_once(ids: list[int], length: int) -> None:
    cut = list(windows(ids, length))
    assert [token for window in cut for token in window[1:]] == ids[1:]
    assert all(2 <= len(window) <= length for window in cut)


def test_scores_equal_the_loss_of_transformers(model_directory: Path) -> None:
    model = load_model(model_directory).eval()
    ids = tuple(range(2, 22))
    scores = measure(model, [EncodedText(id="a", ids=ids)], length=32, device=CPU, name="held-out")
    row = torch.tensor([ids])
    loss = model(input_ids=row, labels=row).loss.item()
    assert scores.texts[0].tokens == 19
    assert scores.texts[0].nll == pytest.approx(loss * 19, rel=1e-5)
    assert scores.perplexity == pytest.approx(math.exp(loss), rel=1e-5)


def test_a_long_text_is_scored_in_full(model_directory: Path) -> None:
    model = load_model(model_directory)
    text = EncodedText(id="long", ids=tuple(2 + i % 200 for i in range(75)))
    assert measure(model, [text], length=16, device=CPU, name="held-out").tokens == 74


def test_perplexity_weighs_texts_by_their_tokens() -> None:
    scores = Scores(
        texts=(TextScore(id="a", nll=10.0, tokens=10), TextScore(id="b", nll=60.0, tokens=30))
    )
    assert scores.perplexity == pytest.approx(math.exp(70 / 40))


def test_a_text_of_one_token_is_refused(model_directory: Path) -> None:
    tokenizer = load_tokenizer(model_directory)
    with pytest.raises(InputError, match=r"tiny\.txt has only 1 token - remove it"):
        encode(Path("folder"), [HeldoutText("tiny", "a")], tokenizer)

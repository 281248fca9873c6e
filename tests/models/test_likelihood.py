"""One negative log-likelihood: each token once, against other computations of the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_core.heldout import HeldoutText
from bedside_models.likelihood import (
    encode,
    measure,
    windows,
)
from bedside_models.load import load_model, load_tokenizer
from bedside_models.scores import Estimand, Scores, TextScore

PREFIX = -1


IDS = st.lists(st.integers(0, 99), min_size=1, max_size=60)


@given(ids=IDS, length=st.integers(2, 20))
def test_windows_predict_every_token_once_and_never_see_too_much(
    ids: list[int], length: int
) -> None:
    cut = list(windows(ids, PREFIX, length))
    assert [token for window in cut for token in window.ids[-window.scored :]] == ids
    assert all(len(window.ids) - 1 <= length for window in cut)
    assert all(window.ids[0] == PREFIX and window.ids.count(PREFIX) == 1 for window in cut)
    # Context is what really stood before, and a later window has some.
    end = 0
    for window in cut:
        end += window.scored
        seen = window.ids[1:]
        assert list(seen) == ids[end - len(seen) : end]
    assert all(len(window.ids) - 1 - window.scored >= 1 for window in cut[1:])


@given(ids=IDS, length=st.integers(2, 20))
def test_the_first_window_is_that_of_lm_eval(ids: list[int], length: int) -> None:
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    rolling = get_rolling_token_windows(
        token_list=ids, prefix_token=PREFIX, max_seq_len=length, context_len=1
    )
    context, targets = make_disjoint_window(next(rolling))
    first = next(windows(ids, PREFIX, length))
    assert (list(first.ids), first.scored) == ([*context, *targets], len(targets))


def test_a_short_text_has_the_loss_of_transformers(make_model: Callable[..., Path]) -> None:
    path = make_model()
    model, tokenizer = load_model(path).eval(), load_tokenizer(path)
    text = "Fieber und Husten"
    scores = measure(model, encode([HeldoutText("a", text)], tokenizer), length=64, name="held-out")
    row = torch.tensor([[0, *tokenizer.encode(text)]])
    with torch.no_grad():
        loss = model(input_ids=row, labels=row).loss.item()
    assert scores.texts[0].tokens == len(text)
    assert scores.perplexity == pytest.approx(math.exp(loss), rel=1e-6)
    assert scores.texts[0].bytes == len(text)
    assert scores.texts[0].bits_per_byte == pytest.approx(loss / math.log(2), rel=1e-6)
    assert scores.estimand == Estimand(prefix_token="<end>", max_length=64, dtype="float32")


@pytest.mark.parametrize("length", [16, 33, 128])
def test_a_long_text_is_scored_in_full(length: int, make_model: Callable[..., Path]) -> None:
    path = make_model()
    model, tokenizer = load_model(path).eval(), load_tokenizer(path)
    encoded = encode([HeldoutText("long", "Ödem, µg ≥ 5. " * 9)], tokenizer)
    ids = encoded.texts[0].ids
    scores = measure(model, encoded, length=length, name="held-out")
    total = 0.0
    start = 0
    while start < len(ids):  # each block after the prefix, with all the context that fits
        end = min(start + length - (start > 0), len(ids))
        row = torch.tensor([[encoded.prefix_id, *ids[max(0, end - length) : end]]])
        with torch.no_grad():
            log_p = model(row[:, :-1]).logits[0].double().log_softmax(-1)
        picked = log_p[torch.arange(row.shape[1] - 1), row[0, 1:]]
        total -= float(picked[-(end - start) :].sum())
        start = end
    assert scores.tokens == len(ids)
    assert scores.texts[0].bytes == len(("Ödem, µg ≥ 5. " * 9).encode())
    assert scores.texts[0].nll == pytest.approx(total, rel=1e-6)


def test_perplexity_weighs_texts_by_their_tokens() -> None:
    estimand = Estimand(prefix_token="<end>", max_length=64, dtype="float32")
    texts = (
        TextScore(id="a", nll=10.0, tokens=10, bytes=40),
        TextScore(id="b", nll=60.0, tokens=30, bytes=50),
    )
    scores = Scores(estimand=estimand, texts=texts)
    assert scores.perplexity == pytest.approx(math.exp(70 / 40))
    assert str(estimand) == "whole texts after `<end>`, windows of 64 tokens, float32"


def test_a_text_without_a_token_is_refused(make_model: Callable[..., Path]) -> None:
    tokenizer = load_tokenizer(make_model())
    with pytest.raises(InputError, match="held-out text empty has no token - remove it"):
        encode([HeldoutText("empty", "")], tokenizer)


def test_weights_that_are_no_numbers(
    make_model: Callable[..., Path], edit_model: Callable[..., Path]
) -> None:
    def spoil(weights: dict[str, torch.Tensor]) -> None:
        weights["model.norm.weight"].fill_(float("nan"))

    path = edit_model(make_model(), spoil)
    encoded = encode([HeldoutText("a", "Fieber")], load_tokenizer(path))
    with pytest.raises(InputError, match="gives a a likelihood that is no number"):
        measure(load_model(path), encoded, length=64, name="held-out")

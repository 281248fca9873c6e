"""Gain, drift and the interval, by hand and by simulation."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bedside_core.errors import InputError
from bedside_core.heldout import HeldoutText
from bedside_core.kinds.exam import ChoiceItem
from bedside_merger.search.score import Predicted, drift, gain, halve, interval, predict
from bedside_models.likelihood import encode, measure
from bedside_models.load import load_model, load_tokenizer
from bedside_models.options import answer


def predicted(**texts: list[float]) -> Predicted:
    return {"ward": {name: np.array(scores, np.float32) for name, scores in texts.items()}}


def test_by_hand() -> None:
    base = predicted(a=[-1, -3], b=[-2])
    other = predicted(a=[-2, -1], b=[-2.5])
    assert gain(base, other, "ward") == pytest.approx((0.5 - 0.5) / 2)
    assert drift(base, other, ["ward"]) == pytest.approx((1 + 2 + 0.5) / 3)


def test_the_likelihood_is_the_one_of_all_services(
    tmp_path: Path, write_model: Callable[..., None]
) -> None:
    write_model(tmp_path, 1)
    texts = [HeldoutText("a", "Ein Befund, länger als ein Fenster."), HeldoutText("b", "Kurz.")]
    encoded = encode(texts, load_tokenizer(tmp_path))
    model = load_model(tmp_path)
    items = [
        ChoiceItem(
            id=f"q{n}", question=f"Was {n}?", options=["Fieber", "Ja", "Ödem", "5 mg"], answer=n,
            language="de",
        )
        for n in range(4)
    ]  # fmt: skip
    tokenizer = load_tokenizer(tmp_path)
    both = predict(
        model, {"ward": encoded}, {"quiz": items}, tokenizer, length=8, name="x"
    )  # fmt: skip
    found = both["ward"]
    assert both["quiz"] == {
        item.id: [float(answer(model, tokenizer, item) == item.answer)] for item in items
    }
    for text in measure(model, encoded, length=8, name="x").texts:
        assert len(found[text.id]) == text.tokens
        assert -found[text.id].sum() == pytest.approx(text.nll, rel=1e-5)


def test_halves_part_clusters_and_the_seed_decides() -> None:
    texts = [HeldoutText(f"t{n}", "x", f"patient{n // 2}") for n in range(16)]
    choose, check = halve({"ward": texts}, 0)
    sides = [{t.cluster for t in half["ward"]} for half in (choose, check)]
    assert sides[0] & sides[1] == set()
    assert len(sides[0]) == len(sides[1]) == 4
    assert len(choose["ward"]) + len(check["ward"]) == 16
    assert halve({"ward": texts}, 0) == (choose, check)
    assert halve({"ward": texts}, 1) != (choose, check)
    with pytest.raises(
        InputError, match=r"has 3 independent text.s. or item.s., the search needs 4"
    ):
        halve({"ward": texts[:6]}, 0)


def test_the_interval_is_students() -> None:
    texts = [HeldoutText(name, "x", cluster) for name, cluster in zip("abcd", "1123", strict=True)]
    found = interval({"a": 0.0, "b": 2.0, "c": 2.0, "d": 6.0}, texts, 0.9)
    expected = stats.ttest_1samp([1, 2, 6], 0).confidence_interval(0.9)
    assert found == pytest.approx((3.0, expected.low, expected.high, 3))
    assert interval(dict.fromkeys("abcd", 0.0), texts, 0.9) == (0.0, None, None, 3)


def test_the_interval_holds_what_it_says_on_texts_that_chose_nothing() -> None:
    """The best of 24 equal merges: on the half that chose it looks better than it is."""
    draw = random.Random(1)
    texts = [HeldoutText(f"t{n}", "x") for n in range(4)]
    covered = lucky = 0
    for _ in range(400):
        trials = [[draw.gauss(0, 1) for _ in range(8)] for _ in range(24)]
        best = max(trials, key=lambda trial: sum(trial[:4]))
        lucky += sum(best[:4]) > 0
        values = {f"t{n}": best[4 + n] for n in range(4)}
        found = interval(values, texts, 0.95)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0 <= found.high
    assert lucky > 390
    assert covered / 400 > 0.92

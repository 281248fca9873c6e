"""lm-eval's numbers against a direct computation with torch."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM

from bedside_core.heldout import HeldoutText
from bedside_core.kinds.exam import ChoiceItem
from bedside_eval.exam import Paper
from bedside_eval.records import ModelScores
from bedside_models.load import load_tokenizer

MAX_LENGTH = 48
Sit = Callable[..., ModelScores]
TEXTS = [
    HeldoutText("short", "Husten"),
    HeldoutText("braces", "Fieber {{ 7 * 7 }} {% raw %} und µ ≥ ° ä [1, 2]"),
    HeldoutText("digits", "42"),
    HeldoutText("list", "['a', 'b']"),
    HeldoutText("long", "Der Patient klagt über Fieber und erhält Zzz. " * 9),
]
ITEMS = [
    ChoiceItem(id="a", question="Wer?", options=["ja", "nein", "A", "B"], answer=2, language="de"),
    ChoiceItem(id="b", question="7", options=["1", "2", "30 mg", "µg"], answer=0, language="de"),
    ChoiceItem(
        id="c",
        question="{{ x }}",
        options=["Ramipril", "Rami", "Fieber", "Der"],
        answer=3,
        language="de",
    ),
]
PAPER = Paper({"texts": TEXTS}, {"items": ITEMS})


@pytest.fixture(scope="module")
def path(models: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("harness") / "model"
    models.write(folder, steps=20)
    return folder


class Direct:
    """Log-likelihoods without lm-eval: one sequence at a time, no padding."""

    def __init__(self, path: Path) -> None:
        self.model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        self.tokenizer = load_tokenizer(path)

    def tokens(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def score(self, ids: list[int], scored: int) -> float:
        """Log-likelihood of the last `scored` ids given all before them."""
        with torch.no_grad():
            logits = self.model(torch.tensor([ids[:-1]])).logits[0].double()
        log_probabilities = torch.log_softmax(logits, dim=-1)
        targets = torch.tensor(ids[1:])
        picked = log_probabilities[torch.arange(len(targets)), targets]
        return float(picked[-scored:].sum())

    def text(self, text: str) -> float:
        """Disjoint windows, each after the prefix and with as much context as fits before it."""
        prefix = [self.tokenizer.bos_token_id or self.tokenizer.eos_token_id]
        ids = self.tokens(text)
        total = self.score([*prefix, *ids[:MAX_LENGTH]], len(ids[:MAX_LENGTH]))
        for start in range(MAX_LENGTH, len(ids), MAX_LENGTH - 1):
            end = min(start + MAX_LENGTH - 1, len(ids))
            total += self.score([*prefix, *ids[end - MAX_LENGTH : end]], end - start)
        return total

    def options(self, item: ChoiceItem) -> list[float]:
        context = self.tokens(f"Frage: {item.question}\nAntwort:")
        wholes = [self.tokens(f"Frage: {item.question}\nAntwort: {o}") for o in item.options]
        return [self.score(whole, len(whole) - len(context)) for whole in wholes]


def test_text_likelihood_is_the_direct_one(sit: Sit, path: Path) -> None:
    direct = Direct(path)

    found = sit(path, PAPER).heldout["texts"]

    assert [t.id for t in found] == [t.id for t in TEXTS]
    assert found[-1].tokens > 2 * MAX_LENGTH
    for score, text in zip(found, TEXTS, strict=True):
        assert score.tokens == len(direct.tokens(text.text))
        assert score.bytes == len(text.text.encode())
        assert -score.nll == pytest.approx(direct.text(text.text), rel=1e-5)
        assert score.nll_per_token == score.nll / score.tokens


def test_choice_is_the_direct_one(sit: Sit, path: Path) -> None:
    direct = Direct(path)

    for score, item in zip(sit(path, PAPER).exams["items"], ITEMS, strict=True):
        expected = direct.options(item)
        by_character = [s / len(o) for s, o in zip(expected, item.options, strict=True)]
        best = {
            "acc": max(range(4), key=expected.__getitem__),
            "acc_norm": max(range(4), key=by_character.__getitem__),
        }
        assert score.id == item.id
        assert score.loglikelihoods == pytest.approx(expected, rel=1e-5)
        assert score.choice == best
        assert score.correct == {m: best[m] in item.answers for m in best}


def test_batch_size_does_not_change_the_answers(sit: Sit, path: Path) -> None:
    one, many = sit(path, PAPER, batch_size=1), sit(path, PAPER, batch_size=5)

    for a, b in zip(one.heldout["texts"], many.heldout["texts"], strict=True):
        assert a.nll == pytest.approx(b.nll, rel=1e-5)
    assert [i.choice for i in one.exams["items"]] == [i.choice for i in many.exams["items"]]


def test_models_do_not_get_each_others_answers(
    sit: Sit, path: Path, models: Any, tmp_path: Path
) -> None:
    models.write(tmp_path / "other", steps=0)
    first, other, again = (sit(p, PAPER) for p in (path, tmp_path / "other", path))
    assert first == again
    assert first.heldout["texts"][0].nll != other.heldout["texts"][0].nll


def test_a_tokenizer_that_adds_its_own_first_token_adds_no_second(
    sit: Sit, path: Path, tmp_path: Path
) -> None:
    shutil.copytree(path, tmp_path / "bos")
    tokenizer = load_tokenizer(tmp_path / "bos")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|end|> $A", special_tokens=[("<|end|>", 0)]
    )
    tokenizer.backend_tokenizer.save(str(tmp_path / "bos" / "tokenizer.json"))
    assert load_tokenizer(tmp_path / "bos").encode("Husten")[0] == 0

    for with_bos, without in zip(
        sit(tmp_path / "bos", PAPER).heldout["texts"],
        sit(path, PAPER).heldout["texts"],
        strict=True,
    ):
        assert with_bos == without


def test_nothing_of_lm_eval_is_printed(
    sit: Sit, path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sit(path, PAPER)

    out, err = capfd.readouterr()
    assert [line.partition(": ")[0] for line in out.splitlines()] == [
        "held-out set texts",
        "examining 1 model(s) in float32 on the CPU, 0 MiB of memory at least",
        f"model {'d' * 12}",
    ]
    assert [line for line in err.splitlines() if '"progress": "examine"' not in line] == []


def test_a_long_text_without_a_space_overflows_nothing(sit: Sit, path: Path) -> None:
    paper = Paper({"texts": [HeldoutText("long", "Zzzµ≥°" * 200)]}, {})
    (text,) = sit(path, paper).heldout["texts"]
    assert text.nll > 1000

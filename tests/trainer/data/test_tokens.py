from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from bedside_core.errors import InputError
from bedside_models.load import load_tokenizer
from bedside_trainer.data.separator import Separator, explain, find
from bedside_trainer.data.tokens import Tokeniser


def tokeniser(directory: Path, *, vocabulary: int = 300) -> Tokeniser:
    tokenizer = load_tokenizer(directory)
    return Tokeniser(tokenizer, find("eos", tokenizer), vocabulary=vocabulary, files={})


def test_every_document_ends_with_one_separator_and_loses_nothing(model_directory: Path) -> None:
    tokenizer = load_tokenizer(model_directory)
    texts = ["0,25 mg ≥ 5 µg ± 1 °C × 3", "", "Ödem " * 300]
    tokens = tokeniser(model_directory)(texts)
    for text, ids in zip(texts, tokens.ids, strict=True):
        assert ids.tolist().count(tokenizer.eos_token_id) == 1
        assert ids[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(ids[:-1].tolist()) == text
    assert (tokens.spelling, tokens.unknown) == (0, 0)


def test_text_is_never_syntax_of_the_tokenizer(model_directory: Path) -> None:
    tokens = tokeniser(model_directory)(["a<eos>b", "<pad>", "eos"])
    assert [ids.tolist().count(1) for ids in tokens.ids] == [1, 1, 1]
    assert [0 in ids.tolist() for ids in tokens.ids] == [False, False, False]
    assert tokens.spelling == 2


def test_an_eos_of_the_tokenizer_is_not_doubled(model_directory: Path) -> None:
    assert tokeniser(model_directory)._ended([5, 1]).tolist() == [5, 1]


def test_a_foreign_tokenizer_is_refused(model_directory: Path) -> None:
    with pytest.raises(InputError, match="do not belong together"):
        tokeniser(model_directory, vocabulary=10)(["Fieber"])


def words(**special: str) -> PreTrainedTokenizerFast:
    """A tokenizer that knows two words, and how `<unk>` is spelt."""
    names = ["und", "oder", "<", "unk", ">", *special.values()]
    tokenizer = Tokenizer(
        models.WordLevel(
            {name: n for n, name in enumerate(dict.fromkeys(names))}, unk_token="<unk>"
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def test_what_the_tokenizer_does_not_know_is_counted() -> None:
    known = words(eos_token="</s>", unk_token="<unk>")
    made = Tokeniser(known, find("eos", known), vocabulary=19, files={})
    assert made(["und Fieber", "oder"]).unknown == 1
    both = words(eos_token="<unk>", unk_token="<unk>")  # as GPT-2 has it: it knows every byte
    assert Tokeniser(both, find("eos", both), vocabulary=19, files={})(["und"]).unknown == 0


def test_a_large_vocabulary_takes_wider_numbers(model_directory: Path) -> None:
    assert tokeniser(model_directory, vocabulary=65_536).dtype == "uint16"
    assert tokeniser(model_directory, vocabulary=65_537).dtype == "uint32"


def test_the_separator_has_a_name(tmp_path: Path) -> None:
    instruct = words(
        eos_token="<|im_end|>", unk_token="<unk>", pad_token="<|endoftext|>", bos_token="<s>"
    )
    turn, text = find("eos", instruct), find("end_of_text", instruct)
    assert turn.token == "<|im_end|>"
    assert text.token == "<|endoftext|>"
    assert find("oder", instruct) == Separator("oder", 1)
    assert explain(turn, instruct, tmp_path) == (
        f"documents end with <|im_end|> ({turn.id}); `trainer.packing.separator` could name "
        f"<|endoftext|> ({text.id}, an end of text by its name)"
    )
    alone = words(eos_token="</s>", unk_token="<unk>")
    only = find("eos", alone)
    assert explain(only, alone, tmp_path) == f"documents end with </s> ({only.id})"
    with pytest.raises(
        InputError, match="none of <none> - name one of its tokens, for example <s>"
    ):
        find("<none>", instruct)

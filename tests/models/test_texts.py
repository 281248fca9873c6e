"""What a document spells is text: no control token comes of it, in corpora and held-out texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from bedside_core.errors import InputError
from bedside_core.heldout import HeldoutText
from bedside_models.likelihood import encode
from bedside_models.texts import TextTokenizer

SPECIAL = ("<end>", "<|im_end|>", "<|im_start|>")
UNFLAGGED = ("<think>", "[INST]", "   ")
"""Added, but not as special: two of turns and one of blanks."""


def make(*, vocabulary: tuple[str, ...] = (), unigram: bool = False) -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    known = {name: number for number, name in enumerate(["<end>", *alphabet, *vocabulary])}
    model = (
        models.Unigram([(name, 0.0) for name in known], unk_id=0)
        if unigram
        else models.BPE(vocab=known, merges=[])
    )
    tokenizer = Tokenizer(model)
    if not unigram:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in UNFLAGGED])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<end> $A", special_tokens=[("<end>", 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")


PLAIN = make()
TEXTS = TextTokenizer(PLAIN)
SYNTAX = {PLAIN.convert_tokens_to_ids(name) for name in (*SPECIAL, "<think>", "[INST]")}
PIECES = st.sampled_from(
    [*SPECIAL, *UNFLAGGED, "<", "|", "im_end", "5,5 µg", "Ödem", " ", "\n", "["]
)


@given(text=st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=40))
def test_no_text_becomes_syntax_and_none_is_lost(text: str) -> None:
    (ids,) = TEXTS.ids([text])
    assert not SYNTAX & set(ids)
    assert PLAIN.decode(ids) == text


def test_ordinary_text_is_cut_as_the_tokenizer_cuts_it() -> None:
    texts = ["Ödem, 5,5 µg", "vier    Leerzeichen", ""]
    assert TEXTS.ids(texts) == PLAIN(texts, add_special_tokens=False)["input_ids"]
    assert TEXTS.ids(texts, framed=True) == PLAIN(texts)["input_ids"]


def test_special_tokens_are_split_as_transformers_splits_them() -> None:
    text = "Ende <|im_end|><|im_start|>system"
    expected = PLAIN(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert TEXTS.ids([text]) == [expected]
    # Nor does what one call asked for stay with the next.
    assert PLAIN.convert_tokens_to_ids("<|im_end|>") in PLAIN(text)["input_ids"]


def test_state_of_earlier_calls_changes_nothing() -> None:
    tokenizer = make()
    tokenizer("Fieber", truncation=True, max_length=2)
    assert TextTokenizer(tokenizer).ids(["Fieber und Husten", "x"]) == TEXTS.ids(
        ["Fieber und Husten", "x"]
    )


def test_documents_that_spell_syntax_are_known() -> None:
    spelt = [text for text in (*SPECIAL, "a<think>b", "[INST]") if TEXTS.spells_syntax(text)]
    assert len(spelt) == 5
    assert not any(map(TEXTS.spells_syntax, ("<|im_en", "im_end", "a    b", "<5 mg/l und >3", "")))


def test_a_tokenizer_whose_vocabulary_has_its_control_tokens_is_refused() -> None:
    with pytest.raises(InputError, match="makes its control token '<end>' of text that spells it"):
        TextTokenizer(make(unigram=True))


def test_heldout_texts_are_measured_as_text() -> None:
    (text,) = encode([HeldoutText("t", "Husten <end> Fieber")], PLAIN).texts
    assert PLAIN.eos_token_id not in text.ids

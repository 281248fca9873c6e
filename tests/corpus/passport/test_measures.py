"""Lengths, languages and tokens, counted over shards; tokenizers are read where they are used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_core.registry.registry import Registry
from bedside_corpus.engine.tables import corpus_schema
from bedside_corpus.passport.measures import Measuring, load_tokenizer, total

documents = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["de", "fr"]), st.integers(1, 5000)),
    max_size=8,
)


def batch(rows: list[tuple[str, str, int]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [
            {
                "id": str(n), "text": "ä" * words, "source": source, "licence": "CC0-1.0",
                "language": language, "words": words,
            }
            for n, (source, language, words) in enumerate(rows)
        ],
        corpus_schema({}),
    )  # fmt: skip


def measured(rows: list[tuple[str, str, int]]) -> dict[str, Any]:
    measuring = Measuring({})
    if rows:
        measuring.add(batch(rows))
    return measuring.to_json()


@given(documents, documents)
def test_shards_add_up_to_the_whole(one: Any, other: Any) -> None:
    both = measured([*one, *other])
    assert total(measured(one), measured(other)) == both
    assert sum(both["lengths"].values()) == len(one) + len(other)
    assert sum(of["words"] for of in both["sources"].values()) == both["characters"]


@pytest.mark.parametrize(("words", "exponent"), [(1, 1), (2, 2), (3, 2), (4, 3), (1023, 10)])
def test_a_length_is_in_its_bin(words: int, exponent: int) -> None:
    assert measured([("a", "de", words)])["lengths"] == {str(exponent): 1}


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    made = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    folder = tmp_path / "model"
    folder.mkdir()
    made.save(str(folder / "tokenizer.json"))
    return folder


def test_tokens_are_counted_by_each_tokenizer(
    build: Any, letters: dict[str, Any], registry: Registry, tokenizer: Path
) -> None:
    named = {"words-and-signs": str(tokenizer), "again": str(tokenizer / "tokenizer.json")}
    assert build(letters, passport={"tokenizers": named}) == 0
    corpus = registry.get("test/corpus")
    said = json.loads(corpus.file("passport.json").read_bytes())
    assert said["tokens"] == {"again": 35, "words-and-signs": 35}
    assert said["words"] == 25
    assert "tokens (words-and-signs)" in corpus.file("passport.html").read_text()
    assert {"passport/again", "passport/words-and-signs"} <= corpus.manifest.recipe.inputs.keys()
    assert "tokenizers" in corpus.manifest.recipe.environment


def test_what_is_no_tokenizer_is_an_error_before_the_build(
    build: Any, letters: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(letters, passport={"tokenizers": {"a": str(tmp_path)}}) == 3
    assert "corpus.passport.tokenizers.a" in capsys.readouterr().err
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"no tokenizer of the tokenizers library"):
        load_tokenizer(tmp_path / "tokenizer.json")

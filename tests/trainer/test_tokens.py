from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from bedside_core.errors import InputError
from bedside_models.load import load_tokenizer
from bedside_trainer.tokens import ended, tokenise


def write(path: Path, texts: list[str]) -> Path:
    table = pyarrow.table({"text": pyarrow.array(texts, pyarrow.string())})
    pyarrow.parquet.write_table(table, path / "corpus.parquet")
    return path / "corpus.parquet"


def test_every_document_ends_with_one_eos_and_loses_nothing(
    tmp_path: Path, model_directory: Path
) -> None:
    tokenizer = load_tokenizer(model_directory)
    texts = ["0,25 mg ≥ 5 µg ± 1 °C × 3", "", "Ödem " * 300]
    documents = tokenise(write(tmp_path, texts), tokenizer, vocab_size=len(tokenizer))
    for text, document in zip(texts, documents, strict=True):
        ids = document.tolist()
        assert ids.count(tokenizer.eos_token_id) == 1
        assert ids[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(ids[:-1]) == text


def test_an_eos_of_the_tokenizer_is_not_doubled(model_directory: Path) -> None:
    tokenizer = load_tokenizer(model_directory)
    eos = tokenizer.eos_token_id
    assert ended([5, eos], tokenizer).tolist() == [5, eos]


def test_an_empty_corpus_is_refused(tmp_path: Path, model_directory: Path) -> None:
    with pytest.raises(InputError, match="the corpus has no documents"):
        tokenise(write(tmp_path, []), load_tokenizer(model_directory), vocab_size=300)


def test_a_foreign_tokenizer_is_refused(tmp_path: Path, model_directory: Path) -> None:
    with pytest.raises(InputError, match="do not belong together"):
        tokenise(write(tmp_path, ["Fieber"]), load_tokenizer(model_directory), vocab_size=10)

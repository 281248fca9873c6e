"""Documents in Parquet files, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from bedside_core.files import sha256_file
from bedside_core.kinds.corpus import Shard
from bedside_models.load import load_tokenizer
from bedside_trainer.data.separator import find
from bedside_trainer.data.texts import Texts
from bedside_trainer.data.tokens import Tokeniser


@pytest.fixture
def tokeniser(model_directory: Path) -> Tokeniser:
    tokenizer = load_tokenizer(model_directory)
    return Tokeniser(tokenizer, find("eos", tokenizer), vocabulary=300, files={})


@pytest.fixture
def write_texts(tmp_path: Path) -> Callable[..., Texts]:
    """Documents called d0, d1, ... in row groups of `group`."""

    def write(texts: list[str], *, group: int = 3, sources: list[str] | None = None) -> Texts:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
        columns = {"id": [f"d{n}" for n in range(len(texts))], "text": texts}
        if sources:
            columns["source"] = sources
        types = pyarrow.schema([(name, pyarrow.string()) for name in columns])
        table = pyarrow.table(columns, types)
        pyarrow.parquet.write_table(table, path, row_group_size=group)
        return Texts([Shard(path, sha256_file(path))])

    return write

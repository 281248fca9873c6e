from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside_core.errors import InputError
from bedside_trainer.data import store as module
from bedside_trainer.data.store import Documents, Store, name_of, tokenised
from bedside_trainer.data.texts import Texts
from bedside_trainer.data.tokens import Tokeniser

WORDS = ["Fieber", "", "Ödem und µg", "a<eos>b", "Husten " * 50, "x", "Befund"]
Write = Callable[..., Texts]


class Counting:
    """A tokeniser that counts its documents, and may stop as a killed process does."""

    def __init__(self, inner: Tokeniser, *, stop_after: int = 10**9) -> None:
        self.inner, self.seen, self.stop_after = inner, 0, stop_after
        self.dtype, self.identity = inner.dtype, inner.identity

    def __call__(self, texts: list[str]) -> Any:
        if self.seen >= self.stop_after:
            raise RuntimeError
        self.seen += len(texts)
        return self.inner(texts)


def content(store: Store) -> list[Any]:
    return [getattr(store, name).tolist() for name in ("tokens", "ends", "names", "sources")]


def test_a_store_gives_what_the_tokenizer_gave(
    tmp_path: Path, write_texts: Write, tokeniser: Tokeniser
) -> None:
    texts = write_texts(WORDS, sources=["a", "b", "a", "b", "c", "a", "a"])
    store = tokenised(tmp_path / "room", texts, tokeniser)
    expected = tokeniser(WORDS).ids
    assert len(store) == len(WORDS)
    for document, ids in enumerate(expected):
        assert store.read(document, 0, len(ids)).tolist() == ids.tolist()
        assert store.read(document, 1, len(ids)).tolist() == ids[1:].tolist()
    assert store.lengths().tolist() == [len(ids) for ids in expected]
    assert store.tokens.dtype == np.uint16
    assert [store.record.sources[n] for n in store.sources] == ["a", "b", "a", "b", "c", "a", "a"]
    assert int(store.names[2]) == name_of("d2", texts.sha256)
    assert store.record.spelling == 1


def test_it_is_made_once(tmp_path: Path, write_texts: Write, tokeniser: Tokeniser) -> None:
    texts, counting = write_texts(WORDS), Counting(tokeniser)
    first = tokenised(tmp_path / "room", texts, counting)
    os.utime(first.path, (0, 0))
    again = tokenised(tmp_path / "room", texts, counting)
    assert counting.seen == len(WORDS)
    assert again.path == first.path
    assert first.path.stat().st_mtime > 0  # used now, so nothing that is long unused
    assert tokenised(tmp_path / "room", write_texts(WORDS[:3]), counting).path != first.path


@pytest.mark.parametrize("after", range(7))
def test_a_killed_one_goes_on_behind_its_last_part(
    after: int,
    tmp_path: Path,
    write_texts: Write,
    tokeniser: Tokeniser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = write_texts(WORDS, group=2)
    whole = content(tokenised(tmp_path / "whole", texts, tokeniser))
    monkeypatch.setattr(module, "PART_BYTES", 1)
    with pytest.raises(RuntimeError):
        tokenised(tmp_path / "room", texts, Counting(tokeniser, stop_after=after))
    (path,) = (tmp_path / "room").iterdir()
    with (path / "tokens.bin").open("ab") as file:
        file.write(b"torn")
    counting = Counting(tokeniser)
    assert content(tokenised(tmp_path / "room", texts, counting)) == whole
    assert counting.seen == len(WORDS) - 2 * -(-after // 2)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a token changed": lambda path: flip(path / "tokens.bin"),
    "an end changed": lambda path: flip(path / "ends.bin"),
    "a file missing": lambda path: (path / "names.bin").unlink(),
    "a file cut off": lambda path: os.truncate(path / "sources.bin", 3),
    "no record": lambda path: (path / "store.json").unlink(),
    "another record": lambda path: (path / "store.json").write_text("{}"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_one_is_made_again(
    name: str, tmp_path: Path, write_texts: Write, tokeniser: Tokeniser
) -> None:
    texts = write_texts(WORDS)
    first = tokenised(tmp_path / "room", texts, tokeniser)
    before = content(first)
    DAMAGE[name](first.path)
    assert content(tokenised(tmp_path / "room", texts, tokeniser)) == before


def test_two_at_once_make_one(tmp_path: Path, write_texts: Write, tokeniser: Tokeniser) -> None:
    texts, counting = write_texts(WORDS), Counting(tokeniser)
    threads = [
        threading.Thread(target=tokenised, args=(tmp_path / "room", texts, counting))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counting.seen == len(WORDS)


def test_stores_are_numbered_through(
    tmp_path: Path, write_texts: Write, tokeniser: Tokeniser
) -> None:
    stores = [tokenised(tmp_path / "room", write_texts(t), tokeniser) for t in (WORDS, ["und"])]
    documents = Documents(stores)
    assert len(documents) == len(WORDS) + 1
    assert documents.read(7, 0, 3).tolist() == stores[1].read(0, 0, 3).tolist()
    assert documents.read(6, 0, 3).tolist() == stores[0].read(6, 0, 3).tolist()
    assert documents.lengths()[-1] == 4


def test_a_corpus_without_documents_is_refused(write_texts: Write) -> None:
    with pytest.raises(InputError, match="the corpus has no documents"):
        write_texts([])


def test_names_need_the_id_and_differ_between_corpora() -> None:
    assert name_of("a", "00" * 32) != name_of("a", "01" * 32)
    assert name_of("a", "00" * 32) != name_of("b", "00" * 32)

"""A block passes on, changes or drops, and its base counts which."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import ClassVar, Literal

import pytest

from bedside_corpus.blocks.base import Block
from bedside_corpus.document import Document, Dropped


class Shortener(Block):
    name = "shortener"
    columns: ClassVar[Mapping[str, Literal["number", "label"]]] = {"length": "number"}

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.characters = characters

    def apply(self, document: Document) -> Document:
        if not document.text:
            raise Dropped("empty")
        text = document.text[: self.characters]
        return replace(document, text=text, scores={"length": len(text)})


def document(number: int, text: str) -> Document:
    return Document(f"d{number}", text, "s", "CC0-1.0", "de", f"s/a:{number}")


@pytest.mark.parametrize("copied", [lambda x: x, deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_block_is_counted_by_its_base_wherever_it_runs(copied) -> None:
    block = copied(Shortener(3))
    documents = [document(n, text) for n, text in enumerate(("abcd", "", "abc", "", "äöü"))]
    found = list(block(documents, 0, 1))
    assert [(d.id, d.text, d.scores) for d in found] == [
        ("d0", "abc", {"length": 3}),
        ("d2", "abc", {"length": 3}),
        ("d4", "äöü", {"length": 3}),
    ]
    assert block.counts.to_json() == {
        "read": 5,
        "changed": 1,
        "dropped": {"empty": {"count": 2, "first": ["s/a:1", "s/a:3"]}},
        "noted": {},
    }
    assert block.counts.kept == 3


def test_the_form_of_a_changed_document_is_its_own() -> None:
    first = document(1, "Fieber")
    assert first.form == "fieber"
    assert replace(first, text="Husten").form == "husten"

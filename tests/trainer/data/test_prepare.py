from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bedside_core.errors import InputError
from bedside_models.load import load_tokenizer
from bedside_trainer.data.prepare import OTHERS, REPLAYED, Data, prepare

SIZES = {"letters": 30, "books": 20, "web": 10}


@pytest.fixture
def ward(house: Any) -> Any:
    """A house whose corpus has three sources."""
    sources = [name for name, number in SIZES.items() for _ in range(number)]
    texts = [f"{source} {number} " + "x" * 20 for number, source in enumerate(sources)]
    house.add_corpus(texts, sources=sources)
    return house


def prepared(house: Any, general: Any = None, **changes: Any) -> Data:
    base = house.registry.get("test/base")
    return prepare(
        house.config(**changes),
        base=base,
        corpus=house.registry.get("test/corpus"),
        tokenizer=load_tokenizer(base.path),
        vocabulary=300,
        room=house.registry.workrooms[0],
        replay=general,
    )


def tokens_by_stream(data: Data) -> dict[str, int]:
    """That the whole training takes from each stream."""
    found, first = {}, 0
    rows = np.concatenate([data.order.step_rows(step) for step in range(data.order.steps)])
    for stream in data.rows.streams:
        mine = rows[(rows >= first) & (rows < first + stream.rows)]
        found[stream.name] = int(data.rows.lengths[mine].sum())
        first += stream.rows
    return found


def test_a_weight_says_how_often_an_epoch_takes_a_source(ward: Any) -> None:
    data = prepared(ward, num_epochs=2, mix={"letters": 2, "books": 0.5})
    sizes = {stream.name: stream.tokens for stream in data.rows.streams}
    assert sizes.keys() == {"letters", "books", OTHERS}
    found = tokens_by_stream(data)
    assert found["letters"] == 4 * sizes["letters"]
    assert found["books"] == pytest.approx(sizes["books"], rel=0.1)
    assert found[OTHERS] == 2 * sizes[OTHERS]


def test_a_weight_of_zero_leaves_a_source_out(ward: Any) -> None:
    data = prepared(ward, mix={"web": 0})
    assert [stream.documents for stream in data.rows.streams] == [50]
    with pytest.raises(InputError, match="leaves no document"):
        prepared(ward, mix=dict.fromkeys(SIZES, 0))


def test_a_source_that_is_not_there_is_named(ward: Any) -> None:
    with pytest.raises(
        InputError, match=r"'leters', the corpus has the sources letters, books, web"
    ):
        prepared(ward, mix={"leters": 2})


def test_replayed_texts_have_their_share_of_the_rows(ward: Any) -> None:
    general = ward.registry.get("test/corpus")
    data = prepared(ward, general, sequence_length=64, replay={"share": 0.25})
    first = len(data.rows) - data.rows.streams[-1].rows
    taken = np.concatenate([data.order.step_rows(step) for step in range(data.order.steps)])
    assert data.rows.streams[-1].name == REPLAYED
    assert (taken >= first).mean() == pytest.approx(0.25, abs=0.02)
    alone = prepared(ward, sequence_length=64)
    assert data.rows.streams[0] == alone.rows.streams[0]


def test_tokens_and_rows_are_kept_for_other_runs(ward: Any) -> None:
    first = prepared(ward)
    assert prepared(ward, learning_rate=1e-5, num_epochs=3).rows.documents.stores[0].path == (
        first.rows.documents.stores[0].path
    )
    room = ward.registry.workrooms[0]
    assert {path.name.split("-")[0] for path in room.iterdir()} == {"tokens", "rows"}
    assert len(list(room.iterdir())) == 2
    prepared(ward, packing={"separator": "<pad>"})
    assert len(list(room.glob("tokens-*"))) == 2
    prepared(ward, sequence_length=16)
    assert len(list(room.glob("rows-*"))) == 3


def test_a_tokenizer_that_knows_little_of_the_corpus_is_refused(
    ward: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedside_trainer.data.prepare.UNKNOWN_SHARE", -1.0)
    with pytest.raises(InputError, match="was not made for this language or script"):
        prepared(ward)


def test_fewer_rows_than_a_step_wants(ward: Any) -> None:
    data = prepared(ward, batch_size=10_000, num_epochs=2)
    assert data.order.batch_size == len(data.rows)
    assert data.order.steps == 2

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_trainer.data.order import Order, Stream


def order(streams: list[tuple[int, int]], cost: Any = None, **changes: Any) -> Order:
    """Streams of (rows, rows per epoch)."""
    made, first = [], 0
    for rows, per_epoch in streams:
        made.append(Stream(range(first, first + rows), per_epoch))
        first += rows
    settings = {"batch_size": 4, "num_epochs": 1, "max_steps": None, "seed": 17} | changes
    return Order(made, np.ones(first, np.int64) if cost is None else cost, **settings)


def taken(made: Order) -> list[int]:
    return [row for step in range(made.steps) for row in made.step_rows(step).tolist()]


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 3))
def test_an_epoch_takes_every_row_once(rows: int, batch_size: int, epochs: int) -> None:
    made = order([(rows, rows)], batch_size=batch_size, num_epochs=epochs)
    flat = taken(made)
    for epoch in range(epochs):
        assert sorted(flat[epoch * rows : (epoch + 1) * rows]) == list(range(rows))
    sizes = [len(made.step_rows(step)) for step in range(made.steps)]
    assert set(sizes[:-1]) <= {min(batch_size, rows)}


@given(st.integers(1, 30), st.data())
def test_a_step_depends_on_nothing_before_it(rows: int, data: st.DataObject) -> None:
    made = order([(rows, rows), (7, 3)], batch_size=3, num_epochs=3)
    step = data.draw(st.integers(0, made.steps - 1))
    alone = order([(rows, rows), (7, 3)], batch_size=3, num_epochs=3).step_rows(step)
    assert alone.tolist() == [made.step_rows(number) for number in range(step + 1)][-1].tolist()


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    one, two = (order([(64, 64)], batch_size=64, num_epochs=2).step_rows(n) for n in (0, 1))
    other = order([(64, 64)], batch_size=64, seed=18).step_rows(0)
    assert one.tolist() != two.tolist()
    assert one.tolist() != other.tolist()


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 30)), min_size=1, max_size=4))
def test_no_row_is_taken_again_before_all_of_its_stream_were(
    streams: list[tuple[int, int]],
) -> None:
    if not any(per_epoch for _, per_epoch in streams):
        streams.append((5, 5))
    made = order(streams, num_epochs=3)
    times = Counter(taken(made))
    first = 0
    for rows, per_epoch in streams:
        counts = [times[row] for row in range(first, first + rows)]
        assert sum(counts) == 3 * per_epoch
        assert max(counts) - min(counts) <= 1
        first += rows


def test_every_run_of_steps_has_the_shares_of_the_streams() -> None:
    made = order([(900, 900), (40, 100)], batch_size=20)
    replayed = [int((made.step_rows(step) >= 900).sum()) for step in range(made.steps)]
    assert sum(replayed) == 100
    assert max(replayed) <= 4  # 2 each on average; a row moves by half a place of its stream


def test_max_steps_bounds_the_training() -> None:
    assert order([(100, 100)], batch_size=8, num_epochs=2).steps == 25
    assert order([(100, 100)], batch_size=8, num_epochs=2, max_steps=5).steps == 5
    assert order([(100, 100)], batch_size=8, max_steps=500).steps == 13


def test_a_step_has_no_more_rows_than_an_epoch() -> None:
    made = order([(3, 3)], batch_size=1024, num_epochs=2)
    assert (made.batch_size, made.steps) == (3, 2)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=40), st.integers(1, 9))
def test_processes_share_a_step_without_losing_a_row(cost: list[int], world: int) -> None:
    made = order([(len(cost), len(cost))], np.array(cost), batch_size=len(cost))
    shares = made.shares(made.step_rows(0), world)
    assert len(shares) == world
    assert sorted(np.concatenate(shares).tolist()) == list(range(len(cost)))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    # Each group of rows adds at most what its dearest row has over its cheapest.
    loads = [sum(cost[row] for row in share) for share in shares]
    assert max(loads) - min(loads) <= max(cost)


@pytest.mark.parametrize("world", [2, 4, 8])
def test_processes_get_equal_work(world: int) -> None:
    cost = np.random.default_rng(0).integers(1_000_000, 64_000_000, 512)
    made = order([(512, 512)], cost, batch_size=512)
    loads = [int(cost[share].sum()) for share in made.shares(made.step_rows(0), world)]
    assert max(loads) < 1.02 * min(loads)

"""What spikes, what does not, and that a monitor that is restored decides as the first one."""

from __future__ import annotations

import json
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_trainer.spikes import SpikeMonitor, Spikes

SMALL = Spikes(window=8, limit=4)
CALM = [2.0, 2.1, 1.9, 2.0, 2.2, 1.8, 2.0, 2.1]
"""A full window."""


def calm(config: Spikes = SMALL) -> SpikeMonitor:
    monitor = SpikeMonitor(config)
    assert not any(monitor.observe(step, loss, 1.0) for step, loss in enumerate(CALM, start=1))
    return monitor


def test_the_rule_is_six_deviations_above_the_mean_of_the_window() -> None:
    limit = statistics.fmean(CALM) + 6 * statistics.stdev(CALM)
    assert not calm().observe(9, limit, 1.0)
    assert calm().observe(9, math.nextafter(limit, math.inf), 1.0)
    assert not calm().observe(9, -100.0, 1.0)


def test_the_gradient_counts_like_the_loss() -> None:
    monitor = SpikeMonitor(SMALL)
    for step, norm in enumerate(CALM, start=1):
        monitor.observe(step, 2.0, norm)
    assert monitor.observe(9, 2.0, 50.0)
    assert monitor.spikes[0].grad_norm == 50.0
    assert monitor.spikes[0].loss_limit is None, "a loss that never varied has no limit"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_spikes_from_the_first_step_on(value: float) -> None:
    monitor = SpikeMonitor(SMALL)
    assert monitor.observe(1, value, 1.0)
    assert monitor.observe(2, 1.0, value)
    json.dumps(monitor.state(), allow_nan=False)


def test_before_the_window_is_full_nothing_finite_spikes() -> None:
    monitor = SpikeMonitor(SMALL)
    assert not any(monitor.observe(step, loss, 1.0) for step, loss in enumerate([1, 1, 1, 900]))


def test_a_spike_does_not_count_for_those_after_it() -> None:
    monitor = calm()
    assert monitor.observe(9, 90.0, 1.0)
    assert monitor.observe(10, 80.0, 1.0)
    assert not monitor.observe(11, 2.0, 1.0)
    assert not monitor.is_damaged


def test_in_a_row_they_mean_damage_and_too_many_are_too_many() -> None:
    monitor = calm()
    before = monitor.state()
    for step in (9, 10, 11):
        assert not monitor.is_damaged
        monitor.observe(step, 90.0, 1.0)
    assert monitor.is_damaged
    monitor.go_back(4, before)
    assert not monitor.is_damaged
    assert [(spike.step, spike.back_to) for spike in monitor.spikes] == [
        (9, None), (10, None), (11, 4),
    ]  # fmt: skip
    assert not monitor.is_over
    for step in (12, 13):
        monitor.observe(step, 90.0, 1.0)
    assert monitor.is_over


def test_the_message_has_numbers_and_ids_alone() -> None:
    monitor = calm()
    monitor.observe(9, 90.0, math.nan)
    spike = monitor.name([3, 5], [f"doc-{i}" for i in range(7)])
    assert spike.rows == (3, 5)
    assert str(spike) == (
        "step 9 is left out: loss 90 is above 2.76; gradient norm is not finite; "
        "documents doc-0, doc-1, doc-2, doc-3, doc-4 and 2 more"
    )


@given(
    values=st.lists(
        st.tuples(st.floats(0, 50) | st.just(math.nan), st.floats(0, 50)), min_size=1, max_size=40
    ),
    data=st.data(),
)
def test_a_restored_monitor_decides_as_the_first(
    values: list[tuple[float, float]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(values)))
    whole, first, second = SpikeMonitor(SMALL), SpikeMonitor(SMALL), SpikeMonitor(SMALL)
    expected = [whole.observe(step, *value) for step, value in enumerate(values)]
    found = [first.observe(step, *value) for step, value in enumerate(values[:cut])]
    second.restore(json.loads(json.dumps(first.state(), allow_nan=False)))
    found += [second.observe(step, *value) for step, value in enumerate(values[cut:], start=cut)]
    assert found == expected
    assert second.state() == whole.state()

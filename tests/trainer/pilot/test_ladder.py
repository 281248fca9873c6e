"""How long the rungs are, and how far each goes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_trainer.pilot.ladder import LEAST, area, compressed, ladder
from bedside_trainer.schedule import Schedule

SCHEDULES = st.one_of(
    st.builds(Schedule, kind=st.sampled_from(["linear", "constant", "wsd", "rewarm"])),
    st.builds(Schedule, warmup_steps=st.integers(0, 2000)),
)


@given(steps=st.integers(1, 100_000), share=st.floats(1e-4, 1))
def test_rungs_double_and_stay_within_their_share(steps: int, share: float) -> None:
    try:
        rungs = ladder(steps, share)
    except InputError:
        assert int(steps * share) < LEAST
        return
    assert sum(rungs) <= steps * share + 1e-6
    assert [b / a for a, b in pairwise(rungs)] == [2.0] * (len(rungs) - 1)


def test_a_share_that_is_too_small_is_answered_with_one_that_is_not() -> None:
    with pytest.raises(InputError, match=r"set trainer\.pilot\.share to 0\.778") as found:
        ladder(36, 0.01)
    assert "a pilot of 0 steps, at least 28" in str(found.value)
    assert ladder(36, 0.778) == (4, 8, 16)
    with pytest.raises(InputError, match="needs none"):
        ladder(20, 0.5)


@given(schedule=SCHEDULES, steps=st.integers(28, 5000), part=st.integers(2, 50))
def test_a_compressed_schedule_goes_as_far_in_proportion(
    schedule: Schedule, steps: int, part: int
) -> None:
    assume(schedule.warmup(steps) < steps)
    short = compressed(schedule, steps)
    assert area(short, steps) == pytest.approx(area(schedule, steps), abs=1)
    rung = max(4, steps // part)
    # A step at each bend of the schedule is rounded.
    assert area(short, rung) / rung == pytest.approx(area(schedule, steps) / steps, abs=3 / rung)

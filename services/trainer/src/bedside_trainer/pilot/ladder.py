"""The rungs of a pilot: whole short trainings whose lengths double and whose sum is its share.

Each has the training's schedule, compressed: its learning rate rises to the same peak and has come
down as far when it ends. What is measured in the middle of a schedule says little about its end,
because most of the noise of a high rate goes in the decay (Hägele et al. 2024, section 3).

How far a training has come is the sum of its learning rates, in steps at the peak (the "forward
area" of Wang et al. 2025, "Learning dynamics in continual pre-training", section 3).

Tested in tests/trainer/pilot/test_ladder.py.
"""

from __future__ import annotations

from bedside_core.errors import InputError
from bedside_trainer.schedule import Schedule

RUNGS = 3
SHORTEST = 4
"""Steps of the first rung: in fewer there is no schedule left to compress."""
LEAST = SHORTEST * (2**RUNGS - 1)
"""Steps of the shortest pilot."""


def ladder(steps: int, share: float) -> tuple[int, ...]:
    """Steps of each rung, from short to long.

    Args:
        steps: of the whole training.
        share: of them, for all rungs together.

    Raises:
        InputError: the share of so few steps is no ladder.
    """
    # Decimal shares are not exact in binary: 0.07 of 100 steps are 7.
    given = int(steps * share + 1e-9)
    if given < LEAST:
        advice = (
            f"set trainer.pilot.share to {-(-1000 * LEAST // steps) / 1000:g}"
            if steps > LEAST
            else "a training as short as this needs none: run it"
        )
        raise InputError(
            f"{share:.3g} of the training's {steps} steps gives a pilot of {given} steps, at least "
            f"{LEAST} are needed - {advice}"
        )
    first = given // (2**RUNGS - 1)
    return tuple(first * 2**rung for rung in range(RUNGS))


def compressed(schedule: Schedule, steps: int) -> Schedule:
    """The schedule of a training of `steps` steps, for one of any other length."""
    share = schedule.warmup(steps) / steps  # above 1 where the peak is never reached
    return schedule.model_copy(update={"warmup_steps": None, "warmup_share": share})


def area(schedule: Schedule, steps: int) -> float:
    """The sum of the learning rates, in steps at the peak."""
    return sum(schedule.rate(step, steps) for step in range(steps))

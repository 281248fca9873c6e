"""The plan's arithmetic against numbers that were reckoned by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_trainer.config import TrainerConfig
from bedside_trainer.hardware import HARDWARE
from bedside_trainer.plan import cost
from bedside_trainer.plan.cost import Amount, Range
from bedside_trainer.plan.settings import Prices

H200 = HARDWARE["H200"]


def test_hours() -> None:
    """989e12 FLOP/s at 33 % and 46.4 %, for 989e12 * 3600 operations: an hour over the share."""
    assert cost.hours(989e12 * 3600, H200, 1) == pytest.approx((1 / 0.464, 1 / 0.33))
    again = cost.hours(989e12 * 3600, H200, 1, again=True)
    assert again == pytest.approx((4 / 3 / 0.464, 4 / 3 / 0.33))
    assert cost.hours(989e12 * 3600, H200, 8).high == pytest.approx(1 / 0.33 / 8)
    assert cost.hours(989e12 * 3600, H200, 1, busy=0.5).low == pytest.approx(2 / 0.464)
    # From 8 devices to 128 the published speed of each falls from 6,667 to 6,514 tokens/s.
    many = cost.hours(989e12 * 3600, H200, 128)
    assert many.high == pytest.approx(1 / 0.33 / 128 * 6667 / 6514)


@pytest.mark.parametrize(
    ("rows", "devices", "share"),
    [(64, 1, 1.0), (64, 64, 1.0), (64, 48, 64 / 96), (64, 128, 0.5), (8, 8, 1.0), (9, 8, 9 / 16)],
)
def test_devices_without_a_row_are_idle(rows: int, devices: int, share: float) -> None:
    assert cost.busy(rows, devices) == pytest.approx(share)


@given(rows=st.integers(1, 5000), devices=st.integers(1, 1024))
def test_more_devices_never_take_longer(rows: int, devices: int) -> None:
    fewer, more = (
        cost.hours(1e20, H200, n, busy=cost.busy(rows, n)).high for n in (devices, devices * 2)
    )
    # Twice the devices lose at most what they talk more.
    assert more <= fewer / cost.PER_DOUBLING * (1 + 1e-9)


def test_energy_and_money() -> None:
    """Eight devices of 1,275 W for ten hours: 102 kWh, and half as much for the building."""
    prices = Prices(per_kwh=0.2, power_usage_effectiveness=1.5, per_device_hour={"H200": 4.0})
    kwh = cost.energy(Range(10, 20), H200.watts, 8, prices)
    assert kwh == pytest.approx((153, 306))
    assert cost.money(Range(10, 20), kwh, "H100", 8, prices) == pytest.approx((30.6, 61.2))
    assert cost.money(Range(10, 20), kwh, "H200", 8, prices) == pytest.approx((320, 640))


def test_disk() -> None:
    """1,000 parameters: states of 12 bytes, one more than stay; milestones of 4; 4 per token."""
    config = TrainerConfig.model_validate(
        {"heldout": "ward", "states": {"keep": 2}, "milestones": {"every": 10}}
    )
    amount = Amount(tokens=500, squares=0, steps=25, longest=8, stored=70, origin="")
    assert cost.disk(config, 1000, 1000, amount) == {
        "states": 36_000, "milestones": 12_000, "tokens": 280, "checkpoint": 4000,
    }  # fmt: skip
    assert cost.disk(config, 1000, 10, amount)["states"] == 360


def test_prices_are_no_part_of_the_recipe() -> None:
    priced = TrainerConfig.model_validate({"heldout": "ward", "prices": {"per_kwh": 9}})
    assert priced.prices.per_kwh == 9
    assert priced.model_dump() == TrainerConfig(heldout="ward").model_dump()

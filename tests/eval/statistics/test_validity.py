"""Three cells of bench/eval/validity.py, shorter; the recorded result has all of them."""

from __future__ import annotations

import json

import pytest
from eval import validity

RECORDED = json.loads((validity.RESULTS / "validity.json").read_text("utf-8"))
NAMES = [cell.name for cell in validity.CELLS]


@pytest.mark.parametrize(
    "name",
    ["tail of harm, 16 clusters", "ICC 0.5, 16 clusters", "exam of 20, 0.05 discordant, -0.05"],
)
def test_cell_keeps_its_limits(name: str) -> None:
    found = validity.run(NAMES.index(name), repetitions=1000)
    assert found["failed"] == []
    assert found["covered"] > 0.9


def test_the_limits_can_fail() -> None:
    """Texts of one patient taken as independent: the review found 8 to 21 % false gains."""
    cell = validity.CELLS[NAMES.index("ICC 0.5, 16 clusters")]
    found = cell.measure(validity.np.random.default_rng(0), 500)
    naive = {"promoted": found["t_that_takes_texts_as_independent"], "covered": 0.8}
    assert validity.failures(cell, naive, 500) == ["promoted", "covered"]


def test_recorded_cells_are_these_and_kept_their_limits() -> None:
    assert [cell["cell"] for cell in RECORDED["cells"]] == NAMES
    assert RECORDED["repetitions"] == 10_000
    assert [cell["cell"] for cell in RECORDED["cells"] if cell["failed"]] == []

"""Points become merges that mergekit takes, whatever the numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_merger.presets import PRESETS
from bedside_merger.search.families import DEFINEMED, FAMILIES, FamilyName


@pytest.mark.parametrize("name", sorted(FAMILIES))
@given(data=st.data())
def test_every_point_of_the_box_is_a_merge(name: FamilyName, data: st.DataObject) -> None:
    low, high, make = FAMILIES[name]
    point = [data.draw(st.floats(a, b)) for a, b in zip(low, high, strict=True)]
    make(tuple(point))  # its own check would refuse it


def test_definemed_is_the_preset() -> None:
    assert FAMILIES["schedule"].make(DEFINEMED) == PRESETS["definemed"]
    assert FAMILIES["uniform"].make((0.5,)) == PRESETS["parcomed"]

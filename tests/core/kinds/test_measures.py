"""The table of measures is whole: types that there are, and one measure of texts."""

from __future__ import annotations

from bedside_core.kinds.exam.items import TYPES
from bedside_core.kinds.measures import ACCURACIES, LIKELIHOOD, MEASURES, of_items


def test_every_measure_is_of_texts_or_of_types_that_there_are() -> None:
    assert {kind for measure in MEASURES.values() for kind in measure.of} <= TYPES.keys()
    assert set(MEASURES) - set(of_items()) == {LIKELIHOOD}
    assert all(MEASURES[name].form == "binary" for name in ACCURACIES)

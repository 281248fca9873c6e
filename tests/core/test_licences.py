"""Licences and what they oblige to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bedside_core.licences import OBLIGATIONS, Licence, licence, union

some = st.lists(st.sampled_from([*OBLIGATIONS, "LicenseRef-House"]).map(licence))


def test_known_and_unknown() -> None:
    assert licence("CC-BY-SA-4.0") == Licence("CC-BY-SA-4.0", ("attribution", "share-alike"))
    assert licence("CC0-1.0").obligations == ()
    assert licence("LicenseRef-House").obligations == ("review",)
    assert licence("apache-2.0") == Licence("Apache-2.0", ("notice",))  # SPDX 2.3, annex D.2


@given(some, some, some)
def test_union_loses_nothing_and_repeats_nothing(
    a: list[Licence], b: list[Licence], c: list[Licence]
) -> None:
    together = union(a, b, c)
    assert set(together) == {*a, *b, *c}
    assert len(set(together)) == len(together)
    assert union(a, union(b, c)) == union(union(a, b), c) == union(c, b, a)
    assert union() == ()

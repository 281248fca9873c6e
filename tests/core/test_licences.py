"""Licences and what they oblige to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bedside_core.licences import OBLIGATIONS, USES, Licence, licence, union, uses

some = st.lists(st.sampled_from([*OBLIGATIONS, "LicenseRef-House"]).map(licence))


def test_known_and_unknown() -> None:
    assert licence("CC-BY-SA-4.0") == Licence("CC-BY-SA-4.0", ("attribution", "share-alike"))
    assert licence("CC0-1.0").obligations == ()
    assert licence("LicenseRef-House").obligations == ("review",)
    assert licence("apache-2.0") == Licence("Apache-2.0", ("notice",))  # SPDX 2.3, annex D.2


def test_what_each_permits() -> None:
    assert uses("cc-by-sa-4.0") == uses("etalab-2.0") == USES
    assert uses("CC-BY-NC-4.0") == uses("CC-BY-NC-SA-3.0") == {"research"}
    assert uses("CC-BY-ND-4.0") == {"internal"}
    assert uses("CC-BY-ND-3.0") == uses("CC-BY-NC-ND-4.0") == set()
    assert uses("LicenseRef-House") is uses("GPL-3.0-only") is None


@given(st.sampled_from([*OBLIGATIONS]))
def test_only_two_obligations_forbid_a_use(name: str) -> None:
    forbids = {"non-commercial", "no-derivatives"} & set(licence(name).obligations)
    assert (uses(name) != USES) == bool(forbids)


@given(some, some, some)
def test_union_loses_nothing_and_repeats_nothing(
    a: list[Licence], b: list[Licence], c: list[Licence]
) -> None:
    together = union(a, b, c)
    assert set(together) == {*a, *b, *c}
    assert len(set(together)) == len(together)
    assert union(a, union(b, c)) == union(union(a, b), c) == union(c, b, a)
    assert union() == ()

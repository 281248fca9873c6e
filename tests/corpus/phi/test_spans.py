import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_corpus.phi.spans import Span, merge

TEXT = "Frau Anna Muster kam am 3.4."


@st.composite
def findings(draw):
    ends = st.tuples(st.integers(0, len(TEXT)), st.integers(0, len(TEXT)))
    pairs = draw(st.lists(ends.filter(lambda p: p[0] < p[1]), max_size=12))
    kinds = st.sampled_from(["NAME", "DATE", "ID"])
    return [Span(*pair, draw(kinds), draw(st.sampled_from([0.1, 0.4, 1.0]))) for pair in pairs]


def characters(spans):
    return {i for s in spans for i in range(s.start, s.end) if not TEXT[i].isspace()}


@given(findings())
def test_merging_hides_the_same_characters_once(spans):
    merged = merge(spans, TEXT)
    assert characters(merged) == characters(spans)
    assert all(a.end <= b.start for a, b in itertools.pairwise(merged))
    assert merge(merged, TEXT) == merged


def test_the_heavier_finding_names_the_union():
    spans = [Span(5, 16, "NAME", 1.0), Span(10, 20, "LOCATION", 0.1)]
    assert merge(spans, TEXT) == [Span(5, 20, "NAME", 1.0)]


@pytest.mark.parametrize("place", [(-1, 3), (3, 3), (5, 99)])
def test_a_span_outside_the_text_is_an_error(place):
    with pytest.raises(ValueError, match="outside"):
        merge([Span(*place, "NAME", 1.0)], TEXT)

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_eval.compare.log import Wanted, chosen, cluster, digest, parse, score, shown

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_what_is_no_object_is_refused_without_quoting_it(data):
    try:
        assert isinstance(parse(data, "a.jsonl: line 3"), dict)
    except InputError as error:
        assert (
            str(error) == "a.jsonl: line 3: is no JSON object - the log is damaged, copy it again"
        )


def test_a_number_of_a_million_digits_and_a_thousand_brackets_are_damage():
    for data in (b'{"a": ' + b"9" * 10**6 + b"}", b'{"a": ' + b"[" * 10**6):
        with pytest.raises(InputError, match="no JSON object"):
            parse(data, "a")


@pytest.mark.parametrize("value", [None, math.nan, math.inf, 10**400])
def test_what_is_no_measurement_has_no_score(value):
    assert score(value, "a") is None


@pytest.mark.parametrize(("value", "expected"), [(True, 1.0), (0, 0.0), (0.25, 0.25), (2, 2.0)])
def test_a_score_is_a_number_from_0_up(value, expected):
    assert score(value, "a") == expected


@pytest.mark.parametrize("value", ["1.0", [1, 2], {}, -0.5])
def test_other_scores_are_refused(value):
    with pytest.raises(InputError, match="name another metric"):
        score(value, "a")


@given(JSON)
def test_a_cluster_is_text_or_a_whole_number(value):
    try:
        name = cluster({"patient": value}, Wanted(cluster="patient"), "a")
    except InputError as error:
        assert "names no cluster" in str(error)
        assert value is None or value == "" or not isinstance(value, str)
    else:
        assert name == str(value)
        assert not isinstance(value, float | bool)


def test_an_item_without_the_field_that_was_asked_for_is_refused():
    assert cluster({}, Wanted(), "a") is None
    assert cluster({"cluster": 7}, Wanted(), "a") == "7"
    with pytest.raises(InputError, match="no field 'patient'"):
        cluster({"cluster": 7}, Wanted(cluster="patient"), "a")


@given(st.text())
def test_a_shown_name_breaks_no_table_and_no_terminal(name):
    found = shown(name)
    assert len(found) <= 80
    assert found.isprintable()
    assert not set(found) & set("|`<>")


def test_a_long_name_shows_its_end():
    assert shown("a" * 100 + "model") == "..." + "a" * 72 + "model"


def test_the_first_is_taken_where_none_is_named():
    assert chosen(["acc", "f1"], None, "metric", "a") == "acc"
    assert chosen(["acc", "f1"], "f1", "metric", "a") == "f1"
    with pytest.raises(InputError, match="a: no metric 'bleu' - it has acc, f1"):
        chosen(["acc", "f1"], "bleu", "metric", "a")


@given(JSON, JSON)
def test_equal_digests_mean_equal_json(one, other):
    assert (digest(one) == digest(other)) == (
        json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    )

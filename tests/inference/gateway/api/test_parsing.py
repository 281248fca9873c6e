"""One sentence for each way in which bytes are no JSON object, and none of them is quoted."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_inference.gateway.api.parsing import MAX_NAMES, parse
from bedside_inference.gateway.errors import ApiError

CAUSES = {
    b'\xef\xbb\xbf{"a": 1}': "byte order mark",
    b"\xff\xfe{\x00}\x00": "not UTF-8",
    gzip.compress(b"{}"): "not compressed",
    b'{"temperature": NaN}': "NaN is no number",
    b'{"temperature": -Infinity}': "-Infinity is no number",
    b'{"temperature": 1e400}': "A number in the body is larger",
    b'{"seed": ' + b"9" * 5000 + b"}": "A number in the body is larger",
    b'{"role": 1, "role": 1}': "'role' stands twice",
    b'{"Mustermann": 1, "Mustermann": 1}': "A name stands twice",
    b'{"a": {"b": [{"index": 1, "index": 1}]}}': "A name stands twice",
    json.dumps(dict.fromkeys(map(str, range(MAX_NAMES + 1)))).encode(): "more than 1024 names",
    b"[" * 100_000: "within one another",
    b"[]": "must be a JSON object",
    b"": "line 1, column 1",
    b'{"a": 1,\n  "b": }': "line 2, column 8",
    b"{'a': 1}": "line 1, column 2",
}


@pytest.mark.parametrize("raw", CAUSES, ids=CAUSES.values())
def test_one_sentence_for_each_cause(raw) -> None:
    with pytest.raises(ApiError) as caught:
        parse(raw)
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")
    assert CAUSES[raw] in caught.value.message
    assert "Mustermann" not in caught.value.message


def test_as_many_names_as_may_be() -> None:
    body = dict.fromkeys(map(str, range(MAX_NAMES)))
    assert parse(json.dumps(body).encode()) == body


@given(st.binary())
def test_whatever_comes(raw: bytes) -> None:
    try:
        found = parse(raw)
    except ApiError as error:
        assert error.code == "invalid_json"
    else:
        assert found == json.loads(raw)

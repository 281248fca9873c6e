"""What servers write into headers."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.endpoint.responses import parsed, retry_after


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3", 3.0), ("0.5", 0.5), ("0", 0.0), ("-5", 0.0), ("inf", float("inf"))],
)
def test_seconds(text, seconds) -> None:
    assert retry_after(text) == seconds


def test_a_date() -> None:
    found = retry_after(formatdate(time.time() + 60, usegmt=True))
    assert found is not None and 50 < found <= 60
    assert retry_after(formatdate(0, usegmt=True)) == 0


@pytest.mark.parametrize("text", ["", "soon", "nan", "Fri, 99 Xxx 2026", "1,5"])
def test_what_says_nothing(text) -> None:
    assert retry_after(text) is None


@given(st.text())
def test_any_header_is_a_wait_or_none(text) -> None:
    found = retry_after(text)
    assert found is None or found >= 0


@given(st.binary())
def test_any_content_is_an_object(data) -> None:
    assert isinstance(parsed(data), dict)

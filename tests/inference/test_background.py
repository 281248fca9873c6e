"""Work beside the requests: a failure is told once, counted each time, and ends nothing."""

from __future__ import annotations

import logging

import pytest

from bedside_inference.background import Recurring

logger = logging.getLogger("bedside_inference.test")


def test_failures_are_told_once_and_counted_each_time(caplog) -> None:
    caplog.set_level(logging.INFO)
    work = Recurring(logger, "it failed", "it goes on")
    for broken in (False, True, True, False, False, True):
        with work.attempt():
            if broken:
                raise ValueError("a text")
        assert work.failing is broken
    assert caplog.messages.count("it failed") == 2
    assert caplog.messages.count("it goes on") == 1
    assert work.failures == 3
    assert "a text" not in caplog.text


def test_who_ends_it_is_heard() -> None:
    work = Recurring(logger, "it failed", "it goes on")
    with pytest.raises(KeyboardInterrupt), work.attempt():
        raise KeyboardInterrupt
    assert not work.failures

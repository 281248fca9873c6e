"""A signal asks the training to stop; one that is ignored does not."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from bedside_trainer.stopping import SIGNALS, StopRequest


@pytest.fixture(autouse=True)
def handlers_as_they_were() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_noted_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = {each: signal.getsignal(each) for each in SIGNALS}
    with StopRequest() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        assert {each: signal.getsignal(each) for each in SIGNALS} == before


def test_what_a_script_runs_in_the_background_goes_on_at_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_in_another_thread_there_is_nothing_to_note() -> None:
    noted: list[bool] = []

    def elsewhere() -> None:
        with StopRequest() as stop:
            noted.append(stop.requested)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert noted == [False]

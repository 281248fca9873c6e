"""What engines and gateway say of themselves, asked as an operator's verb asks."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from bedside_core.registry.registry import Registry
from bedside_inference import models, reported
from bedside_inference.paths import socket_path
from bedside_inference.state.store import Store


def unrecorded(action: str, /, **ids: str | int) -> None:
    """In the place of the audit."""


@pytest.fixture
def ready(gateway):
    async def wait() -> None:
        async with asyncio.timeout(30):
            while True:
                async with gateway.session.get(f"{gateway.url}/readyz") as answer:
                    if answer.status == 200:
                        return
                await asyncio.sleep(0.02)

    return wait


async def test_a_stop_is_reported_as_the_gateway_applies_it(
    engine, gateway, config, home, ready
) -> None:
    """By the name that clients know, in front of a running gateway, there and back."""
    await ready()

    def stop_and_resume() -> list[str]:
        with closing(Store.open(config.state, home)) as store:
            desk = models.Desk(config, Registry(home), store, unrecorded)
            before = desk.report(None)
            desk.require_stopped_something(desk.stop("test"))
            stopped = desk.report(store.snapshot())
            desk.resume("current")
            return [before, stopped, desk.report(store.snapshot())]

    digest = engine.served.model[:12]
    answers = f"test answers now with {digest} (UNPROVEN)"
    said = await asyncio.to_thread(stop_and_resume)
    assert [text.splitlines()[-1] for text in said] == [
        answers,
        "test answers nobody now: model stopped",
        answers,
    ]
    assert "stopped" in said[1]


async def test_engines_are_asked_themselves(engine, second, config, home) -> None:
    second.healthy = False
    second.served = second.served.model_copy(update={"draining": True})
    sockets = (socket_path(config, home), home / "run" / "second.sock", home / "run" / "none.sock")
    found = await asyncio.to_thread(reported.engines, tuple(map(str, sockets)))
    assert [each.condition for each in found] == ["serves", "ends", "no answer"]
    assert [each.answers_with for each in found] == [engine.served.model, None, None]


def test_a_gateway_notes_what_stands_on_its_command_line_only(config, home) -> None:
    assert reported.places(config, home) == reported.configured(config, home)
    given = config.gateway.model_copy(
        update={"engines": ("http://engine:8000",), "host": "0.0.0.0", "port": 8080}
    )
    reported.note(config.model_copy(update={"gateway": given}), home)
    found = reported.places(config, home)
    assert found.engines == ("http://engine:8000",)
    assert found.gateway == "http://127.0.0.1:8080"
    (home / "gateway" / reported.NOTE).write_text("{}")
    assert reported.places(config, home) == reported.configured(config, home)


def test_nobody_is_there(config) -> None:
    assert reported.gateway(f"http://127.0.0.1:{config.gateway.port}") is None

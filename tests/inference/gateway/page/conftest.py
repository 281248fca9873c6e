"""A real Chromium that opens the page of the running gateway."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mock_engine import MockConfig, MockEngine, running
from playwright.async_api import Page, async_playwright

from bedside_inference.config import EngineConfig, PageConfig

MOCK = MockConfig(first_token_ms=0, inter_token_ms=0, prompt_bytes_per_token=7)
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
NETWORK = re.compile(
    r"Failed to load resource: (the server responded|"
    r"net::ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING))"
)
"""What Chromium reports of every answer from 400 on and of every gateway that is gone."""

Open = Callable[..., Awaitable[Page]]


@pytest.fixture
def page_settings() -> PageConfig:
    """What the house has set for the page."""
    return PageConfig()


@pytest.fixture
def config(config, page_settings):
    return config.model_copy(
        update={
            "model_name": "bedside",
            "gateway": config.gateway.model_copy(update={"page": page_settings}),
            "engine": EngineConfig(max_model_len=400),
        }
    )


@pytest.fixture
async def mock_engine(config, home) -> AsyncIterator[MockEngine]:
    """The engine of rehearsals, in the place of a scripted one."""
    async with running(config, home, MOCK) as found:
        yield found


@asynccontextmanager
async def chromium() -> AsyncIterator:
    if not CHROMIUM.exists():
        if os.environ.get("BEDSIDE_REQUIRE_CHROMIUM") == "1":
            pytest.fail(f"no {CHROMIUM}, and BEDSIDE_REQUIRE_CHROMIUM=1 - install Chromium")
        pytest.skip(f"no {CHROMIUM}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=list(ARGUMENTS)
        )
        yield browser
        await browser.close()


@pytest.fixture
async def open_page(gateway) -> AsyncIterator[Open]:
    """Opens the page; none may complain, or ask anyone but the gateway."""
    complaints, asked = [], []

    def hear(message) -> None:
        if message.type in ("error", "warning") and not NETWORK.match(message.text):
            complaints.append(message.text)

    async with chromium() as browser:

        async def opened(locale: str = "de-DE", **options) -> Page:
            context = await browser.new_context(locale=locale, **options)
            page = await context.new_page()
            page.on("console", hear)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", lambda request: asked.append(request.url))
            await page.goto(gateway.url)
            return page

        yield opened
    assert complaints == []
    assert {url for url in asked if not url.startswith(f"{gateway.url}/")} == set()

"""The command-line client `llm` talks to the gateway, set up as its user would."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

MODELS = """
- model_id: house
  model_name: test
  api_base: {url}/v1
  api_key_name: house
  supports_tools: true
  supports_schema: true
"""
TOOL = """
def dose(mg: float) -> str:
    "How much to give"
    return f"{mg} mg"
"""


@pytest.fixture
def llm(gateway, client_python, program, tmp_path: Path):
    """Starts the client."""
    (tmp_path / "extra-openai-models.yaml").write_text(MODELS.format(url=gateway.url))

    def start(*words: str, key: str = gateway.key):
        (tmp_path / "keys.json").write_text(json.dumps({"house": key}))
        return program(client_python("openai3"), "-m", "llm", *words, LLM_USER_PATH=str(tmp_path))

    return start


@pytest.fixture
def run(llm, ready):
    """Runs the client to its end: exit status, output and errors."""

    async def run(*words: str, **options: str) -> tuple[int, str, str]:
        await ready()
        async with llm(*words, **options) as process:
            output, error = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode, output.decode(), error.decode()

    return run


async def test_it_lists_the_model(speaking, run) -> None:
    code, output, _ = await run("models")
    assert (code, "house" in output) == (0, True)


async def test_it_chats(speaking, run) -> None:
    for words in ((), ("--no-stream",)):
        code, output, error = await run("-m", "house", "-u", *words, "Hallo")
        assert (code, output.strip()) == (0, "Guten Tag"), error
        assert "1 input, 2 output" in error


async def test_it_calls_a_tool(speaking, run) -> None:
    code, output, error = await run("-m", "house", "--functions", TOOL, "--td", "Hallo")
    assert code == 0, error
    assert "5 mg" in error
    assert output.strip() == "Guten Tag"


async def test_it_asks_for_a_schema(speaking, run) -> None:
    code, output, error = await run("-m", "house", "--no-stream", "--schema", "mg float", "Hallo")
    assert code == 0, error
    assert json.loads(output) == {"mg": 5}


async def test_it_says_what_is_wrong(speaking, run) -> None:
    code, _, error = await run("-m", "house", "Hallo", key="bsk-x")
    assert code == 1
    assert "401" in error
    assert "No valid API key" in error


async def test_leaving_frees_the_engine(stalling, llm, ready) -> None:
    await ready()
    async with llm("-m", "house", "Hallo") as process:
        await asyncio.wait_for(stalling.arrived.wait(), 60)
        process.send_signal(signal.SIGINT)
        await stalling.freed()

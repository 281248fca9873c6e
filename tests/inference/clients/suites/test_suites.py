"""Programs of other people's clients hold conversations through a running gateway.

Each program is one client in an environment of its own and says of each of its scenarios whether
what came back was right; the engine says whether what went in was. `make clients` sets up the
environments and runs them.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import NamedTuple

import pytest


class Program(NamedTuple):
    """A program, and the environment that has its client."""

    file: str
    environment: str
    scenarios: int
    """How many it has: one that ends early must not pass."""


PROGRAMS = (
    Program("openai_python.py", "openai2", 15),
    Program("openai_python.py", "openai3", 15),
    Program("llamaindex.py", "openai2", 5),
    Program("use_instructor.py", "openai2", 5),
    Program("openai_agents.py", "openai3", 6),
    Program("langchain_python.py", "openai3", 9),
    Program("pydantic_ai_agent.py", "openai3", 6),
    Program("litellm_sdk.py", "openai3", 9),
    Program("haystack_generator.py", "openai3", 4),
    Program("openai_npm.mjs", "node", 10),
    Program("vercel.mjs", "node", 7),
    Program("langchain_js.mjs", "node", 6),
    Program("Client.java", "java", 4),
)


@pytest.mark.parametrize("suite", PROGRAMS, ids=lambda p: f"{Path(p.file).stem}-{p.environment}")
async def test_a_client_holds_its_conversations(
    suite, scripted, gateway, ready, client_command, running
) -> None:
    command = client_command(suite.environment, suite.file)
    await ready()
    env = {"URL": f"{gateway.url}/v1", "KEY": gateway.key}
    async with running(*command, **env) as process:
        output, error = await asyncio.wait_for(process.communicate(), 180)
    assert process.returncode == 0, error.decode()[-2000:]
    found = [json.loads(line) for line in output.decode().splitlines() if line.startswith("{")]
    wrong = [f"{line['name']}: {line['fault']}" for line in found if line["fault"]]
    assert not wrong, "\n".join(wrong)
    assert not scripted.faults, "\n".join(scripted.faults)
    assert len(found) == suite.scenarios

"""How the programs beside this run: every scenario, one line of JSON each, so that one that fails
hides no other."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import traceback

URL, KEY, MODEL = os.environ["URL"], os.environ["KEY"], "test"
SCENARIOS = []


def scenario(function):
    """Run it when `main` is called."""
    SCENARIOS.append(function)
    return function


def main() -> None:
    asyncio.run(_all())


async def _all() -> None:
    for function in SCENARIOS:
        fault = None
        try:
            if inspect.iscoroutinefunction(function):
                await asyncio.wait_for(function(), 30)
            else:
                await asyncio.to_thread(function)
        except Exception as error:  # noqa: BLE001 - whatever a client does wrong is reported
            at = traceback.extract_tb(error.__traceback__)
            here = [frame.lineno for frame in at if frame.filename == inspect.getfile(function)]
            fault = f"line {here[-1]}: {type(error).__name__}: {str(error)[:600]}"
        print(json.dumps({"name": function.__name__, "fault": fault}), flush=True)

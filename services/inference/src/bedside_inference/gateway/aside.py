"""Work on a large body beside the event loop, which goes on meanwhile.

One thread for all: Python lets only one run at a time, and the event loop gets its turn after 5 ms
of another thread's (`sys.getswitchinterval`), but after those of several if there are several. For
small bodies the way there and back costs more than the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

SMALL_BYTES = 1 << 16
SMALL_STRUCTURE = 4096
"""Names and values, see `structure`."""

P = ParamSpec("P")
T = TypeVar("T")

_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bodies")


async def aside(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """The result of some work that touches nothing of the event loop's."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_thread, partial(work, *arguments, **named))

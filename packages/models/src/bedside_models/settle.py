"""What torch and transformers read from the environment when they are first imported."""

from __future__ import annotations

import os

QUIET = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
"""Our own bars and sentences say what is going on; a foreign message may quote a text."""


def settle() -> None:
    """Set what the libraries read; a verb calls this before its first heavy import.

    Threads that wait shall sleep: beside other work, spinning ones cost a third of the speed;
    alone, sleeping ones cost a few per cent (docs/log.md). Whoever set another policy keeps it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.update(QUIET)

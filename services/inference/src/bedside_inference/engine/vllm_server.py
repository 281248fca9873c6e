"""The main module of the vLLM processes.

vLLM starts its engine core and workers with multiprocessing's `spawn`, which imports the parent's
main module in each child before anything else. So the line below ties every one of them to its
parent, before any of vLLM is loaded.

Tested in tests/inference/engine/test_launch.py.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path

from bedside_core import lifeline
from bedside_inference.engine import ending, out_of_memory

lifeline.hold(signal.SIGKILL)

if __name__ == "__mp_main__":
    out_of_memory.mark_children()

if __name__ == "__main__":
    ending.loading()  # first of all: signals were held back until now, see launch.py
    # Here, not above: only the server looks, not each of its children.
    from bedside_core.registry.registry import Registry
    from bedside_inference.engine import withdrawal
    from bedside_inference.served import VARIABLE, ServedModel

    served = ServedModel.model_validate_json(os.environ[VARIABLE])
    withdrawal.watch(Registry.from_environment(), served)
    with out_of_memory.told(Path(sys.argv[sys.argv.index("--model") + 1])):
        runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__")

"""What every Bedside service shares: config, errors, log, progress, artifacts, registry, CLI."""

import os
import signal

__version__ = "0.2.0"

if os.getpid() == 1:
    # The first process of a container loses each signal that it has no handler for, and the command
    # line has its own only after its imports, which take a busy machine a second.
    signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))

"""What `bedside check` looks at for the section `merger`: the set of the probe.

Tested in tests/core/test_preflight.py.
"""

from __future__ import annotations

from bedside_core.inspection import Inspection
from bedside_core.kinds.heldout import check_set
from bedside_core.memory import WEIGHTS
from bedside_merger.config import MergerConfig

DISK_BYTES_PER_PARAMETER = 6
"""The float32 merge, gone when it is rounded to bfloat16."""


def check(config: MergerConfig, inspection: Inspection) -> None:
    """See that the probe's set is one; say what the merge will write."""
    inspection.needs("bytes_of_disk_per_parameter", DISK_BYTES_PER_PARAMETER, "merger")
    if config.probe is None:
        return
    check_set(config.probe.heldout, "merger.probe.heldout", inspection)
    inspection.needs("tokens", config.probe.max_length, "merger.probe.max_length")
    inspection.needs(
        "bytes_of_memory_per_parameter",
        WEIGHTS,
        "merger: leave merger.probe out",
    )

"""What `bedside check` looks at for the section `merger`: the sets and exams of probe and search.

Tested in tests/core/test_preflight.py.
"""

from __future__ import annotations

from bedside_core.inspection import Inspection
from bedside_core.kinds.heldout import check_exam, check_set
from bedside_core.memory import WEIGHTS
from bedside_merger.config import MergerConfig

DISK_BYTES_PER_PARAMETER = 4
"""The float32 merge that the probe measures, gone when that is done."""


def check(config: MergerConfig, inspection: Inspection) -> None:
    """See that every set is one; say what the probe will write."""
    if config.search:
        if config.search.target is not None:
            check_set(config.search.target, "merger.search.target", inspection)
        if config.search.exam is not None:
            check_exam(config.search.exam, "merger.search.exam", inspection)
        for number, name in enumerate(config.search.general):
            check_set(name, f"merger.search.general.{number}", inspection)
        inspection.needs("tokens", config.search.max_length, "merger.search.max_length")
    if config.probe is None:
        return
    check_set(config.probe.heldout, "merger.probe.heldout", inspection)
    inspection.needs("tokens", config.probe.max_length, "merger.probe.max_length")
    # The probe of a larger model is left out, which the merge says.
    most = config.probe.max_parameters
    inspection.needs(
        "bytes_of_disk_per_parameter",
        DISK_BYTES_PER_PARAMETER,
        "merger.probe",
        most_parameters=most,
    )
    inspection.needs(
        "bytes_of_memory_per_parameter",
        WEIGHTS,
        "merger: leave merger.probe out",
        most_parameters=most,
    )

"""What `bedside check` looks at for the section `eval`: policy, held-out sets and exams.

Tested in tests/core/test_preflight.py.
"""

from __future__ import annotations

from bedside_core.inspection import Inspection
from bedside_core.kinds.exam import read_exam
from bedside_core.kinds.policy import read_policy
from bedside_core.memory import WEIGHTS
from bedside_core.parts import split
from bedside_eval.config import EvalConfig
from bedside_eval.exam import read_paper
from bedside_eval.plan import by_name
from bedside_eval.planned import check_sets


def check(config: EvalConfig, inspection: Inspection) -> None:
    """Read everything that the models will be asked, and the policy; each fault by itself."""
    with inspection.looking(f"eval.policy: {config.policy}, and the sets that it names"):
        check_sets(read_policy(config.policy), config)
    for name, folder in config.heldout.items():
        with inspection.looking(f"eval.heldout.{name}: {folder}"):
            read_paper({name: folder}, {})
    for name, path in config.exams.items():
        with inspection.looking(f"eval.exams.{name}: {path}"):
            read_exam(path)
    if not any(finding.kind == "fault" for finding in inspection.findings):
        with inspection.looking("eval: every held-out set and exam has a part to seal"):
            split(by_name(read_paper(config.heldout, config.exams)))
    inspection.needs("tokens", config.max_length, "eval.max_length")
    inspection.needs(
        "bytes_of_memory_per_parameter",
        WEIGHTS,
        "eval: examine on a machine or in a container with more",
    )

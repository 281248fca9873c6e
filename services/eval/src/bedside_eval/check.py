"""What `bedside check` looks at for the section `eval`: policy, held-out sets and exams.

Tested in tests/core/test_preflight.py, tests/eval/test_preflight.py.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from bedside_core.errors import InputError
from bedside_core.inspection import Inspection
from bedside_core.kinds.exam import read_exam
from bedside_core.kinds.model import TOKENIZER
from bedside_core.kinds.policy import read_policy
from bedside_core.memory import WEIGHTS
from bedside_core.parts import split
from bedside_eval.config import EvalConfig
from bedside_eval.exam import Paper, read_paper
from bedside_eval.groups import check_groups
from bedside_eval.judging.clinicians import read_clinicians
from bedside_eval.plan import by_name
from bedside_eval.planned import check_sets, check_types
from bedside_models.settle import settle


def check(config: EvalConfig, inspection: Inspection) -> None:
    """Read everything that the models will be asked, and the policy; each fault by itself."""
    with inspection.looking(f"eval.policy: {config.policy}, and the sets that it names"):
        policy = read_policy(config.policy)
        check_sets(policy, config)
        check_types(policy, config)
    with inspection.looking("eval.groups: their exams, measures and examples"):
        check_groups(config)
    for name, folder in config.heldout.items():
        with inspection.looking(f"eval.heldout.{name}: {folder}"):
            read_paper({name: folder}, {})
    for name, path in config.exams.items():
        with inspection.looking(f"eval.exams.{name}: {path}"):
            read_exam(path)
    for name, judge in config.judges.items():
        if judge.ca_file is not None:
            from bedside_core.endpoint.connection import open_http

            with inspection.looking(f"eval.judges.{name}.ca_file: {judge.ca_file}"):
                open_http(judge)
    if config.clinician_pairs is not None:
        with inspection.looking(f"eval.clinician_pairs: {config.clinician_pairs}"):
            read_clinicians(config.clinician_pairs)
    if not any(finding.kind == "fault" for finding in inspection.findings):
        with inspection.looking("eval: every held-out set and exam has a part to seal"):
            split(by_name(read_paper(config.heldout, config.exams)))
    _check_lengths(config, inspection)
    inspection.needs("tokens", config.max_length, "eval.max_length")
    inspection.needs(
        "bytes_of_memory_per_parameter",
        WEIGHTS,
        "eval: examine on a machine or in a container with more",
    )


def _check_lengths(config: EvalConfig, inspection: Inspection) -> None:
    """Whether every item can be asked whole, where the base model's tokenizer is at hand."""
    base = inspection.document.get("base")
    directory = Path(str(base.get("directory", ""))) if isinstance(base, dict) else Path()
    if not config.exams or any(finding.kind == "fault" for finding in inspection.findings):
        return
    tokenizer = _tokenizer(directory)
    if tokenizer is None:
        inspection.unsure("eval.exams: lengths in tokens, as no base model's tokenizer is here yet")
        return
    # torch: only where there is a tokenizer to ask.
    from bedside_eval.preflight import encode_paper

    with inspection.looking(f"eval.exams: every item fits into {config.max_length} tokens"):
        paper = Paper({}, {name: read_exam(path) for name, path in config.exams.items()})
        encode_paper(paper, tokenizer, config.max_length)


def _tokenizer(directory: Path) -> Any:
    """What the directory has; a broken one is the import's to refuse."""
    if not (directory / TOKENIZER).is_file():
        return None
    settle()
    from bedside_models.load import load_tokenizer

    with suppress(InputError):
        return load_tokenizer(directory)
    return None

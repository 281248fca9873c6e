"""The demo's merged model answers an exam by the real engine, as `bedside eval run` asks it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

SCRIPT = """
import json, sys
from pathlib import Path
from bedside_core.kinds.exam import read_exam
from bedside_core.kinds.serving import Serving, served_identity
from bedside_core.registry.registry import Registry
from bedside_eval.answering.config import Generation
from bedside_eval.answering.examined import Engine, answer_exams
from bedside_eval.state import State

home, folder, begun = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
registry = Registry(home)
model = registry.get("demo/merged")
exams = {
    "choice": read_exam(Path("demo/exam/medical_de.jsonl"))[:8],
    "open": read_exam(Path("exams/open_fr.jsonl"))[:4],
    "instructions": read_exam(Path("exams/instructions_de.jsonl"))[:4],
}
engine = Engine(["--config", "configs/demo.yaml" if begun == "asked" else "none"], "bedside-demo")
found = answer_exams(
    Generation(max_tokens=32), exams, {model.digest: model},
    State(folder, registry.evidence_keys, model.manifest.recipe),
    served_identity(model, Serving(max_model_len=2048, dtype="float32")), engine,
)[model.digest]
print(json.dumps([found.values, {n: {m: c.model_dump() for m, c in x.items()}
                                 for n, x in found.counts.items()}]))
"""


def test_every_question_is_answered_and_asked_once(
    home: Path, root: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)

    def asked(how: str) -> str:
        program = str(root / ".venvs/eval/bin/python")
        done = subprocess.run(
            [program, "-c", SCRIPT, str(home), str(folder), how],
            cwd=root, env=environment, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    first = asked("asked")
    values, counts = json.loads(first.splitlines()[-1])
    assert {name: set(found) >= {"failure_empty"} for name, found in values.items()} == {
        "choice": True, "open": True, "instructions": True,
    }  # fmt: skip
    assert len(values["choice"]["accuracy_constrained"]) == 8
    assert counts["choice"]["constrained"]["unreadable"] == 0
    assert all(one["unanswered"] == 0 for modes in counts.values() for one in modes.values())
    assert "the engine answers after" in first
    # Answers that are kept need no engine, nor a config for one.
    again = asked("kept")
    assert json.loads(again.splitlines()[-1]) == [values, counts]
    assert "the engine answers after" not in again

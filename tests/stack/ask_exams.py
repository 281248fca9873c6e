"""Have a run's merged model answer some items by the engine, as `bedside eval run` does.

python ask_exams.py CONFIG FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bedside_core.config import load_document
from bedside_core.kinds.exam import read_exam
from bedside_core.kinds.serving import Serving, served_identity
from bedside_core.registry.registry import Registry
from bedside_eval.answering.config import Generation
from bedside_eval.answering.examined import Engine, answer_exams
from bedside_eval.state import State

config, folder = sys.argv[1:]
document = load_document(Path(config))
registry = Registry.from_environment()
model = registry.get(f"{document['name']}/merged")
documents = read_exam(Path("exams/documents_de.jsonl"))
exams = {
    "choice": read_exam(Path("demo/exam/medical_de.jsonl"))[:8],
    "open": read_exam(Path("exams/open_fr.jsonl"))[:4],
    "documents": sorted(documents, key=lambda item: len(item.context))[:2],
    "instructions": read_exam(Path("exams/instructions_de.jsonl"))[:4],
}
Path(folder).mkdir(mode=0o700, exist_ok=True)
found = answer_exams(
    Generation(max_tokens=32),
    exams,
    {model.digest: model},
    State(Path(folder), registry.evidence_keys, model.manifest.recipe),
    served_identity(model, Serving(max_model_len=1024, dtype="float32")),
    Engine(["--config", config], document["inference"]["model_name"]),
)[model.digest]
counts = {
    name: {mode: counted.model_dump() for mode, counted in modes.items()}
    for name, modes in found.counts.items()
}
print(json.dumps([found.values, counts]))

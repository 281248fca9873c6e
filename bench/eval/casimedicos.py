"""Base, CPT and merged SmolLM2-135M on CasiMedicos (five options, French and English), recorded.

    BEDSIDE_HOME=... .venvs/dev/bin/python bench/eval/casimedicos.py SNAPSHOT

SNAPSHOT is a folder with CasiMedicos in a layout of `bedside eval import-exam`. The exams are
imported, and the demo's whole run follows with them and with our own sets: corpus, training, merge,
plan, one look. Our own sets are split, sealed and looked for in the corpus; their answers need the
engine. An interrupted run goes on where it was. What is expected of a model of this size is chance:
what is recorded is how well evidence says so. Figures go to `bench/results/casimedicos.json`, which
holds no text; the reports lie beside the evidence.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import yaml

from bedside_core.cli import main as bedside
from bedside_core.errors import PolicyError
from bedside_core.kinds.evidence import read_evidence
from bedside_core.pipeline import adapt
from bedside_core.registry.registry import Registry
from bedside_eval.evidence import Evidence, load_evidence

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench/results/casimedicos.json"
LANGUAGES = ("fr", "en")
OWN = ("open_de", "open_fr", "instructions_de", "instructions_fr", "documents_de")
NAME = "casimedicos"


def imported(snapshot: Path, folder: Path) -> dict[str, Any]:
    """The records of both imports, whose files lie in `folder`."""
    records = {}
    for language in LANGUAGES:
        out = folder / f"{NAME}_{language}.jsonl"
        words = ["eval", "import-exam", NAME, str(snapshot), "--language", language,
                 "--contradicting", "drop", "--out", str(out)]  # fmt: skip
        if code := bedside(words):
            raise SystemExit(code)
        records[language] = json.loads(out.with_name(f"{out.name}.import.json").read_text())
    return records


def written(folder: Path) -> Path:
    """The demo's run with these exams, as a config of its own."""
    document = yaml.safe_load((ROOT / "configs/demo.yaml").read_text())
    document["name"] = NAME
    section = document["eval"]
    names = [f"{NAME}_{language}" for language in LANGUAGES]
    section["exams"] |= {name: str(folder / f"{name}.jsonl") for name in names}
    section["exams"] |= {name: f"exams/{name}.jsonl" for name in OWN}
    section["groups"] = {NAME: {name: {"measure": "accuracy"} for name in names}}
    section["max_length"] = 2048
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    return path


def figures(evidence: Evidence) -> dict[str, Any]:
    """What the evidence says, without the items."""
    return evidence.model_dump(
        mode="json",
        include={"verdict", "reasons", "confidence", "models", "differences", "findings",
                 "unmeasured_groups", "served"},
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("snapshot", type=Path)
    snapshot = parser.parse_args().snapshot.resolve()
    os.chdir(ROOT)
    started = time.time()
    registry = Registry.from_environment()
    folder = registry.home / NAME
    records = imported(snapshot, folder)
    refused = ""
    try:
        adapt(written(folder), [], registry)
    except PolicyError as error:  # not promoted, which is a result
        refused = str(error)
    artifact = registry.get(f"{NAME}/evidence")
    read_evidence(artifact, registry.keyring())
    found = {
        "imports": records, "seconds": round(time.time() - started), "cores": os.cpu_count(),
        "not_promoted": refused, "evidence": figures(load_evidence(artifact)),
    }  # fmt: skip
    RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

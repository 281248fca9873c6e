"""A labelled set by vLLM itself: one token comes back with its log-probabilities, by way of the
engine's socket and of the gateway alike. The demo's model is small and labels badly.

Behind `test_demo.py`, whose tests start engines of their own.
"""

from __future__ import annotations

import json
import re

import pytest
import yaml

from bedside_core.kinds.labels import PARTS, read_part
from bedside_core.registry.registry import Registry

DOCUMENTS = 8
SOURCES = [
    {"name": name, "path": f"demo/documents/{name}", "format": "text", "licence": "CC0-1.0",
     "personal_data": "none"}
    for name in ("medical", "general")
]  # fmt: skip


@pytest.mark.parametrize(
    ("way", "constraint"), [("engine", "structured_outputs"), ("gateway", "none")]
)
def test_our_own_engine_labels(
    served, home, registry, bedside, tmp_path, way: str, constraint: str
) -> None:
    address = str(home / "run" / "engine.sock") if way == "engine" else served.address
    annotate = {
        "documents": DOCUMENTS,
        "endpoint": {"address": address, "model": "bedside-demo", "concurrency": 4},
        "question": {
            "constraint": constraint, "max_characters": 200, "prompt": str(tmp_path / "prompt.txt"),
        },
        "review": {"documents": 0},
    }  # fmt: skip
    corpus = {"language": "de", "sources": SOURCES, "annotate": annotate}
    (tmp_path / "prompt.txt").write_text("Medical text, yes or no? Content: <DOCUMENT>")
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump({"name": way, "corpus": corpus}))
    house = str(tmp_path / "home")
    made = bedside("core", "registry", "init", BEDSIDE_HOME=house)
    assert made.returncode == 0, made.stderr
    words = ("corpus", "annotate", "--config", str(config))
    done = bedside("corpus", *words, BEDSIDE_HOME=house, BEDSIDE_API_KEY=served.key)
    assert done.returncode == 0, done.stderr
    assert f"drew {DOCUMENTS} documents of 80" in done.stdout

    labels = Registry(tmp_path / "home").get(f"{way}/labels")
    facts = labels.manifest.facts
    assert facts["annotator"]["model"] == registry.current().model
    assert facts["annotator"]["cut"] > 0
    found = [document for part in PARTS for document in read_part(labels, part)]
    assert len(found) + sum(facts["unlabelled"].values()) == DOCUMENTS
    probabilities = [document.probability for document in found]
    assert all(p is not None and 0 < p < 1 for p in probabilities)
    assert len(set(probabilities)) > DOCUMENTS // 2
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    asked = [line for line in lines if line.get("progress") == "annotate"]
    assert asked[-1]["done"] == DOCUMENTS
    assert not re.search("Patient|Teig", done.stdout + done.stderr)

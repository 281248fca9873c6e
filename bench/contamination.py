"""Whether every real text that is in a corpus is found there, and none that is not.

    .venvs/dev/bin/python bench/contamination.py

Builds a real corpus of each set of `../shared/data` with `bedside corpus build`, then counts as
the evaluation does: the same texts as they lie in the data folder, the same ones decomposed and
with Windows line ends, and the other sets, of which nothing may be found. Nothing is asserted.
Most of the seconds are the index of all 8,121 texts and items, and others at work on the cores
stretch them (see the load). The figures go to `bench/results/contamination.json`.
"""

from __future__ import annotations

import json
import os
import resource
import tempfile
import time
import unicodedata
from pathlib import Path
from typing import Any

from bedside_core.cli import main
from bedside_core.config import Config
from bedside_core.console import say
from bedside_core.heldout import HeldoutText
from bedside_core.kinds.exam import ChoiceItem
from bedside_core.matching import VERSION
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_eval.contamination import contamination
from bedside_eval.exam import Paper

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
SETS = {
    "grascco": DATA / "grascco/letters.jsonl",
    "gnad": DATA / "gnad/articles.jsonl",
    "morfitt": DATA / "morfitt/abstracts.jsonl",
}
RESULTS = ROOT / "bench/results/contamination.json"


class Step(Config):
    """The checkpoint has no recipe of its own here."""


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def spoilt(text: str) -> str:
    return "\ufeff" + unicodedata.normalize("NFD", text).replace("\n", "\r\n").replace(
        " ", "\u00a0"
    )


def paper() -> Paper:
    heldout: dict[str, list[HeldoutText]] = {}
    for name, path in SETS.items():
        texts = [row["text"] for row in rows(path)]
        heldout[name] = [HeldoutText(str(n), text) for n, text in enumerate(texts)]
        heldout[f"{name} spoilt"] = [HeldoutText(str(n), spoilt(x)) for n, x in enumerate(texts)]
    exams = {
        f"casimedicos {language}": [
            ChoiceItem(
                id=f"{n}", question=r["question"], options=r["options"][:4], answer=0, language="de"
            )
            for n, r in enumerate(rows(DATA / f"casimedicos/{language}.jsonl"))
            if len(set(r["options"][:4])) == 4
        ]
        for language in ("fr", "en")
    }
    return Paper(heldout, exams)


def measure(name: str, registry: Registry, asked: Paper, folder: Path) -> dict[str, Any]:
    source = {"name": name, "path": str(SETS[name]), "format": "jsonl", "licence": "CC0-1.0"}
    run = {"name": name, "corpus": {"language": "de", "sources": [source]}}
    config = folder / f"{name}.json"
    config.write_text(json.dumps(run))
    if main(["corpus", "build", "--config", str(config)]):
        raise SystemExit(f"the corpus of {name} was not built")
    corpus = registry.get(f"{name}/corpus")
    step = Run(name, "eval", "bench", registry)
    with step.write("checkpoint", step.recipe(Step(), parents={"corpus": corpus})) as artifact:
        (artifact.path / "x").write_text("")
    began = time.perf_counter()
    found = contamination(registry, [artifact.result], asked)
    seconds = time.perf_counter() - began
    documents = corpus.manifest.facts["documents"]
    sets = found.heldout | found.exams
    return {
        "documents": documents,
        "seconds_with_indexing": round(seconds, 2),
        "found": {k: v.model_dump(exclude={"ids"}) for k, v in sets.items()},
    }


def bench() -> None:
    asked = paper()
    with tempfile.TemporaryDirectory() as room:
        os.environ["BEDSIDE_HOME"] = f"{room}/home"
        registry = Registry(Path(room) / "home")
        corpora = {name: measure(name, registry, asked, Path(room)) for name in SETS}
    result = {
        "matching_version": VERSION,
        "indexed": {k: len(v) for k, v in (asked.heldout | asked.exams).items()},
        "corpora": corpora,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "load_average": round(os.getloadavg()[0], 2),
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    say(json.dumps(corpora, indent=1))


if __name__ == "__main__":
    bench()

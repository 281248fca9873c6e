"""One config from real texts to a passport: labels, a classifier, the build, the reasons.

    .venvs/dev/bin/python bench/corpus/whole.py [--keep DIR]

Sources are German letters (GraSCCo) and news (10kGNAD), French abstracts (MORFITT) and cases
(CasiMedicos) of `../shared/data`. Every fourth case is made an exam's item, so that decontamination
must take it out and nothing else; labels of the German texts are those of `border.csv`, French
abstracts are yes by their origin. Everything is done by the verbs that a house runs. No text is
written: counts go to `bench/results/corpus_whole.json`, the funnel to `corpus_whole.svg`.

What it cannot show: there are no French texts that are not medical, so the filter says nothing of
those; letters and news differ in more than their subject, so it has an easy task in German.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml

from bedside_core.artifacts import Artifact
from bedside_core.cli import main
from bedside_core.console import say
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
from bedside_corpus.labelling.agreement import fleiss_kappa

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
BORDER = ROOT / "bench/corpus/border.csv"
RESULTS = ROOT / "bench/results"
ITEM_EVERY = 4
ABSTRACTS = 300
"""French ones that are labelled."""
RUN = "whole"


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_exam(path: Path) -> set[str]:
    """Every fourth case with its right and three of its other options; returns the cases' ids."""
    chosen = records(DATA / "casimedicos/fr.jsonl")[::ITEM_EVERY]
    lines = []
    for one in chosen:
        right = one["options"][one["answer"]]
        wrong = [option for option in one["options"] if option != right][:3]
        item = {"id": one["id"], "question": one["question"], "options": [right, *wrong]}
        lines.append(json.dumps({**item, "answer": 0, "language": "fr"}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {one["id"] for one in chosen}


def write_labels(path: Path) -> None:
    """`id,label`: the German ones by hand, of the French ones the first abstracts."""
    with BORDER.open(encoding="utf-8", newline="") as file:
        rows = [(row["id"], row["keep"]) for row in csv.DictReader(file) if row["source"] != "demo"]
    abstracts = records(DATA / "morfitt/abstracts.jsonl")[:ABSTRACTS]
    rows += [(one["id"], "yes") for one in abstracts]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "label"), *rows])


def config(room: Path) -> dict[str, Any]:
    def source(name: str, path: str, language: str, licence: str, **more: str) -> dict[str, Any]:
        return {
            "name": name, "path": str(DATA / path), "format": "jsonl", "language": language,
            "licence": licence, "personal_data": "none", **more,
        }  # fmt: skip

    return {
        "name": RUN,
        "corpus": {
            "language": "de",
            "purpose": "research",
            "sources": [
                source("letters", "grascco/letters.jsonl", "de", "CC0-1.0", type="letter"),
                source(
                    "news", "gnad/articles.jsonl", "de", "CC-BY-NC-SA-4.0", type="news",
                    attribution="One Million Posts Corpus, 10kGNAD",
                ),
                source(
                    "abstracts", "morfitt/abstracts.jsonl", "fr", "CC-BY-SA-4.0", type="abstract",
                    attribution="MORFITT",
                ),
                source(
                    "cases", "casimedicos/fr.jsonl", "fr", "CC-BY-4.0", type="case",
                    attribution="CasiMedicos-Arg",
                )
                | {"fields": {"text": "question"}},
            ],
            "exams": [str(room / "exam.jsonl")],
            "annotate": {"labelled": str(room / "labels.csv"), "test_share": 0.5},
            "train_classifier": {"target_precision": 0.9, "prevalence": 0.2},
            "classifiers": {"medical_score": {"threshold": 0.5}},
            "phi": {"on_hit": "pseudonymise", "key": str(room / "key")},
        },
    }  # fmt: skip


def decisions(corpus: Artifact) -> Iterable[dict[str, Any]]:
    for path in sorted((corpus.path / "decisions").glob("*.parquet")):
        yield from pq.read_table(path).to_pylist()


def kappa(rows: list[dict[str, str]], name: str) -> float:
    """Of the two who labelled the border set."""
    given = [(row[name], row[f"second_{name}"]) for row in rows]
    return fleiss_kappa(np.array([[pair.count("yes"), pair.count("no")] for pair in given]))


def figures(corpus: Artifact, classifier: Artifact, items: set[str]) -> dict[str, Any]:
    """Funnel, and what each decision was worth where the truth is known.

    A pseudonymised document has another id and place, so what was kept is counted by its source.
    """
    with BORDER.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    keep = {row["id"]: row["keep"] == "yes" for row in rows}
    stats = json.loads(corpus.file("stats.json").read_text())
    dropped: dict[str, Counter[str]] = defaultdict(Counter)
    exam, border = Counter[str](), Counter[str]()
    for row in decisions(corpus):
        name, slash, _ = row["file"].partition("/")
        if not (slash and row["reason"]):
            continue
        dropped[name][row["reason"]] += 1
        own = (row["id"] or "").rpartition("#")[2]
        if name == "cases":
            exam[f"{'item' if own in items else 'other'}: {row['reason']}"] += 1
        if own in keep:
            border[f"{'yes' if keep[own] else 'no'}: {row['reason']}"] += 1
    facts = corpus.manifest.facts
    certificate = json.loads(classifier.file("certificate.json").read_text())
    plotted = {"curve", "false_positives"}
    by_source = {name: dict(sorted(counts.items())) for name, counts in dropped.items()}
    return {
        "funnel": {
            "read": stats["read"],
            "dropped": {reason: one["count"] for reason, one in stats["dropped"].items()},
            "kept": stats["kept"],
            "words": stats["words"],
        },
        "dropped_by_source": by_source,
        "kept_by_source": {one["name"]: one["documents"] for one in facts["sources"]},
        "decontamination": {
            "cases_that_are_items": len(items),
            "other_cases": len(records(DATA / "casimedicos/fr.jsonl")) - len(items),
            "dropped": dict(sorted(exam.items())),
        },
        "labellers_fleiss_kappa": {
            name: round(kappa(rows, name), 4) for name in ("subject", "keep")
        },
        "hand_labelled_and_dropped": dict(sorted(border.items())),
        "certificate": {k: v for k, v in certificate.items() if k not in plotted},
        "licences": sorted(one.id for one in corpus.manifest.licences),
        "purpose": facts["purpose"],
    }


def run(room: Path) -> None:
    os.environ["BEDSIDE_HOME"] = str(room / "home")
    registry = Registry(room / "home")
    found(registry)
    (room / "key").write_bytes(b"a key for letters that were invented")
    (room / "key").chmod(0o600)
    items = write_exam(room / "exam.jsonl")
    write_labels(room / "labels.csv")
    path = room / "whole.yaml"
    path.write_text(yaml.safe_dump(config(room)), encoding="utf-8")
    for verb in ("annotate", "train-classifier", "build"):
        code = main(["corpus", verb, "--config", str(path)])
        if code:
            raise SystemExit(code)
    artifacts = {one.kind: one for one in registry.artifacts()}
    corpus, classifier = artifacts["corpus"], artifacts["classifier"]
    result = figures(corpus, classifier, items)
    (RESULTS / "corpus_whole.json").write_text(json.dumps(result, indent=1) + "\n")
    page = corpus.file("passport.html").read_text(encoding="utf-8")
    picture = re.search(r"<svg.*?</svg>", page, re.DOTALL)
    if picture is not None:
        (RESULTS / "corpus_whole.svg").write_text(picture[0] + "\n", encoding="utf-8")
    say(f"passport: {corpus.file('passport.html')}")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--keep", type=Path, help="a folder for config and registry")
    room = arguments.parse_args().keep
    if not DATA.is_dir():
        raise SystemExit(f"{DATA} is absent - nothing was measured")
    if room is not None:
        room.mkdir(parents=True)
        run(room)
    else:
        with tempfile.TemporaryDirectory() as name:
            run(Path(name))

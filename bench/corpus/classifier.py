"""How well the embedded classifier finds clinical and medical text, where that is not obvious.

    .venvs/dev/bin/python bench/corpus/classifier.py

The border set are 200 documents: 10kGNAD news, our own demo texts and GraSCCo letters.
Language-model helpers labelled them by reading, in two passes that differ in three subjects at
most; no clinician did. `subject`: is it about health or medicine? `keep`: is it what a corpus
wants, appendix A.1 of DeFineMed (medical, scientific, no news)? `border.csv` has the labels by id,
without texts.

The n-gram model is judged by cross-validation over the border set (five folds, two shuffles): each
document gets the mean score of models that never saw it. Then once more, where the other documents
of `../shared/data` train along, with the label of their source (letters yes; news no but for
science, which is left out). `medical_filter` is the density of stems at its default 0.03, which was
tuned on some of these very texts. No news is to be kept, and every letter is, so style alone nearly
answers `keep`; `subject` is the harder question. At the threshold 0.5: precision and recall (exact
intervals), F1 (bootstrap) and the difference in F1 on the same resamples, what the precision is
worth at the prevalence 2 % of a crawl, and the area under the ROC curve, whatever the threshold.
Besides, MORFITT's twelve specialties (French abstracts) by the same verb's code: macro-F1. To
`bench/results/classifier.json`.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from bedside_core.console import say, table
from bedside_corpus.classifier.bootstrap import RESAMPLES, resampled
from bedside_corpus.classifier.certificate import interval, of_samples, precision_at
from bedside_corpus.classifier.ngram import NgramModel
from bedside_corpus.classifier.report import report, thresholds
from bedside_corpus.medical_filter import density

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
BORDER = Path(__file__).parent / "border.csv"
RESULTS = ROOT / "bench/results/classifier.json"
FOLDS, SHUFFLES = 5, 2
THRESHOLD, DENSITY = 0.5, 0.03
PREVALENCE = 0.02
SCIENCE = "Wissenschaft"


def read(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / path).read_text("utf-8").split("\n") if line]


def border() -> tuple[list[dict[str, str]], list[str]]:
    """The rows of `border.csv` and their texts."""
    with BORDER.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    known = {("gnad", one["id"]): one["text"] for one in read("gnad/articles.jsonl")}
    known |= {("grascco", one["id"]): one["text"] for one in read("grascco/letters.jsonl")}
    texts = []
    for row in rows:
        if row["source"] == "demo":
            texts.append((ROOT / "demo/documents" / row["id"]).read_text("utf-8"))
        else:
            texts.append(known[row["source"], row["id"]])
    return rows, texts


def others(rows: Sequence[dict[str, str]]) -> tuple[list[str], list[bool]]:
    """What is not in the border set, with the label of its source."""
    held = {(row["source"], row["id"]) for row in rows}
    texts, labels = [], []
    for source, path, label in (
        ("gnad", "gnad/articles.jsonl", False),
        ("grascco", "grascco/letters.jsonl", True),
    ):
        for one in read(path):
            if (source, one["id"]) not in held and one.get("label") != SCIENCE:
                texts.append(one["text"])
                labels.append(label)
    for path in sorted((ROOT / "demo/documents").rglob("*.txt")):
        name = path.relative_to(ROOT / "demo/documents").as_posix()
        if ("demo", name) not in held:
            texts.append(path.read_text("utf-8"))
            labels.append(name.startswith("medical/"))
    return texts, labels


def out_of_fold(
    texts: list[str], labels: NDArray[np.bool_], more: tuple[list[str], list[bool]]
) -> NDArray[np.float64]:
    """The mean score of each document under models that never saw it."""
    sums = np.zeros(len(texts))
    for shuffle in range(SHUFFLES):
        order = [*range(len(texts))]
        random.Random(shuffle).shuffle(order)
        for fold in range(FOLDS):
            held = order[fold::FOLDS]
            rest = [n for n in order if n not in set(held)]
            truth = np.array([*labels[rest], *more[1]], np.float32).reshape(-1, 1)
            model = NgramModel.fit([*(texts[n] for n in rest), *more[0]], truth, shuffle)
            sums[held] += model.score([texts[n] for n in held])[:, 0]
    return sums / SHUFFLES


def rates(kept: NDArray[np.bool_], labels: NDArray[np.bool_], ids: list[str]) -> dict[str, Any]:
    """Exact intervals of shares; F1 by a bootstrap; precision in a crawl with its lower bound."""
    right, wrong = int((kept & labels).sum()), int((kept & ~labels).sum())
    recall, rate = interval(right, int(labels.sum())), interval(wrong, int((~labels).sum()))
    rows = np.column_stack([kept & labels, kept, labels]).astype(np.float64)
    both, passed, yes = resampled(rows, ids).T
    f1 = 2 * both / np.maximum(passed + yes, 1)
    return {
        "precision": interval(right, right + wrong).model_dump(),
        "recall": recall.model_dump(),
        "f1": of_samples(f1).model_dump(),
        "false_positive_rate": rate.model_dump(),
        f"precision_at_{PREVALENCE}": {
            "value": precision_at(recall.value, rate.value, PREVALENCE),
            "low": precision_at(recall.low, rate.high, PREVALENCE),
        },
        "false_positives": wrong,
        "missed": int(labels.sum()) - right,
        "_f1": f1,
    }


def ranked(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> dict[str, float]:
    """The area under the ROC curve, whatever the threshold."""
    drawn = np.random.default_rng(0)
    found = [roc_auc_score(labels, scores)]
    for _ in range(RESAMPLES):
        rows = drawn.integers(0, len(labels), len(labels))
        found.append(roc_auc_score(labels[rows], scores[rows]))
    return of_samples(np.array(found)).model_dump()


def judged(what: str, rows: list[dict[str, str]], texts: list[str]) -> dict[str, Any]:
    labels = np.array([row[what] == "yes" for row in rows])
    ids = [f"{row['source']}/{row['id']}" for row in rows]
    scores = {
        "n-grams, border set alone": out_of_fold(texts, labels, ([], [])),
        "n-grams, with other documents": out_of_fold(texts, labels, others(rows)),
        "medical_filter": np.array([density(text) for text in texts]),
    }
    at = {name: DENSITY if name == "medical_filter" else THRESHOLD for name in scores}
    kept = {name: one >= at[name] for name, one in scores.items()}
    found = {name: rates(one, labels, ids) for name, one in kept.items()}
    for name, one in scores.items():
        found[name]["auc"] = ranked(one, labels)
    base = found["medical_filter"]["_f1"]
    for name, one in found.items():
        f1 = one.pop("_f1")
        if name != "medical_filter":
            one["f1_less_medical_filter"] = of_samples(f1 - base).model_dump()
        for source in sorted({row["source"] for row in rows}):
            of = np.array([row["source"] == source for row in rows])
            wrong = int((kept[name] & ~labels & of).sum()), int((~kept[name] & labels & of).sum())
            one[f"errors in {source}"] = {"false_positives": wrong[0], "missed": wrong[1]}
    return {"yes": int(labels.sum()), "no": int((~labels).sum()), "by": found}


def specialties() -> dict[str, Any]:
    """MORFITT: fitted on three fifths, thresholds on a fifth, measured on a fifth."""
    documents = read("morfitt/abstracts.jsonl")
    random.Random(0).shuffle(documents)
    classes = sorted({name for one in documents for name in one["specialties"]})
    labels = np.array([[c in one["specialties"] for c in classes] for one in documents])
    texts = [one["text"] for one in documents]
    fitted, chosen = int(0.6 * len(texts)), int(0.8 * len(texts))
    model = NgramModel.fit(texts[:fitted], labels[:fitted].astype(np.float32), 0)
    scores = model.score(texts[fitted:])
    split = chosen - fitted
    at = thresholds(scores[:split], labels[fitted:chosen])
    ids = [one["id"] for one in documents[chosen:]]
    found = report(scores[split:], labels[chosen:], ids, at, classes)
    return {"trained_on": fitted, **found.model_dump()}


def main() -> None:
    rows, texts = border()
    result: dict[str, Any] = {
        "labelled_by": "language-model helpers, by reading, in two passes; no clinician",
        "documents": len(rows),
        "intervals": "95 %: Clopper and Pearson for shares, else bootstrap over documents",
        "threshold": THRESHOLD,
        "density": DENSITY,
        "subject": judged("subject", rows, texts),
        "keep": judged("keep", rows, texts),
        "specialties": specialties(),
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", "ascii")
    shown = [["question", "by", "precision", "recall", "F1", "AUC", "wrong", "missed"]]
    for what in ("subject", "keep"):
        for name, one in result[what]["by"].items():
            cells = [f"{one[k]['value']:.3f} ({one[k]['low']:.2f}-{one[k]['high']:.2f})"
                     for k in ("precision", "recall", "f1", "auc")]  # fmt: skip
            wrong = str(one["false_positives"]), str(one["missed"])
            shown.append([what, name, *cells, *wrong])
    say(table(shown))
    macro = result["specialties"]["macro_f1"]
    say(f"specialties: macro-F1 {macro['value']:.3f} ({macro['low']:.2f}-{macro['high']:.2f})")


if __name__ == "__main__":
    main()

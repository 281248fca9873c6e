"""Two libraries that name a text's language without a network, on documents and on clinical scraps.

    .venvs/uv/bin/uv pip install --target .venvs/peers --no-deps --require-hashes \
        -r bench/corpus/peers.lock
    PYTHONPATH=.venvs/peers .venvs/dev/bin/python bench/corpus/language.py

Each set of `../shared/data` has one known language. Both libraries get the same words of the same
texts, cut as the corpus does it, and pieces of 5 to 40 words; `py3langid` is what the corpus uses.
For its threshold: how many texts are lost under their own language (`lost`), and found under a
foreign one (`found`), at 0.5 to 0.9. Counts and times only, to `bench/results/language.json`.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from lingua import LanguageDetectorBuilder

from bedside_core.console import say
from bedside_corpus.language import identify as ours

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "bench/results/language.json"
SETS = {
    "grascco": ("de", "grascco/letters.jsonl", "text"),
    "gnad": ("de", "gnad/articles.jsonl", "text"),
    "morfitt": ("fr", "morfitt/abstracts.jsonl", "text"),
    "casimedicos_fr": ("fr", "casimedicos/fr.jsonl", "question"),
    "casimedicos_en": ("en", "casimedicos/en.jsonl", "question"),
}
PIECES = (5, 10, 20, 40)
MOST = 200
"""Texts of a set: lingua takes ten milliseconds for each."""
Answer = tuple[str, float]


def words_of(path: str, field: str) -> list[list[str]]:
    lines = (DATA / path).read_text("utf-8").split("\n")
    texts = [json.loads(line)[field] for line in lines if line]
    random.Random(0).shuffle(texts)
    return [list(ours._first_words(text)) for text in texts]


def pieces(documents: list[list[str]], words: int) -> list[str]:
    cut = [d[i : i + words] for d in documents for i in range(0, len(d) - words + 1, words)]
    random.Random(0).shuffle(cut)
    return [" ".join(piece) for piece in cut[:MOST]]


def ask(answer: Callable[[str], Answer], texts: list[str]) -> tuple[list[Answer], float]:
    began = time.process_time()
    return [answer(text) for text in texts], time.process_time() - began


def measured(answer: Callable[[str], Answer], texts: list[str], language: str) -> dict[str, object]:
    answers, seconds = ask(answer, texts)
    size = sum(len(text.encode()) for text in texts)
    return {
        "texts": len(texts),
        "right": round(sum(name == language for name, _ in answers) / len(texts), 4),
        "lost": {
            str(t): sum(name not in (language, ours.LATIN) and p >= t for name, p in answers)
            for t in (0.5, 0.7, 0.8, 0.9)
        },
        "found": {
            str(t): sum(name == language and p >= t for name, p in answers)
            for t in (0.5, 0.7, 0.8, 0.9)
        },
        "texts_per_cpu_second": round(len(texts) / seconds),
        "mb_per_cpu_second": round(size / 1e6 / seconds, 3),
    }


def installed(package: str) -> float:
    spec = find_spec(package)
    assert spec is not None and spec.submodule_search_locations is not None
    root = Path(spec.submodule_search_locations[0])
    return round(sum(f.stat().st_size for f in root.rglob("*") if f.is_file()) / 1e6, 1)


def bench() -> None:
    detector = LanguageDetectorBuilder.from_all_languages().build()

    def lingua(text: str) -> Answer:
        best = detector.compute_language_confidence_values(text)[0]
        return best.language.iso_code_639_1.name.lower(), best.value

    def py3langid(text: str) -> Answer:
        return ours._identifier().classify(text)

    loading = {}
    for name, answer in {"lingua": lingua, "py3langid": py3langid}.items():
        began = time.process_time()
        answer("Die Patientin wurde gestern entlassen.")
        loading[name] = round(time.process_time() - began, 2)
    results: dict[str, object] = {
        "installed_mb": {name: installed(name) for name in loading},
        "loading_cpu_seconds": loading,
        "load_average": round(os.getloadavg()[0], 2),
    }
    for name, (language, path, field) in SETS.items():
        documents = words_of(path, field)
        cuts = {"document": [" ".join(d) for d in documents if len(d) >= ours.MIN_WORDS][:MOST]}
        cuts |= {f"{n}_words": pieces(documents, n) for n in PIECES}
        results[name] = {
            cut: {
                "py3langid": measured(py3langid, texts, language),
                "lingua": measured(lingua, texts, language),
            }
            for cut, texts in cuts.items()
        }
        say(f"{name} {json.dumps(results[name])}")
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(bench())

"""The corpus against datatrove's equivalent chain, its memory, and what it means for a crawl.

    .venvs/uv/bin/uv pip install --target .venvs/peers --no-deps --require-hashes \
        -r bench/corpus/peers.lock
    PYTHONPATH=.venvs/peers .venvs/dev/bin/python bench/corpus/build.py [--quick]

Both read the same JSONL and write Parquet, in one process each, started anew: German news and
letters of `../shared/data`, multiplied with their sentences in another order, one in ten an exact
copy and one in twenty a near-copy. The chains: repair of the encoding, language, the quality
limits of Gopher and FineWeb (ours with FineWeb2's for German), exact and near copies. datatrove's
blocks count words with spaCy, as it assigns it to German; `datatrove_blanks` is the same chain with
words between blanks. Its language filter needs weights that no package index has, so both ask
py3langid, which costs each of them the same. Seconds are of the processor, with those of children;
MB are of the texts. Steps are timed alone, over documents that are in memory; the whole is timed
from the start of the process, with imports, reading, writing and copies.

Memory: a build of short invented documents, 10,000 to 1,000,000. Counts, times and bytes only, to
`bench/results/corpus_build.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datatrove.utils.typeshelper import Languages
from datatrove.utils.word_tokenizers import WordTokenizer

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "bench/results/corpus_build.json"
SETS = ("gnad/articles.jsonl", "grascco/letters.jsonl")
DOCUMENTS, QUICK = 2000, 100
STEPS = 1000
MEMORY, QUICK_MEMORY = (10_000, 100_000, 1_000_000), (1_000, 3_000)
MB = 1e6
CRAWL = {"documents": 428_000_000, "tokens_per_document": 1509}
"""FineWeb2-de, as the paper on FineMed-de has it (section 3)."""
CHARACTERS_PER_TOKEN = 4.3
"""Of German text in a tokenizer of a general model; an assumption."""
CORES = 128
Json = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--quick", action="store_true", help="few documents, no results are written"
    )
    parser.add_argument("--run", nargs=3, metavar=("WHO", "INPUT", "ROOM"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        who, source, room = given.run
        print(json.dumps(RUNS[who](Path(source), Path(room))))
        return
    with tempfile.TemporaryDirectory(prefix="bench-corpus-") as folder:
        results = measure(Path(folder), quick=given.quick)
    if not given.quick:
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


def measure(folder: Path, *, quick: bool) -> Json:
    source = folder / "documents.jsonl"
    size = write_documents(source, QUICK if quick else DOCUMENTS)
    found: Json = {"documents": QUICK if quick else DOCUMENTS, "megabytes": size / MB}
    for who in ("ours", "datatrove", "datatrove_blanks"):
        run = started(who, source, folder / who)
        found[who] = run | speeds(found, run["cpu_seconds"])
        found[who]["ours_is_times_as_fast"] = run["cpu_seconds"] / found["ours"]["cpu_seconds"]
    steps = folder / "steps.jsonl"
    number = QUICK if quick else STEPS
    told = {"documents": number, "megabytes": write_documents(steps, number) / MB}
    found["steps"] = told | {
        who: {
            name: {"cpu_seconds": seconds} | speeds(told, seconds)
            for name, seconds in started(f"{who}_steps", steps, folder / "steps").items()
        }
        for who in ("ours", "datatrove")
    }
    found["memory"] = []
    for number in QUICK_MEMORY if quick else MEMORY:
        short = folder / f"short-{number}.jsonl"
        write_short(short, number)
        run = started("memory", short, folder / f"memory-{number}")
        found["memory"].append({"documents": number, **run})
    found["crawl"] = extrapolated(found["ours"]["megabytes_per_core_second"])
    packages = ("datatrove", "spacy", "ftfy", "py3langid", "pyarrow")
    return {
        "machine": {"processor": processor(), "cores": os.cpu_count()},
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        **found,
    }


def speeds(of: Json, seconds: float) -> Json:
    return {
        "documents_per_core_second": of["documents"] / seconds,
        "megabytes_per_core_second": of["megabytes"] / seconds,
    }


def extrapolated(megabytes_per_core_second: float) -> Json:
    """What the measured speed means for the German part of FineWeb2."""
    megabytes = CRAWL["documents"] * CRAWL["tokens_per_document"] * CHARACTERS_PER_TOKEN / MB
    core_hours = megabytes / megabytes_per_core_second / 3600
    return {
        **CRAWL,
        "characters_per_token": CHARACTERS_PER_TOKEN,
        "terabytes_of_text": megabytes / 1e6,
        "core_hours": core_hours,
        f"hours_on_{CORES}_cores": core_hours / CORES,
        "assumes": (
            "the speed of this machine's core for each core, texts as long and as often dropped as "
            "these, storage that delivers what the cores read, and that comparing the keys of "
            "copies, which is linear in documents, keeps its share"
        ),
    }


def started(who: str, source: Path, room: Path) -> Json:
    """What a fresh process of this file says."""
    room.mkdir(exist_ok=True)
    command = [sys.executable, __file__, "--run", who, str(source), str(room)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    answer: Json = json.loads(done.stdout.splitlines()[-1])
    return answer


def processor() -> str:
    found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


# --- documents


def originals() -> list[list[str]]:
    """The sentences of each text."""
    texts = []
    for name in SETS:
        lines = (DATA / name).read_text("utf-8").split("\n")
        texts += [json.loads(line)["text"] for line in lines if line]
    return [re.split(r"(?<=[.!?]) ", text) for text in texts]


def write_documents(path: Path, number: int) -> int:
    """Write so many variations; returns the bytes of their texts."""
    drawn, size, before = random.Random(0), 0, ["Ein Befund."]
    texts = originals()
    with path.open("w", encoding="utf-8") as file:
        for n in range(number):
            if n % 10 == 9:
                text = before[drawn.randrange(len(before))]
            elif n % 20 == 4:
                words = before[drawn.randrange(len(before))].split(" ")
                words[drawn.randrange(len(words))] = "anders"
                text = " ".join(words)
            else:
                sentences = list(drawn.choice(texts))
                drawn.shuffle(sentences)
                text = " ".join(sentences)
                before = [*before[-500:], text]
            size += len(text.encode())
            file.write(json.dumps({"text": text, "id": str(n)}, ensure_ascii=False) + "\n")
    return size


def write_short(path: Path, number: int) -> None:
    drawn = random.Random(0)
    words = [
        "Patient",
        "Befund",
        "Fieber",
        "Husten",
        "klagt",
        "zeigt",
        "ohne",
        "mit",
        "seit",
        "links",
    ]
    with path.open("w", encoding="utf-8") as file:
        for n in range(number):
            text = " ".join([*drawn.choices(words, k=11), str(n)])
            file.write(json.dumps({"text": text, "id": n}) + "\n")


# --- ours


def section(source: Path, **settings: Any) -> Any:
    from bedside_corpus.config import CorpusConfig

    described = {"name": "s", "path": source, "format": "jsonl", "licence": "CC0-1.0",
                 "personal_data": "none", "quality": "web"}  # fmt: skip
    values = {"language": "de", "sources": [described], "executor": {"workers": 1}, **settings}
    return CorpusConfig.model_validate(values)


def build(source: Path, room: Path) -> Json:
    return built(section(source), room)


def build_short(source: Path, room: Path) -> Json:
    """Without limits of quality, which would drop every one."""
    config = section(source)
    plain = config.sources[0].model_copy(update={"quality": None})
    return built(config.model_copy(update={"sources": (plain,)}), room)


def built(config: Any, room: Path) -> Json:
    from bedside_corpus.engine.build import run_stages
    from bedside_corpus.sources import find_files

    files = [file for one in config.sources for file in find_files(one)]
    began = time.perf_counter()
    tally, _ = run_stages(config, files, room)
    return used(began) | {"kept": tally.kept, "dropped": dict(sorted(tally.dropped.items()))}


def used(began: float) -> Json:
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": sum(one.ru_utime + one.ru_stime for one in (own, children)),
        "peak_megabytes": max(own.ru_maxrss, children.ru_maxrss) * 1024 / MB,
    }


def our_steps(source: Path, room: Path) -> Json:
    from dataclasses import replace

    from bedside_corpus.document import make_document
    from bedside_corpus.engine.build import blocks
    from bedside_corpus.engine.minhash import minima
    from bedside_corpus.engine.work import Work
    from bedside_corpus.intake.read import read
    from bedside_corpus.sources import find_files

    config = section(source)
    (file,) = find_files(config.sources[0])
    found: Json = {}
    documents: Any = timed(
        found,
        "reading",
        lambda: [make_document(r.fields, file, r.line, "de") for r in read(file) if r.fields],
    )
    first = documents[0]
    for block in blocks(Work(config, (), room)):
        list(block.run([replace(first)]))  # what is loaded once is not counted
        documents = timed(found, block.name, lambda b=block, d=documents: list(b.run(d)))
    timed(found, "hashes", lambda: [(d.sha256, d.matching_sha256) for d in documents])
    timed(found, "minhash", lambda: [minima(d.form) for d in documents])
    return found


def timed(found: Json, name: str, work: Callable[[], Any]) -> Any:
    began = time.process_time()
    result = work()
    found[name] = time.process_time() - began
    return result


# --- datatrove's


def by_language(document: Any) -> bool:
    from bedside_corpus.language.identify import identify

    found = identify(document.text)
    return found is None or found.language == "de" or found.probability < 0.8


class Blanks(WordTokenizer):
    """Words between blanks: the least that counting words can cost."""

    def word_tokenize(self, text: str) -> list[str]:
        return text.split()

    def sent_tokenize(self, text: str) -> list[str]:
        return [text]

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        return [(0, len(text))]


def filters(words: Any) -> list[Any]:
    from datatrove.pipeline.filters import (
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
        LambdaFilter,
    )
    from datatrove.pipeline.formatters import FTFYFormatter

    return [
        FTFYFormatter(),
        LambdaFilter(by_language),
        GopherRepetitionFilter(language=words),
        GopherQualityFilter(language=words, stop_words=["der", "und", "die", "in", "ist"]),
        FineWebQualityFilter(language=words),
    ]


def chain(source: Path, room: Path, words: Any = Languages.german) -> Json:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        ExactDedupFilter,
        ExactDedupSignature,
        ExactFindDedups,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.exact_dedup import ExactDedupConfig
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader, ParquetReader
    from datatrove.pipeline.writers import ParquetWriter
    from loguru import logger

    logger.disable("datatrove")
    at = {name: str(room / name) for name in ("a", "sig", "dup", "b", "min", "near", "drop", "c")}
    exact = ExactDedupConfig(content_getter=text_of)
    near = MinhashConfig()
    began = time.perf_counter()
    steps: list[tuple[int, list[Any]]] = [
        (1, [JsonlReader(str(source.parent), glob_pattern=source.name), *filters(words),
             ParquetWriter(at["a"])]),
        (1, [ParquetReader(at["a"]), ExactDedupSignature(at["sig"], exact)]),
        (1, [ExactFindDedups(at["sig"], at["dup"], exact)]),
        (1, [ParquetReader(at["a"]), ExactDedupFilter(at["dup"], exact), ParquetWriter(at["b"])]),
        (1, [ParquetReader(at["b"]), MinhashDedupSignature(at["min"], near, words)]),
        (near.num_buckets, [MinhashDedupBuckets(at["min"], at["near"], config=near)]),
        (1, [MinhashDedupCluster(at["near"], at["drop"], near)]),
        (1, [ParquetReader(at["b"]), MinhashDedupFilter(at["drop"]), ParquetWriter(at["c"])]),
    ]  # fmt: skip
    for number, (tasks, pipeline) in enumerate(steps):
        for rank in range(tasks):
            executor = LocalPipelineExecutor(
                pipeline, tasks=tasks, workers=1, logging_dir=str(room / f"log-{number}")
            )
            executor._run_for_rank(rank)
    import pyarrow.parquet as pq

    kept = sum(pq.read_metadata(path).num_rows for path in Path(at["c"]).rglob("*.parquet"))
    return used(began) | {"kept": kept}


def text_of(document: Any) -> bytes:
    return bytes(document.text, "utf-8")


def their_steps(source: Path, room: Path) -> Json:
    from copy import deepcopy

    from datatrove.pipeline.readers import JsonlReader
    from loguru import logger

    logger.disable("datatrove")
    found: Json = {}
    reader = JsonlReader(str(source.parent), glob_pattern=source.name)
    documents: Any = timed(found, "reading", lambda: list(reader.run()))
    for step in filters(Languages.german):
        list(step.run(iter([deepcopy(documents[0])])))
        documents = timed(
            found, type(step).__name__, lambda s=step, d=documents: list(s.run(iter(d)))
        )
    return found


RUNS = {
    "ours": build,
    "memory": build_short,
    "ours_steps": our_steps,
    "datatrove": chain,
    "datatrove_blanks": lambda source, room: chain(source, room, Blanks()),
    "datatrove_steps": their_steps,
}

if __name__ == "__main__":
    main()

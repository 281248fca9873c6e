"""Near-copies that we planted, found by the corpus's deduplication and by datatrove's MinHash.

    .venvs/dev/bin/python bench/corpus/duplicates.py

Each text of `../shared/data` of at least 120 words gets one copy, edited in one of the ways below;
originals come first. Whether two texts are near-copies is said by their exact Jaccard similarity
(words in runs of five, canonical form), computed for every original and its copy: at 0.8 or more a
copy is to go. Recall is over those; a document that went although no other has 0.8 in common with
it is a false one. Copies from 0.7 to 0.8 are between: datatrove, whose candidates are copies, is
made to take them (0.72 is its threshold), so they count for neither.

Both run in this process, one after the other, on the same documents: seconds of the processor for
signatures, comparison, clusters and filter. datatrove (0.10.1) is configured as in FineWeb, 14
bands of 8, and splits words at blanks: for German it would take spaCy, which is slower. `house` is
the default of `corpus.near_duplicates`, for which a text with another number, or without one, is
another text; `web` is without `same_values`. Only counts are written, to
`bench/results/duplicates.json`.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datatrove.data import Document as TheirDocument
from datatrove.pipeline.dedup import minhash
from loguru import logger
from xxhash import xxh64_intdigest

from bedside_core.console import say
from bedside_core.matching import canonical
from bedside_corpus.config import NearDuplicates
from bedside_corpus.document import Document
from bedside_corpus.engine.keys import LATER, keys_path, save, write_group
from bedside_corpus.engine.minhash import RUN
from bedside_corpus.engine.near import BAND, BANDS, Signing, write_pairs
from bedside_corpus.engine.resolving import Resolving, copies_path

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "bench/results/duplicates.json"
SETS = ("grascco/letters", "gnad/articles", "morfitt/abstracts")
WORDS = 120
WANTED, BETWEEN = 0.8, 0.7
FRAME = "Zur Übersicht der Meldungen. Teilen, drucken, weiterempfehlen."


def changed(share: float) -> Callable[[str, random.Random], str]:
    def edit(text: str, drawn: random.Random) -> str:
        words = text.split(" ")
        for place in drawn.sample(range(len(words)), max(1, round(share * len(words)))):
            words[place] = "ersetzt"
        return " ".join(words)

    return edit


def other_number(text: str, drawn: random.Random) -> str:
    places = [n for n, sign in enumerate(text) if sign.isdecimal()]
    if not places:
        return f"{text} 7"
    place = drawn.choice(places)
    return f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}"


EDITS: dict[str, Callable[[str, random.Random], str]] = {
    "spelling": lambda text, _: unicodedata.normalize("NFD", text).upper().replace(" ", "\u00a0"),
    "framed": lambda text, _: f"{FRAME} {text} {FRAME}",
    "cut": lambda text, _: " ".join(text.split(" ")[: -max(1, len(text.split(" ")) // 12)]),
    "1 % of words": changed(0.01),
    "2 % of words": changed(0.02),
    "4 % of words": changed(0.04),
    "10 % of words": changed(0.1),
    "one number": other_number,
}


def planted() -> tuple[list[str], list[str]]:
    """The originals, then a copy of each in an order of its own; and the kind of each copy."""
    originals = []
    for name in SETS:
        rows = map(json.loads, (DATA / f"{name}.jsonl").read_text("utf-8").splitlines())
        texts = [row["text"] for row in rows]
        originals += [text for text in texts if len(canonical(text).split()) >= WORDS]
    kinds = [list(EDITS)[n % len(EDITS)] for n in range(len(originals))]
    copies = [
        EDITS[kind](text, random.Random(n))
        for n, (text, kind) in enumerate(zip(originals, kinds, strict=True))
    ]
    return [*originals, *copies], kinds


def jaccard(one: str, other: str) -> float:
    a, b = (
        set(zip(*(words[n:] for n in range(RUN)), strict=False))
        for words in (canonical(text).split() for text in (one, other))
    )
    return len(a & b) / len(a | b)


def ours(near: NearDuplicates) -> Callable[[Sequence[str], Path], tuple[set[int], float]]:
    def run(texts: Sequence[str], room: Path) -> tuple[set[int], float]:
        documents = [
            Document(f"d{n}", text, "s", "CC0-1.0", "de", f"s/a:{n}")
            for n, text in enumerate(texts)
        ]
        began = time.process_time()
        for _ in Signing(near, room / "read", 0).passing(documents):
            pass
        pairs, equal, bands = (room / f"{name}.npy" for name in ("pairs", "equal", "bands"))
        write_group(bands, {0: keys_path(room / "read", BANDS, 0)}, BAND)
        write_pairs(pairs, [bands], room / "read", 0, 1, near)
        save(equal, np.empty(0, LATER))
        for _ in Resolving(
            room / "read", [equal], [equal], [pairs], 1, room / "out", near, []
        ).run():
            pass
        gone = set(np.load(copies_path(room / "out", 0))["row"].tolist())
        return gone, time.process_time() - began

    return run


class Blanks:
    """The fastest tokenizer that there can be."""

    def word_tokenize(self, text: str) -> list[str]:
        return text.split()


def theirs(texts: Sequence[str], room: Path) -> tuple[set[int], float]:
    documents = [TheirDocument(text=text, id=str(n)) for n, text in enumerate(texts)]
    config = minhash.MinhashConfig()
    minhash.load_word_tokenizer = lambda language: Blanks()
    signing = minhash.MinhashDedupSignature(f"{room}/signatures", config)
    # As it is written it gives xxhash a string, which xxhash 4 refuses.
    signing._hash_func = lambda text: xxh64_intdigest(text.encode())
    began = time.process_time()
    signing.run(iter(documents), 0, 1)
    buckets = minhash.MinhashDedupBuckets(f"{room}/signatures", f"{room}/buckets", config=config)
    for bucket in range(config.num_buckets):
        buckets.run(None, bucket, config.num_buckets)
    minhash.MinhashDedupCluster(f"{room}/buckets", f"{room}/remove", config).run(None, 0, 1)
    kept = {int(one.id) for one in minhash.MinhashDedupFilter(f"{room}/remove").run(documents)}
    return set(range(len(texts))) - kept, time.process_time() - began


def bench() -> None:
    logger.disable("datatrove")
    texts, kinds = planted()
    number = len(kinds)
    alike = [jaccard(texts[n], texts[number + n]) for n in range(number)]
    wanted = {number + n for n in range(number) if alike[n] >= WANTED}
    between = {number + n for n in range(number) if BETWEEN <= alike[n] < WANTED}
    result: dict[str, Any] = {
        "documents": len(texts),
        "copies_at_0.8": {
            kind: sum(alike[n] >= WANTED for n in range(number) if kinds[n] == kind)
            for kind in EDITS
        },
        "load_average": round(os.getloadavg()[0], 2),
    }
    ways = {
        "house": ours(NearDuplicates()),
        "web": ours(NearDuplicates(same_values=False)),
        "datatrove": theirs,
    }
    seconds = {}
    for name, way in ways.items():
        with tempfile.TemporaryDirectory() as room:
            gone, seconds[name] = way(texts, Path(room))
        result[name] = {
            "gone": len(gone),
            "recall": round(len(gone & wanted) / len(wanted), 4),
            "recall_by_edit": {
                kind: round(len(gone & of) / len(of), 4)
                for kind in EDITS
                if (of := {n for n in wanted if kinds[n - number] == kind})
            },
            "precision": round(1 - len(gone - wanted - between) / max(1, len(gone)), 4),
            "originals_gone": sum(n < number for n in gone),
            "documents_per_cpu_second": round(len(texts) / seconds[name]),
        }
        say(f"{name} {json.dumps(result[name])}")
    result["times_datatrove"] = {
        name: round(seconds["datatrove"] / seconds[name], 1) for name in ("house", "web")
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    bench()

"""An even sample: exactly the smallest keys, whatever the shards, repetitions and kills."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bedside_core.kinds.corpus import text_sha256
from bedside_corpus.config import CorpusConfig
from bedside_corpus.document import Document
from bedside_corpus.engine.build import DRAW, run, run_rank
from bedside_corpus.engine.records import read_records
from bedside_corpus.engine.shards import divide
from bedside_corpus.engine.work import Work
from bedside_corpus.labelling import drawing
from bedside_corpus.labelling.drawing import Drawing, Sample, key, smallest_keys
from bedside_corpus.sources import find_files

TEXTS = [f"Befund Nummer {n} ist unauffällig." for n in range(400)]


def document(n: int, name: str = "") -> Document:
    text = TEXTS[n]
    return Document(name or f"s/{n}", text, "s", "CC0-1.0", "de", f"s/f:{n}")


def passed(folder: Path, *shards: list[Document], size: int, seed: int = 0) -> Sample:
    for rank, documents in enumerate(shards):
        step = Drawing(folder, [], {}, size=size, seed=seed)
        assert list(step.run(iter(documents), rank, len(shards))) == []
    return Sample(folder, len(shards), seed)


def expected(size: int, seed: int = 0) -> set[str]:
    return set(sorted(TEXTS, key=lambda text: key(text_sha256(text), seed))[:size])


@pytest.mark.parametrize("size", [1, 30, 399, 400, 5000])
def test_the_smallest_keys_of_all_shards(tmp_path, size):
    shards = [[document(n) for n in range(start, 400, 4)] for start in range(4)]
    shards[3] += [document(n, f"again/{n}") for n in range(0, 400, 4)]  # in the first shard, too
    sample = passed(tmp_path, *shards, [], size=size)
    found = list(sample)
    assert len(found) == len(sample) == min(size, 400)
    assert {one.text for one in found} == expected(size)
    assert all(one.id.startswith("s/") for one in found)  # of equal texts the first


def test_a_shard_that_is_done_twice_changes_nothing(tmp_path):
    shards = [[document(n) for n in range(start, 400, 2)] for start in range(2)]
    first = [one.text for one in passed(tmp_path / "a", *shards, size=50)]
    step = Drawing(tmp_path / "b", [], {}, size=50, seed=0)
    for rank in (1, 1, 0, 1):  # killed before it was marked, in another order
        list(step.run(iter(shards[rank]), rank, 2))
    assert [one.text for one in Sample(tmp_path / "b", 2, 0)] == first


def test_what_cannot_be_drawn_any_more_is_not_written(tmp_path):
    passed(
        tmp_path,
        *([document(n) for n in range(start, 400, 40)] * 3 for start in range(40)),
        size=20,
    )
    written = 0
    for path in (tmp_path / "documents").iterdir():
        with path.open("rb") as file, pa.ipc.open_stream(file) as stream:
            written += sum(batch.num_rows for batch in stream)
    # 20 * (1 + ln(400 / 20)) = 80 different ones are expected, three times each.
    assert written <= 3 * 160
    assert len(smallest_keys(tmp_path)) == 20


def test_every_document_is_as_likely_as_any_other(tmp_path):
    """Over 200 seeds each of 400 documents is drawn 20 times on average, with a spread of 4.2."""
    keys = np.array([[key(text_sha256(t), seed) for t in TEXTS] for seed in range(200)], np.uint64)
    drawn = (keys.argsort(axis=1).argsort(axis=1) < 40).sum(axis=0)
    assert drawn.sum() == 200 * 40
    assert drawn.std() == pytest.approx(np.sqrt(200 * 0.1 * 0.9), rel=0.15)
    assert drawn.max() < 20 + 6 * 4.25


def test_one_id_for_two_texts(tmp_path):
    sample = passed(tmp_path, [document(1, "s/1"), document(2, "s/1")], size=5)
    assert [one.id for one in sample] == ["s/1", "s/f:2"]


def test_over_the_blocks_of_a_config(tmp_path):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS))
    source = {"name": "s", "path": str(tmp_path), "format": "jsonl", "licence": "CC0-1.0",
              "personal_data": "none"}  # fmt: skip
    annotate = {"documents": 25, "seed": 9, "endpoint": {"address": "/s", "model": "m"}}
    config = CorpusConfig.model_validate(
        {"language": "de", "sources": [source], "annotate": annotate}
    )
    files = [file for one in config.sources for file in find_files(one)]
    work = Work(config, tuple(divide(files)), tmp_path / "room")
    work.save()
    run_rank(work.room, "draw", 0, 1)  # as a task on another machine does
    run(work, [DRAW])
    folder = work.folder("draw")
    sample, records = Sample(folder, 1, 9), list(read_records(folder, 1))
    assert {one.text for one in sample} == expected(25, 9)
    assert sum(record.documents for record in records) == 400
    assert drawing.Drawing.name not in records[0].steps

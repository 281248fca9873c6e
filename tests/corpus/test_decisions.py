"""What was decided on each record is in the corpus, for every record and without its text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bedside_core.kinds.corpus import decisions, shards
from bedside_core.registry.registry import Registry
from bedside_corpus import decisions as module
from bedside_corpus.decisions import SCHEMA, Decisions, split_place

LETTER = "Der Patient erhält Ramipril 5 mg bei Hypertonie; siehe https://example.org/leitlinie"
GARDEN = "Der Garten liegt hinter dem Haus und ist im Mai am schönsten."


@pytest.mark.parametrize(
    ("place", "parts"),
    [
        ("s/a.jsonl:17", ("s/a.jsonl", 17)),
        ("s/a.txt", ("s/a.txt", None)),
        ("s/a:b.txt", ("s/a:b.txt", None)),
        ("0f3a", ("0f3a", None)),
    ],
)
def test_a_place_is_a_file_and_a_line(place: str, parts: tuple[str, int | None]) -> None:
    assert split_place(place) == parts


def test_every_record_has_its_decision(build: Any, registry: Registry, tmp_path: Path) -> None:
    lines = [
        {"id": "first", "text": LETTER},
        {"id": "again", "text": LETTER + "\u200b"},
        {"text": GARDEN},
        {"id": "first", "text": "Kreatinin 1,2 mg/dl, Therapie mit Budesonid."},
    ]
    raw = [json.dumps(line) for line in lines] + ["{"]
    (tmp_path / "a.jsonl").write_text("\n".join(raw))
    source = {
        "name": "s",
        "path": str(tmp_path / "a.jsonl"),
        "format": "jsonl",
        "licence": "CC0-1.0",
        "personal_data": "none",
    }
    assert build(source, medical_filter={"min_density": 0.03}) == 0
    corpus = registry.get("test/corpus")
    (file,) = decisions(corpus)
    table = pq.read_table(file.path)
    assert table.schema == SCHEMA
    rows = [{k: v for k, v in row.items() if v is not None} for row in table.to_pylist()]
    assert all((row.pop("file"), row.pop("source")) == ("s/a.jsonl", "s") for row in rows)
    url, unseen = ("cleaning.url", 1), ("cleaning.invisible", 1)
    assert [{**row, "changes": dict(row.get("changes", ()))} for row in rows] == [
        {"line": 3, "step": "medical_filter", "reason": "not_medical", "by": "0", "changes": {}},
        {"line": 5, "step": "reading", "reason": "malformed", "changes": {}},
        {"line": 1, "id": "s/a.jsonl#first", "row": 0, "changes": dict([url])},
        {
            "line": 2,
            "id": "s/a.jsonl#again",
            "step": "deduplicating",
            "reason": "duplicate_text",
            "by": "s/a.jsonl#first",
            "changes": dict([unseen, url]),
        },
        {"line": 4, "row": 1, "changes": {"deduplicating.id_taken": 1}},
    ]
    (shard,) = shards(corpus)
    kept = pq.read_table(shard.path, columns=["id"])["id"].to_pylist()
    assert kept == ["s/a.jsonl#first", "s/a.jsonl:4"]


def test_rows_leave_the_memory_as_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GROUP_ROWS", 10)
    first = Decisions(tmp_path / "read")
    with first.opened(0):
        for line in range(25):
            first.drop(f"s/a.jsonl:{line}", "s", None, "reading", "malformed", "", {})
            assert len(first._rows) < 10
    second = Decisions(tmp_path / "write", before=tmp_path / "read")
    with second.opened(0) as hashed:
        for line in range(25, 50):
            second.keep(f"s/a.jsonl:{line}", "s", f"s/a.jsonl:{line}", {})
    (path,) = (tmp_path / "write/decisions").iterdir()
    assert path.stat().st_size == hashed.size
    with pq.ParquetFile(path) as file:
        lines = SCHEMA.get_field_index("line")
        groups = [
            file.metadata.row_group(n).column(lines).statistics for n in range(file.num_row_groups)
        ]
        assert file.read()["line"].to_pylist() == [*range(50)]
    assert [(one.min, one.max) for one in groups][::2] == [(0, 9), (20, 24), (35, 44)]


def test_what_a_person_is_called_does_not_lead_from_a_pseudonym_to_the_file(
    build: Any, registry: Registry, tmp_path: Path
) -> None:
    folder = tmp_path / "ward"
    folder.mkdir()
    (folder / "Wiesengrund.txt").write_text("Herr Wiesengrund erhält Ramipril bei Hypertonie.")
    (tmp_path / "key").write_bytes(bytes(range(32)))
    source = {
        "name": "ward",
        "path": str(folder),
        "format": "text",
        "licence": "CC0-1.0",
        "personal_data": "pseudonymised",
    }
    phi = {"on_hit": "pseudonymise", "key": str(tmp_path / "key")}
    assert build(source, phi=phi) == 0
    corpus = registry.get("test/corpus")
    (row,) = pq.read_table(decisions(corpus)[0].path).to_pylist()
    assert dict(row["changes"]) == {"phi.replaced_NAME": 1}
    # The recipe lists the files of the sources; the decisions have nothing of their names.
    assert "Wiesengrund" not in str(row)

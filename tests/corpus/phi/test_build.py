"""The gate in `bedside corpus build`: what is written, what waits, what a person lets in."""

import json
import os

import pyarrow.parquet as pq
import pytest

from bedside_core.kinds.corpus import STATS

NAMED = "Herr Wiesengrund, geb. 3.4.1950, erhält Ramipril 5 mg bei Hypertonie; EKG unauffällig."
CLEAN = "Die Patientin mit M. Crohn erhält Budesonid 9 mg 1-0-0; CRP 34,5 mg/l, RR 140/80 mmHg."


@pytest.fixture
def ward(tmp_path):
    folder = tmp_path / "ward"
    folder.mkdir()
    (folder / "a.txt").write_text(NAMED)
    (folder / "b.txt").write_text(CLEAN)
    return {
        "name": "ward",
        "path": str(folder),
        "format": "text",
        "licence": "CC0-1.0",
        "personal_data": "pseudonymised",
    }


def texts(registry):
    path = registry.store / registry.slot("test", "corpus")
    return [
        t
        for file in sorted(path.glob("data/*.parquet"))
        for t in pq.read_table(file)["text"].to_pylist()
    ]


def stats(registry):
    path = registry.store / registry.slot("test", "corpus") / STATS
    return json.loads(path.read_text())


def everything(folder):
    return b"".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file())


def test_a_patient_is_nowhere_in_what_is_written(build, registry, ward, capsys, tmp_path):
    assert build(ward, phi={}) == 0
    assert texts(registry) == [CLEAN]
    assert stats(registry)["dropped"]["phi"]["count"] == 1
    [gate] = [step for step in stats(registry)["steps"] if step["name"] == "phi"]
    assert gate["noted"]["with_NAME"] == 1
    captured = capsys.readouterr()
    assert "Wiesengrund" not in captured.out + captured.err
    assert b"Wiesengrund" not in everything(registry.home)


def test_quarantine_review_and_the_next_build(build, registry, ward, tmp_path, capsys):
    assert build(ward, phi={"on_hit": "quarantine"}) == 0
    assert "1 documents wait for a person" in capsys.readouterr().out
    [review] = (registry.home / "work").glob("phi-*/review.csv")
    rows = review.read_text()
    assert "Wiesengrund" not in rows
    filled = tmp_path / "filled.csv"
    filled.write_text(rows.rstrip(",\n") + ",release,Dr. X\n")
    assert build(ward, phi={"on_hit": "quarantine", "review": str(filled)}) == 0
    assert sorted(texts(registry)) == sorted([NAMED, CLEAN])
    filled.write_text(filled.read_text().replace("release", "keep out"))
    assert build(ward, phi={"on_hit": "quarantine", "review": str(filled)}) == 0
    assert texts(registry) == [CLEAN]


def test_pseudonymised_by_the_key_alone(build, registry, ward, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(os.urandom(32))
    assert build(ward, phi={"on_hit": "pseudonymise", "key": str(key)}) == 0
    written = texts(registry)
    assert len(written) == 2
    assert CLEAN in written
    assert b"Wiesengrund" not in everything(registry.home)
    assert "Ramipril 5 mg bei Hypertonie" in " ".join(written)


def test_what_the_gate_needs_is_read_before_the_sources(build, ward, tmp_path, capsys):
    assert build(ward, phi={"patterns": str(tmp_path / "nix")}) == 3
    assert "corpus.phi.patterns" in capsys.readouterr().err

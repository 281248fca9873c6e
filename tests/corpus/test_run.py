import gzip
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bedside_core.cli import main
from bedside_core.kinds.corpus import describe_sources, listed_documents, text_sha256
from bedside_core.matching import VERSION, canonical, digest
from bedside_core.registry import removal
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry

ROOT = Path(__file__).parents[2]
CANARY = "Zyklamenwalzer"
MEDICAL = "Patient mit Hypertonie, Therapie: Ramipril 5 mg."


def jsonl(path, *lines):
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(raw) + b"\n")
    return {
        "name": path.stem, "path": str(path), "format": "jsonl", "licence": "CC0-1.0",
        "personal_data": "none",
    }  # fmt: skip


def corpus(registry):
    return registry.get("test/corpus")


def test_the_artifact_holds_documents_listing_and_statistics(build, registry, letters, tmp_path):
    other = jsonl(tmp_path / "o.jsonl", {"text": MEDICAL, "licence": "CC-BY-4.0"}, b"{", {"id": 1})
    assert build(letters, other) == 0
    artifact = corpus(registry)
    artifact.verify()
    rows = pq.read_table(artifact.file("data/00000.parquet")).to_pylist()
    assert [row["id"] for row in rows] == ["letters/a", "letters/b", "o/o.jsonl:1"]
    whose = ["patient", "document"]
    assert list(rows[0]) == ["id", "text", "source", "licence", "language", "words", *whose]
    assert all(row["words"] == len(row["text"].split()) for row in rows)
    listing = list(listed_documents(artifact))
    assert [d["id"] for d in listing] == ["letters/a", "letters/b", "o/o.jsonl:1"]
    assert list(listing[0]) == [
        "id",
        "source",
        "licence",
        "sha256",
        "matching_sha256",
        *whose,
        "trace",
    ]
    assert [d["sha256"] for d in listing] == [text_sha256(row["text"]) for row in rows]
    forms = [digest(canonical(row["text"])) for row in rows]
    assert [d["matching_sha256"] for d in listing] == forms
    assert artifact.manifest.facts["matching_version"] == VERSION
    stats = json.loads(artifact.file("stats.json").read_text())
    assert (stats["read"], stats["kept"]) == (5, 3)
    assert [(s["name"], s["read"], s["kept"]) for s in stats["steps"]] == [
        ("reading", 5, 3),
        ("cleaning", 3, 3),
        ("language", 3, 3),
        ("deduplicating", 3, 3),
    ]
    assert stats["dropped"] == {
        "malformed": {"count": 1, "first": ["o/o.jsonl:2"]},
        "no_text": {"count": 1, "first": ["o/o.jsonl:3"]},
    }
    facts = artifact.manifest.facts
    assert (facts["documents"], facts["words"]) == (3, sum(row["words"] for row in rows))
    assert facts["dropped"] == {"malformed": 1, "no_text": 1}
    assert describe_sources(artifact) == [
        {"name": "letters", "documents": 2, "licences": "CC0-1.0"},
        {"name": "o", "documents": 1, "licences": "CC-BY-4.0"},
    ]
    assert [(item.id, item.obligations) for item in artifact.manifest.licences] == [
        ("CC-BY-4.0", ("attribution",)),
        ("CC0-1.0", ()),
    ]


def test_a_run_takes_the_corpus_of_another(build, registry, letters, tmp_path, capsys, monkeypatch):
    assert build(letters) == 0
    other = tmp_path / "other.yaml"
    other.write_text("name: other\ncorpus: {existing: test}\n")
    assert main(["corpus", "build", "--config", str(other)]) == 0
    assert registry.slot("other", "corpus") == registry.slot("test", "corpus")
    other.write_text("name: other\ncorpus: {existing: nobody}\n")
    assert main(["corpus", "build", "--config", str(other)]) == 3
    assert "run 'nobody' has no corpus yet" in capsys.readouterr().err
    other.write_text("name: other\ncorpus: {existing: test, language: de}\n")
    assert main(["corpus", "build", "--config", str(other)]) == 2
    assert "existing and language are both set" in capsys.readouterr().err
    other.write_text("name: other\ncorpus: {language: de}\n")
    assert main(["corpus", "build", "--config", str(other)]) == 2
    assert "sources is missing" in capsys.readouterr().err


def test_what_is_declared_of_a_source_is_in_the_facts(build, registry, letters, tmp_path):
    said = {"licence": "cc-by-4.0", "attribution": "Klinik A", "permitted_uses": ["research"],
            "language": "fr", "type": "letter", "personal_data": "pseudonymised"}  # fmt: skip
    own = {"text": MEDICAL, "license": "cc-by-nc-4.0", "id": 1}
    other = {**jsonl(tmp_path / "o.jsonl", own, {"text": "x", "id": 2}), **said}
    assert build(letters, other, purpose="research") == 0
    artifact = corpus(registry)
    assert artifact.manifest.facts["declared"]["o"] == said | {"licence": "CC-BY-4.0"}
    assert artifact.manifest.facts["declared"]["letters"]["personal_data"] == "none"
    rows = pq.read_table(artifact.file("data/00000.parquet")).to_pylist()[-2:]
    assert [row["language"] for row in rows] == ["fr", "fr"]
    assert [row["licence"] for row in rows] == ["CC-BY-NC-4.0", "CC-BY-4.0"]


ENGLISH = (
    "The patient was admitted with fever and cough, the chest film showed an infiltrate of the "
    "right lower lobe, and an antibiotic was started on the same day."
)


def test_texts_are_cleaned_in_their_language_and_look_like_text(build, registry, tmp_path, capsys):
    texts = [
        "Kalium 3\x965 mmol/l\u00ad, 5\u00a0&micro;g",
        "\x00\u200b",
        ENGLISH,
        "#### ---- " * 50,
    ]
    wards = jsonl(tmp_path / "wards.jsonl", *({"text": text} for text in texts))
    assert build({**wards, "quality": "house"}) == 0
    out = capsys.readouterr().out
    changes = "blank 1, reference 1, soft_hyphen 1, space 1, windows_control 1"
    assert f"cleaned 2 documents: {changes}" in out
    artifact = corpus(registry)
    rows = pq.read_table(artifact.file("data/00000.parquet")).to_pylist()
    assert [row["text"] for row in rows] == ["Kalium 3–5 mmol/l, 5 µg"]
    facts = artifact.manifest.facts
    assert facts["dropped"] == {"empty": 1, "other_language": 1, "quality_signs": 1}
    assert facts["cleaning"]["changes"]["windows_control"] == 1
    stats = json.loads(artifact.file("stats.json").read_text())
    assert stats["notes"] == {"language de is en": 1, "language too short": 2}
    noted = {step["name"]: step["noted"] for step in stats["steps"]}["cleaning"]
    assert noted["windows_control: U+0096 to U+2013"] == 1
    (line,) = listed_documents(artifact)
    assert (
        line["matching_sha256"] == digest(canonical(texts[0])) != digest(canonical(rows[0]["text"]))
    )


@pytest.mark.parametrize(
    ("document", "heldout"),
    [
        ("Kalium 3\x965 mmol/l", "Kalium 3–5 mmol/l"),
        ("Kalium 3\x965 mmol/l", "Kalium 3\x965 mmol/l"),
        ("FÃ¤lle von ZÃ¶liakie", "Fälle von Zöliakie"),
        ("FÃ¤lle von ZÃ¶liakie", "FÃ¤lle von ZÃ¶liakie"),
    ],
)
def test_a_heldout_text_is_found_before_and_after_cleaning(
    build, registry, tmp_path, document, heldout
):
    (tmp_path / "held").mkdir()
    (tmp_path / "held/h.txt").write_bytes(heldout.encode())
    source = jsonl(tmp_path / "a.jsonl", {"text": document}, {"text": "Ein anderer Befund."})
    assert build(source, heldout=[str(tmp_path / "held")]) == 0
    assert corpus(registry).manifest.facts["dropped"] == {"heldout": 1}


def test_encodings_are_said(build, registry, letters, tmp_path, capsys):
    (tmp_path / "letters/c.TXT").write_bytes("Für Übelkeit: 5 µg".encode("cp1252"))
    assert build(letters) == 0
    assert "encoding cp1252: 1 records" in capsys.readouterr().out
    stats = json.loads(corpus(registry).file("stats.json").read_text())
    assert stats["notes"] == {"encoding cp1252": 1, "language too short": 3}


def test_licences_of_dropped_documents_do_not_flow_in(build, registry, letters, tmp_path):
    garden = jsonl(tmp_path / "g.jsonl", {"text": "Ein Garten.", "licence": "CC-BY-NC-4.0"})
    assert build(letters, garden, medical_filter={"min_density": 0.03}) == 0
    assert [item.id for item in corpus(registry).manifest.licences] == ["CC0-1.0"]
    assert [source["name"] for source in describe_sources(corpus(registry))] == ["letters"]


def test_the_summary_tells_what_happened(build, letters, tmp_path, capsys):
    assert build(letters, jsonl(tmp_path / "o.jsonl", b"{", b"{")) == 0
    out = capsys.readouterr().out
    assert "read 4 records, kept 2 documents of 25 words" in out
    assert "malformed  2        is no JSON object or whole row" in out
    assert "o.jsonl" not in out  # others keep what is printed, and a file may bear a name


def test_a_second_run_reuses_and_a_changed_file_makes_a_new_corpus(
    build, registry, letters, tmp_path, capsys
):
    held = tmp_path / "held"
    held.mkdir()
    (held / "h.txt").write_text("Etwas anderes.")
    assert build(letters, heldout=[str(held)]) == 0
    first = corpus(registry).digest
    assert build(letters, heldout=[str(held)]) == 0
    assert corpus(registry).digest == first
    assert "reused" in capsys.readouterr().out
    (tmp_path / "letters/b.txt").write_text(MEDICAL)
    assert build(letters, heldout=[str(held)]) == 0
    second = corpus(registry).digest
    (held / "h.txt").write_text(MEDICAL)
    assert build(letters, heldout=[str(held)]) == 0
    assert len({first, second, corpus(registry).digest}) == 3
    assert corpus(registry).manifest.facts["dropped"] == {"heldout": 1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "doc"}, "corpus.sources.0.format"),
        ({"colour": "red"}, "corpus.sources.0.colour: unknown name"),
        ({"name": "a b"}, "corpus.sources.0.name"),
        (
            {"licence": "CC BY 4.O"},
            "is no SPDX licence identifier - did you mean CC-BY-4.0?",
        ),
        ({"personal_data": "identified"}, "pseudonymise these texts first"),
        ({"encoding": "dos"}, "'dos' is no encoding"),
        ({"fields": {"text": "a"}}, "fields is for jsonl, csv, parquet, xlsx, xml, not text"),
        ({"path": "FILE", "format": "jsonl"}, "is not a .jsonl or .jsonl.gz or"),
    ],
)
def test_a_wrong_config_ends_with_2(build, registry, letters, tmp_path, capsys, change, words):
    (tmp_path / "a.csv").write_text("text\nx\n")
    change = {key: str(tmp_path / "a.csv") if v == "FILE" else v for key, v in change.items()}
    assert build({**letters, **change}) == 2
    assert words in capsys.readouterr().err
    assert registry.artifacts() == []


def test_a_wrong_section_ends_with_2(build, letters, capsys):
    assert build(letters, letters) == 2
    assert "two sources are named 'letters'" in capsys.readouterr().err
    assert build(letters, language="fr", medical_filter={}) == 2
    assert "the medical filter's stems are German, not 'fr'" in capsys.readouterr().err
    assert build() == 2


def broken_gzip(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a"}\n' * 99)[:-9])
    return {"path": str(tmp_path / "a.jsonl.gz"), "format": "jsonl"}


def broken_parquet(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 is not enough")
    return {"path": str(tmp_path / "a.parquet"), "format": "parquet"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tmp: {"path": str(tmp / "nowhere")}, "nowhere does not exist"),
        (lambda tmp: {"format": "parquet"}, "no .parquet files"),
        (broken_gzip, "a.jsonl.gz: the gzip stream is cut off or damaged"),
        (broken_parquet, "a.parquet: not a Parquet file, or a damaged one"),
        (lambda tmp: {"licence": None}, "no document is left of 2 that were read: no_licence 2"),
    ],
)
def test_unusable_input_ends_with_3(build, registry, letters, tmp_path, capsys, change, words):
    assert build({**letters, **change(tmp_path)}) == 3
    assert words in capsys.readouterr().err
    assert registry.artifacts() == []
    assert registry.slot("test", "corpus") is None
    assert not list((registry.home / "tmp").glob("*"))


def test_an_empty_corpus_says_why_with_places(build, registry, tmp_path, capsys):
    source = jsonl(tmp_path / "o.jsonl", {"text": "Ein Garten."}, b"{", {"text": " "})
    assert build(source, medical_filter={"min_density": 0.03}) == 3
    error = capsys.readouterr().err
    assert "no document is left of 3 that were read" in error
    for reason in ("not_medical 1 (first: o/o.jsonl:1)", "malformed 1 (first: o/o.jsonl:2)"):
        assert reason in error
    assert registry.artifacts() == []
    assert build(jsonl(tmp_path / "e.jsonl")) == 3
    assert "the sources hold no records" in capsys.readouterr().err


def test_no_text_of_a_document_is_printed_or_logged(
    build, letters, registry, tmp_path, capfd, caplog
):
    lines = [
        {"text": f"{MEDICAL} {CANARY}", "id": CANARY},
        {"text": f"{MEDICAL} {CANARY}"},
        {"text": f"Im Garten {CANARY}"},
        {"text": [CANARY]},
        {"text": CANARY, "licence": [CANARY]},
        f'{{"text": "{CANARY}'.encode(),
        f'{{"text": "{CANARY} \\ud800"}}'.encode(),
        f'{{"text": "{CANARY} '.encode() + b'\xff"}',
        CANARY.encode(),
    ]
    source = jsonl(tmp_path / "o.jsonl", *lines)
    with caplog.at_level("DEBUG"):
        assert build(letters, source, medical_filter={"min_density": 0.03}) == 0
        (tmp_path / "o.jsonl").write_bytes((tmp_path / "o.jsonl").read_bytes()[90:])
        assert build({**source, "licence": None}) == 3
    captured = capfd.readouterr()
    assert "malformed" in captured.out
    logged = "".join(str(vars(record)) for record in caplog.records)
    assert CANARY not in captured.out + captured.err + logged
    stats = corpus(registry).file("stats.json").read_text()
    assert CANARY not in stats + (corpus(registry).path / "manifest.json").read_text()


def test_a_full_disk_leaves_nothing(registry, letters, tmp_path):
    # A limit on the size of a file fails a write in the same place as a full disk.
    source = {**jsonl(tmp_path / "o.jsonl", {"text": "".join(map(chr, range(0x4E00, 0x9000)))})}
    config = tmp_path / "run.yaml"
    sections = {"name": "test", "corpus": {"language": "de", "sources": [source]}}
    config.write_text(json.dumps(sections))
    done = subprocess.run(
        [sys.executable, "-m", "bedside_core.cli", "corpus", "build", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        # It would be cut off, too, and break this environment.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)),
    )
    assert done.returncode == 4, done.stderr
    assert "disk full while writing resumable state" in done.stderr
    assert registry.artifacts() == []
    assert not list((registry.home / "tmp").glob("*"))


def test_the_demo_keeps_its_medical_texts(registry, tmp_path, monkeypatch):
    from bedside_core.cli import main

    monkeypatch.chdir(ROOT)
    assert main(["corpus", "build", "--config", "configs/demo.yaml"]) == 0
    facts = registry.get("demo/corpus").manifest.facts
    medical = len(list((ROOT / "demo/documents/medical").glob("*.txt")))
    general = len(list((ROOT / "demo/documents/general").glob("*.txt")))
    assert facts["documents"] == medical
    assert facts["dropped"] == {"not_medical": general}


def test_a_withdrawn_source_gives_no_new_corpus(build, registry, letters, capsys):
    assert build(letters) == 0
    removal.withdraw(registry, "letters", "consent withdrawn")
    before = len(registry.artifacts())
    capsys.readouterr()
    assert build(letters, medical_filter=None, language="fr") == 5
    assert "source letters was withdrawn" in capsys.readouterr().err
    assert len(registry.artifacts()) == before


NUMBER = "4711990815"


def test_a_patients_number_is_a_keyed_hash_and_stands_nowhere_else(
    build, registry, tmp_path, capfd
):
    lines = [
        {"text": f"{MEDICAL} {n}", "case": {"pat": number}, "doc": "Akte-9"}
        for n, number in enumerate([NUMBER, int(NUMBER), f"0{NUMBER}", "17", None, [NUMBER], "n/a"])
    ]
    lines.append({"text": f"{MEDICAL} 8", "case": {"pat": "\ud800"}, "doc": {NUMBER: 1}})
    wards = jsonl(tmp_path / "wards.jsonl", *lines)
    wards["fields"] = {"patient": "case.pat", "document": "doc"}
    assert build(wards) == 0
    artifact = corpus(registry)
    rows = pq.read_table(artifact.file("data/00000.parquet")).to_pylist()
    assert len(rows) == 8  # a number that cannot be read costs no document
    named = [row["patient"] for row in rows]
    assert len(set(named[:3])) == 1
    assert named[0] != named[3] is not None
    assert named[4:7] == [None] * 3
    assert len({row["document"] for row in rows[:7]}) == 1
    assert rows[7]["document"] is None
    assert [line["patient"] for line in listed_documents(artifact)] == named
    stats = json.loads(artifact.file("stats.json").read_text())
    assert stats["notes"]["patient unknown"] == 4
    said = "".join(capfd.readouterr())
    key = registry.home / "keys/identifiers.key"
    assert key.stat().st_mode & 0o777 == 0o600
    for path in (p for p in registry.home.rglob("*") if p.is_file() and p != key):
        content = path.read_bytes()
        assert NUMBER.encode() not in content, path
        assert key.read_bytes() not in content, path
    table = pq.read_table(artifact.file("data/00000.parquet")).to_pylist()
    assert NUMBER not in f"{table}{said}"
    assert key.read_bytes().hex() not in f"{table}{said}{artifact.manifest}"


def test_two_houses_name_one_patient_differently(build, registry, tmp_path, monkeypatch):
    wards = jsonl(tmp_path / "wards.jsonl", {"text": MEDICAL, "pat": NUMBER})
    wards["fields"] = {"patient": "pat"}
    assert build(wards) == 0
    (here,) = listed_documents(corpus(registry))
    other = Registry(tmp_path / "other")
    found(other)
    monkeypatch.setenv("BEDSIDE_HOME", str(other.home))
    assert build(wards) == 0
    (there,) = listed_documents(corpus(other))
    assert here["matching_sha256"] == there["matching_sha256"]
    assert here["patient"] != there["patient"]


def test_a_lost_key_is_not_replaced_in_silence(build, registry, tmp_path, capsys):
    wards = jsonl(tmp_path / "wards.jsonl", {"text": MEDICAL, "pat": NUMBER})
    wards["fields"] = {"patient": "pat"}
    assert build(wards) == 0
    key = registry.home / "keys/identifiers.key"
    key.rename(tmp_path / "moved")
    assert build(wards) == 4
    assert "restore it from a backup" in capsys.readouterr().err
    assert not key.exists()
    (tmp_path / "moved").rename(key)
    assert build(wards) == 0
    assert "reused" in capsys.readouterr().out

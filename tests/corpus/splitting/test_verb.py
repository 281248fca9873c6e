"""`bedside corpus split` and the build behind it, on dirty files of our own invention."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from bedside_core.cli import main
from bedside_core.heldout import read_heldout
from bedside_core.kinds.corpus import listed_documents
from bedside_core.matching import canonical

WORDS = (
    "Patient Aufnahme Atemnot Husten Fieber Röntgen Thorax Pleuraerguss Sonographie Labor "
    "Kreatinin Leukozyten Therapie Antibiotikum Sauerstoff Besserung Entlassung Kontrolle "
    "Hausarzt Medikation Ramipril Bisoprolol Diurese Gewicht Ödeme Blutdruck Puls Temperatur "
    "Sättigung Verlauf"
).split()


def letter(number):
    """32 words, of which no other letter has a run of eight."""
    return " ".join(
        f"{WORDS[(number * 7 + n * (number % 11 + 1)) % 30]} {number}{n}" for n in range(16)
    )


@pytest.fixture
def ward(tmp_path):
    """Sixty letters of twenty patients in two sources, whose systems write numbers differently."""
    letters = [
        {"text": letter(n), "pat": f"00{100 + n % 20}", "doc": n, "id": f"letter-{n}"}
        for n in range(40)
    ]
    labs = [{"text": letter(100 + n), "pat": 100 + n, "doc": None} for n in range(20)]
    # Near copies: without a patient, with another number, and one that is mojibake.
    letters.append({"text": letter(3) + " Nachtrag.", "pat": "n/a"})
    letters.append({"text": letter(4).replace("40 ", "4O ", 1), "pat": "555"})
    letters.append({"text": letter(5).encode().decode("cp1252", "replace"), "pat": None})
    letters.append({"text": "kurz", "pat": "777"})
    sources = []
    for name, rows, kind in (("letters", letters, "letter"), ("labs", labs, "finding")):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        sources.append(
            {"name": name, "path": str(path), "format": "jsonl", "licence": "CC0-1.0", "type": kind,
             "personal_data": "pseudonymised", "fields": {"patient": "pat", "document": "doc"}}
        )  # fmt: skip
    return sources


@pytest.fixture
def run(tmp_path, registry, ward):
    """Run a verb with a config; returns the exit code."""

    def verb(name, *options, **settings):
        split = {
            "folder": str(tmp_path / "held"),
            "sets": {
                "letters": {"size": 12, "sources": ["letters"], "stratify_by": ["type"]},
                "both": {"size": 0.1},
            },
        } | settings
        corpus = {"language": "de", "sources": ward, "split": split}
        config = tmp_path / "run.yaml"
        config.write_text(yaml.safe_dump({"name": "test", "corpus": corpus}))
        return main(["corpus", name, "--config", str(config), *options])

    return verb


def sets(tmp_path):
    return {path.name: path.read_bytes() for path in sorted((tmp_path / "held").iterdir())}


def test_sets_are_sealed_and_the_corpus_has_nothing_of_their_patients(
    run, registry, tmp_path, capsys
):
    assert run("build") == 3
    assert "run `bedside corpus split --config FILE` first" in capsys.readouterr().err
    assert run("split") == 0
    held = {name: read_heldout(tmp_path / "held" / name) for name in sets(tmp_path)}
    assert set(held) == {"letters.jsonl", "both.jsonl"}
    assert 12 <= len(held["letters.jsonl"]) < 15
    assert (tmp_path / "held/both.jsonl").stat().st_mode & 0o777 == 0o600
    patients = {name: {text.patient for text in texts} for name, texts in held.items()}
    assert not patients["letters.jsonl"] & patients["both.jsonl"]
    facts = registry.get("test/split").manifest.facts
    assert facts["sets"]["letters.jsonl"]["strata"] == {"letter": len(held["letters.jsonl"])}

    assert run("build") == 0
    corpus = registry.get("test/corpus")
    listed = list(listed_documents(corpus))
    assert not {line["patient"] for line in listed} & set.union(*patients.values()) - {None}
    dropped = corpus.manifest.facts["dropped"]
    assert len(listed) + sum(dropped.values()) == 64
    assert dropped["heldout"] + dropped.get("heldout_near", 0) >= sum(map(len, held.values()))
    assert dropped["heldout_patient"] > 0  # the laboratory's texts of the letters' patients
    forms = [canonical(text.text) for texts in held.values() for text in texts]
    assert corpus.manifest.parents["split"] == registry.slot("test", "split")
    text = "".join(
        canonical(row["text"])
        for row in __import__("pyarrow.parquet")
        .parquet.read_table(corpus.path / "data")
        .to_pylist()
    )
    assert not any(form in text for form in forms)


def test_near_copies_are_one_cluster(run, tmp_path):
    sets = {"a": {"size": 58}}
    assert run("split", "--set", "corpus.near_duplicates=null", sets=sets) == 0
    found = read_heldout(tmp_path / "held/a.jsonl")
    assert len({text.patient for text in found}) > 17
    by_text = {canonical(text.text): text.cluster for text in found}
    copies = [
        (letter(3), f"{letter(3)} Nachtrag."),
        (letter(4), letter(4).replace("40 ", "4O ", 1)),
    ]
    both = [pair for pair in copies if all(canonical(text) in by_text for text in pair)]
    assert both
    for one, other in both:
        assert by_text[canonical(one)] == by_text[canonical(other)]


def test_the_sets_stay_until_another_draw_is_asked_for(run, registry, tmp_path, ward, capsys):
    assert run("split") == 0
    first, artifact = sets(tmp_path), registry.slot("test", "split")
    assert run("split") == 0
    assert "reused" in capsys.readouterr().out
    with (tmp_path / "letters.jsonl").open("a") as file:
        file.write(json.dumps({"text": letter(500)}) + "\n")
    assert run("split") == 0
    assert "the sets stay" in capsys.readouterr().out
    assert (sets(tmp_path), registry.slot("test", "split")) == (first, artifact)
    assert run("split", draw=2) == 0
    second = sets(tmp_path)
    assert second["letters.jsonl"] != first["letters.jsonl"]
    assert registry.slot("test", "split") != artifact
    assert run("split") == 2
    assert "were drawn 2 times" in capsys.readouterr().err
    assert sets(tmp_path) == second


def test_a_set_that_was_added_or_changed_needs_another_draw(run, registry, tmp_path, capsys):
    one = {"a": {"size": 6}}
    assert run("split", sets=one) == 0
    first, artifact = sets(tmp_path), registry.slot("test", "split")
    assert run("split", sets=one | {"b": {"size": 4}}) == 2
    assert (
        "corpus.split.sets.b was added after draw 1, whose sets stay - set corpus.split.draw to 2"
        in capsys.readouterr().err
    )
    assert (sets(tmp_path), registry.slot("test", "split")) == (first, artifact)
    (tmp_path / "held/a.jsonl").unlink()
    assert run("split", sets={"a": {"size": 20}}) == 3
    assert "sources and settings as they are now give another" in capsys.readouterr().err
    assert run("split", sets=one) == 0
    assert sets(tmp_path) == first
    assert run("split", draw=2, sets=one | {"b": {"size": 4}}) == 0
    assert set(sets(tmp_path)) == {"a.jsonl", "b.jsonl"}


def test_a_set_that_was_changed_is_noticed(run, registry, tmp_path, capsys):
    assert run("split") == 0
    path = tmp_path / "held/letters.jsonl"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"Atemnot", b"Husten", 1))
    for verb in ("split", "build"):
        assert run(verb) == 3
        assert "was changed after it was drawn" in capsys.readouterr().err
    assert run("split", draw=2) == 3
    assert "not as it was drawn - move it away" in capsys.readouterr().err
    path.unlink()
    assert run("build") == 3
    assert "is gone" in capsys.readouterr().err
    assert run("split") == 0
    assert path.read_bytes() == content


def test_a_killed_split_draws_the_same_sets(run, registry, tmp_path, ward):
    assert run("split") == 0
    undisturbed = sets(tmp_path)
    for path in (tmp_path / "held").iterdir():
        path.unlink()
    (tmp_path / "home2").mkdir()
    key = tmp_path / "home/keys/identifiers.key"
    env = {**os.environ, "BEDSIDE_HOME": str(tmp_path / "home2")}
    command = [sys.executable, "-m", "bedside_core.cli"]
    subprocess.run([*command, "registry", "init"], env=env, check=True, capture_output=True)
    (tmp_path / "home2/keys/identifiers.key").write_bytes(key.read_bytes())
    (tmp_path / "home2/keys/identifiers.key").chmod(0o600)
    left = []
    for what in ("work/*/read/completions/*", "work/*/write/records/*", "../held/*.jsonl"):
        process = subprocess.Popen(
            [*command, "corpus", "split", "--config", str(tmp_path / "run.yaml")],
            env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while process.poll() is None and not list((tmp_path / "home2").glob(what)):
            time.sleep(0.001)
        process.kill()
        left.append(process.wait())
    assert -signal.SIGKILL in left
    subprocess.run(
        [*command, "corpus", "split", "--config", str(tmp_path / "run.yaml")],
        env=env, check=True, capture_output=True,
    )  # fmt: skip
    assert sets(tmp_path) == undisturbed


@pytest.mark.parametrize(
    ("settings", "words", "code"),
    [
        ({"sets": {"a": {"size": 500}}}, "there are 6", 3),
        ({"sets": {"a": {"size": 5, "sources": ["nobody"]}}}, "is no source", 2),
        ({"sets": {"a": {"size": 5, "stratify_by": ["colour"]}}}, "is no column of text", 2),
        ({"sets": {"a": {"size": 0}}}, "size", 2),
        ({"sets": {"a/b": {"size": 1}}}, "a/b", 2),
    ],
)
def test_settings_that_do_not_fit(run, capsys, settings, words, code):
    assert run("split", **settings) == code
    assert words in capsys.readouterr().err


def test_a_set_of_pseudonymised_texts_keeps_the_originals_out(registry, build, tmp_path):
    key = tmp_path / "phi.key"
    key.write_bytes(bytes(range(32)))
    path = tmp_path / "ward.jsonl"
    names = ("Karl Beispielmann", "Erika Musterfrau", "Hans Vorlage", "Ute Probe")
    rows = [
        {"text": " ".join(f"Herr {name} hat Puls {n}{k}, Herr {name} hustet." for k in range(9))}
        for n, name in enumerate(names)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ward = {"name": "ward", "path": str(path), "format": "jsonl", "licence": "CC0-1.0",
            "personal_data": "pseudonymised"}  # fmt: skip
    settings = {
        "phi": {"on_hit": "pseudonymise", "key": str(key)},
        "split": {"folder": str(tmp_path / "held"), "sets": {"a": {"size": 2}}},
        "near_duplicates": None,
    }
    assert build(ward, **settings) == 3  # writes the config; nothing is drawn yet
    assert main(["corpus", "split", "--config", str(tmp_path / "run.yaml")]) == 0
    held = read_heldout(tmp_path / "held/a.jsonl")
    assert not any(name.split()[1] in text.text for text in held for name in names)
    assert build(ward, **settings) == 0
    facts = registry.get("test/corpus").manifest.facts
    assert (facts["documents"], facts["dropped"]) == (2, {"heldout": 2})


def test_what_is_withdrawn_while_sets_are_drawn_is_in_none(
    run, registry, tmp_path, monkeypatch, capsys
):
    from bedside_corpus.engine import build as engine

    real = engine.run_stages

    def withdrawing(*given):
        done = real(*given)
        why = ["--reason", "objection of 3 May"]
        assert main(["registry", "withdraw", "patient:101", *why]) == 0
        return done

    monkeypatch.setattr(engine, "run_stages", withdrawing)
    assert run("split") == 3
    assert "withdrawn while the documents were read" in capsys.readouterr().err
    assert not (tmp_path / "held").exists()
    monkeypatch.setattr(engine, "run_stages", real)
    assert run("split") == 0
    assert registry.get("test/split").manifest.facts["dropped"]["withdrawn"] == 3

"""A document or a patient is withdrawn, and a rebuilt corpus proves its absence."""

import json
import os
import signal
import subprocess
import sys
import time
import unicodedata

import pyarrow.parquet as pq
import pytest

from bedside_core.cli import main
from bedside_core.errors import PolicyError
from bedside_core.identifiers import Identifiers
from bedside_core.kinds.corpus import listed_documents
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_corpus.config import CorpusConfig
from bedside_corpus.engine.work import Work

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


NUMBER = "4711990815"
GONE = "Aufnahme wegen Dyspnoe bei bekannter Herzinsuffizienz. " + letter(7)
WHY = ["--reason", "objection of 3 May"]


def rows(tmp_path, name, *lines, **more):
    path = tmp_path / f"{name}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {"name": name, "path": str(path), "format": "jsonl", "licence": "CC0-1.0",
            "personal_data": "pseudonymised", "fields": {"patient": "pat"}} | more  # fmt: skip


@pytest.fixture
def ward(tmp_path):
    """Twelve letters, of which one is about to be withdrawn and two more are of its patient."""
    lines = [{"id": n, "text": letter(100 + n), "pat": n} for n in range(9)]
    lines += [{"id": f"other-{n}", "text": letter(200 + n), "pat": f"00{NUMBER}"} for n in range(2)]
    return rows(tmp_path, "ward", *lines, {"id": "gone", "text": GONE, "pat": NUMBER})


def registry_verb(*words):
    return main(["registry", *words])


def texts(registry):
    table = pq.read_table(registry.get("test/corpus").path / "data")
    return [row["text"] for row in table.to_pylist()]


def dropped(registry):
    return registry.get("test/corpus").manifest.facts["dropped"]


def copies(tmp_path):
    """The withdrawn letter again, as other systems, files and people have left it."""
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "renamed.txt").write_text(GONE, encoding="utf-8")
    (folder / "windows.txt").write_bytes(GONE.replace("\n", "\r\n").encode("cp1252"))
    (folder / "decomposed.txt").write_text(unicodedata.normalize("NFD", GONE), encoding="utf-8")
    (folder / "mojibake.txt").write_text(GONE.encode().decode("latin-1"), encoding="utf-8")
    (folder / "layout.txt").write_text(GONE.replace(" ", "  ").upper(), encoding="utf-8")
    (folder / "near.txt").write_text(GONE.replace("bekannter", "schwerer"), encoding="utf-8")
    (folder / "kept.txt").write_text(letter(300), encoding="utf-8")
    return {"name": "archive", "path": str(folder), "format": "text", "licence": "CC0-1.0",
            "personal_data": "none"}  # fmt: skip


def test_a_document_stays_out_in_every_disguise(build, registry, ward, tmp_path, capsys):
    assert build(ward) == 0
    assert registry_verb("withdraw", "document:ward/ward.jsonl#gone", *WHY) == 0
    archive = copies(tmp_path)
    assert build(archive, ward, near_duplicates=None, language_threshold=None) == 0
    assert dropped(registry) == {"withdrawn": 6, "withdrawn_near": 1}
    kept = texts(registry)
    assert letter(300) in kept
    assert len(kept) == 12
    assert not any("Dyspnoe" in text for text in kept)
    entry = registry.entries()[-1]
    assert registry.get("test/corpus").manifest.facts["withdrawn"] == {
        "entries": 1, "seq": entry.seq, "hash": entry.hash,
    }  # fmt: skip
    capsys.readouterr()
    assert main(["corpus", "absence", "test/corpus"]) == 0
    said = capsys.readouterr().out
    assert "1 withdrawn documents and patients" in said
    assert f"its hash {entry.hash}" in said


def test_all_texts_of_a_patient_stay_out_also_where_nobody_says_whose_they_are(
    build, registry, ward, tmp_path
):
    assert build(ward) == 0
    assert registry_verb("withdraw", f"patient:{NUMBER}", *WHY) == 0
    unnamed = rows(tmp_path, "copy", {"id": 1, "text": letter(201)}, {"id": 2, "text": letter(7)})
    assert build({**unnamed, "fields": {}}, ward) == 0
    assert dropped(registry) == {"withdrawn": 4, "withdrawn_near": 1}
    assert main(["corpus", "absence", "test/corpus"]) == 0


def test_a_patient_may_object_before_any_text_was_built(build, registry, ward):
    assert registry_verb("withdraw", f"patient: 00{NUMBER} ", *WHY) == 0
    assert build(ward) == 0
    assert dropped(registry) == {"withdrawn": 3}


def test_log_and_home_hold_neither_number_nor_id_nor_text(build, registry, ward, capfd):
    assert build(ward) == 0
    assert registry_verb("withdraw", f"patient:{NUMBER}", *WHY) == 0
    assert registry_verb("withdraw", "document:ward/ward.jsonl#3", *WHY) == 0
    assert registry_verb("withdraw", f"patient:{NUMBER}", "--reason", f"of {NUMBER}") == 2
    assert "the reason names the patient" in capfd.readouterr().err
    written = registry.log.path.read_bytes()
    for secret in (NUMBER, "ward.jsonl#3", "ward.jsonl", "gone", "Dyspnoe", "Atemnot"):
        assert secret.encode() not in written
    said = "".join(capfd.readouterr())
    assert registry_verb("log") == 0
    assert NUMBER not in said + "".join(capfd.readouterr())


def test_pseudonymised_texts_are_known_by_what_they_were(build, registry, tmp_path):
    key = tmp_path / "phi.key"
    key.write_bytes(bytes(range(32)))
    text = f"Herr Karl Beispielmann, geb. 03.04.1951, wurde am 02.01.2026 entlassen. {letter(7)}"
    ward = rows(tmp_path, "ward", {"id": 1, "text": text}, {"id": 2, "text": letter(8)})
    phi = {"on_hit": "pseudonymise", "key": str(key)}
    assert build(ward, phi=phi) == 0
    before = list(listed_documents(registry.get("test/corpus")))
    assert "Beispielmann" not in "".join(texts(registry))
    assert registry_verb("withdraw", f"document:{before[0]['id']}", *WHY) == 0
    again = rows(tmp_path, "again", {"id": 9, "text": text}, {"id": 2, "text": letter(8)})
    assert build(again, phi=phi) == 0
    assert dropped(registry) == {"withdrawn": 1}
    assert main(["corpus", "absence", "test/corpus"]) == 0


def test_what_holds_it_is_named_and_neither_trained_on_nor_promoted(
    build, registry, ward, put_model, capsys
):
    assert build(ward) == 0
    old = registry.get("test/corpus")
    model = put_model(old)
    run = Run("test", "core", "step", registry)
    run.input("corpus")
    assert registry_verb("withdraw", f"patient:{NUMBER}", *WHY) == 0
    said = capsys.readouterr().out
    assert f"checkpoint {model.digest[:12]}" in said
    assert "may still be served" in said
    assert registry.entries()[-1].members["models"] == [model.digest]
    for slot in ("corpus", "checkpoint"):
        with pytest.raises(
            PolicyError, match=r"may not be used: patient .* build the corpus again"
        ):
            run.input(slot)
    registry.refuse_withdrawn("model", model.digest)  # an engine asks this, and goes on
    with pytest.raises(PolicyError, match="was made with something"):
        registry.refuse_erased("model", model.digest)
    assert registry_verb("lineage", f"patient:{NUMBER}") == 0
    both_ways = capsys.readouterr().out
    assert "3 document(s)" in both_ways
    assert (
        f"checkpoint {model.digest[:12]} by test checkpoint (holds what was withdrawn)" in both_ways
    )
    assert main(["corpus", "absence", old.digest]) == 5
    assert "by its listing 3, by its text 3 - build it again" in capsys.readouterr().err
    assert build(ward) == 0
    run.input("corpus")
    assert registry_verb("withdraw", f"patient:{NUMBER}", *WHY, "--models") == 0
    with pytest.raises(PolicyError, match="may not be used"):
        registry.refuse_withdrawn("model", model.digest)


@pytest.fixture
def put_model(registry):
    """A checkpoint that was trained on a corpus, in its run's slot."""

    def put(corpus):
        run = Run("test", "test", "checkpoint", registry)
        made = recipe_of("test checkpoint", corpus)
        from bedside_core.artifacts import Producer, write_artifact

        producer = Producer(service="test", version="0", git_revision=None, image_digest=None)
        with write_artifact(
            registry.store, "checkpoint", recipe=made, producer=producer, licences=()
        ) as writer:
            (writer.path / "weights").write_bytes(b"1")
        registry.set_slot(run.name, "checkpoint", writer.result.digest)
        return writer.result

    return put


def recipe_of(verb, corpus):
    from bedside_core.artifacts import Recipe

    return Recipe(verb=verb, version="0", config={}, parents={"corpus": corpus.digest}, inputs={})


def test_what_is_withdrawn_while_a_build_runs_is_not_in_it(
    build, registry, ward, monkeypatch, capsys
):
    from bedside_corpus.engine import build as engine

    real = engine.run_stages

    def withdrawing(*given):
        done = real(*given)
        assert registry_verb("withdraw", f"patient:{NUMBER}", *WHY) == 0
        return done

    monkeypatch.setattr(engine, "run_stages", withdrawing)
    assert build(ward) == 3
    captured = capsys.readouterr()
    assert "a build is running" in captured.out
    assert "withdrawn while the documents were read" in captured.err
    monkeypatch.setattr(engine, "run_stages", real)
    assert build(ward) == 0
    assert dropped(registry) == {"withdrawn": 3}
    # Whatever else wrote a corpus without looking, after the withdrawal.
    monkeypatch.setattr(Registry, "erased", lambda self: [])
    assert build(ward) == 0
    monkeypatch.undo()
    monkeypatch.setenv("BEDSIDE_HOME", str(registry.home))
    with pytest.raises(PolicyError, match="build the corpus again"):
        Run("test", "core", "step", registry).input("corpus")


def test_quarantine_and_unfinished_builds_go_with_it(build, registry, ward, tmp_path, capsys):
    named = "Herr Karl Beispielmann, geb. 03.04.1951, Tel. 0761 555 0199."
    quarantine = rows(tmp_path, "named", {"id": 1, "text": f"{named} {letter(9)}"})
    assert build(ward, quarantine, phi={"on_hit": "quarantine"}) == 0
    (aside,) = registry.home.glob("work/phi-*")
    assert list(aside.rglob("*.json"))
    for stage in ("read/documents", "draw/documents", "select/data"):
        (registry.home / f"work/0123456789{stage[:4]}" / stage).mkdir(parents=True)
    training = registry.home / "work/fedcba9876543210"
    training.mkdir()
    assert registry_verb("withdraw", "document:ward/ward.jsonl#gone", *WHY) == 0
    assert "removed with their documents: 4 unfinished builds and quarantines" in (
        capsys.readouterr().out
    )
    assert sorted(p.name for p in (registry.home / "work").iterdir()) == [training.name]


def test_two_houses_know_nothing_of_each_other(
    build, registry, ward, tmp_path, monkeypatch, capsys
):
    assert build(ward) == 0
    assert registry_verb("withdraw", f"patient:{NUMBER}", *WHY) == 0
    other = Registry(tmp_path / "other")
    found(other)
    monkeypatch.setenv("BEDSIDE_HOME", str(other.home))
    assert build(ward) == 0
    assert len(texts(other)) == 12
    monkeypatch.setenv("BEDSIDE_HOME", str(registry.home))
    here, there = (home / "keys/identifiers.key" for home in (registry.home, other.home))
    mine = here.read_bytes()
    here.write_bytes(there.read_bytes())
    assert build(ward) == 4
    assert "is not the key that withdrawn documents and patients were named by" in (
        capsys.readouterr().err
    )
    here.unlink()
    assert build(ward) == 4
    assert "another key would not recognise the patients" in capsys.readouterr().err
    here.write_bytes(mine)
    here.chmod(0o600)
    assert build(ward) == 0
    assert dropped(registry) == {"withdrawn": 3}


def test_a_killed_rebuild_proves_the_same(build, registry, ward, tmp_path):
    assert build(ward) == 0
    assert registry_verb("withdraw", f"patient:{NUMBER}", *WHY) == 0
    command = [sys.executable, "-m", "bedside_core.cli", "corpus", "build", "--config",
               str(tmp_path / "run.yaml")]  # fmt: skip
    process = subprocess.Popen(
        command, env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not list(registry.home.glob("work/*/read/completions/*")):
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert build(ward) == 0
    assert dropped(registry) == {"withdrawn": 3}
    assert main(["corpus", "absence", "test/corpus"]) == 0


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("document:nobody", "no corpus of this registry holds that document"),
        ("patient:n/a", "nothing is named behind the colon"),
        ("patient:", "nothing is named behind the colon"),
    ],
)
def test_a_slip_withdraws_nothing(build, registry, ward, capsys, what, words):
    assert build(ward) == 0
    before = len(registry.entries())
    assert registry_verb("withdraw", what, *WHY) in (2, 4)
    assert words in capsys.readouterr().err
    assert len(registry.entries()) == before


def test_near_is_half_of_the_phrases_and_a_template_is_not():
    names = Identifiers(bytes(32))
    from bedside_core.matching import canonical

    trace = names.trace("1", canonical(GONE))
    assert trace.parse(str(trace)) == trace
    assert trace.is_near(names.runs(canonical(GONE.replace("wegen", "bei"))))
    assert trace.is_near(names.runs(canonical(f"{letter(400)} {GONE} {letter(401)}")))
    assert not trace.is_near(names.runs(canonical(letter(8))))
    head = "Sehr geehrte Kolleginnen und Kollegen, wir berichten über unseren gemeinsamen Patienten"
    one, other = (names.trace("1", canonical(f"{head} {letter(n)}")) for n in (500, 501))
    assert not one.is_near(set(other.sketch))
    assert not names.trace("1", "kein befund").is_near(names.runs("kein befund"))


def test_a_worker_on_another_machine_looks_for_the_same(build, registry, ward, tmp_path):
    assert build(ward) == 0
    assert registry_verb("withdraw", f"patient:{NUMBER}", *WHY) == 0
    config = CorpusConfig(language="de", sources=[ward])
    work = Work(config, (), tmp_path, tmp_path / "key", withdrawn=tuple(registry.erased()))
    work.save()
    assert Work.load(tmp_path) == work
    assert len(work.withdrawn[0].traces) == 3


def test_the_build_says_which_held_out_texts_were_withdrawn(
    build, registry, ward, tmp_path, capsys
):
    assert build(ward) == 0
    held = tmp_path / "held.jsonl"
    held.write_text(
        "".join(json.dumps({"id": f"t{n}", "text": letter(200 + n)}) + "\n" for n in (0, 9))
    )
    assert registry_verb("withdraw", f"patient:{NUMBER}", *WHY) == 0
    capsys.readouterr()
    assert build(ward, heldout=[str(held)]) == 0
    assert f"{held}: 1 of its texts were withdrawn" in capsys.readouterr().out

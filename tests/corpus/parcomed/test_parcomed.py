"""configs/parcomed-corpus.yaml: each source is read in its published layout, and both versions."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from bedside_core.cli import main
from bedside_corpus.config import CorpusConfig
from bedside_corpus.intake.read import read
from bedside_corpus.sources import find_files

sys.path.insert(0, str(Path(__file__).parent))
import layouts

CONFIG = Path(__file__).parents[3] / "configs/parcomed-corpus.yaml"
SECTION = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["corpus"]
SOURCES = {source.name: source for source in CorpusConfig.model_validate(SECTION).sources}
TABLE_1 = {
    "hal": True, "has": True, "istex": True, "bdpm": True, "wikipedia": True, "wmt16": True,
    "emea-v3": True, "cerimes": True, "frasimed": True, "deft2021": True, "quaero": True,
    "frenchmedmcqa": True, "cnedimts": True, "ecdc-tm": True, "pxcorpus": True,
    "qualiscope": True, "mantra-gsc": True, "e3c": False, "cas": False, "clear": False,
    "essai": False, "mqc": False, "wmt18-medline": False,
}  # fmt: skip
"""What the paper says of commercial use."""
DISPUTED = {"frasimed", "pxcorpus"}
"""The authors' own list says no."""


def test_the_list_is_table_1_and_no_looser():
    assert set(SOURCES) == set(TABLE_1)
    for name, source in SOURCES.items():
        assert (source.refusal("commercial") is None) == (TABLE_1[name] and name not in DISPUTED)
        assert source.refusal("research") is None
        assert source.attribution


@pytest.mark.parametrize("name", TABLE_1)
def test_three_documents_in_the_published_layout(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = SOURCES[name]
    texts = layouts.WRITERS[name](source.path)
    records = [record for file in find_files(source) for record in read(file)]
    assert [record.damage for record in records] == [None] * 3
    assert [str(record.fields["text"]).strip() for record in records] == texts
    for record in records:
        assert source.permits("research", record.fields["licence"])


@pytest.fixture
def samples(tmp_path, monkeypatch):
    """All sources on small samples, a held-out text, and exams of which one has a question here."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(CONFIG, tmp_path)
    texts = {name: layouts.WRITERS[name](source.path) for name, source in SOURCES.items()}
    held = "Compte rendu tenu à part : douleur thoracique atypique, bilan négatif."
    question = " ".join(texts["frenchmedmcqa"][0].split())
    for folder, text in zip(SECTION["heldout"], (held, question), strict=True):
        Path(folder).mkdir(parents=True)
        (Path(folder) / "1.txt").write_text(text, encoding="utf-8")
    # An item whose words stand in a document of WMT18, and others that stand in none.
    known = texts["wmt18-medline"][0].removesuffix(".")
    for number, path in enumerate(SECTION["exams"]):
        asked = f"{known}, vrai ou faux selon vous ?" if number == 0 else f"Question {path} ?"
        item = {"id": "1", "question": asked, "options": ["oui", "non", "parfois", "jamais"]}
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({**item, "answer": 0, "language": "de"})
        Path(path).write_text(f"{line}\n", encoding="utf-8")
    return texts


def test_one_list_gives_both_versions(samples, registry, capsys):
    found = {}
    for purpose in ("commercial", "research"):
        command = ["--config", CONFIG.name, "--set", f"corpus.purpose={purpose}"]
        assert main(["check", *command]) == 3  # the base model is not here
        assert "corpus" not in capsys.readouterr().err
        assert main(["corpus", "build", *command]) == 0
        artifact = registry.get("parcomed/corpus")
        table = pq.read_table(artifact.path / "data")
        facts = artifact.manifest.facts
        assert facts["purpose"] == purpose
        assert facts["documents"] == table.num_rows
        # The four BRAT samples hold the same three texts: one copy of each stays.
        # So does all but what is measured on: a question, and in one version an item.
        asked = {"heldout": 1} | ({"heldout_ngram": 1} if purpose == "research" else {})
        assert facts["dropped"].items() >= asked.items()
        assert set(facts["dropped"]) == {"duplicate_text", *asked}
        found[purpose] = (
            set(facts["left_out"]),
            facts["documents"],
            {one for item in artifact.manifest.licences for one in item.obligations},
        )
        printed = capsys.readouterr().out
        assert ("source e3c: left out, not permitted" in printed) == (purpose == "commercial")
    left_out, documents, obligations = found["commercial"]
    assert left_out == {name for name, sold in TABLE_1.items() if not sold} | DISPUTED
    assert obligations == {"attribution", "notice", "review", "share-alike"}
    assert found["research"][0] == set()
    assert found["research"][1] > documents
    assert found["research"][2] == obligations | {"non-commercial"}


def test_the_ready_snapshot(tmp_path, registry, monkeypatch):
    """HealthDataHub/PARCOMED as the comment at the end of the config has it."""
    monkeypatch.chdir(tmp_path)
    comment = CONFIG.read_text(encoding="utf-8").split("#   - name: parcomed\n")[1]
    lines = [line.removeprefix("#     ") for line in comment.splitlines()]
    source = {"name": "parcomed", "personal_data": "none", **yaml.safe_load("\n".join(lines))}
    texts = ["Le foie est un organe.", "Le rein filtre le sang.", "La rate est à gauche."]
    table = {"input": texts, "source": ["HAL", "HAS", "CAS"], "document_type": ["Scientific"] * 3}
    layouts._parquet(Path(source["path"]) / "train-00000-of-00012.parquet", table)
    (tmp_path / "data/PARCOMED/finetuning/README.md").write_text("card")
    config = tmp_path / "run.yaml"
    corpus = {"language": "fr", "sources": [source]}
    config.write_text(yaml.safe_dump({"name": "ready", "corpus": corpus}))
    assert main(["corpus", "build", "--config", str(config)]) == 0
    rows = pq.read_table(registry.get("ready/corpus").path / "data").to_pylist()
    assert [row["text"] for row in rows] == texts

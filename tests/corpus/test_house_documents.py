"""configs/house-documents.yaml on small files of our own invention, one of each format."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path

import openpyxl
import pyarrow.parquet as pq
import pytest

from bedside_core.cli import main

sys.path.insert(0, str(Path(__file__).parent / "intake"))
import samples

CONFIG = Path(__file__).parents[2] / "configs/house-documents.yaml"
W = '<w:p><w:r><w:t xml:space="preserve">{}</w:t></w:r></w:p>'
NAMED = "Herr Karl Beispielmann, geb. 03.04.1951, Tel. 0761 555 0199, wurde entlassen."
SECTION = "<section><title>Labor</title><text>Kalium 4,2 mmol/l</text></section>"


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A folder as the config names it."""
    book = openpyxl.Workbook()
    for row in (["Auftrag", "Befund"], [17, "Röntgen Thorax: kein Erguss, keine Stauung."]):
        book.active.append(row)
    xlsx = io.BytesIO()
    book.save(xlsx)
    files = {
        "letters/a.pdf": samples.pdf([[(50, 700, "Der Patient wurde beschwerdefrei entlassen.")]]),
        "letters/named.pdf": samples.pdf([[(50, 700, NAMED)]]),
        "letters/scan.PDF": samples.pdf([[]]),
        "letters/locked.pdf": samples.encrypted_pdf(),
        "letters/old.doc": b"x",
        "guidelines/a.docx": samples.docx(W.format("Bei Verdacht auf Sepsis sofort Antibiose.")),
        "intranet/a.html": "<p>Notfallnummer der Kardiologie: 17 Größe".encode("cp1252"),
        "cda/a.xml": samples.cda(
            f"<structuredBody><component>{SECTION}</component></structuredBody>"
        ),
        "findings/a.xlsx": xlsx.getvalue(),
        "notes/a.csv": "doc_no;pat;body\n7;0471199;Patient erhält 5 µg, Größe 180 cm\n".encode(
            "cp850"
        ),
    }
    for name, data in files.items():
        path = tmp_path / "data/documents" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    shutil.copy(CONFIG, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_checks_and_runs_on_a_file_of_each_format(house, registry, capsys):
    assert main(["check", "--config", CONFIG.name]) == 3  # the house's base model is not here
    assert "corpus" not in capsys.readouterr().err
    assert main(["corpus", "build", "--config", CONFIG.name]) == 0
    assert "source letters: passed over: 1 .doc" in capsys.readouterr().out
    artifact = registry.get("house-documents/corpus")
    table = pq.read_table(artifact.path / "data")
    rows = {row["source"]: row for row in table.to_pylist()}
    assert {name: row["text"] for name, row in rows.items()} == {
        "letters": "Der Patient wurde beschwerdefrei entlassen.",
        "guidelines": "Bei Verdacht auf Sepsis sofort Antibiose.",
        "intranet": "Notfallnummer der Kardiologie: 17 Größe",
        "discharge": "Labor\n\nKalium 4,2 mmol/l",
        "findings": "Röntgen Thorax: kein Erguss, keine Stauung.",
        "notes": "Patient erhält 5 µg, Größe 180 cm",
    }
    assert rows["notes"]["id"].endswith("7")
    # The table and the header of the CDA document write one number in two ways.
    assert rows["notes"]["patient"] == rows["discharge"]["patient"] != rows["findings"]["patient"]
    assert artifact.manifest.facts["dropped"] == {"encrypted": 1, "no_text_layer": 1, "phi": 1}
    assert artifact.manifest.facts["declared"]["letters"]["personal_data"] == "pseudonymised"
    notes = json.loads(artifact.file("stats.json").read_text())["notes"]
    assert notes.items() >= {"encoding cp1252": 1, "encoding cp850": 1}.items()
    assert [item.obligations for item in artifact.manifest.licences] == [("review",)]

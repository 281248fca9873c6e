import io
import sys
import zipfile
from pathlib import Path

import openpyxl
import pytest

from bedside_core.errors import InputError

sys.path.insert(0, str(Path(__file__).parent))
import samples


def book(**sheets):
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
    data = io.BytesIO()
    made.save(data)
    return data.getvalue()


DATA = book(
    eins=[["Nr", "Befund"], [1, "Größe 180 cm"], [None, None], [2, "gut"]],
    legende=[["Kürzel", "Bedeutung"], ["o. B.", "ohne Befund"]],
    zwei=[["Befund", "Nr"], ["schlecht", 3]],
)


def test_rows_of_all_sheets_with_the_column(read_bytes):
    found = read_bytes("a.xlsx", DATA, "xlsx", fields={"text": "Befund", "id": "Nr"})
    assert [r.fields for r in found] == [
        {"text": "Größe 180 cm", "id": "1"},
        {"text": "gut", "id": "2"},
        {"text": "schlecht", "id": "3"},
    ]
    assert [r.line for r in found] == [1, 2, 3]
    with pytest.raises(InputError, match="no field 'text'; its fields: Nr, Befund, Kürzel"):
        read_bytes("a.xlsx", DATA, "xlsx")


def test_what_is_no_workbook_is_a_reason(read_bytes):
    with zipfile.ZipFile(io.BytesIO(DATA)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["xl/sharedStrings.xml"] = b"<sst>" + b"<si><t>x</t></si>" * 16_000_000
    bomb = samples.zipped(parts)
    for data in (b"nonsense", DATA[:-200]):
        with pytest.raises(InputError, match=r"a\.xlsx: no xlsx file, or a damaged one - copy"):
            read_bytes("a.xlsx", data, "xlsx", fields={"text": "Befund"})
    for data, reason in (
        (b"\xd0\xcf\x11\xe0" + "EncryptedPackage".encode("utf-16-le"), "encrypted"),
        (bomb, "too_large"),
    ):
        (found,) = read_bytes("a.xlsx", data, "xlsx", fields={"text": "Befund"})
        assert found.damage == reason

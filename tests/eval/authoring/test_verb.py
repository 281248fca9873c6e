"""`bedside eval check-exam` names lines and counts, and no word of an item."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bedside_core.cli import main

SECRET = "Zyanose"


def item(number: int, **fields: object) -> str:
    found = {
        "id": f"q{number}", "language": "de", "question": f"{SECRET} {number}?",
        "options": [f"{SECRET} ja", f"{SECRET} nein", f"{SECRET} {number}"], "answer": number % 3,
    }  # fmt: skip
    return json.dumps(found | fields)


def test_what_is_wrong_is_told_by_line_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "house.jsonl", tmp_path / "found.json"
    lines = [item(0), item(1), "", item(0, id="again", answer=1), '{"id": "' + SECRET + '"}']
    path.write_text("\n".join(lines), encoding="utf-8")
    assert main(["eval", "check-exam", str(path), "--output", str(out)]) == 3
    told = "".join(capsys.readouterr())
    assert SECRET not in told and SECRET not in out.read_text()
    assert "contradiction" in told and "house.jsonl:4" in told and "2 error(s)" in told
    assert "line 5" in told
    found = {one["code"]: one for one in json.loads(out.read_text())["found"]}
    assert found["invalid"]["places"] == [{"file": "house.jsonl", "line": 5}]
    assert found["contradiction"]["severity"] == "error"


def test_warnings_alone_are_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "house.jsonl"
    path.write_text("\n".join(item(n) for n in range(12)), encoding="utf-8")
    assert main(["eval", "check-exam", str(path)]) == 0
    told = capsys.readouterr().out
    assert "no_licence" in told and "and 4 more" in told and "right option C" in told


def test_nothing_to_look_at_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.jsonl").write_text("\n\n")
    assert main(["eval", "check-exam", str(tmp_path / "empty.jsonl")]) == 3
    assert main(["eval", "check-exam", str(tmp_path / "none.jsonl")]) == 3
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["open_de", "open_fr", "instructions_de", "instructions_fr", "documents_de"]
)
def test_our_own_sets_have_no_error(root: Path, name: str) -> None:
    assert main(["eval", "check-exam", str(root / f"exams/{name}.jsonl")]) == 0

"""Items of an exam that say something about a person are named by line, and never quoted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedside_core.cli import main

SECRET = "Hallwiesner"


def write(path: Path, *items: dict[str, Any]) -> str:
    lines = [
        json.dumps({"id": f"q{n}", "language": "de", "options": ["ja", "nein"], "answer": 0} | item)
        for n, item in enumerate(items)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    "item",
    [
        {"question": f"Was hat Frau {SECRET}?"},
        {"question": "Was hat sie?", "context": f"Patientin: {SECRET}, Anna, geb. 03.04.1956"},
        {"question": "Wer?", "options": [f"Herr Dr. {SECRET}, Tel. 0171 2345678", "niemand"]},
        {"question": "Was hat sie?", "id": f"Frau {SECRET}"},
        {"question": "Was hat sie?", "cluster": f"Patientin: {SECRET}, Anna"},
        {"question": "Was?", "shots": [{"question": f"Was hat Herr {SECRET}?", "answer": "x"}]},
    ],
)
def test_a_person_is_found_in_whatever_field(
    item: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "house.jsonl", {"question": "Was ist Fieber?"}, item)
    assert main(["corpus", "screen-exam", path]) == 3
    told = "".join(capsys.readouterr())
    assert "NAME" in told and "1 over 0.3" in told and SECRET not in told
    assert main(["corpus", "screen-exam", path, "--max-risk", "9"]) == 0


def test_a_sound_exam_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "house.jsonl", *({"question": f"Was ist {n}?"} for n in range(3)))
    assert main(["corpus", "screen-exam", path]) == 0
    assert "3 item(s) looked at, 0 over" in capsys.readouterr().out


def test_a_recogniser_that_breaks_lets_nothing_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "house.jsonl", {"question": f"{SECRET}?"})

    def broken(*_: object) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr("bedside_corpus.phi.screening.scan", broken)
    assert main(["corpus", "screen-exam", path]) == 3
    told = "".join(capsys.readouterr())
    assert "a recogniser broke on it (ValueError)" in told and SECRET not in told

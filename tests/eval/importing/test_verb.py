"""`bedside eval import-exam`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedside_core.cli import main
from bedside_core.kinds.exam import read_exam

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    out = tmp_path / "exam.jsonl"

    def run(layout: str, path: str, *options: str) -> tuple[int, list[Any], dict[str, Any]]:
        out.unlink(missing_ok=True)
        words = ["eval", "import-exam", layout, str(SAMPLES / path), "--out", str(out), *options]
        code = main(words)
        if not out.exists():
            return code, [], {}
        return code, read_exam(out), json.loads((tmp_path / "exam.jsonl.import.json").read_text())

    return run


def test_items_and_record(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    code, items, record = run("mmlu", "mmlu", "--subject", "anatomy", "--shots", "2")
    assert code == 0
    assert [len(item.shots) for item in items] == [2, 2]
    assert (record["lines"], record["items"], record["unused_examples"]) == (5, 2, 1)
    assert sum(record["left_out"].values()) == 3
    assert (record["licence"], record["examples_from"]) == ("MIT", "dev")
    said = capsys.readouterr()
    assert "burnt: MedAlpaca" in said.out + said.err
    # No text of an item is said or recorded.
    for text in ("bone", "Tibia", "lobes", "gland"):
        assert text not in said.out + said.err + json.dumps(record)


def test_twice_is_the_same_to_the_byte(run: Any, tmp_path: Path) -> None:
    run("longhealth-2", "longhealth.json")
    first = (tmp_path / "exam.jsonl").read_bytes()
    run("longhealth-2", "longhealth.json")
    assert (tmp_path / "exam.jsonl").read_bytes() == first


def test_contradicting_keys_need_a_rule(run: Any) -> None:
    code, items, _ = run("frenchmedmcqa", "frenchmedmcqa")
    assert (code, items) == (3, [])
    code, items, record = run("frenchmedmcqa", "frenchmedmcqa", "--contradicting", "drop",
                              "--equal", "first")  # fmt: skip
    assert (code, [item.id for item in items]) == (0, ["f1"])
    assert (record["contradicting"], record["equal"], record["dropped_by_rule"]) == (2, 1, 3)


def test_examples_of_rows_of_another_split(run: Any) -> None:
    code, items, record = run("casimedicos", "casimedicos/cases.jsonl", "--language", "fr",
                              "--shots", "1")  # fmt: skip
    assert (code, [item.id for item in items]) == (0, ["casi-train-0000"])
    assert items[0].shots[0].answer == "ECG"
    assert record["left_out"]["kept for examples"] == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("mmlo", "mmlu"), 2),  # no such layout
        (("mmmlu", "mmmlu"), 2),  # which language?
        (("mmmlu", "mmmlu", "--language", "de", "--shots", "3"), 2),  # no split for examples
        (("mmlu", "mmlu", "--split", "dev", "--shots", "1"), 2),  # examples would be items
        (("mmlu", "mmlu", "--shots", "9"), 3),  # too few
        (("mmlu", "mmlu", "--examples", str(SAMPLES / "mmlu/test"), "--shots", "1"), 3),
        (("mmlu", "nowhere"), 3),
        (("mmlu", "mmlu", "--subject", "history"), 3),  # nothing is left
    ],
)
def test_what_cannot_be_imported_writes_nothing(
    run: Any, words: tuple[str, ...], code: int
) -> None:
    assert run(*words) == (code, [], {})

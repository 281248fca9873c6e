from __future__ import annotations

import json
from typing import Any

import pytest


def test_a_checkpoint_says_what_packing_did(house: Any, capsys: pytest.CaptureFixture[str]) -> None:
    house.add_corpus(["Befund " * 9, "kurz <eos>", "Fieber", "Ödem"])
    path = house.train(max_steps=1)
    report = json.loads((path / "packing.json").read_text())
    facts = house.registry.get("test/checkpoint").manifest.facts["packing"]
    assert facts == report
    assert report["tokens"] == 9 * 7 + 1 + 10 + 1 + 5 + 1 + 5 + 1
    assert (report["documents"], report["cut"], report["avoidable_cuts"]) == (4, 1, 0)
    assert report["rows"] == 3
    assert report["fill"] == report["tokens"] / (3 * 32)
    assert (report["mode"], report["capacity"], report["separator"]) == ("isolated", 32, "<eos>")
    assert report["spelling_control_tokens"] == 1
    assert report["squared_lengths"] == 2 * 32**2 + 11**2 + 2 * 6**2
    assert (path / "packing.png").read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    assert "documents end with <eos> (1)\n" in out
    assert (
        "4 documents, 87 tokens in 3 rows of 32 (isolated), 90.62% filled; 1 documents cut, 0 of "
        "them without need; 1 documents spell control tokens, which are read as text\n"
    ) in out

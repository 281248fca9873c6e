"""The verb: text, files, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bedside_core import cli
from bedside_eval.cli import COMMANDS
from bedside_eval.reanalysis.judge import Reanalysis

TABLE = """
paper: a paper
tables:
  - title: first
    source: table 1
    tasks: {x: 200}
    averages: [mean]
    models:
      - {name: $old$, scores: 50.0 ± 3.5 | 50.0 ± 1.0}
      - {name: $new$, base: $old$, scores: 62.5 ± 3.4 | 60.0 ± 1.0}
"""


@pytest.fixture
def bedside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """The command line with nothing around: no config, no registry, no key, no pin."""
    monkeypatch.setattr(cli, "commands_of", lambda service: {"eval": COMMANDS}.get(service))
    for name in ("BEDSIDE_CONFIG", "BEDSIDE_PIN", "BEDSIDE_PIN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "no" / "home"))
    (tmp_path / "t.yaml").write_text(TABLE)
    return lambda *words: cli.main(["eval", "reanalyse", *map(str, words)])


def test_a_file_is_enough(
    bedside: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bedside(tmp_path / "t.yaml", "--output", tmp_path / "report") == 0
    printed = capsys.readouterr().out
    assert "first (table 1)" in printed and "+12.5" in printed and "possible" in printed
    assert not (tmp_path / "no").exists()
    found = {path.name: path.read_bytes() for path in (tmp_path / "report").iterdir()}
    assert set(found) == {"t.json", "t-1.png"}
    assert found["t-1.png"].startswith(b"\x89PNG")
    result = Reanalysis.model_validate(json.loads(found["t.json"]))
    assert result.tables[0].family == 1 and len(result.tables[0].claims) == 2


def test_wrong_calls(
    bedside: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bedside() == 2
    assert bedside(tmp_path / "none.yaml") == 2
    assert bedside(tmp_path / "t.yaml", tmp_path / "t.yaml") == 2
    assert "two files of one name" in capsys.readouterr().err
    assert bedside(tmp_path / "t.yaml", "--alpha", "0") == 2
    assert bedside(tmp_path / "t.yaml", "--output", tmp_path / "t.yaml" / "report") == 4
    (tmp_path / "t.yaml").write_text(TABLE.replace("3.5", "9.5"))
    assert bedside(tmp_path / "t.yaml") == 3

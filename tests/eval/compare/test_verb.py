import json

import pytest

from bedside_core import cli
from bedside_eval.cli import COMMANDS
from bedside_eval.compare.result import CompareResult

CANARY = "Herr Kanarienvogel"


@pytest.fixture
def bedside(monkeypatch, tmp_path):
    """The command line with nothing around: no config, no registry, no key, no pin."""
    monkeypatch.setattr(cli, "commands_of", lambda service: {"eval": COMMANDS}.get(service))
    for name in ("BEDSIDE_CONFIG", "BEDSIDE_PIN", "BEDSIDE_PIN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "no" / "home"))
    return lambda *words: cli.main(["eval", "compare", *map(str, words)])


def test_logs_alone_are_enough(bedside, lm_eval_logs, inspect_logs, tmp_path, capsys):
    paths = [
        lm_eval_logs.write("basis", [0.0] * 12 + [1.0] * 12),
        lm_eval_logs.write("neu", [1.0] * 24),
    ]
    assert bedside(*paths, "--output", tmp_path / "a" / "report") == 0
    printed = capsys.readouterr().out
    assert "visite  B - A   +50.0" in printed
    assert CANARY not in printed
    assert not (tmp_path / "no").exists()
    found = {path.name: path.read_bytes() for path in (tmp_path / "a" / "report").iterdir()}
    assert set(found) == {"compare.json", "compare.md", "compare.png"}
    assert found["compare.png"].startswith(b"\x89PNG")
    assert CANARY.encode() not in b"".join(found.values())
    result = CompareResult.model_validate(json.loads(found["compare.json"]))
    assert result.tasks[0].differences[0].gained == 12


def test_options_reach_the_readers(bedside, lm_eval_logs, capsys):
    paths = [
        lm_eval_logs.write(name, [1.0] * 24, f1=0.5, metrics=["acc", "f1"], doc={"fall": "p"})
        for name in ("basis", "neu")
    ]
    options = ("--metric", "f1", "--cluster", "fall", "--confidence", "0.9", "--tasks", "visite")
    assert bedside(*paths, *options) == 0
    assert "visite  f1      24     1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "eval compare: LOG... is missing"),
        (("a",), 2, "1 log(s) - name at least two"),
        (("a", "b"), 3, "a: is neither a file nor a folder"),
        (("a", "b", "--confidence", "1"), 2, "--confidence: must be at most 0.999"),
    ],
)
def test_wrong_calls(bedside, capsys, words, code, message):
    assert bedside(*words) == code
    assert message in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(bedside, lm_eval_logs, tmp_path, capsys):
    paths = [lm_eval_logs.write(name, [1.0] * 9) for name in ("basis", "neu")]
    (tmp_path / "file").write_text("")
    assert bedside(*paths, "--output", tmp_path / "file" / "report") == 4
    assert "cannot be written" in capsys.readouterr().err

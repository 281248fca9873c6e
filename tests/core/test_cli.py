"""The command line: exit codes, and that no error shows a traceback or a text."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bedside_core import cli
from bedside_core.cli import Command
from bedside_core.config import Config
from bedside_core.errors import ArtifactError, BedsideError, ConfigError, InputError, PolicyError
from bedside_core.run import Run

CANARY = "Herr Kanarienvogel"


class StepConfig(Config):
    size: int = 1


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    path = tmp_path / "run.yaml"
    path.write_text("name: demo\ntrainer:\n  size: 3\n")
    return path


def install(monkeypatch: pytest.MonkeyPatch, run, **options):
    commands = (Command("step", "a step", run, **options), Command("other", "another", run))
    monkeypatch.setattr(cli, "installed_commands", lambda: {"trainer": commands})


def test_verb_gets_its_section_and_its_run(file, monkeypatch):
    calls = []
    install(monkeypatch, lambda config, run: calls.append((config, run)), config=StepConfig)
    assert cli.main(["trainer", "step", "--config", str(file), "--set", "trainer.size=5"]) == 0
    config, run = calls[0]
    assert config == StepConfig(size=5)
    assert isinstance(run, Run)
    assert (run.name, run.service, run.verb) == ("demo", "trainer", "step")
    assert run.registry.home == file.parent / "home"


@pytest.mark.parametrize("given", [[], ["a=1"], ["a=1", "b", "c=x=y"]])
def test_a_last_word_may_stand_for_many(file, monkeypatch, given):
    calls = []
    install(
        monkeypatch,
        lambda config, run, *words: calls.append(words),
        config=StepConfig,
        words=("action", "rest*"),
    )
    assert cli.main(["trainer", "step", "create", *given, "--config", str(file)]) == 0
    assert cli.main(["trainer", "step", "--config", str(file), "create", *given]) == 0
    assert calls == [("create", given)] * 2


@pytest.mark.parametrize(("given", "expected"), [([], None), (["k1"], "k1")])
def test_a_word_may_be_left_out(file, monkeypatch, given, expected):
    calls = []
    install(
        monkeypatch,
        lambda config, run, *words: calls.append(words),
        config=StepConfig,
        words=("action", "key?"),
    )
    assert cli.main(["trainer", "step", "revoke", *given, "--config", str(file)]) == 0
    assert calls == [("revoke", expected)]


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigError, 2), (InputError, 3), (ArtifactError, 4), (PolicyError, 5), (BedsideError, 1)],
)
def test_exit_codes(file, monkeypatch, capsys, error, code):
    def run(config: object, run: object) -> None:
        raise error("what was wrong - what to do") from ValueError(CANARY)

    install(monkeypatch, run, config=StepConfig)
    assert cli.main(["trainer", "step", "--config", str(file)]) == code
    assert capsys.readouterr().err == "bedside: what was wrong - what to do\n"


@pytest.mark.parametrize("error", [ValueError, KeyError, RuntimeError, RecursionError, OSError])
def test_bug_shows_its_place_only(file, monkeypatch, capsys, error):
    def run(config: object, run: object) -> None:
        raise error(CANARY) from LookupError(CANARY)

    install(monkeypatch, run, config=StepConfig)
    assert cli.main(["trainer", "step", "--config", str(file)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"internal error ({error.__name__} at " in printed.err
    assert "test_cli.py:" in printed.err
    assert "Traceback" not in printed.err
    assert "Kanarienvogel" not in printed.err


@pytest.mark.parametrize(
    ("content", "override", "words"),
    [
        ("name: demo\ntrainer: {sise: 3}\n", None, "trainer.sise: Extra inputs are not permitted"),
        ("name: demo\n", "trainer.size=big", "trainer.size: Input should be a valid integer"),
        ("name: demo\n", "trainer", "--set trainer: must look like section.key=value"),
        ("name: [\n", None, "not valid YAML"),
    ],
)
def test_config_errors(file, monkeypatch, capsys, content, override, words):
    install(monkeypatch, pytest.fail, config=StepConfig)
    file.write_text(content)
    options = ["--set", override] if override else []
    assert cli.main(["trainer", "step", "--config", str(file), *options]) == 2
    printed = capsys.readouterr().err
    assert words in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    "words",
    [[], ["none"], ["trainer"], ["trainer", "step"], ["trainer", "step", "--size", "3"],
     ["trainer", "step", "--conf", "run.yaml"], ["trainer", "step", "--config"]],
)  # fmt: skip
def test_usage_errors(file, monkeypatch, capsys, words):
    install(monkeypatch, pytest.fail, config=StepConfig)
    with pytest.raises(SystemExit) as error:
        cli.main(words)
    assert error.value.code == 2
    assert capsys.readouterr().err.startswith("usage: bedside")


VERB = """
import sys, time
from bedside_core import cli
from bedside_core.cli import Command

def step(registry):
    try:
        print("working", flush=True)
        time.sleep(600)
    finally:
        print("cleaned", flush=True)

cli.installed_commands = lambda: {"t": (Command("step", "x", step), Command("other", "x", step))}
sys.exit(cli.main(["t", "step"]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_cleanly(start, number):
    process = start(VERB)
    assert process.stdout.readline() == "working\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == "cleaned\n"
    assert err == "bedside: stopped; finished steps are kept, the same command goes on from here\n"


def test_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """`bedside ... | head`."""
    code = "import sys; from bedside_core import cli; sys.exit(cli.main(['registry', 'list']))"
    environment = os.environ | {"BEDSIDE_HOME": str(tmp_path)}
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, env=environment
    )
    os.close(write)
    assert done.stderr == b""
    assert done.returncode == 1


def test_console_script_is_quick_and_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from bedside_core import cli; cli.build_parser();"
        "heavy = {'torch', 'transformers', 'mergekit', 'pyarrow', 'lm_eval', 'matplotlib', 'vllm'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

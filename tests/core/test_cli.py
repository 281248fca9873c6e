"""The command line: exit codes, and that no error shows a traceback or a text."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from bedside_core import cli
from bedside_core.commands import Command, Group
from bedside_core.config import Config
from bedside_core.errors import ArtifactError, BedsideError, ConfigError, InputError, PolicyError
from bedside_core.run import Run
from bedside_core.services import SERVICES

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
    commands = (
        Command("step", "a step", run, **options),
        Command("other", "another", run),
        Command("key", "of a thing", run, words=("id",)),
    )
    monkeypatch.setattr(cli, "commands_of", lambda service: {"trainer": commands}.get(service))


def test_verb_gets_its_section_and_its_run(file, monkeypatch):
    calls = []
    install(monkeypatch, lambda config, run: calls.append((config, run)), config=StepConfig)
    assert cli.main(["trainer", "step", "--config", str(file), "--set", "trainer.size=5"]) == 0
    config, run = calls[0]
    assert config == StepConfig(size=5)
    assert isinstance(run, Run)
    assert (run.name, run.service, run.verb) == ("demo", "trainer", "step")
    assert run.registry.home == file.parent / "home"


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


@pytest.mark.parametrize("given", [["a"], ["a", "b", "c"], ["a", "--", "-b"]])
def test_the_last_word_may_be_repeated(file, monkeypatch, given):
    calls = []
    install(monkeypatch, lambda registry, *words: calls.append(words), words=("action", "log..."))
    assert cli.main(["trainer", "step", "show", *given]) == 0
    assert calls == [("show", tuple(word for word in given if word != "--"))]


def test_a_repeated_word_stands_once_at_least(file, monkeypatch, capsys):
    install(monkeypatch, pytest.fail, words=("action", "log..."))
    assert cli.main(["trainer", "step", "show"]) == 2
    assert "trainer step: LOG... is missing - see" in capsys.readouterr().err
    assert cli.main(["trainer", "step", "--help"]) == 0
    assert "usage: bedside trainer step ACTION LOG... [options]" in capsys.readouterr().out


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


@pytest.mark.parametrize(("name", "code"), [("vllm", 2), ("bedside_core.nix", 1)])
def test_a_package_of_another_environment(file, monkeypatch, capsys, name, code):
    """Ours that is missing is a bug; another's belongs into another environment."""

    def run(config: object, run: object) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    install(monkeypatch, run, config=StepConfig)
    assert cli.main(["trainer", "step", "--config", str(file)]) == code
    told = capsys.readouterr().err
    assert ("lacks 'vllm', which the verb needs - run it in the environment" in told) == (code == 2)


@pytest.mark.parametrize(
    ("content", "override", "words"),
    [
        (
            "name: demo\ntrainer: {sise: 3}\n",
            None,
            "trainer.sise: unknown name - did you mean size? known are: size",
        ),
        ("name: demo\n", "trainer.size=big", "trainer.size: must be a whole number"),
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
    ("words", "message"),
    [
        ([], "bedside: which verb? - known are: corpus, trainer"),
        (["--sett", "a=b"], "bedside: option --sett has no place before the verb"),
        (["none"], "bedside: unknown verb 'none' - "),
        (["trainr"], "bedside: unknown verb 'trainr' - did you mean trainer? known are: trainer, "),
        (["trainer"], "trainer: which verb? - known are: step, other, key"),
        (["trainer", "stpe"], "trainer: unknown verb 'stpe' - did you mean step? known are: step"),
        (["trainer", "step"], "--config FILE is missing - name a run config, or set BEDSIDE_CON"),
        (["trainer", "step", "--config"], "trainer step: --config needs a value - see `bedside "),
        (["trainer", "step", "--conf", "run.yaml"],
         "trainer step: unknown option --conf - did you mean --config? known are: --config"),
        (["trainer", "step", "--size", "3"],
         "--help, --config, -h; a setting is given as `--set SECTION.NAME=VALUE`"),
        (["trainer", "step", "a", "--config", "run.yaml"],
         "trainer step takes no word, and 1 stand here - see `bedside trainer step --help`"),
        (["trainer", "key"], "trainer key: ID is missing - see `bedside "),
        (["trainer", "key", "a", "b"], "trainer key takes ID, and 2 stand here"),
    ],
)  # fmt: skip
def test_usage_errors(file, monkeypatch, capsys, words, message):
    monkeypatch.delenv("BEDSIDE_CONFIG", raising=False)
    install(monkeypatch, pytest.fail, config=StepConfig)
    assert cli.main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1


class Wishes(Config):
    """Options of an operator's verb."""

    department: str
    """Who it is for."""
    days: int = 30
    """How long it lasts."""
    models: tuple[str, ...] | None = None
    """By default all."""
    kind: Literal["ward", "batch"] = "ward"
    dry_run: bool = False
    """Change nothing."""


@pytest.fixture
def wishes(file, monkeypatch):
    """`trainer keys create [ID]` with options of its own; returns the calls."""
    calls = []
    create = Command(
        "create", "make one", lambda config, run, *words: calls.append(words),
        config=StepConfig, words=("id?",), arguments=Wishes, examples=("--department kardio",),
    )  # fmt: skip
    show = Command("list", "show all", lambda registry: calls.append(()))
    group = Group("keys", "keys of people", (create, Group("more", "deeper", (show,)), show))
    commands = (group, Command("step", "a step", pytest.fail))
    monkeypatch.setattr(cli, "commands_of", lambda service: commands)
    monkeypatch.setenv("BEDSIDE_CONFIG", str(file))
    return calls


@pytest.mark.parametrize("before", [[], ["--config", "{file}"], ["--set=trainer.size=2"]])
@pytest.mark.parametrize(
    "words",
    [
        ["create", "k1", "--department", "kardio"],
        ["create", "--department", "kardio", "k1"],
        ["create", "--department=kardio", "--set", "trainer.size=2", "k1"],
        ["create", "--config", "{file}", "--department", "kardio", "--", "k1"],
        ["--set", "trainer.size=2", "create", "k1", "--department", "kardio"],
    ],
)
def test_options_stand_anywhere(wishes, file, before, words):
    given = [word.format(file=file) for word in [*before, "trainer", "keys", *words]]
    assert cli.main(given) == 0
    assert wishes == [("k1", Wishes(department="kardio"))]


def test_every_kind_of_option_arrives(wishes):
    words = "--department d --days 7 --models a,b --kind batch --dry-run"
    assert cli.main(["trainer", "keys", "create", *words.split()]) == 0
    expected = Wishes(department="d", days=7, models=("a", "b"), kind="batch", dry_run=True)
    assert wishes == [(None, expected)]


def test_verbs_nest_as_deep_as_they_like(wishes):
    assert cli.main(["trainer", "keys", "more", "list"]) == 0
    assert wishes == [()]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "--department: is missing - Who it is for"),
        ("--department d --days many", "--days: must be a whole number"),
        ("--department d --kind express", "--kind: must be one of 'ward' or 'batch'"),
        ("--departement d", "unknown option --departement - did you mean --department? known are"),
        ("--department d --dry", "unknown option --dry - did you mean --dry-run?"),
        ("k1 department=kardio", "`department=VALUE` is now written `--department VALUE`"),
        ("department=kardio", "`department=VALUE` is now written `--department VALUE`"),
    ],
)
def test_options_that_are_refused(wishes, capsys, words, message):
    assert cli.main(["trainer", "keys", "create", *words.split()]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert "kardio" not in printed
    assert wishes == []


def test_help_at_every_level(wishes, capsys):
    def shown(*words: str) -> str:
        assert cli.main([*words, "--help"]) == 0
        return capsys.readouterr().out

    assert all(f"  {service.name} " in shown() for service in SERVICES)
    assert "keys  keys of people" in shown("trainer")
    assert "create  make one" in shown("trainer", "keys")
    leaf = shown("trainer", "keys", "create")
    for part in (
        "usage: bedside trainer keys create [ID] [options]", "--department DEPARTMENT",
        "Who it is for. (needed)", "How long it lasts. (default: 30)", "--models MODELS,...",
        "One of ward, batch.", "bedside trainer keys create --department kardio", "--dry-run",
    ):  # fmt: skip
        assert part in leaf


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert re.fullmatch(r"bedside \d+\.\d+\.\d+\n", capsys.readouterr().out)


VERB = """
import sys, time
from bedside_core import cli
from bedside_core.commands import Command

def step(registry):
    try:
        print("working", flush=True)
        time.sleep(600)
    finally:
        print("cleaned", flush=True)

cli.commands_of = lambda service: (Command("step", "x", step), Command("other", "x", step))
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
        "import sys; from bedside_core import cli; cli.main(['--help']);"
        "heavy = {'pydantic', 'cryptography', 'yaml', 'torch', 'transformers', 'mergekit', "
        "'pyarrow', 'lm_eval', 'matplotlib', 'vllm'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a PID namespace")
def test_the_first_process_of_a_container_ends_at_a_signal_from_its_import_on():
    code = "import os, signal, bedside_core; os.kill(1, signal.SIGTERM); print('lives on')"
    first = ["unshare", "--pid", "--fork", "--kill-child=KILL", sys.executable, "-c", code]
    done = subprocess.run(first, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "")

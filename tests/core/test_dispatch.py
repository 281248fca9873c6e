"""Where a service's verbs are: here, in an environment of its own, or nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bedside_core import dispatch
from bedside_core.errors import ConfigError

# Core alone, whatever this environment holds: what `bedside` finds in an image without services.
ALONE = """
import sys
from bedside_core import cli, dispatch
there = dispatch.installed
dispatch.installed = lambda: {n: e for n, e in there().items() if n not in sys.argv[1].split(",")}
if len(sys.argv) > 2 and sys.argv[2] == "--nowhere":
    sys.prefix, dispatch.CHECKOUT = "/nonexistent/prefix", dispatch.Path("/nonexistent")
    del sys.argv[2]
sys.exit(cli.main(sys.argv[2:]))
"""
SERVICE = '#!/bin/sh\necho "$0" "$@"\nexit 4\n'


def core(*words: str, envs: Path | None = None, nowhere: bool = False):
    environment = {k: v for k, v in os.environ.items() if k != dispatch.ENVIRONMENTS}
    more = {} if envs is None else {dispatch.ENVIRONMENTS: str(envs)}
    return subprocess.run(
        [sys.executable, "-c", ALONE, "corpus,trainer", *["--nowhere"] * nowhere, *words],
        capture_output=True, text=True, env=environment | more,
    )  # fmt: skip


def make(folder: Path, *names: str) -> Path:
    for name in names:
        program = folder / name / "bin" / "bedside"
        program.parent.mkdir(parents=True)
        program.write_text(SERVICE)
        program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ["corpus", "build", "--config", "a b.yaml"],
        ["--config", "x", "corpus", "build", "--set", "a=b"],
        ["corpus", "--help"],
        ["corpus", "--", "-x"],
    ],
)
def test_a_service_that_is_elsewhere_takes_over_with_every_word(tmp_path, words):
    envs = make(tmp_path, "corpus")
    done = core(*words, envs=envs)
    assert done.stdout.split() == [str(envs / "corpus/bin/bedside"), *" ".join(words).split()]
    assert (done.returncode, done.stderr) == (4, "")


@pytest.mark.parametrize("words", [["corpus"], ["corpus", "build"], ["corpus", "--help"]])
def test_an_environment_that_is_not_there_is_named_and_how_to_make_it(tmp_path, words):
    done = core(*words, envs=make(tmp_path, "trainer"))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"'corpus' is not installed here nor below BEDSIDE_ENVS ({tmp_path})" in done.stderr
    assert "`bash scripts/setup.sh corpus`" in done.stderr
    assert "the image bedside/corpus" in done.stderr
    alone = core(*words, nowhere=True)
    assert alone.returncode == 2
    assert "'corpus' is not installed here and has no environment beside it" in alone.stderr


def test_help_lists_services_that_are_not_here(tmp_path):
    done = core("--help", envs=tmp_path)
    assert done.returncode == 0
    assert "  corpus     documents to a licensed" in done.stdout


def test_environments_are_looked_for_beside_this_one(tmp_path, monkeypatch):
    monkeypatch.delenv(dispatch.ENVIRONMENTS, raising=False)
    monkeypatch.setattr(sys, "prefix", str(make(tmp_path / "a", "core", "corpus") / "core"))
    monkeypatch.setattr(dispatch, "CHECKOUT", tmp_path)
    assert dispatch.program("corpus") == tmp_path / "a/corpus/bin/bedside"
    assert dispatch.program("trainer") is None
    make(tmp_path / ".venvs", "trainer")
    assert dispatch.program("trainer") == tmp_path / ".venvs/trainer/bin/bedside"


def test_an_image_has_no_checkout():
    """Its code lies so near the root that a fixed number of parents would not be there."""
    code = Path(dispatch.__file__).read_text(encoding="utf-8")
    module = {"__file__": "/opt/code/bedside_core/dispatch.py", "__name__": "dispatch"}
    exec(compile(code, "dispatch", "exec", dont_inherit=True), module)
    assert module["CHECKOUT"] == Path("/opt/code/bedside_core")


def test_a_service_here_is_taken_before_one_beside_it_but_not_before_a_named_one(
    tmp_path, monkeypatch
):
    make(tmp_path, "core", "corpus")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "core"))
    monkeypatch.delenv(dispatch.ENVIRONMENTS, raising=False)
    here = [sys.executable, "-m", "bedside_core.cli"]
    assert dispatch.executable("corpus") == here
    monkeypatch.setenv(dispatch.ENVIRONMENTS, str(tmp_path))
    assert dispatch.executable("corpus") == [str(tmp_path / "corpus/bin/bedside")]
    assert dispatch.executable("trainer") == here


def test_a_service_that_is_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv(dispatch.ENVIRONMENTS, str(tmp_path))
    with pytest.raises(ConfigError, match=r"'nowhere' is not installed here nor below BEDSIDE_ENV"):
        dispatch.executable("nowhere")


def test_images_are_called_as_in_compose(root):
    text = (root / "compose.yaml").read_text()
    for name in ("corpus", "trainer", "merger", "eval", "inference"):
        assert f"bedside/{dispatch.IMAGES.get(name, name)}:" in text

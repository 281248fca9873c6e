"""One table of switches, set by the command line and looked at by the self-test."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from bedside_core.offline import OFFLINE, switch_off

CODE = "import json, os; from bedside_core import cli, offline; {}; print(json.dumps({}))"


def run(code: str, result: str, **variables: str) -> object:
    bare = {name: value for name, value in os.environ.items() if name not in OFFLINE}
    command = [sys.executable, "-c", CODE.format(code, result)]
    done = subprocess.run(command, env=bare | variables, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_every_verb_has_them_set() -> None:
    assert run("cli.main(['registry', 'list'])", "dict(os.environ)").items() >= OFFLINE.items()


def test_a_switch_that_is_on_goes_off(monkeypatch) -> None:
    for name in OFFLINE:
        monkeypatch.setenv(name, "0")
    switch_off()
    assert {name: os.environ[name] for name in OFFLINE} == OFFLINE


def test_what_the_process_was_started_without_stays_known() -> None:
    started = {name: "1" for name in OFFLINE if name != "DO_NOT_TRACK"}
    assert run("offline.switch_off()", "offline.STARTED_WITHOUT", **started) == ["DO_NOT_TRACK"]

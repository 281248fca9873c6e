from __future__ import annotations

import re
from pathlib import Path

import pytest

from bedside_trainer.watch.metrics import StepLine
from bedside_trainer.watch.prometheus import HELP, Textfile, rendered

LINE = StepLine(
    step=3, time=1.5e9, loss=2.5, grad_norm=1.0, learning_rate=1e-5, tokens=640, seconds=2.0,
    tokens_per_second=128.0, mfu=None, mfu_with_attention=None, memory_bytes=2**30,
    energy_joules=None, eta_seconds=3.0,
)  # fmt: skip
SAMPLE = re.compile(r'bedside_trainer_(\w+)\{run="ward-2"\} \S+')


def test_every_number_that_is_known_is_there() -> None:
    text = rendered(LINE, "ward-2")
    assert text.endswith("\n")
    lines = text.splitlines()
    names = SAMPLE.findall(text)
    assert names == [name for name in HELP if getattr(LINE, name) is not None]
    assert 'bedside_trainer_learning_rate{run="ward-2"} 1e-05' in lines
    for name in names:
        at = lines.index(f"# TYPE bedside_trainer_{name} gauge")
        assert lines[at - 1].startswith(f"# HELP bedside_trainer_{name} ")


def test_the_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    textfile = Textfile(tmp_path, "ward-2")
    textfile.show(LINE)
    textfile.show(LINE.model_copy(update={"step": 4}))  # sooner than anybody asks
    assert textfile.path.read_text() == rendered(LINE, "ward-2")
    newest = LINE.model_copy(update={"step": 5})
    textfile.show(newest, last=True)
    assert textfile.path.read_text() == rendered(newest, "ward-2")
    assert list(tmp_path.iterdir()) == [textfile.path]


def test_a_folder_that_is_gone_stops_no_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    textfile = Textfile(tmp_path / "file", "ward-2")
    textfile.show(LINE, last=True)
    textfile.show(LINE, last=True)
    assert capsys.readouterr().out.count("cannot be written") == 1

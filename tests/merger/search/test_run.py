"""`bedside merger search` on a tiny model that was really trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, AutoTokenizer

from bedside_core.config import Config, load_section
from bedside_core.errors import ConfigError, InputError
from bedside_core.heldout import HeldoutText
from bedside_core.kinds.exam import ChoiceItem
from bedside_core.kinds.heldout import part_files
from bedside_core.run import Run
from bedside_merger.config import MergerConfig, Search
from bedside_merger.search import run as search_run
from bedside_merger.search.run import search

SETTINGS = Search(target="ward", general=("news",), trials=7, max_length=64)


def train(path: Path) -> None:
    """A few steps on the language of the ward."""
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2)
    row = torch.tensor([AutoTokenizer.from_pretrained(path).encode("Ein Befund, Nummer 3. " * 3)])
    for _ in range(12):
        model(input_ids=row, labels=row).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(path)


@pytest.fixture
def searching(run: Run, add: Any, request: pytest.FixtureRequest) -> Run:
    add("base", seed=1)
    add("checkpoint", seed=1, change=getattr(request, "param", None))
    put_heldout(run, 5)
    return Run(run.name, "merger", "search", run.registry)


def put_heldout(run: Run, count: int) -> None:
    sets = {
        "ward": [HeldoutText(f"w{n}", f"Ein Befund, Nummer {n}. ") for n in range(count)],
        "news": [HeldoutText(f"n{n}", f"Was neu ist am Tag {n}.") for n in range(count)],
    }
    # The right answer is in the language of the ward, in which only the checkpoint was trained.
    others = ["Vq, xj wyz?", "Zzz qqq kkkk", "%%% &&& ###"]
    items = [
        ChoiceItem(
            id=f"q{n}", question=f"Was ist {n}?", options=[f"Ein Befund, Nummer {n}.", *others],
            answer=0, language="de",
        )
        for n in range(count)
    ]  # fmt: skip
    maker = Run(run.name, "eval", "plan", run.registry)
    with maker.write("heldout", maker.recipe(Config())) as artifact:
        for name, content in part_files(sets, {"quiz": items}).items():
            (artifact.path / name).parent.mkdir(parents=True, exist_ok=True)
            (artifact.path / name).write_bytes(content)


@pytest.mark.parametrize("searching", [train], indirect=True)
def test_a_search_that_was_killed_goes_on(searching, monkeypatch, capsys):
    """To the end: trials, the best as a config, and what it is worth on other texts."""
    config = MergerConfig(search=SETTINGS)
    really, seen = search_run.propose, []

    def killed(trials: Any, *rest: Any) -> Any:
        if len(trials) == 3 and not seen:
            seen.append(trials)
            raise KeyboardInterrupt
        return really(trials, *rest)

    monkeypatch.setattr(search_run, "propose", killed)
    with pytest.raises(KeyboardInterrupt):
        search(config, searching)
    (record,) = searching.registry.home.glob("work/*/trials.jsonl")
    before = record.read_text()
    record.write_text(before + '{"number": 3, "fam')  # the line that it died in
    search(config, searching)
    assert "going on after 3 trials" in capsys.readouterr().out
    artifact = searching.input("search")
    assert set(artifact.manifest.parents) == {"base", "checkpoint", "heldout"}
    assert artifact.file("trials.jsonl").read_text().startswith(before)
    report = json.loads(artifact.file("search.json").read_bytes())
    assert [trial["number"] for trial in report["trials"]] == list(range(7))
    assert report["limit"] == report["trials"][0]["drift"]
    checked = report["check"]
    assert checked["checkpoint"]["gain"] > 0.5
    assert 0 < checked["definemed"]["share_of_training"] < 1
    above = checked["best_above_definemed"]
    if report["best"]["number"] == 0:  # it is DeFineMed's schedule: nothing differs
        assert (above["mean"], above["low"], above["high"]) == (0, None, None)
    else:
        assert above["low"] <= above["mean"] <= above["high"]
    assert above["mean"] == pytest.approx(
        checked["best"]["gain"] - checked["definemed"]["gain"], abs=1e-6
    )
    document = yaml.safe_load(artifact.file("merger.yaml").read_text())
    best = load_section(MergerConfig, document, "merger").merge
    assert best.model_dump(mode="json") == report["best"]["merge"]
    assert not list(searching.registry.home.glob("work/*"))
    search(config.model_copy(update={"preset": "ties"}), searching)
    assert "reused" in capsys.readouterr().out  # what is merged in the end does not matter


@pytest.mark.parametrize("searching", [train], indirect=True)
def test_an_exam_is_what_the_merge_shall_gain_in(searching, monkeypatch, capsys):
    """Killed after the first trial; each trial has its right answers above the base's."""
    settings = Search(exam="quiz", general=("news",), trials=3, max_length=64)
    really, seen = search_run.propose, []

    def killed(trials: Any, *rest: Any) -> Any:
        if trials and not seen:
            seen.append(trials)
            raise KeyboardInterrupt
        return really(trials, *rest)

    monkeypatch.setattr(search_run, "propose", killed)
    with pytest.raises(KeyboardInterrupt):
        search(MergerConfig(search=settings), searching)
    search(MergerConfig(search=settings), searching)
    out = capsys.readouterr().out
    assert "going on after 1 trials" in out
    report = json.loads(searching.input("search").file("search.json").read_bytes())
    assert (report["target"], report["unit"]) == ("quiz", "right answers")
    assert len(report["trials"]) == 3
    checked = report["check"]
    assert checked["checkpoint"]["gain"] > 0.4  # of 2 items that chose nothing
    half = [trial["gain"] * 3 for trial in report["trials"]]
    assert half == pytest.approx([round(value) for value in half])
    assert checked["best_above_definemed"]["clusters"] == 2
    assert "gain in right answers" in out


def test_the_aim_is_one() -> None:
    for wrong in ({}, {"target": "ward", "exam": "quiz"}, {"target": "news"}):
        with pytest.raises(ValidationError, match=r"name either|in which the model shall gain"):
            Search(general=("news",), **wrong)


def test_without_a_section_there_is_a_way_out(searching):
    with pytest.raises(ConfigError, match=r"merger\.search: is missing - name a target"):
        search(MergerConfig(), searching)


def test_too_few_texts_are_said_before_any_work(searching):
    put_heldout(searching, 3)
    with pytest.raises(InputError, match="the development part of ward has 3 independent"):
        search(MergerConfig(search=SETTINGS), searching)


def test_a_folder_of_texts_is_no_set() -> None:
    with pytest.raises(ValidationError, match="the name of a set in eval"):
        Search(target="demo/heldout/ward", general=("news",))

from __future__ import annotations

import json
import math
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from bedside_core.cli import main
from bedside_core.errors import ArtifactError, InputError
from bedside_models.load import load_model
from bedside_trainer.config import BaseConfig
from bedside_trainer.importing.verb import import_base
from bedside_trainer.step.take import OptimizerStep


class PowerCutError(Exception):
    """Stands for anything that ends the process in the middle of the loop."""


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, action: Callable[[], object]) -> None:
    """Do something when training is about to take step `step` (counted from 0)."""
    take = OptimizerStep.__call__

    def wrapped(self: Any, number: int, *rest: Any) -> Any:
        if number == step:
            action()
        return take(self, number, *rest)

    monkeypatch.setattr(OptimizerStep, "__call__", wrapped)


def cut() -> None:
    raise PowerCutError


def interrupted(house: Any, step: int, **changes: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, step, cut)
        with pytest.raises(PowerCutError):
            house.train(**changes)


def result(checkpoint: Path) -> tuple[bytes, bytes, Any]:
    """What must not depend on interruptions: weights, loss curve, held-out scores."""
    return (
        (checkpoint / "model.safetensors").read_bytes(),
        (checkpoint / "loss.jsonl").read_bytes(),
        json.loads((checkpoint / "heldout.json").read_text()),
    )


@pytest.fixture(scope="module")
def whole(furnished: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes, Any]:
    """The result of a training that nothing interrupted."""
    return result(furnished.copy(tmp_path_factory.mktemp("whole") / "home").train())


def test_a_checkpoint_is_complete(house: Any) -> None:
    path = house.train(num_epochs=8)
    base = house.registry.get("test/base")
    checkpoint = house.registry.get("test/checkpoint")
    checkpoint.verify()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (path / name).read_bytes() == (base.path / name).read_bytes()
    weights = load_file(path / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    assert "lm_head.weight" not in weights
    model = load_model(path)
    assert model.lm_head.weight is model.model.embed_tokens.weight

    curve = [json.loads(line) for line in (path / "loss.jsonl").read_text().splitlines()]
    facts = checkpoint.manifest.facts
    assert [point["step"] for point in curve] == list(range(1, facts["steps"] + 1))
    assert curve[-1]["tokens"] == facts["tokens"] == 8 * facts["packing"]["tokens"]
    assert curve[-1]["loss"] < curve[0]["loss"]
    assert all(math.isfinite(point["grad_norm"]) for point in curve)
    assert (path / "loss.png").read_bytes().startswith(b"\x89PNG")
    scores = json.loads((path / "heldout.json").read_text())
    assert scores["after"]["perplexity"] < scores["before"]["perplexity"]
    assert {text["id"] for text in scores["after"]["texts"]} == {"text-0", "text-1", "text-2"}
    assert checkpoint.manifest.parents.keys() == {"base", "corpus", "heldout"}
    assert {item.id for item in checkpoint.manifest.licences} == {"Apache-2.0", "CC0-1.0"}
    # Tokens and rows are kept for the next run, the state is not.
    kept = {path.name.split("-")[0] for path in (house.registry.home / "work").iterdir()}
    assert kept == {"tokens", "rows"}


def test_the_second_run_reuses_and_a_changed_setting_does_not(
    house: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    first = house.train(max_steps=2)
    assert house.train(max_steps=2) == first
    assert "is unchanged, reused" in capsys.readouterr().out
    assert house.train(max_steps=3) != first


def test_the_seed_alone_decides(house: Any, whole: tuple[bytes, bytes, Any]) -> None:
    assert result(house.train()) == whole
    assert result(house.train(seed=18)) != whole


def test_two_interruptions_change_nothing(
    house: Any, whole: tuple[bytes, bytes, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted(house, 7)
    assert house.leftovers() == []
    assert house.registry.slot("test", "checkpoint") is None
    interrupted(house, 14)
    assert result(house.train()) == whole
    out = capsys.readouterr().out
    assert "resumed after step 6" in out
    assert "resumed after step 12" in out


def test_an_interruption_before_the_first_state_changes_nothing(
    house: Any, whole: tuple[bytes, bytes, Any]
) -> None:
    interrupted(house, 1)
    assert house.states() == []
    assert result(house.train()) == whole


def test_ctrl_c_finishes_the_step_and_keeps_it(
    house: Any,
    whole: tuple[bytes, bytes, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        at_step(patch, 4, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            house.train()
    assert signal.getsignal(signal.SIGINT) == before
    assert house.leftovers() == []
    assert result(house.train()) == whole
    assert "resumed after step 5" in capsys.readouterr().out


def test_a_second_ctrl_c_ends_at_once(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    at_step(monkeypatch, 4, twice)
    with pytest.raises(KeyboardInterrupt):
        house.train()
    assert [path.name[:17] for path in house.states()] == ["step-000000000003"]


def test_kill_9_changes_nothing(house: Any, tmp_path: Path) -> None:
    changes = {"num_epochs": 6, "states": {"every": 1}}
    straight = result(house.copy(tmp_path / "straight").train(**changes))
    section = house.config(**changes).model_dump(mode="json")
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump({"name": "test", "trainer": section}))
    command = [sys.executable, "-m", "bedside_core.cli", "trainer", "run", "--config", str(config)]
    environment = os.environ | {"BEDSIDE_HOME": str(house.registry.home)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not house.states() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    assert house.registry.slot("test", "checkpoint") is None
    assert house.states()
    assert result(house.train(**changes)) == straight
    assert house.leftovers() == []


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "weights changed": lambda state: flip(state / "model-00000.safetensors"),
    "moments changed": lambda state: flip(state / "optimizer-00000.safetensors"),
    "moments torn": lambda state: os.truncate(state / "optimizer-00000.safetensors", 100),
    "weights missing": lambda state: (state / "model-00000.safetensors").unlink(),
    "record missing": lambda state: (state / "record.json").unlink(),
    "record torn": lambda state: os.truncate(state / "record.json", 100),
    "record changed": lambda state: (state / "record.json").write_text(
        (state / "record.json").read_text().replace('"step": 6', '"step": 5')
    ),
    "record of another schema": lambda state: (state / "record.json").write_text("{}"),
    "record not UTF-8": lambda state: (state / "record.json").write_bytes(b"\xff{}"),
}


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("with_older", [True, False], ids=["older state", "no older state"])
def test_a_damaged_state_is_discarded(
    name: str,
    with_older: bool,
    house: Any,
    whole: tuple[bytes, bytes, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    interrupted(house, 4)
    (older,) = house.states()
    shutil.copytree(older, tmp_path / older.name)
    interrupted(house, 7)
    (newer,) = house.states()
    if with_older:  # as after a kill between writing a state and removing the one before
        shutil.copytree(tmp_path / older.name, older)
    DAMAGE[name](newer)
    capsys.readouterr()
    assert result(house.train()) == whole
    out = capsys.readouterr().out
    assert f"state {newer.name} is damaged" in out
    assert ("resumed after step 3" in out) == with_older


def test_a_half_written_state_is_ignored(house: Any, whole: tuple[bytes, bytes, Any]) -> None:
    interrupted(house, 4)
    (state,) = house.states()
    torn = state.parent / "writing"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"torn")
    assert result(house.train()) == whole


@pytest.mark.parametrize("every", [1, 1000], ids=["in a state", "in the checkpoint"])
def test_a_full_disk_is_reported_and_leaves_nothing_half_written(
    house: Any, every: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = house.registry.home.parent / "run.yaml"
    section = house.config(states={"every": every}, max_steps=2).model_dump(mode="json")
    config.write_text(yaml.safe_dump({"name": "test", "trainer": section}))
    monkeypatch.setenv("BEDSIDE_HOME", str(house.registry.home))
    # Linux refuses to let a file grow beyond the limit, as it would on a full disk.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # it would be cut off, and stay so
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
    try:
        code = main(["trainer", "run", "--config", str(config)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    captured = capsys.readouterr()
    assert code == ArtifactError.exit_code, captured.err
    assert re.search("bedside: disk full while writing .* free some space", captured.err)
    assert "Traceback" not in captured.err
    assert house.registry.slot("test", "checkpoint") is None
    assert house.leftovers() == []
    assert house.states() == []


def test_a_loss_that_is_not_finite_stops_the_run(house: Any) -> None:
    with pytest.raises(InputError, match=r"not finite .* nothing was published - lower"):
        house.train(learning_rate=1e30, schedule={"warmup_share": 0.0})
    assert house.registry.slot("test", "checkpoint") is None
    assert house.leftovers() == []


def test_a_last_row_of_one_token_is_harmless(new_house: Any, model_directory: Path) -> None:
    house = furnish(new_house(), model_directory, ["a" * 32])  # and its end of sequence
    path = house.train(batch_size=1, schedule={"warmup_share": 0.0})
    losses = [json.loads(line)["loss"] for line in (path / "loss.jsonl").read_text().splitlines()]
    assert len(losses) == 4
    assert 0.0 in losses


def test_a_document_longer_than_the_context_is_split_and_counted(
    new_house: Any, model_directory: Path
) -> None:
    house = furnish(new_house(), model_directory, ["Befund " * 40, "kurz"])
    house.train(max_steps=1)
    packing = house.registry.get("test/checkpoint").manifest.facts["packing"]
    assert (packing["cut"], packing["avoidable_cuts"]) == (1, 0)
    assert packing["tokens"] == 40 * 7 + 1 + 4 + 1


def furnish(house: Any, model_directory: Path, texts: list[str]) -> Any:
    source = BaseConfig(directory=model_directory, licence="MIT")
    import_base(source, house.run("trainer", "import-base"))
    house.add_corpus(texts)
    house.add_heldout(["Fieber und Husten."])
    return house


def test_steps_that_have_not_run_are_named(new_house: Any) -> None:
    with pytest.raises(InputError, match="run `bedside trainer import-base"):
        new_house().train()


def test_training_reads_the_development_part_alone(house: Any) -> None:
    with pytest.raises(InputError, match="has no set 'other'"):
        house.train(heldout="other")
    with pytest.raises(ValidationError, match="the name of a set in eval"):
        house.config(heldout="demo/heldout/ward")
    assert house.registry.slot("test", "checkpoint") is None
    house.train(max_steps=1)
    manifest = house.registry.get("test/checkpoint").manifest
    assert manifest.parents["heldout"] == house.registry.slot("test", "heldout")
    assert manifest.recipe.inputs == {}


def test_training_before_the_sets_are_split(new_house: Any, model_directory: Path) -> None:
    house = furnish(new_house(), model_directory, ["kurz"])
    (house.registry.home / "runs" / "test" / "heldout").unlink()
    with pytest.raises(InputError, match="run `bedside eval plan --config FILE` first"):
        house.train()


def test_an_empty_corpus_is_refused(
    house: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    house.add_corpus([])
    config = house.registry.home.parent / "run.yaml"
    section = house.config().model_dump(mode="json")
    config.write_text(yaml.safe_dump({"name": "test", "trainer": section}))
    monkeypatch.setenv("BEDSIDE_HOME", str(house.registry.home))
    assert main(["trainer", "run", "--config", str(config)]) == 3
    assert "the corpus has no documents" in capsys.readouterr().err
    assert house.leftovers() == []


def test_rows_longer_than_the_positions_are_refused(house: Any) -> None:
    with pytest.raises(InputError, match=r"\.sequence_length 512 is longer than the 256 tok"):
        house.train(sequence_length=512)


def test_a_window_longer_than_the_positions_is_refused(house: Any) -> None:
    with pytest.raises(InputError, match=r"trainer\.heldout_max_length 257 .* set it to 256"):
        house.train(heldout_max_length=257)


def test_a_base_that_lacks_weights_is_refused(house: Any) -> None:
    """As an older version may have imported it: the import of this one refuses it as well."""
    run = house.run("trainer", "import-base")
    base = house.registry.get("test/base")
    recipe = run.recipe(house.config())
    with run.write("base", recipe) as artifact:
        for entry in base.manifest.files:
            shutil.copyfile(base.path / entry.path, artifact.path / entry.path)
        weights = load_file(artifact.path / "model.safetensors")
        del weights["model.norm.weight"]
        save_file(weights, artifact.path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"1 weight\(s\) missing: model\.norm\.weight - "):
        house.train()
    assert house.registry.slot("test", "checkpoint") is None


def test_no_text_reaches_the_output(house: Any, capsys: pytest.CaptureFixture[str]) -> None:
    house.add_corpus(["Geheimnis der Patientin"] * 3)
    house.train(max_steps=2)
    captured = capsys.readouterr()
    assert "Geheimnis" not in captured.out + captured.err

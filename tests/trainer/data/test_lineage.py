from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside_core.cli import main
from bedside_core.errors import ArtifactError
from bedside_trainer.data import lineage

EPOCHS, BATCH = 2, 2


@pytest.fixture(scope="module")
def trained(furnished: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A house whose corpus has a document of three pieces, and a checkpoint."""
    house = furnished.copy(tmp_path_factory.mktemp("lineage") / "home")
    house.add_corpus(["Befund " * 11, "Fieber.", "Husten.", *["Ödem und Fieber."] * 4])
    house.train(num_epochs=EPOCHS)
    return house


def ask(house: Any, *words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    config = house.registry.home.parent / "run.yaml"
    section = house.config(num_epochs=EPOCHS).model_dump(mode="json")
    config.write_text(json.dumps({"name": "test", "trainer": section}))
    monkeypatch.setenv("BEDSIDE_HOME", str(house.registry.home))
    return main(["trainer", "seen", *words, "--config", str(config)])


def test_every_piece_of_a_document_has_the_steps_that_saw_it(trained: Any) -> None:
    checkpoint = trained.registry.get("test/checkpoint")
    steps = checkpoint.manifest.facts["steps"]
    pieces = lineage.seen(checkpoint, "corpus-0")
    assert [(piece.start, piece.end) for piece in pieces or []] == [(0, 32), (32, 64), (64, 78)]
    for piece in pieces or []:
        assert len(piece.steps) == EPOCHS
        assert all(1 <= step <= steps for step in piece.steps)
    # The steps of all documents together are all steps, and each row is where its pieces are.
    every = [lineage.seen(checkpoint, f"corpus-{number}") or [] for number in range(7)]
    assert {step for pieces in every for piece in pieces for step in piece.steps} == set(
        range(1, steps + 1)
    )


def test_the_index_holds_neither_ids_nor_text(trained: Any) -> None:
    path: Path = trained.registry.get("test/checkpoint").path
    raw = b"".join(file.read_bytes() for file in (path / "lineage").iterdir())
    assert b"corpus-0" not in raw
    assert b"Befund" not in raw
    pieces = np.load(path / lineage.PIECES)
    assert pieces["name"].tolist() == sorted(pieces["name"].tolist())


def test_the_verb_answers(
    trained: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(trained, "corpus-1", monkeypatch=monkeypatch) == 0
    (line,) = capsys.readouterr().out.splitlines()
    digest = trained.registry.get("test/checkpoint").digest
    assert line.startswith(f"checkpoint {digest[:12]}: tokens 0 to 7 of corpus-1: steps ")
    assert ask(trained, "corpus-1", digest, monkeypatch=monkeypatch) == 0


def test_a_document_that_is_not_there_is_no_answer(
    trained: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(trained, "Corpus-1", monkeypatch=monkeypatch) == 3
    assert "none of the 7 documents that it was made from is called" in capsys.readouterr().err
    assert ask(trained, "corpus-1", "test/base", monkeypatch=monkeypatch) == 3
    assert "was not trained here" in capsys.readouterr().err


def test_a_training_that_ended_before_says_so(
    furnished: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    house = furnished.copy(tmp_path / "home")
    house.train(max_steps=1, batch_size=1)
    for number in range(12):
        assert ask(house, f"corpus-{number}", monkeypatch=monkeypatch) == 0
    out = capsys.readouterr().out
    assert "steps 1\n" in out
    assert "steps none: the training ended before" in out


def test_a_step_that_was_left_out_saw_nothing(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = trained.copy(tmp_path / "home")
    write = lineage.write

    def without_the_first(target: Path, data: Any, *, steps: list[int]) -> None:
        write(target, data, steps=steps[1:])

    monkeypatch.setattr(lineage, "write", without_the_first)
    house.train(num_epochs=EPOCHS, learning_rate=1e-3)
    checkpoint = house.registry.get("test/checkpoint")
    every = [lineage.seen(checkpoint, f"corpus-{number}") or [] for number in range(7)]
    steps = {step for pieces in every for piece in pieces for step in piece.steps}
    assert steps == set(range(2, checkpoint.manifest.facts["steps"] + 1))


def test_a_merged_model_is_asked_for_its_checkpoint(
    trained: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    house = trained.copy(tmp_path / "home")
    run = house.run("merger", "run")
    parents = {kind: house.registry.get(f"test/{kind}") for kind in ("base", "checkpoint")}
    with run.write("merged", run.recipe(house.config(), parents=parents)):
        pass
    assert ask(house, "corpus-1", "test/merged", monkeypatch=monkeypatch) == 0
    assert f"checkpoint {parents['checkpoint'].digest[:12]}" in capsys.readouterr().out


def test_an_index_that_was_changed_is_not_believed(trained: Any, tmp_path: Path) -> None:
    house = trained.copy(tmp_path / "home")
    checkpoint = house.registry.get("test/checkpoint")
    steps = np.load(checkpoint.path / lineage.STEPS)
    np.save(checkpoint.path / lineage.STEPS, steps[::-1])
    with pytest.raises(ArtifactError, match=r"lineage/steps\.npy was changed"):
        lineage.seen(checkpoint, "corpus-0")

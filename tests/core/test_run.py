"""One step of a run: its inputs are verified, its output stands in its slot, or nothing does."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from bedside_core.artifacts import Recipe
from bedside_core.config import Config
from bedside_core.errors import ArtifactError, InputError
from bedside_core.licences import licence
from bedside_core.run import Run

BASE = "import-base"


class Section(Config):
    """Some service's section."""

    steps: int = 1


@pytest.fixture
def run(registry) -> Run:
    return Run(name="r", service="trainer", verb=BASE, registry=registry)


def make(run: Run, content: bytes = b"weights", **section: int) -> str:
    """Write a base model and return its digest."""
    recipe = run.recipe(Section(**section))
    with run.write("base", recipe, licences=(licence("CC0-1.0"),)) as writer:
        (writer.path / "model.safetensors").write_bytes(content)
    return writer.result.digest


def damage(run: Run, digest: str) -> None:
    path = run.registry.store / digest / "model.safetensors"
    path.chmod(0o644)
    path.write_bytes(b"wrong")


def test_what_is_written_is_what_the_next_step_takes(run: Run, capsys) -> None:
    digest = make(run)
    assert run.input("base").digest == run.registry.slot("r", "base") == digest
    assert f"base {digest[:12]} written" in capsys.readouterr().out


def test_a_step_that_has_not_run_is_named_with_its_command(run: Run) -> None:
    with pytest.raises(InputError, match=r"run 'r' has no corpus yet - run `bedside corpus build"):
        run.input("corpus")


def test_a_step_that_fails_leaves_neither_artifact_nor_slot(run: Run) -> None:
    def fail() -> None:
        with run.write("base", run.recipe(Section())) as writer:
            (writer.path / "model.safetensors").write_bytes(b"half")
            raise InputError("no")

    with pytest.raises(InputError):
        fail()
    assert run.registry.slot("r", "base") is None
    assert list(run.registry.artifacts()) == []


def test_the_same_recipe_is_not_made_twice(run: Run, capsys) -> None:
    digest = make(run)
    other = Run(name="other", service="trainer", verb=BASE, registry=run.registry)
    reused = other.reuse("base", other.recipe(Section()))
    assert reused is not None and reused.digest == digest
    assert other.input("base").digest == digest
    assert "is unchanged, reused" in capsys.readouterr().out
    assert run.reuse("base", run.recipe(Section(steps=2))) is None


def test_content_of_inputs_and_parents_are_part_of_a_recipe(run: Run, tmp_path: Path) -> None:
    make(run)
    text = tmp_path / "a.txt"
    text.write_text("eins")
    parents = {"base": run.input("base")}

    def recipe() -> str:
        return run.recipe(Section(), parents=parents, inputs={"a": text}).sha256

    before = recipe()
    assert recipe() == before
    text.write_text("zwei")
    assert recipe() != before
    assert run.recipe(Section(), inputs={"a": text}).sha256 != recipe()


def test_libraries_and_device_are_part_of_a_recipe(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def recipe(device: str = "cpu x86_64") -> Recipe:
        return run.recipe(Section(), libraries=("pydantic",), device=device)

    before = recipe()
    assert before.environment == {"pydantic": version("pydantic"), "device": "cpu x86_64"}
    assert recipe().sha256 == before.sha256
    assert recipe("NVIDIA H200").sha256 != before.sha256
    monkeypatch.setattr("bedside_core.run.version", lambda name: "99")
    assert recipe().environment["pydantic"] == "99"
    assert run.recipe(Section()).environment == {}


def test_a_damaged_artifact_is_refused_and_made_again(run: Run) -> None:
    digest = make(run)
    damage(run, digest)
    with pytest.raises(ArtifactError, match=r"model\.safetensors was changed"):
        run.input("base")
    assert run.reuse("base", run.recipe(Section())) is None


def test_licences_flow_from_parents(run: Run) -> None:
    make(run)
    trainer = Run(name="r", service="trainer", verb="run", registry=run.registry)
    recipe = trainer.recipe(Section(), parents={"base": run.input("base")})
    with trainer.write("checkpoint", recipe, licences=(licence("CC-BY-4.0"),)) as writer:
        (writer.path / "model.safetensors").write_bytes(b"more")
    assert [each.id for each in writer.result.manifest.licences] == ["CC-BY-4.0", "CC0-1.0"]
    assert writer.result.manifest.producer.service == "trainer"

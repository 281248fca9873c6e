"""The artifact of the development parts: written, read again, and refused with a sealed text."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from bedside_core.artifacts import Artifact
from bedside_core.config import Config
from bedside_core.errors import ArtifactError, InputError
from bedside_core.heldout import HeldoutText
from bedside_core.inspection import Inspection
from bedside_core.kinds.exam import ChoiceItem
from bedside_core.kinds.heldout import (
    SetName,
    check_parts,
    check_set,
    part_files,
    read_exam_part,
    read_set,
)
from bedside_core.kinds.plan import PlannedSet
from bedside_core.parts import planned_set, split
from bedside_core.registry.registry import Registry
from bedside_core.run import Run

TEXTS = [HeldoutText(f"t, {n}", f"Geheimtext der Nummer {n}\n\nµ ≥ {n}") for n in range(6)]
ITEMS = [
    ChoiceItem(
        id=f"q{n}", question=f"Was {n}?", options=["a", "b", "c", "d"], answer=n, language="de"
    )
    for n in range(4)
]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run("tiny", "eval", "plan", Registry(tmp_path / "home"))


def write(run: Run, files: dict[str, bytes]) -> Artifact:
    with run.write("heldout", run.recipe(Config())) as writer:
        for name, content in files.items():
            (writer.path / name).parent.mkdir(parents=True, exist_ok=True)
            (writer.path / name).write_bytes(content)
    return writer.result


def test_what_is_written_is_read_again(run: Run) -> None:
    texts = [TEXTS[0].of_cluster("patient 1"), TEXTS[1].of_cluster("patient 1"), TEXTS[2]]
    artifact = write(run, part_files({"ward": texts, "general": TEXTS[3:]}, {"ward": ITEMS}))
    assert read_set(artifact, "ward") == texts
    assert read_set(artifact, "general") == TEXTS[3:]
    assert read_exam_part(artifact, "ward") == ITEMS


def test_a_name_that_is_not_there(run: Run) -> None:
    artifact = write(run, part_files({"ward": TEXTS}, {"exam": ITEMS}))
    with pytest.raises(InputError, match="has no set 'war' - name it in section eval"):
        read_set(artifact, "war")
    with pytest.raises(InputError, match="has no exam 'ward' - name it in section eval"):
        read_exam_part(artifact, "ward")


@pytest.mark.parametrize("file", ["t, 3.txt", "clusters.csv"])
def test_a_changed_file_is_refused(run: Run, file: str) -> None:
    artifact = write(run, part_files({"ward": TEXTS}, {}))
    (artifact.path / "sets" / "ward" / file).write_text("text,cluster\n")
    with pytest.raises(ArtifactError, match=f"{file} was changed"):
        read_set(artifact, "ward")


def plan(texts: list[HeldoutText]) -> tuple[list[HeldoutText], dict[str, PlannedSet]]:
    parts = split({"heldout/ward": texts})["heldout/ward"]
    return parts.development, {"heldout/ward": planned_set("heldout", parts)}


def test_the_parts_of_a_plan_pass(run: Run) -> None:
    development, planned = plan(TEXTS)
    check_parts(write(run, part_files({"ward": development}, {})), planned)


@pytest.mark.parametrize("where", ["sets/ward", "sets/other"])
def test_a_sealed_text_is_refused(run: Run, where: str) -> None:
    development, planned = plan(TEXTS)
    [sealed] = [text for text in TEXTS if text not in development][:1]
    name = where.removeprefix("sets/")
    held = {"ward": development} | {name: [*(development if name == "ward" else []), sealed]}
    artifact = write(run, part_files(held, {}))
    with pytest.raises(ArtifactError) as error:
        check_parts(artifact, planned)
    assert "holds 1 text(s) or item(s) that the plan of this run does not have" in str(error.value)
    assert "Geheimtext" not in str(error.value)


def test_a_sealed_item_is_refused(run: Run) -> None:
    parts = split({"exam/ward": ITEMS})["exam/ward"]
    planned = {"exam/ward": planned_set("exam", parts)}
    check_parts(write(run, part_files({}, {"ward": parts.development})), planned)
    with pytest.raises(ArtifactError, match=r"holds 3 text\(s\) or item\(s\)"):
        check_parts(write(run, part_files({}, {"ward": parts.sealed})), planned)


@pytest.mark.parametrize("value", ["demo/heldout/ward", "./ward", "ward.d", Path("ward"), "", 3])
def test_a_setting_that_is_no_name(value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(SetName).validate_python(value)


def test_a_set_of_the_evaluation() -> None:
    inspection = Inspection({"eval": {"heldout": {"ward": "data/ward"}}})
    check_set("ward", "trainer.heldout", inspection)
    check_set("war", "trainer.heldout", inspection)
    check_set("ward", "trainer.heldout", Inspection({}))
    [checked, fault] = inspection.findings
    assert (checked.kind, fault.kind, fault.code) == ("checked", "fault", 2)
    assert fault.text == "trainer.heldout: 'war' is not in eval.heldout - known are: ward"

"""`bedside eval plan`: what other steps may read, and what only the evaluation opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bedside_core.cli import main
from bedside_core.config import load_document, load_section
from bedside_core.errors import ConfigError, InputError
from bedside_core.kinds.heldout import check_parts, read_exam_part, read_set
from bedside_core.kinds.policy import read_policy
from bedside_core.run import Run
from bedside_eval.answering.config import Generation
from bedside_eval.config import EvalConfig
from bedside_eval.exam import read_paper
from bedside_eval.plan import by_name, paper_of, prepare, read_papers
from bedside_eval.planned import check_types

TEXTS = 24


@pytest.fixture
def config(world: Any) -> EvalConfig:
    return load_section(EvalConfig, load_document(Path(world.config())), "eval")


@pytest.fixture
def run(world: Any) -> Run:
    world.add_models()
    return Run("tiny", "eval", "plan", world.registry)


def ids(members: Any) -> set[str]:
    return {member.id for member in members}


def test_two_parts_that_make_the_whole(config: EvalConfig, run: Run) -> None:
    artifact, planned = prepare(config, run)
    whole, sealed = read_paper(config.heldout, config.exams), read_papers(config, planned).sealed
    check_parts(artifact, planned)
    assert set(planned) == {"heldout/medical", "heldout/general", "exam/medical"}
    for name, texts in whole.heldout.items():
        part = read_set(artifact, name)
        assert 1 <= len(part) < len(texts)
        assert ids(part) | ids(sealed.heldout[name]) == ids(texts)
        assert not ids(part) & ids(sealed.heldout[name])
        assert planned[f"heldout/{name}"].clusters == len({x.cluster for x in sealed.heldout[name]})
    part = read_exam_part(artifact, "medical")
    assert len(part) == 3
    assert ids(part) | ids(sealed.exams["medical"]) == ids(whole.exams["medical"])
    assert not ids(part) & ids(sealed.exams["medical"])
    assert run.registry.slot("tiny", "heldout") == artifact.digest


def test_no_sealed_text_is_in_the_artifact(config: EvalConfig, run: Run) -> None:
    artifact, planned = prepare(config, run)
    held = b"".join(p.read_bytes() for p in artifact.path.rglob("*") if p.is_file()).decode()
    sealed = read_papers(config, planned).sealed
    for text in sealed.texts:
        assert text.text not in held
    for item in sealed.exams["medical"]:
        assert item.question not in held


def test_other_sealed_texts_leave_the_artifact_as_it_is(
    world: Any, config: EvalConfig, run: Run
) -> None:
    first, planned = prepare(config, run)
    assert main(["eval", "plan", "--config", world.config()]) == 0
    [one, *_] = read_papers(config, planned).sealed.heldout["medical"]
    path = world.folder / "medical" / f"{one.id}.txt"
    path.write_text(f"{one.text} Nachtrag.", encoding="utf-8")
    with pytest.raises(InputError, match="heldout/medical: its texts or their clusters were chang"):
        read_papers(config, planned)
    again, anew = prepare(config, run)
    assert again.digest == first.digest
    assert anew["heldout/medical"] != planned["heldout/medical"]
    assert read_papers(config, anew).sealed


def test_a_patient_of_clusters_csv_is_in_one_part(world: Any, config: EvalConfig, run: Run) -> None:
    rows = [f"t{number},patient {number // 2}" for number in range(TEXTS)]
    (world.folder / "medical" / "clusters.csv").write_text("\n".join(["text,cluster", *rows]))
    artifact, planned = prepare(config, run)
    part, sealed = (
        read_set(artifact, "medical"),
        read_papers(config, planned).sealed.heldout["medical"],
    )
    assert len(part) % 2 == 0
    assert not {text.cluster for text in part} & {text.cluster for text in sealed}
    assert len({text.cluster for text in sealed}) == planned["heldout/medical"].clusters


def test_the_verb_says_what_there_is(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    world.add_models()
    assert main(["eval", "plan", "--config", world.config()]) == 0
    out = capsys.readouterr().out
    assert "development" in out
    assert "exam/medical" in out
    assert main(["eval", "plan", "--config", world.config(max_length=128)]) == 0
    assert "is unchanged, reused" in capsys.readouterr().out
    plans = list(world.registry.ledger().plans.values())
    assert [p.plan.setting["max_length"] for p in plans] == [64, 128]


def test_copies_of_one_text_leave_nothing_to_seal(
    world: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add_models()
    for number in range(TEXTS):
        (world.folder / "medical" / f"t{number}.txt").write_text("Geheimtext, oft kopiert.")
    assert main(["eval", "plan", "--config", world.config()]) == 3
    err = capsys.readouterr().err
    assert "heldout/medical: nothing is left to seal, 24 text(s)" in err
    assert "Geheimtext" not in err


def test_names_of_sets_and_exams_there_and_back(config: EvalConfig) -> None:
    paper = read_paper(config.heldout, config.exams)
    assert paper_of(by_name(paper)) == paper


def test_a_measure_is_asked_of_items_that_it_can_be_taken_of(
    config: EvalConfig, tmp_path: Path
) -> None:
    path = tmp_path / "open.jsonl"
    path.write_text(
        '{"type": "open", "id": "o", "language": "de", "question": "Was?", "reference": "Das."}\n'
    )
    policy = read_policy(config.policy)
    guard = {"measure": "brier", "of": "medical", "max_loss": 0.1}
    policy = policy.model_validate(policy.model_dump() | {"guards": [guard]})
    check_types(policy, config)
    with pytest.raises(ConfigError, match=r"brier is of items of type choice, and .*type open"):
        check_types(policy, config.model_copy(update={"exams": {"medical": path}}))


@pytest.mark.parametrize(
    ("measure", "asked", "refused"),
    [
        ("consistent_accuracy", {}, "set eval.generation.rotations: true"),
        ("consistent_accuracy", {"rotations": True}, None),
        ("abstention", {}, r"all have `abstain`, and \d+ item\(s\) have none"),
    ],
)
def test_a_choice_is_asked_as_its_measure_needs_it(
    config: EvalConfig, measure: str, asked: dict[str, Any], refused: str | None
) -> None:
    policy = read_policy(config.policy)
    guard = {"measure": measure, "of": "medical", "max_loss": 0.1}
    policy = policy.model_validate(policy.model_dump() | {"guards": [guard]})
    config = config.model_copy(update={"generation": Generation(**asked)})
    if refused is None:
        check_types(policy, config)
        return
    with pytest.raises(ConfigError, match=refused):
        check_types(policy, config)

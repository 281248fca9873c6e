"""Groups in a config, before anything is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedside_core.errors import ConfigError
from bedside_eval.config import EvalConfig
from bedside_eval.groups import check_groups, groups_of, planned_groups


@pytest.fixture
def config(tmp_path: Path) -> Any:
    def config(groups: dict[str, Any], shots: int = 0, **item: Any) -> EvalConfig:
        shot = [{"question": f"Example {n}?", "answer": "yes"} for n in range(shots)]
        line = {"id": "a", "language": "en", "question": "So?", "options": ["yes", "no"],
                "answer": 0, "shots": shot} | item  # fmt: skip
        (tmp_path / "exam.jsonl").write_text(json.dumps(line) + "\n")
        return EvalConfig.model_validate(
            {"policy": "policy.yaml", "heldout": {"h": "h"}, "groups": groups,
             "exams": {"exam": tmp_path / "exam.jsonl"}}
        )  # fmt: skip

    return config


def test_sets_with_measure_and_examples(config: Any) -> None:
    found = config({"g": {"exam": {"measure": "accuracy_norm", "shots": 2}}}, shots=2)
    check_groups(found)
    assert groups_of(found) == {"g": {"exam": "accuracy_norm"}}
    setting = {"groups": found.model_dump(mode="json")["groups"]}
    assert planned_groups(setting) == groups_of(found)
    assert planned_groups({}) == {}
    # What this version does not take is no fault of the config.
    check_groups(config({"g": {"exam": {"measure": "accuracy_generated"}}}))


def test_an_empty_group_is_refused(config: Any) -> None:
    with pytest.raises(ValueError, match=r"groups\.g"):
        config({"g": {}})


@pytest.mark.parametrize(
    ("groups", "item", "says"),
    [
        ({"g": {"exma": {}}}, {}, "eval.groups.g.exma: not in eval.exams - did you mean exam"),
        ({"g": {"exam": {"shots": 3}}}, {}, "shots is 3, and 1 item"),
        ({"g": {"exam": {"measure": "ece"}}}, {}, "no number for each item"),
        ({"g": {"exam": {}}},
         {"type": "open", "reference": "x", "options": None, "answer": None}, "of type open"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(
    config: Any, groups: dict[str, Any], item: dict[str, Any], says: str, tmp_path: Path
) -> None:
    found = config(groups, **item)
    if item:
        line = json.loads((tmp_path / "exam.jsonl").read_text())
        kept = {name: value for name, value in line.items() if value is not None}
        (tmp_path / "exam.jsonl").write_text(json.dumps(kept) + "\n")
    with pytest.raises(ConfigError, match=says):
        check_groups(found)


PAPERS = Path(__file__).parents[2] / "configs/groups"


@pytest.mark.parametrize("path", sorted(PAPERS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_papers_groups_fit_into_a_config(path: Path) -> None:
    loaded = yaml.safe_load(path.read_text())
    found = EvalConfig.model_validate({"policy": "p", "heldout": {"h": "h"}, **loaded})
    averaged = [name for sets in groups_of(found).values() for name in sets]
    assert sorted(averaged) == sorted(found.exams), "each set is averaged once"


def test_parcomeds_groups_are_those_of_table_2() -> None:
    groups = yaml.safe_load((PAPERS / "parcomed.yaml").read_text())["groups"]
    assert set(groups) == {"en_medical", "en_other", "fr_medical", "fr_other"}
    assert {len(sets) for sets in groups.values()} == {7}
    asked = {(one["measure"], one["shots"]) for sets in groups.values() for one in sets.values()}
    assert asked == {("accuracy", 3), ("accuracy_generated", 5)}


def test_definemeds_configs_have_its_groups(tmp_path: Path) -> None:
    snippet = yaml.safe_load((PAPERS / "definemed.yaml").read_text())
    for path in PAPERS.parent.glob("definemed-*.yaml"):
        section = yaml.safe_load(path.read_text())["eval"]
        assert section["groups"] == snippet["groups"]
        assert snippet["exams"].items() <= section["exams"].items()

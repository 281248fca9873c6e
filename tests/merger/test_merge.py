"""A merge in a run config: settings, models, and what is refused before mergekit sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bedside_core.errors import InputError
from bedside_merger.merge import Merge, by_name, by_path, document, models_of


def merge(method: str, *models: str, **parameters: Any) -> Merge:
    return Merge.model_validate(
        {"method": method, "parameters": parameters, "models": [{"model": m} for m in models]}
    )


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    for name in ("step-720", "step-1440"):
        folder = tmp_path / "checkpoint" / "milestones" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    (tmp_path / "checkpoint" / "milestones" / "notes").mkdir()
    return tmp_path / "checkpoint"


@pytest.mark.parametrize(
    "value",
    [0.5, True, 1, (0, 0.5, 1), [0.1], [{"value": 0.5}],
     [{"filter": "mlp", "value": [0, 1]}, {"value": 0.3}]],
)  # fmt: skip
def test_settings_of_mergekit(value: Any) -> None:
    assert merge("slerp", t=value).parameters["t"] == value


@pytest.mark.parametrize(
    "value",
    ["0.5", [], None, {"value": 1}, [[0.5]], [{"filter": "mlp"}], [{"value": [], "filter": "x"}],
     [0.5, {"value": 1}], [{"value": 1, "filters": "mlp"}], [{"value": 1, "filter": 3}]],
)  # fmt: skip
def test_other_settings_are_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match="must be a number, a list of numbers"):
        merge("slerp", t=value)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda: merge("slerp"), "slerp needs a value of t"),
        (lambda: merge("slerp", t=0.5, densty=1), "densty is no parameter of slerp here"),
        (lambda: merge("ties", weight=1, densty=1), "did you mean density"),
        (lambda: merge("slerp", t=1.5), "t must be from 0 to 1"),
        (lambda: merge("ties", weight=1, density=[{"value": [0, -1]}]), "density must be from 0"),
        (lambda: merge("ties", "checkpoint"), "ties needs a value of weight"),
        (
            lambda: merge("slerp", "checkpoint", "checkpoint/milestones/step-1", t=0.5),
            "takes at most 1 model",
        ),
        (lambda: merge("slerp", "other", t=0.5), "match pattern"),
        (lambda: merge("slerp", "checkpoint/milestones/../x", t=0.5), "match pattern"),
        (lambda: merge("magic"), "Input should be"),
        (
            lambda: Merge.model_validate(
                {"method": "slerp", "parameters": {"t": 1},
                 "models": [{"model": "checkpoint", "parameters": {"t": 1}}]}
            ),
            "t is no parameter of slerp here",
        ),
    ],
)  # fmt: skip
def test_what_mergekit_would_ignore_or_find_late(wrong: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        wrong()


def names(one: Merge, checkpoint: Path) -> tuple[list[str], str | None]:
    found = models_of(one, checkpoint.parent / "base", checkpoint)
    return [model.name for model in found.inputs], found.origin.name if found.origin else None


def test_models_of_methods(checkpoint: Path) -> None:
    milestones = ["checkpoint/milestones/step-720", "checkpoint/milestones/step-1440"]
    each = "checkpoint/milestones/*"
    for one, expected in (
        (merge("slerp", t=0.5), (["base", "checkpoint"], "base")),
        (merge("slerp", "base", "checkpoint", t=0.5), (["base", "checkpoint"], "base")),
        (merge("linear", weight=1), (["base", "checkpoint"], None)),
        (merge("linear", each, "checkpoint", weight=1), ([*milestones, "checkpoint"], None)),
        (merge("nuslerp", weight=1), (["base", "checkpoint"], None)),
        (merge("nuslerp", each, weight=1), (["base", *milestones], "base")),
        (merge("model_stock", each), (["base", *milestones], "base")),
        (merge("passthrough", "checkpoint"), (["checkpoint"], None)),
        (merge("slerp", milestones[1], t=0.5), (["base", milestones[1]], "base")),
    ):
        assert names(one, checkpoint) == expected


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (
            merge("linear", "checkpoint/milestones/step-30", weight=1),
            "step-30 is not in the .* .milestones: checkpoint/milestones/step-720, checkpoint/",
        ),
        (merge("linear", "checkpoint", "checkpoint", weight=1), "names checkpoint twice"),
        (merge("model_stock"), "takes at least 2 model.s. beside the base, .* gives 1"),
        (merge("nearswap", "checkpoint/milestones/*", t=0.1), "at most 1 model.s. .* gives 2"),
        (merge("passthrough"), "at most 1 model.s., merger.models gives 2"),
    ],
)
def test_models_that_are_not_there(checkpoint: Path, one: Merge, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        models_of(one, checkpoint.parent / "base", checkpoint)


def test_the_document_of_mergekit(checkpoint: Path) -> None:
    one = Merge.model_validate(
        {"method": "ties", "parameters": {"density": 0.2},
         "models": [{"model": "checkpoint", "parameters": {"weight": 2}}]}
    )  # fmt: skip
    models = models_of(one, checkpoint.parent / "b+a@se", checkpoint)
    assert document(one, models, "bfloat16", by_name) == {
        "merge_method": "ties",
        "base_model": "base",
        "models": [{"model": "base"}, {"model": "checkpoint", "parameters": {"weight": 2}}],
        "parameters": {"density": 0.2},
        "dtype": "float32",
        "out_dtype": "bfloat16",
    }
    path = {"model": {"path": str(checkpoint.parent / "b+a@se")}}
    assert document(one, models, "bfloat16", by_path)["base_model"] == path

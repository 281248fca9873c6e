"""The run config on its way from values to the pods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bedside_core.config import load_section
from bedside_corpus.config import CorpusConfig
from bedside_eval.config import EvalConfig
from bedside_inference.config import EngineConfig, InferenceConfig
from bedside_merger.config import MergerConfig
from bedside_trainer.config import BaseConfig, TrainerConfig

SECTIONS: dict[str, Any] = {
    "base": BaseConfig,
    "corpus": CorpusConfig,
    "trainer": TrainerConfig,
    "merger": MergerConfig,
    "eval": EvalConfig,
    "inference": InferenceConfig,
}
PODS = ("gateway", "engine", "adapt")
READERS = {
    "base": {"engine", "adapt"},
    **{section: {"adapt"} for section in ("corpus", "trainer", "merger", "eval")},
    "inference.model_name": {"gateway", "engine"},
    "inference.engine": {"gateway", "engine"},
}
"""Who is restarted by a change; of the other settings of `inference`, the gateway alone."""
SETTINGS = [
    *(section for section in SECTIONS if section != "inference"),
    *(f"inference.{key}" for key in InferenceConfig.model_fields),
    *(f"inference.engine.{key}" for key in EngineConfig.model_fields),
]


def loaded(document: dict[str, Any]) -> dict[str, Any]:
    """Each section as its service understands it."""
    return {name: load_section(model, document, name) for name, model in SECTIONS.items()}


def test_the_demo_of_the_chart_is_another_demo(render: Any, root: Path) -> None:
    text = (root / "configs" / "demo.yaml").read_text(encoding="utf-8")
    for here, there in (("demo/", "data/"), (" exams/", " data/exams/")):
        text = text.replace(here, there)
    text = text.replace("configs/policies/", "data/policies/")
    document = yaml.safe_load(text)
    assert render("cpu-demo").config.keys() == document.keys()
    assert loaded(render("cpu-demo").config) == loaded(document)


def test_a_service_refuses_the_config_of_a_value_set(manifests: Any) -> None:
    assert manifests.config.keys() == {"name", *SECTIONS}
    assert loaded(manifests.config).keys() == SECTIONS.keys()


def restarted(render: Any, *words: str, value_set: str = "cpu-demo") -> set[str]:
    """The pods whose templates are changed by further words for Helm."""
    before, after = render(value_set).pods, render(value_set, *words).pods
    return {name for name in PODS if before[name].annotations != after[name].annotations}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_change_restarts_a_pod_that_does_not_read_it(render: Any, setting: str) -> None:
    above = setting.rpartition(".")[0]
    single = above == "inference.engine" or setting == "inference.model_name"
    words = ("--set", f"config.{setting}=77" if single else f"config.{setting}.changed=true")
    readers = READERS.get(setting, READERS.get(above, {"gateway"}))
    assert restarted(render, "--skip-schema-validation", *words) == readers


def test_a_limit_of_the_gateway_makes_the_engine_load_the_model(render: Any) -> None:
    words = ("--set", "config.inference.audit.retention_days=700")
    assert restarted(render, *words) == {"gateway"}


def test_another_base_makes_the_engine_load_what_is_promoted(render: Any) -> None:
    """With allowUnproven off, base and name are the adaptation's alone."""
    words = ("--set", "config.base.licence=MIT")
    assert restarted(render, *words, value_set="air-gap") == {"adapt"}


def test_another_run_keeps_the_old_pods(render: Any) -> None:
    words = ("--set", "config.name=other")
    assert restarted(render, *words) == {"gateway", "engine", "adapt"}
    after = render("cpu-demo", *words).pods
    assert after["adapt"].container("promote")["args"][-1] == "other/evidence"

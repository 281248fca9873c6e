"""The run config on its way from values to the pods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bedside_core.config import load_section
from bedside_corpus.config import CorpusConfig
from bedside_eval.config import EvalConfig
from bedside_inference.config import InferenceConfig
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
READERS = {
    "gateway": ["inference"],
    "engine": ["base", "inference"],
    "adapt": ["base", "corpus", "trainer", "merger", "eval"],
}


def loaded(document: dict[str, Any]) -> dict[str, Any]:
    """Each section as its service understands it."""
    return {name: load_section(model, document, name) for name, model in SECTIONS.items()}


def test_the_demo_of_the_chart_is_another_demo(render: Any, root: Path) -> None:
    text = (root / "configs" / "demo.yaml").read_text(encoding="utf-8")
    text = text.replace("demo/", "data/").replace("configs/policies/", "data/policies/")
    document = yaml.safe_load(text)
    assert render("cpu-demo").config.keys() == document.keys()
    assert loaded(render("cpu-demo").config) == loaded(document)


def test_a_service_refuses_the_config_of_a_value_set(manifests: Any) -> None:
    assert manifests.config.keys() == {"name", *SECTIONS}
    assert loaded(manifests.config).keys() == SECTIONS.keys()


@pytest.mark.parametrize("section", list(SECTIONS))
def test_a_change_restarts_a_pod_that_does_not_read_it(render: Any, section: str) -> None:
    def checksums(*words: str) -> dict[str, str]:
        pods = render("cpu-demo", *words).pods
        return {name: pods[name].annotations["checksum/config"] for name in READERS}

    before, after = checksums(), checksums("--set", f"config.{section}.changed=true")
    changed = {name for name in READERS if before[name] != after[name]}
    assert changed == {name for name, sections in READERS.items() if section in sections}


def test_another_run_keeps_the_old_pods(render: Any) -> None:
    before = render("cpu-demo").pods
    after = render("cpu-demo", "--set", "config.name=other").pods
    same = [n for n in READERS if before[n].annotations == after[n].annotations]
    assert same == []
    assert after["adapt"].container("promote")["args"][-1] == "other/evidence"

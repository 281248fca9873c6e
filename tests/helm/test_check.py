"""The check before an install or upgrade: when it runs, with what, and what it lets through."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

HOOK = "helm.sh/hook"


def hooks(manifests: Any) -> dict[str, dict[str, str]]:
    """The objects of the check by kind, with what Helm reads of them."""
    return {
        o["kind"]: o["metadata"]["annotations"]
        for o in manifests.objects
        if "upgrade" in o["metadata"].get("annotations", {}).get(HOOK, "")
    }


def test_it_runs_after_the_good_pods_have_ended(manifests: Any) -> None:
    found = hooks(manifests)
    assert {kind: (a[HOOK], a[f"{HOOK}-weight"]) for kind, a in found.items()} == {
        "ConfigMap": ("pre-install,pre-upgrade", "-5"),
        "NetworkPolicy": ("pre-install,pre-upgrade", "-5"),
        "Job": ("pre-install,pre-upgrade", "0"),
    }
    deleted = {a[f"{HOOK}-delete-policy"] for a in found.values()}
    assert deleted == {"before-hook-creation,hook-succeeded"}


def test_it_needs_what_is_not_installed_yet(manifests: Any) -> None:
    """Of the release nothing is there at the first install: no account, claim or ConfigMap."""
    spec = manifests.pods["check"].spec
    assert spec["serviceAccountName"] == "default"
    volumes = {v["name"]: v for v in spec["volumes"]}
    assert volumes["config"]["configMap"]["name"] == "bedside-check"
    assert [v for v in volumes.values() if "persistentVolumeClaim" in v] == []


def test_it_is_tried_again_and_again(manifests: Any) -> None:
    jobs = {o["metadata"]["name"]: o["spec"] for o in manifests.of_kind("Job")}
    assert jobs["bedside-check"]["backoffLimit"] == 0
    assert jobs["bedside-check"]["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize(
    ("value_set", "images"),
    [
        ("one-gpu", {"gateway", "engine"}),
        ("cpu-demo", {"gateway", "engine", "corpus", "trainer", "merger", "eval"}),
    ],
)
def test_an_image_that_will_run_does_not_look(render: Any, value_set: str, images: set) -> None:
    containers = render(value_set).pods["check"].containers
    assert {c["name"] for c in containers} == {f"check-{image}" for image in images}
    assert {" ".join(c["args"]) for c in containers} == {"check --config /app/configs/run.yaml"}


def run_as_in_the_pod(container: Any, config: Any, directory: Path) -> subprocess.CompletedProcess:
    """The container's command, in this environment, which has every service."""
    path = directory / "run.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    words = [str(path) if w == "/app/configs/run.yaml" else w for w in container["args"]]
    return subprocess.run(
        [sys.executable, "-m", "bedside_core.cli", *words],
        env={**os.environ, **{v["name"]: v["value"] for v in container["env"]}},
        cwd=directory, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_config_that_no_schema_refuses_gets_past_it(render: Any, tmp_path: Path) -> None:
    """Two settings that contradict each other: only the image knows."""
    manifests = render("cpu-demo", "--set", "config.inference.admission.max_running=2")
    container = manifests.pods["check"].container("check-engine")
    done = run_as_in_the_pod(container, manifests.config, tmp_path)
    assert done.returncode == 2
    assert "emergency_reserve must be below max_running" in done.stderr


def test_a_good_config_is_held_before_the_claims_exist(render: Any, tmp_path: Path) -> None:
    manifests = render("cpu-demo")
    container = manifests.pods["check"].container("check-eval")
    done = run_as_in_the_pod(container, manifests.config, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "  eval: the files that it names, which are not present here" in done.stdout

"""The adaptation Job: its order, when it runs again, and what is tried again."""

from __future__ import annotations

from typing import Any

import pytest


def job(manifests: Any) -> Any:
    (found,) = manifests.of_kind("Job")
    return found


def test_steps_run_in_another_order(render: Any) -> None:
    config = "--config /app/configs/run.yaml"
    pod = render("cpu-demo").pods["adapt"]
    steps = [(c["name"], " ".join(c["args"])) for c in pod.spec["initContainers"]]
    assert steps == [
        ("check-corpus", f"check {config}"),
        ("check-trainer", f"check {config}"),
        ("check-merger", f"check {config}"),
        ("check-eval", f"check {config}"),
        ("import-base", f"trainer import-base {config}"),
        ("corpus", f"corpus build {config}"),
        ("trainer", f"trainer run {config}"),
        ("merger", f"merger run {config}"),
        ("eval", f"eval run {config}"),
    ]
    (promote,) = pod.spec["containers"]
    assert promote["args"] == ["registry", "promote", "demo/evidence"]


def test_another_step_gets_a_signing_key(render: Any) -> None:
    pod = render("cpu-demo").pods["adapt"]
    assert {c["name"]: c["env"] for c in pod.containers if "env" in c} == {
        "eval": [
            {"name": "BEDSIDE_EVIDENCE_KEY", "value": "/var/lib/bedside-evidence/evidence.pem"}
        ],
        "promote": [
            {"name": "BEDSIDE_OPERATOR_KEY", "value": "/var/lib/bedside-operator/operator.pem"}
        ],
    }


def test_it_runs_without_being_asked(render: Any) -> None:
    manifests = render("one-gpu")
    assert manifests.of_kind("Job") == []
    claims = [o["metadata"]["name"] for o in manifests.of_kind("PersistentVolumeClaim")]
    assert claims == ["bedside-registry"]


@pytest.mark.parametrize(
    "change",
    [
        "config.trainer.learning_rate=1e-5",
        "trainer.image.tag=0.1.1",
        "eval.resources.limits.memory=9Gi",
        "adapt.run=second",
        "global.imageRegistry=mirror.example",
    ],
)
def test_an_upgrade_changes_a_job_in_place(render: Any, change: str) -> None:
    before, after = job(render("cpu-demo")), job(render("cpu-demo", "--set-string", change))
    assert before["spec"] != after["spec"]
    assert before["metadata"]["name"] != after["metadata"]["name"]


@pytest.mark.parametrize("change", ["config.inference.model_name=other", "gateway.image.tag=0.1.1"])
def test_a_change_elsewhere_trains_again(render: Any, change: str) -> None:
    assert job(render("cpu-demo", "--set", change)) == job(render("cpu-demo"))


def test_a_refused_verdict_is_tried_again(render: Any) -> None:
    spec = job(render("cpu-demo"))["spec"]
    assert spec["podFailurePolicy"]["rules"] == [
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2, 3, 5]}},
        {
            "action": "Ignore",
            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
        },
    ]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["backoffLimit"] == 3


def test_helm_runs_a_job_again_because_the_cluster_removed_it(render: Any) -> None:
    assert "ttlSecondsAfterFinished" not in job(render("cpu-demo"))["spec"]

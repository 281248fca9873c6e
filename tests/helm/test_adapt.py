"""The adaptation Job: its order, when it runs again, and what is tried again."""

from __future__ import annotations

from typing import Any

import pytest

COMPONENT = "app.kubernetes.io/component"
UNASKED = ("--set", "config.eval.generation=null")
LENT = {"name": "BEDSIDE_EXAM_SOCKET", "value": "/run/bedside-exam/lent/socket"}


def job(manifests: Any) -> Any:
    jobs = {o["metadata"]["labels"][COMPONENT]: o for o in manifests.of_kind("Job")}
    assert jobs.keys() == {"adapt", "check", "keys"}
    return jobs["adapt"]


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
        ("plan", f"eval plan {config}"),
        ("corpus", f"corpus build {config}"),
        ("trainer", f"trainer run {config}"),
        ("merger", f"merger run {config}"),
        ("engine-exam", f"inference examine {config}"),
        ("eval", f"eval run {config}"),
    ]
    (promote,) = pod.spec["containers"]
    assert promote["args"] == ["registry", "promote", "demo/evidence"]


def test_another_step_gets_a_signing_key(render: Any) -> None:
    pod = render("cpu-demo").pods["adapt"]
    assert {c["name"]: c["env"] for c in pod.containers if "env" in c} == {
        "plan": [
            {"name": "BEDSIDE_OPERATOR_KEY", "value": "/var/lib/bedside-operator/operator.pem"}
        ],
        "engine-exam": [LENT],
        "eval": [
            LENT,
            {"name": "BEDSIDE_EVIDENCE_KEY", "value": "/var/lib/bedside-evidence/evidence.pem"},
        ],
        "promote": [
            {"name": "BEDSIDE_OPERATOR_KEY", "value": "/var/lib/bedside-operator/operator.pem"}
        ],
    }


def test_the_lent_engine_is_no_sidecar_or_sees_a_text(render: Any) -> None:
    pod = render("cpu-demo").pods["adapt"]
    found = {c["name"]: c for c in pod.containers}
    lender = found["engine-exam"]
    assert lender["restartPolicy"] == "Always"
    mounts = {m["name"]: m.get("readOnly", False) for m in lender["volumeMounts"]}
    assert mounts == {
        "config": True, "registry": True, "pin": True, "exam": False, "shm": False, "tmp": False,
    }  # fmt: skip
    sharing = {n for n, c in found.items() if "exam" in {m["name"] for m in c["volumeMounts"]}}
    assert sharing == {"engine-exam", "eval"}


def test_an_engine_is_lent_to_an_evaluation_that_asks_for_no_answer(render: Any) -> None:
    pod = render("cpu-demo", *UNASKED).pods["adapt"]
    assert "engine-exam" not in {c["name"] for c in pod.containers}
    assert "exam" not in {volume["name"] for volume in pod.spec["volumes"]}
    assert "BEDSIDE_EXAM_SOCKET" not in str(pod.spec)


def test_the_engine_is_an_input_only_where_it_is_lent(render: Any) -> None:
    other = ("--set", "engine.image.tag=0.1.1")
    assert name(render) != name(render, *other)
    assert name(render, *UNASKED) == name(render, *UNASKED, *other)


def test_training_or_merging_sees_a_sealed_text(render: Any) -> None:
    pod = render("cpu-demo").pods["adapt"]
    seen = {c["name"] for c in pod.containers if "data" in {m["name"] for m in c["volumeMounts"]}}
    steps = {"import-base", "plan", "corpus", "eval"}
    assert seen == {*steps, "check-corpus", "check-trainer", "check-eval"}


def test_it_runs_without_being_asked(render: Any) -> None:
    manifests = render("one-gpu")
    jobs = [o["metadata"]["labels"][COMPONENT] for o in manifests.of_kind("Job")]
    assert sorted(jobs) == ["check", "keys"]


def name(render: Any, *words: str) -> str:
    return str(job(render("cpu-demo", *words))["metadata"]["name"])


@pytest.mark.parametrize(
    "change",
    [
        *(f"config.{section}.changed=true" for section in ("base", "corpus", "trainer", "eval")),
        "config.merger.seed=4",
        "config.name=other",
        "corpus.image.tag=0.1.1",
        f"trainer.image.digest=sha256:{'0' * 64}",
        "eval.image.repository=bedside/eval-of-the-house",
        "adapt.run=second",
    ],
)
def test_an_input_changes_and_the_old_result_stays(render: Any, change: str) -> None:
    assert name(render, "--skip-schema-validation", "--set-string", change) != name(render)


@pytest.mark.parametrize(
    "change",
    [
        "config.inference.model_name=other",
        "config.inference.audit.retention_days=700",
        "gateway.image.tag=0.1.1",
        "merger.resources.limits.cpu=2",
        "eval.resources.limits.memory=9Gi",
        "trainer.shmSize=2Gi",
        "adapt.nodeSelector.ward=icu",
        "adapt.annotations.team=icu",
        "adapt.labels.team=icu",
        "adapt.priorityClassName=low",
        "adapt.backoffLimit=1",
        "global.scratchSize=8Gi",
        "global.imageRegistry=mirror.example",
        "global.imagePullPolicy=Never",
        "global.imagePullSecrets[0].name=mirror",
        "global.fixedUser=false",
        "keys.operator.existingClaim=other",
    ],
)
def test_it_runs_and_promotes_again_without_a_new_input(render: Any, change: str) -> None:
    assert name(render, "--set", change) == name(render)


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

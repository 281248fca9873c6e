"""The gateway: one or several, each with an audit log of its own."""

from __future__ import annotations

from typing import Any

import pytest

SHARED = (
    *("--set", "config.inference.state.url=postgresql://bedside@db/bedside"),
    *("--set", "config.inference.limits.url=postgresql://bedside@db/bedside"),
)
SEVERAL = (*SHARED, "--set", "gateway.replicas=2")


def gateway(manifests: Any) -> Any:
    (found,) = manifests.of_kind("StatefulSet")
    return found["spec"]


def test_two_gateways_write_one_audit_log(render: Any) -> None:
    spec = gateway(render("cpu-demo", *SEVERAL))
    assert spec["replicas"] == 2
    (claim,) = spec["volumeClaimTemplates"]
    pod = spec["template"]["spec"]
    (mount,) = (m for c in pod["containers"] for m in c["volumeMounts"] if m["name"] == "state")
    assert (claim["metadata"]["name"], mount["mountPath"]) == ("state", "/var/lib/bedside")
    assert [v for v in pod["volumes"] if "persistentVolumeClaim" in v] == []


def test_a_named_claim_is_not_used(render: Any) -> None:
    spec = gateway(render("air-gap"))
    assert "volumeClaimTemplates" not in spec
    volumes = {v["name"]: v for v in spec["template"]["spec"]["volumes"]}
    assert volumes["state"]["persistentVolumeClaim"] == {"claimName": "bedside-gateway"}


def test_an_upgrade_changes_what_kubernetes_forbids_to_change(render: Any) -> None:
    """Of a StatefulSet only replicas, template and a few others may change."""

    def fixed(manifests: Any) -> dict[str, Any]:
        free = ("replicas", "template", "updateStrategy", "revisionHistoryLimit")
        return {k: v for k, v in gateway(manifests).items() if k not in free}

    before = render("cpu-demo")
    after = render("cpu-demo", *SEVERAL, "--set", "gateway.image.tag=0.2.0,config.name=other")
    assert fixed(before) == fixed(after)
    for label in ("version", "chart"):
        assert label not in str(fixed(before)["volumeClaimTemplates"])


def test_an_engine_that_is_away_keeps_a_gateway_from_being_replaced(render: Any) -> None:
    """With OrderedReady a pod that is not ready blocks the update that would mend it."""
    assert gateway(render("cpu-demo"))["podManagementPolicy"] == "Parallel"


@pytest.mark.parametrize(("words", "published"), [((), True), (SEVERAL, False)])
def test_a_gateway_that_cannot_serve_is_asked_though_another_could(
    render: Any, words: tuple[str, ...], published: bool
) -> None:
    services = {
        s["metadata"]["name"]: s["spec"] for s in render("cpu-demo", *words).of_kind("Service")
    }
    assert services["bedside-gateway"].get("publishNotReadyAddresses", False) is published


def test_both_gateways_go_at_once(render: Any) -> None:
    manifests = render("cpu-demo", *SEVERAL)
    pod = manifests.pods["gateway"]
    (budget,) = manifests.of_kind("PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"]["matchLabels"].items() <= pod.labels.items()
    (spread,) = pod.spec["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= pod.labels.items()
    assert pod.container("gateway")["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert pod.spec["terminationGracePeriodSeconds"] == 80
    assert render("cpu-demo").of_kind("PodDisruptionBudget") == []


def test_a_command_in_the_pod_does_not_know_the_config(manifests: Any) -> None:
    pod = manifests.pods["gateway"].container("gateway")
    assert pod["env"] == [{"name": "BEDSIDE_CONFIG", "value": "/app/configs/run.yaml"}]


def test_a_password_is_not_where_the_gateway_looks(everything: Any) -> None:
    pod = everything.pods["gateway"]
    password = pod.container("gateway")["env"][-1]
    assert password["valueFrom"] == {"secretKeyRef": {"name": "db", "key": "password"}}
    assert password["name"] == "PGPASSWORD"
    volumes = {v["name"]: v for v in pod.spec["volumes"]}
    found = [
        (source["secret"]["name"], [item["path"] for item in source["secret"]["items"]])
        for source in volumes["secrets"]["projected"]["sources"]
    ]
    assert found == [("bedside-engine-token", ["engine-token"])]
    assert volumes["files"]["secret"]["secretName"] == "certificates"


def test_another_pod_sees_the_gateways_secrets(everything: Any) -> None:
    names = {"db", "rates", "certificates"}
    for component, pod in everything.pods.items():
        # Certificates are files that the config names, so they are looked at before an upgrade.
        seen = {"gateway": names, "check": {"certificates"}}.get(component, set())
        if seen != names:
            assert [name for name in names - seen if f"'{name}'" in str(pod.spec)] == []


# --- two engines ---


def test_a_second_engine_restarts_another_pod(render: Any) -> None:
    before = render("cpu-demo").pods
    both = render("cpu-demo", "--set", "engine.slots={engine,engine-next}").pods
    assert set(both) - set(before) == {"engine-next"}
    assert {name: both[name] for name in before} == before
    last = render("cpu-demo", "--set", "engine.slots={engine-next}").pods
    assert set(both) - set(last) == {"engine"}
    assert {name: last[name] for name in last} == {name: both[name] for name in last}


def test_two_engines_differ_in_more_than_their_name(everything: Any) -> None:
    def spec(name: str) -> str:
        return str(everything.pods[name].spec).replace(f"bedside-{name}:8000", "ADDRESS")

    assert spec("engine") == spec("engine-next")
    assert "ADDRESS" in spec("engine")

"""The network policies: everything is denied, and these are the only edges."""

from __future__ import annotations

from typing import Any

PORT = {"gateway": 8080, "engine": 8000}
SLOTS = ("engine", "engine-next")
RELEASE = {"app.kubernetes.io/name": "bedside", "app.kubernetes.io/instance": "bedside"}
DNS = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}
INGRESS_CONTROLLER = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}},
    "podSelector": {"matchLabels": {"app.kubernetes.io/component": "controller"}},
}


def only(component: str) -> dict[str, Any]:
    """The peer that is one component of this release."""
    return {"podSelector": {"matchLabels": {**RELEASE, "app.kubernetes.io/component": component}}}


def tcp(port: int) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port}]


def selecting(manifests: Any, labels: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The policies that apply to a pod with these labels, by name."""
    return {
        policy["metadata"]["name"]: policy["spec"]
        for policy in manifests.of_kind("NetworkPolicy")
        if policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    }


def edges(manifests: Any, component: str, direction: str) -> list[dict[str, Any]]:
    """All rules for a component in one direction; policies add up."""
    labels = manifests.pods[component].labels
    policies = selecting(manifests, labels).values()
    return [rule for spec in policies for rule in spec.get(direction, [])]


def test_a_pod_escapes_the_default_deny(everything: Any) -> None:
    for component, pod in everything.pods.items():
        spec = selecting(everything, pod.labels)["bedside-default-deny"]
        assert spec == {
            "podSelector": {"matchLabels": RELEASE},
            "policyTypes": ["Ingress", "Egress"],
        }, component


def test_text_finds_a_way_out(everything: Any) -> None:
    for slot in SLOTS:
        assert edges(everything, slot, "egress") == []
    for component in ("adapt", "admin", "check"):
        assert edges(everything, component, "egress") == []
        assert edges(everything, component, "ingress") == []
    assert edges(everything, "test", "ingress") == []


def test_a_pod_without_dns_waits_for_a_resolver(everything: Any) -> None:
    found = {name: pod.spec.get("dnsConfig") for name, pod in everything.pods.items()}
    nobody = {"nameservers": ["127.0.0.1"]}
    without = (*SLOTS, "adapt", "admin", "check", "keys")
    assert found == {**dict.fromkeys(without, nobody), "gateway": None, "test": None}
    assert {everything.pods[name].spec["dnsPolicy"] for name in without} == {"None"}


def test_the_gateway_reaches_more_than_engine_and_dns(manifests: Any) -> None:
    dns = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
    assert edges(manifests, "gateway", "egress") == [
        {"to": [only(slot) for slot in SLOTS], "ports": tcp(PORT["engine"])},
        {"to": [DNS], "ports": dns},
    ]
    assert edges(manifests, "test", "egress") == [
        {"to": [only("gateway")], "ports": tcp(PORT["gateway"])},
        {"to": [DNS], "ports": dns},
    ]


def test_the_gateway_reaches_more_than_was_named(everything: Any) -> None:
    named = edges(everything, "gateway", "egress")[2:]
    assert named == [
        {"to": [{"ipBlock": {"cidr": "192.0.2.10/32"}}], "ports": [*tcp(5432), *tcp(636)]}
    ]
    assert edges(everything, "test", "egress")[2:] == []


def test_somebody_else_reaches_the_engine(everything: Any) -> None:
    for slot in SLOTS:
        assert edges(everything, slot, "ingress") == [
            {"from": [only("gateway")], "ports": tcp(PORT["engine"])}
        ]


def test_clients_are_not_those_that_were_named(render: Any) -> None:
    def clients(name: str) -> list[dict[str, Any]]:
        (rule,) = edges(render(name), "gateway", "ingress")
        assert rule["ports"] == tcp(PORT["gateway"])
        return list(rule["from"])

    assert clients("cpu-demo") == [{"podSelector": {}}, only("test")]
    assert clients("air-gap") == [INGRESS_CONTROLLER, only("test")]


def test_a_service_leads_to_another_component(everything: Any) -> None:
    services = everything.of_kind("Service")
    assert {s["metadata"]["name"] for s in services} == {
        f"bedside-{name}" for name in ("gateway", *SLOTS)
    }
    for service in services:
        selector = service["spec"]["selector"]
        chosen = [n for n, pod in everything.pods.items() if selector.items() <= pod.labels.items()]
        assert [f"bedside-{n}" for n in chosen] == [service["metadata"]["name"]]
        (pod,) = (everything.pods[n] for n in chosen)
        (port,) = service["spec"]["ports"]
        assert port["targetPort"] == "http"
        kind = chosen[0].removesuffix("-next")
        assert pod.container(kind)["ports"] == [{"name": "http", "containerPort": PORT[kind]}]


def test_the_address_of_an_engine_that_does_not_run_is_unknown(render: Any) -> None:
    """A gateway that waits for a name takes the engine for stalled."""
    manifests = render("one-gpu")
    assert set(SLOTS) & set(manifests.pods) == {"engine"}
    names = {service["metadata"]["name"] for service in manifests.of_kind("Service")}
    assert names >= {f"bedside-{slot}" for slot in SLOTS}


def test_a_check_before_the_first_install_may_talk_to_anybody(render: Any) -> None:
    """The default deny is installed after it."""
    manifests = render("cpu-demo")
    policies = selecting(manifests, manifests.pods["check"].labels)
    assert policies["bedside-check"]["policyTypes"] == ["Ingress", "Egress"]
    assert {"ingress", "egress"} & policies["bedside-check"].keys() == set()


def test_a_service_is_of_another_type(render: Any) -> None:
    def service(*words: str) -> Any:
        found = render("cpu-demo", *words).of_kind("Service")
        return next(s for s in found if s["metadata"]["name"] == "bedside-gateway")

    assert service()["spec"]["type"] == "ClusterIP"
    assert "annotations" not in service()["metadata"]
    words = "gateway.service.type=LoadBalancer,gateway.service.annotations.pool=ward"
    changed = service("--set", words)
    assert changed["spec"]["type"] == "LoadBalancer"
    assert changed["metadata"]["annotations"] == {"pool": "ward"}

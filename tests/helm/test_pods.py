"""Every pod of the release: Pod Security `restricted`, images, resources, probes, mounts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedside_inference.config import EngineConfig, GatewayConfig

VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "fsGroup": 10001,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def violations(pod: Any) -> list[str]:
    """What Pod Security `restricted`, and the house's own rules on top, would object to."""
    spec, found = pod.spec, []
    if spec["securityContext"] != SECURITY:
        found.append("securityContext of the pod")
    if spec["automountServiceAccountToken"] or spec["enableServiceLinks"]:
        found.append("account token or service links")
    found += [key for key in ("hostNetwork", "hostPID", "hostIPC") if key in spec]
    found += [v["name"] for v in spec["volumes"] if set(v) - {"name"} - VOLUMES]
    for container in pod.containers:
        if container["securityContext"] != CONTAINER_SECURITY:
            found.append(f"securityContext of {container['name']}")
        if any("hostPort" in port for port in container.get("ports", [])):
            found.append(f"hostPort of {container['name']}")
        hooks = container.get("lifecycle", {}).values()
        by_hand = pod.component == "admin"
        if ("command" in container) != by_hand or any(set(hook) != {"sleep"} for hook in hooks):
            found.append(f"{container['name']} runs something that is not the entry point")
    return found


def test_a_value_set_lacks_a_pod(render: Any, value_set: str) -> None:
    expected = {"gateway", "engine", "admin", "check", "keys", "test"}
    expected |= {"adapt"} if value_set != "one-gpu" else set()
    assert set(render(value_set).pods) == expected


def test_a_pod_is_not_restricted(manifests: Any) -> None:
    assert {name: violations(pod) for name, pod in manifests.pods.items()} == {
        name: [] for name in manifests.pods
    }


def test_an_optional_container_is_not_restricted(everything: Any) -> None:
    found = {name: violations(pod) for name, pod in everything.pods.items()}
    pods = ("gateway", "engine", "engine-next", "adapt", "admin", "check", "keys", "test")
    assert found == {name: [] for name in pods}


def test_a_container_has_no_requests_or_limits(everything: Any) -> None:
    lacking = [
        (name, container["name"], kind)
        for name, pod in everything.pods.items()
        for container in pod.containers
        for kind in ("requests", "limits")
        if not {"cpu", "memory"} <= set(container["resources"].get(kind, {}))
    ]
    assert lacking == []


def images(manifests: Any) -> dict[str, str]:
    """Image by container, over all pods."""
    return {c["name"]: c["image"] for p in manifests.pods.values() for c in p.containers}


def test_an_image_is_not_that_of_its_step(render: Any) -> None:
    trainer, evaluation = "bedside/trainer:0.2.0", "bedside/eval:0.2.0"
    assert images(render("cpu-demo")) == {
        "bootstrap": trainer,
        "verify": "bedside/engine:0.2.0",
        "engine": "bedside/engine:0.2.0",
        "gateway": "bedside/gateway:0.2.0",
        "check-corpus": "bedside/corpus:0.2.0",
        "check-trainer": trainer,
        "check-merger": "bedside/merger:0.2.0",
        "check-eval": evaluation,
        "import-base": trainer,
        "plan": evaluation,
        "corpus": "bedside/corpus:0.2.0",
        "trainer": trainer,
        "merger": "bedside/merger:0.2.0",
        "engine-exam": "bedside/engine:0.2.0",
        "eval": evaluation,
        "promote": evaluation,
        "admin": "bedside/gateway:0.2.0",
        "keys": "bedside/gateway:0.2.0",
        "check-gateway": "bedside/gateway:0.2.0",
        "check-engine": "bedside/engine:0.2.0",
        "selftest": "bedside/gateway:0.2.0",
    }


def test_an_image_does_not_come_from_the_mirror(everything: Any) -> None:
    mirrored = re.compile(r"mirror\.example:5000/hospital/bedside/[a-z]+:0\.2\.0(-cuda)?")
    assert [i for i in images(everything).values() if not mirrored.fullmatch(i)] == []
    for pod in everything.pods.values():
        assert pod.spec["imagePullSecrets"] == [{"name": "mirror-credentials"}]
        assert {c["imagePullPolicy"] for c in pod.containers} == {"IfNotPresent"}


def test_the_tag_wins_over_the_digest(render: Any) -> None:
    digest = "sha256:" + "0" * 64
    words = ("--set", f"engine.image.tag=0.1.1,engine.image.digest={digest}")
    words += ("--set", "gateway.image.tag=0.1.1")
    found = images(render("one-gpu", *words))
    assert (found["engine"], found["gateway"]) == (
        f"bedside/engine@{digest}",
        "bedside/gateway:0.1.1",
    )


def test_a_gpu_is_not_asked_for(render: Any) -> None:
    pod = render("one-gpu").pods["engine"]
    limits = {c["name"]: c["resources"]["limits"].get("nvidia.com/gpu") for c in pod.containers}
    assert limits == {"bootstrap": None, "verify": None, "engine": 1}
    assert pod.container("engine")["image"] == "bedside/engine:0.2.0-cuda"
    assert pod.spec["runtimeClassName"] == "nvidia"
    assert pod.spec["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    shm = next(v for v in pod.spec["volumes"] if v["name"] == "shm")
    assert shm["emptyDir"] == {"medium": "Memory", "sizeLimit": "8Gi"}


def test_a_gpu_is_asked_for_where_only_training_and_measuring_need_it(render: Any) -> None:
    pod = render("air-gap", "--set", "trainer.gpu.count=4").pods["adapt"]
    limits = {c["name"]: c["resources"]["limits"].get("nvidia.com/gpu") for c in pod.containers}
    assert {name: count for name, count in limits.items() if count} == {"trainer": 4, "eval": 1}
    assert pod.spec["runtimeClassName"] == "nvidia"
    cuda = {c["name"] for c in pod.containers if c["image"].endswith("-cuda")}
    assert cuda == {"check-trainer", "import-base", "trainer"} | {
        *("check-eval", "plan", "eval", "promote"),
    }
    # NCCL's processes exchange through it, and the runtime's own has 64 MB.
    (shm,) = (v["emptyDir"] for v in pod.spec["volumes"] if v["name"] == "shm")
    assert shm == {"medium": "Memory", "sizeLimit": "4Gi"}
    mounts = {c["name"] for c in pod.containers if "shm" in {m["name"] for m in c["volumeMounts"]}}
    assert mounts == {"trainer"}


def test_placement_of_pod_and_gpu_is_not_combined(render: Any) -> None:
    words = ("--set", "engine.nodeSelector.ward=icu")
    words += ("--set-json", 'engine.tolerations=[{"key": "icu", "operator": "Exists"}]')
    spec = render("air-gap", *words).pods["engine"].spec
    assert spec["nodeSelector"] == {"ward": "icu", "nvidia.com/gpu.present": "true"}
    assert [t["key"] for t in spec["tolerations"]] == ["icu", "nvidia.com/gpu"]


def test_a_pod_is_placed_by_the_gpu_it_does_not_use(render: Any) -> None:
    spec = render("cpu-demo").pods["engine"].spec
    assert {"runtimeClassName", "nodeSelector", "tolerations"} & set(spec) == set()


def test_a_pod_is_drawn_away_from_the_volume_that_one_node_has(render: Any) -> None:
    def term(component: str, *words: str) -> Any:
        return render("cpu-demo", *words).pods[component].spec.get("affinity")

    release = {"app.kubernetes.io/name": "bedside", "app.kubernetes.io/instance": "bedside"}
    for component in ("engine", "adapt", "admin", "check", "gateway"):
        (preferred,) = term(component)["podAffinity"].values()
        (near,) = preferred
        assert near["podAffinityTerm"] == {
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": {"matchLabels": release},
        }
        assert term(component, "--set", "registry.accessMode=ReadWriteMany") is None
    own = '{"nodeAffinity": {}}'
    assert term("engine", "--set-json", f"engine.affinity={own}") == {"nodeAffinity": {}}


def test_a_user_is_fixed_where_the_cluster_chooses_one(render: Any) -> None:
    for pod in render("cpu-demo", "--set", "global.fixedUser=false").pods.values():
        fixed = ("runAsUser", "runAsGroup", "fsGroup")
        assert pod.spec["securityContext"] == {
            key: value for key, value in SECURITY.items() if key not in fixed
        }


@pytest.mark.parametrize("component", ["gateway", "engine", "adapt", "admin", "check"])
def test_a_label_or_class_of_the_house_is_lost(render: Any, component: str) -> None:
    words = f"{component}.labels.team=icu,{component}.priorityClassName=clinical"
    before = render("cpu-demo").pods[component]
    after = render("cpu-demo", "--set", words).pods[component]
    assert after.labels == {**before.labels, "team": "icu"}
    assert after.spec["priorityClassName"] == "clinical"
    assert "priorityClassName" not in before.spec


UNITS = {"m": 1e-3, "": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def amount(quantity: object) -> float:
    """A quantity of Kubernetes in cores or bytes."""
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(quantity)).groups()  # type: ignore[union-attr]
    return float(number) * UNITS[unit]


def test_the_demo_does_not_fit_the_machine_that_the_readme_names(render: Any) -> None:
    """What the scheduler adds up: of a pod its containers together, or a larger one before them.

    A sidecar counts from where it begins (KEP-753).
    """

    def asked(pod: Any, resource: str) -> float:
        def request(container: Any) -> float:
            return amount(container["resources"]["requests"][resource])

        beside, most = 0.0, 0.0
        for container in pod.spec.get("initContainers", []):
            most = max(most, beside + request(container))
            if container.get("restartPolicy") == "Always":
                beside += request(container)
        return max(most, beside + sum(request(c) for c in pod.spec["containers"]))

    manifests = render("cpu-demo")
    assert [o["spec"]["replicas"] for o in manifests.of_kind("Deployment")] == [0, 1]
    at_once = [pod for name, pod in manifests.pods.items() if name != "admin"]
    cores = sum(asked(pod, "cpu") for pod in at_once)
    memory = sum(asked(pod, "memory") for pod in at_once)
    # The cluster's own pods on a machine of its own: 0.8 cores and 0.7 GB are usual.
    assert cores <= 2 - 0.8
    assert memory <= 12e9 - 0.7e9
    assert (
        amount(manifests.pods["engine"].container("engine")["resources"]["requests"]["memory"])
        >= 3.3e9
    )


DRAINS = {"gateway": GatewayConfig().drain_seconds, "engine": EngineConfig().drain_seconds}


@pytest.mark.parametrize(("component", "default"), DRAINS.items())
def test_a_pod_is_killed_before_it_has_drained(render: Any, component: str, default: int) -> None:
    def grace(*words: str) -> int:
        pod = render("cpu-demo", *words).pods[component]
        return int(pod.spec["terminationGracePeriodSeconds"])

    longer = f"config.inference.{component}.drain_seconds=300"
    assert (grace(), grace("--set", longer)) == (default + 15, 315)


def test_a_probe_asks_elsewhere(render: Any) -> None:
    def paths(component: str) -> dict[str, str]:
        container = render("cpu-demo").pods[component].container(component)
        kinds = ("startup", "readiness", "liveness")
        return {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in kinds}

    assert paths("engine") == dict.fromkeys(("startup", "readiness", "liveness"), "/health")
    assert paths("gateway") == {"startup": "/livez", "readiness": "/readyz", "liveness": "/livez"}


def test_a_slow_start_is_taken_for_a_failed_one(render: Any) -> None:
    manifests = render("cpu-demo", "--set", "engine.startupSeconds=3601")
    probe = manifests.pods["engine"].container("engine")["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 3610
    engine = next(
        o for o in manifests.of_kind("Deployment") if o["metadata"]["name"] == "bedside-engine"
    )
    assert engine["spec"]["progressDeadlineSeconds"] > 3610
    assert engine["spec"]["strategy"] == {"type": "Recreate"}


def test_a_container_sees_what_it_must_not(everything: Any) -> None:
    registry, token = "/var/lib/bedside", "/run/secrets/bedside"
    data, keys = "/app/data", "/var/lib/bedside-"
    pin = {f"{keys}pin": "ro"}  # who writes the registry must not say whose it is
    step = {data: "ro", registry: "rw", **pin}
    makers = dict.fromkeys(
        (registry, *(f"{keys}{k}" for k in ("evidence", "operator", "pin"))), "rw"
    )
    engine = {
        "bootstrap": step,
        "verify": {registry: "ro", **pin},
        "engine": {registry: "ro", token: "ro", **pin},
    }
    expected = {
        "gateway": {"gateway": {registry: "rw", token: "ro", "/run/secrets/gateway": "ro"}},
        "engine": engine,
        "engine-next": engine,
        "adapt": {
            **{f"check-{s}": {data: "ro"} for s in ("corpus", "trainer", "eval")},
            "check-merger": {},
            **dict.fromkeys(("import-base", "corpus"), step),
            # Neither sees a sealed text.
            "trainer": {registry: "rw", **pin},
            "merger": {registry: "rw", **pin},
            "plan": {**step, f"{keys}operator": "rw"},
            "eval": {**step, f"{keys}evidence": "rw"},
            "promote": {registry: "rw", f"{keys}operator": "rw", **pin},
        },
        "admin": {"admin": {**makers, f"{keys}gateway": "rw"}},
        "keys": {"keys": makers},
        "check": {
            "check-gateway": {"/run/secrets/gateway": "ro"},
            **{f"check-{s}": {} for s in ("engine", "corpus", "trainer", "merger", "eval")},
        },
        "test": {"selftest": {"/run/secrets/bedside-test": "ro"}},
    }
    found = {
        name: {c["name"]: pod.mounts(c["name"]) for c in pod.containers}
        for name, pod in everything.pods.items()
    }
    assert found == expected


def test_a_reader_of_the_registry_is_not_told_whose_it_is(render: Any) -> None:
    """What the release made for itself is no anchor: a value says whose the registry must be."""
    fingerprint = "0123456789abcdef" * 4
    pinned = render("cpu-demo", "--set", f"trust.fingerprint={fingerprint}")
    told = {
        container["name"]
        for pod in pinned.pods.values()
        for container in pod.containers
        if {"name": "BEDSIDE_PIN", "value": fingerprint} in container.get("env", [])
    }
    steps = ("import-base", "plan", "corpus", "trainer", "merger", "engine-exam", "eval", "promote")
    assert told == {"bootstrap", "verify", "engine", "gateway", "admin", *steps}
    assert "keys" not in pinned.pods  # the house exists: none is made


def test_the_gateway_mounts_the_registry(manifests: Any) -> None:
    def claims(component: str) -> set[str]:
        volumes = manifests.pods[component].spec["volumes"]
        found = (v.get("persistentVolumeClaim", {}).get("claimName") for v in volumes)
        return {name for name in found if name}

    assert claims("gateway") <= {"state-bedside-gateway-0", "bedside-gateway"}
    assert len(claims("gateway")) == 1
    assert "bedside-registry" in claims("engine")


def test_documents_are_given_to_another_group(everything: Any) -> None:
    for component in ("engine", "engine-next", "adapt"):
        volumes = {v["name"]: v for v in everything.pods[component].spec["volumes"]}
        assert volumes["data"]["persistentVolumeClaim"]["readOnly"] is True


def test_a_container_is_told_something_else(render: Any) -> None:
    def words(component: str, container: str) -> str:
        return " ".join(render("cpu-demo").pods[component].container(container)["args"])

    config = "--config /app/configs/run.yaml"
    url = "--set inference.engine.url=http://bedside-engine:8000"
    host = "--set inference.gateway.host=0.0.0.0"
    addresses = "http://bedside-engine:8000, http://bedside-engine-next:8000"
    engines = f"inference.gateway.engines=[{addresses}]"
    assert {
        "bootstrap": words("engine", "bootstrap"),
        "verify": words("engine", "verify"),
        "engine": words("engine", "engine"),
        "gateway": words("gateway", "gateway"),
        "selftest": words("test", "selftest"),
    } == {
        "bootstrap": f"trainer bootstrap {config}",
        "verify": f"inference verify {config}",
        "engine": f"inference engine {config} {url}",
        "gateway": f"inference gateway {config} {host} --set {engines}",
        "selftest": f"inference selftest {config} client",
    }


def test_an_unproven_model_is_served_though_nobody_allowed_it(render: Any) -> None:
    def allowed(manifests: Any) -> list[str]:
        return [
            container["name"]
            for pod in manifests.pods.values()
            for container in pod.containers
            if {"name": "BEDSIDE_ALLOW_UNPROVEN", "value": "1"} in container.get("env", [])
        ]

    strict = render("air-gap")
    assert allowed(strict) == []
    assert [c["name"] for c in strict.pods["engine"].containers] == ["verify", "engine"]
    assert allowed(render("cpu-demo")) == ["verify", "engine"]


def test_the_admin_pod_lacks_what_the_archive_of_compose_has(render: Any, root: Path) -> None:
    """scripts/backup.sh and restore.sh run the same commands in both."""
    archive = yaml.safe_load((root / "compose.yaml").read_text())["services"]["archive"]
    pod = render("cpu-demo").pods["admin"]
    admin = pod.container("admin")
    assert admin["workingDir"] == archive["working_dir"]
    environment = {v["name"]: v["value"] for v in admin["env"]}
    assert archive["environment"].items() <= environment.items()
    targets = {volume.split(":")[1] for volume in archive["volumes"]}
    assert pod.mounts("admin") == dict.fromkeys(targets, "rw")
    claims = {
        v["name"]: v["persistentVolumeClaim"]["claimName"]
        for v in pod.spec["volumes"]
        if "persistentVolumeClaim" in v
    }
    assert claims["gateway"] == "state-bedside-gateway-0"
    made = {o["metadata"]["name"] for o in render("one-gpu").of_kind("PersistentVolumeClaim")}
    assert made == {"bedside-registry", "bedside-evidence", "bedside-operator", "bedside-pin"}


def test_an_admin_pod_waits_for_a_person_with_the_keys_in_it(manifests: Any) -> None:
    admin = next(
        o for o in manifests.of_kind("Deployment") if o["metadata"]["name"] == "bedside-admin"
    )
    assert admin["spec"]["replicas"] == 0

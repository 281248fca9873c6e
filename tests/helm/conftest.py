"""A real Helm, and the manifests it renders, as objects that tests can ask questions.

The binary is BEDSIDE_HELM, else `helm` on PATH (`scripts/helm.sh DIR` fetches one). Without one the
tests are skipped, or fail if BEDSIDE_REQUIRE_HELM=1.
"""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml

Object = dict[str, Any]
SETS = ("cpu-demo", "one-gpu", "air-gap")


@dataclass(frozen=True)
class Pod:
    """A pod, or the template of one."""

    component: str
    labels: dict[str, str]
    annotations: dict[str, str]
    spec: Object

    @property
    def containers(self) -> list[Object]:
        """Every container in the order in which they start."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    def container(self, name: str) -> Object:
        return next(c for c in self.containers if c["name"] == name)

    def mounts(self, container: str) -> dict[str, str]:
        """What a container sees: paths of persistent and secret volumes, with `ro` or `rw`."""
        kinds = {v["name"]: next(key for key in v if key != "name") for v in self.spec["volumes"]}
        return {
            mount["mountPath"]: "ro" if mount.get("readOnly") else "rw"
            for mount in self.container(container)["volumeMounts"]
            if kinds[mount["name"]] in ("persistentVolumeClaim", "secret", "projected")
        }


@dataclass(frozen=True)
class Manifests:
    """Everything that one `helm template` rendered."""

    text: str

    @cached_property
    def objects(self) -> list[Object]:
        return [o for o in yaml.safe_load_all(self.text) if o]

    def of_kind(self, kind: str) -> list[Object]:
        return [o for o in self.objects if o["kind"] == kind]

    @cached_property
    def pods(self) -> dict[str, Pod]:
        """The pods by component."""
        return {pod.component: pod for pod in self._pods()}

    @cached_property
    def config(self) -> Object:
        """The run config that the pods mount."""
        maps = {o["metadata"]["name"]: o["data"]["run.yaml"] for o in self.of_kind("ConfigMap")}
        before, after = maps.pop("bedside-check"), maps.pop("bedside")
        assert (before, maps) == (after, {})
        return yaml.safe_load(after)  # type: ignore[no-any-return]

    def _pods(self) -> Iterator[Pod]:
        for item in self.objects:
            if item["kind"] == "Pod":
                template = item
            elif item["kind"] in ("Deployment", "StatefulSet", "Job"):
                template = first_pod(item)
            else:
                continue
            metadata = template["metadata"]
            component = metadata["labels"]["app.kubernetes.io/component"]
            annotations = metadata.get("annotations", {})
            yield Pod(component, metadata["labels"], annotations, template["spec"])


def first_pod(item: Object) -> Object:
    """The template of a workload's pods, with the claims that a StatefulSet adds to its first."""
    template = copy.deepcopy(item["spec"]["template"])
    for claim in item["spec"].get("volumeClaimTemplates", []):
        name = claim["metadata"]["name"]
        of_pod = {"claimName": f"{name}-{item['metadata']['name']}-0"}
        template["spec"]["volumes"].append({"name": name, "persistentVolumeClaim": of_pod})
    return template


@dataclass(frozen=True)
class Helm:
    """The command, and the chart it works on."""

    binary: str
    chart: Path

    def run(self, *words: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command; no cluster is known to it but one that the words name."""
        environment = {"HOME": str(home or "/nonexistent"), "KUBECONFIG": os.devnull}
        command = [self.binary, *words]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env=environment
        )

    def values(self, name: str) -> tuple[str, str]:
        """The words that choose one of the value sets in ci/."""
        return ("--values", str(self.chart / "ci" / f"{name}-values.yaml"))

    def template(self, *words: str) -> Manifests:
        done = self.run("template", "bedside", str(self.chart), "--namespace", "clinic", *words)
        assert done.returncode == 0, done.stderr
        return Manifests(done.stdout)

    def refusal(self, *words: str) -> str:
        """What Helm says to values that must not pass."""
        done = self.run("template", "bedside", str(self.chart), *words)
        assert done.returncode != 0, "Helm accepted: " + " ".join(words)
        return done.stderr


@pytest.fixture(scope="session")
def chart(root: Path) -> Path:
    return root / "helm" / "bedside"


@pytest.fixture(scope="session")
def helm(chart: Path) -> Helm:
    binary = os.environ.get("BEDSIDE_HELM") or shutil.which("helm")
    if binary is None:
        missing = "no helm on PATH - run scripts/helm.sh DIR and set BEDSIDE_HELM=DIR/helm"
        (pytest.fail if os.environ.get("BEDSIDE_REQUIRE_HELM") == "1" else pytest.skip)(missing)
    return Helm(binary, chart)


@pytest.fixture(scope="session")
def render(helm: Helm) -> Callable[..., Manifests]:
    """Render a value set, with further words for Helm; each combination once."""
    rendered: dict[tuple[str, ...], Manifests] = {}

    def render(name: str, *words: str) -> Manifests:
        if (name, *words) not in rendered:
            rendered[name, *words] = helm.template(*helm.values(name), *words)
        return rendered[name, *words]

    return render


@pytest.fixture(scope="session", params=SETS)
def value_set(request: pytest.FixtureRequest) -> str:
    """The name of each value set in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def manifests(render: Callable[..., Manifests], value_set: str) -> Manifests:
    """What each value set renders."""
    return render(value_set)


@pytest.fixture(scope="session")
def everything(render: Callable[..., Manifests]) -> Manifests:
    """All pods and all optional containers, mounts and peers at once."""
    egress = '[{"to": [{"ipBlock": {"cidr": "192.0.2.10/32"}}], "ports": [5432, 636]}]'
    return render(
        "air-gap",
        *("--set", "engine.allowUnproven=true,engine.slots={engine,engine-next}"),
        *("--set", "gateway.replicas=3,gateway.storage.existingClaim="),
        *("--set", "config.inference.state.url=postgresql://bedside@db/bedside"),
        *("--set", "config.inference.limits.url=postgresql://bedside@db/bedside"),
        *("--set", "gateway.secrets.postgres=db"),
        *("--set", "gateway.secrets.files=certificates"),
        *("--set-json", f"networkPolicy.egress={egress}"),
    )

"""What an upgrade finds in the cluster: Helm against a server that answers as far as Helm asks."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

KINDS = {
    "v1": ("ConfigMap", "PersistentVolumeClaim", "Secret", "Service", "ServiceAccount"),
    "apps/v1": ("Deployment", "StatefulSet"),
    "batch/v1": ("Job",),
    "networking.k8s.io/v1": ("NetworkPolicy",),
}
TOKEN = "/api/v1/namespaces/clinic/secrets/bedside-engine-token"
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {
        "name": "bedside-engine-token",
        "namespace": "clinic",
        "labels": {"app.kubernetes.io/managed-by": "Helm"},
        "annotations": {
            "meta.helm.sh/release-name": "bedside",
            "meta.helm.sh/release-namespace": "clinic",
        },
    },
}


def discovery() -> dict[str, Any]:
    """What Helm asks of every cluster: its version and the kinds it knows."""
    groups = [version for version in KINDS if "/" in version]
    answers: dict[str, Any] = {
        "/version": {"major": "1", "minor": "37", "gitVersion": "v1.37.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {
            "kind": "APIGroupList",
            "groups": [
                {
                    "name": group.partition("/")[0],
                    "versions": [{"groupVersion": group, "version": "v1"}],
                    "preferredVersion": {"groupVersion": group, "version": "v1"},
                }
                for group in groups
            ],
        },
    }
    for version, kinds in KINDS.items():
        answers[f"/apis/{version}" if "/" in version else f"/api/{version}"] = {
            "kind": "APIResourceList",
            "groupVersion": version,
            "resources": [
                {"name": f"{k.lower()}s", "kind": k, "namespaced": True, "verbs": ["get"]}
                for k in kinds
            ],
        }
    return answers


@pytest.fixture
def cluster() -> Iterator[tuple[str, dict[str, Any]]]:
    """The address of a cluster, and what it answers by path; everything else is 404."""
    answers = discovery()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path.partition("?")[0])
            body = json.dumps(answer or {"kind": "Status", "reason": "NotFound", "code": 404})
            self.send_response(200 if answer else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", answers
        finally:
            server.shutdown()
            thread.join()


def rendered(helm: Any, address: str, home: Path, template: str, *words: str) -> list[Any]:
    """What Helm would apply to this cluster, of one template."""
    done = helm.run(
        *("template", "bedside", str(helm.chart), "--namespace", "clinic"),
        *("--dry-run=server", "--disable-openapi-validation"),
        *("--kube-apiserver", address, "--show-only", f"templates/{template}", *words),
        home=home,
    )
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def rendered_token(helm: Any, address: str, home: Path) -> str:
    """The token that Helm would apply to this cluster."""
    (secret,) = rendered(helm, address, home, "secret.yaml")
    return base64.b64decode(secret["data"]["engine-token"]).decode()


def test_an_upgrade_makes_a_new_token(helm: Any, cluster: Any, tmp_path: Path) -> None:
    address, answers = cluster
    first = rendered_token(helm, address, tmp_path)
    data = {"engine-token": base64.b64encode(first.encode()).decode()}
    answers[TOKEN] = {**SECRET, "data": data}
    assert len(first) == 48
    assert rendered_token(helm, address, tmp_path) == first


def test_an_empty_token_is_kept(helm: Any, cluster: Any, tmp_path: Path) -> None:
    address, answers = cluster
    answers[TOKEN] = SECRET
    assert len(rendered_token(helm, address, tmp_path)) == 48


# --- the adaptation's Job, of which Kubernetes lets no template change ---


def of_the_cluster(job: Any) -> Any:
    """A Job as the API server gives it back: with defaults, and labels of the controller's."""
    spec = {**job["spec"], "completions": 1, "parallelism": 1, "suspend": False}
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": "1f0e"}}
    metadata = spec["template"]["metadata"]
    metadata["labels"]["batch.kubernetes.io/controller-uid"] = "1f0e"
    spec["template"]["spec"] |= {"schedulerName": "default-scheduler"}
    owned = {
        "labels": {**job["metadata"]["labels"], "app.kubernetes.io/managed-by": "Helm"},
        "annotations": SECRET["metadata"]["annotations"],
    }
    return {**job, "metadata": {**job["metadata"], **owned}, "spec": spec}


CHANGES = (
    *("--set", "merger.resources.limits.cpu=1,global.scratchSize=8Gi"),
    *("--set", "adapt.labels.team=icu,adapt.backoffLimit=1"),
)


def test_an_upgrade_changes_the_template_of_a_job(helm: Any, cluster: Any, tmp_path: Path) -> None:
    """Or runs it, and promotes, again: it is the same Job, exactly as the cluster has it."""
    address, answers = cluster
    values = helm.values("cpu-demo")
    (first,) = rendered(helm, address, tmp_path, "adapt/job.yaml", *values)
    there = of_the_cluster(first)
    path = f"/apis/batch/v1/namespaces/clinic/jobs/{first['metadata']['name']}"
    answers[path] = there
    (again,) = rendered(helm, address, tmp_path, "adapt/job.yaml", *values, *CHANGES)
    assert again["metadata"]["name"] == first["metadata"]["name"]
    assert again["spec"] == there["spec"]


def test_new_inputs_meet_the_old_job(helm: Any, cluster: Any, tmp_path: Path) -> None:
    address, answers = cluster
    values = helm.values("cpu-demo")
    (first,) = rendered(helm, address, tmp_path, "adapt/job.yaml", *values)
    path = f"/apis/batch/v1/namespaces/clinic/jobs/{first['metadata']['name']}"
    answers[path] = of_the_cluster(first)
    words = (*values, *CHANGES, "--set", "adapt.run=second")
    (second,) = rendered(helm, address, tmp_path, "adapt/job.yaml", *words)
    assert second["metadata"]["name"] != first["metadata"]["name"]
    assert "selector" not in second["spec"]
    assert second["spec"]["backoffLimit"] == 1


# --- the check before it ---

CLAIM = "/api/v1/namespaces/clinic/persistentvolumeclaims/bedside-data"


def looks(job: Any) -> dict[str, str]:
    """How far each image looks."""
    spec = job["spec"]["template"]["spec"]
    return {c["name"]: c["env"][0]["value"] for c in spec["containers"]}


@pytest.mark.parametrize("there", [True, False])
def test_a_claim_that_is_not_there_holds_the_check_up(
    helm: Any, cluster: Any, tmp_path: Path, there: bool
) -> None:
    address, answers = cluster
    if there:
        metadata = {"name": "bedside-data", "namespace": "clinic"}
        answers[CLAIM] = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata,
        }
    (job,) = rendered(helm, address, tmp_path, "check/job.yaml", *helm.values("cpu-demo"))
    data = dict.fromkeys(
        ("check-corpus", "check-trainer", "check-merger", "check-eval"),
        "files" if there else "settings",
    )
    assert looks(job) == {"check-gateway": "files", "check-engine": "settings", **data}
    volumes = [v["name"] for v in job["spec"]["template"]["spec"]["volumes"]]
    assert ("data" in volumes) is there

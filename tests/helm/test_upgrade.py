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


def rendered_token(helm: Any, address: str, home: Path) -> str:
    """The token that Helm would apply to this cluster."""
    done = helm.run(
        *("template", "bedside", str(helm.chart), "--namespace", "clinic"),
        *("--dry-run=server", "--disable-openapi-validation"),
        *("--kube-apiserver", address, "--show-only", "templates/secret.yaml"),
        home=home,
    )
    assert done.returncode == 0, done.stderr
    return base64.b64decode(yaml.safe_load(done.stdout)["data"]["engine-token"]).decode()


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

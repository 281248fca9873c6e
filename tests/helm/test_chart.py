"""The chart as a whole: lint, the schemas of Kubernetes, and what exactly is rendered.

After a wanted change, `BEDSIDE_GOLDEN=1 pytest tests/helm/test_chart.py` writes the golden files
anew; the diff then belongs into the review.
"""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate.utils import all_versions

TOKEN = re.compile(r'^(  engine-token: )"[^"]+"$', re.MULTILINE)
MINORS = sorted(
    {v.rpartition(".")[0] for v in all_versions()},
    key=lambda v: tuple(map(int, v.split("."))),
)[-2:]


@pytest.mark.parametrize("name", [None, "cpu-demo", "one-gpu", "air-gap"])
def test_lint_finds_something(helm: Any, name: str | None) -> None:
    words = helm.values(name) if name else ()
    done = helm.run("lint", "--strict", "--quiet", str(helm.chart), *words)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("minor", MINORS)
def test_kubernetes_would_refuse_an_optional_object(everything: Any, minor: str) -> None:
    for item in everything.objects:
        assert kubernetes_validate.validate(item, minor, strict=True) == minor


@pytest.mark.parametrize("minor", MINORS)
def test_kubernetes_would_refuse_an_object(render: Any, value_set: str, minor: str) -> None:
    objects = render(value_set, "--kube-version", minor).objects
    assert len(objects) >= 12
    for item in objects:
        assert kubernetes_validate.validate(item, minor, strict=True) == minor


def test_what_is_rendered_changed_unnoticed(manifests: Any, value_set: str) -> None:
    golden = Path(__file__).parent / "golden" / f"{value_set}.yaml"
    text = TOKEN.sub(r'\1"<generated>"', manifests.text)
    if os.environ.get("BEDSIDE_GOLDEN") == "1":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_an_object_of_another_release_has_the_same_name(helm: Any) -> None:
    def names(release: str) -> set[str]:
        values = helm.values("cpu-demo")
        text = helm.run("template", release, str(helm.chart), *values).stdout
        return {f"{o['kind']}/{o['metadata']['name']}" for o in yaml.safe_load_all(text) if o}

    first, second = names("first"), names("second")
    assert len(first) == len(second) >= 12
    assert first & second == set()


def test_names_outgrow_what_kubernetes_allows(helm: Any) -> None:
    done = helm.run("template", "r" * 53, str(helm.chart), *helm.values("cpu-demo"))
    names = [o["metadata"]["name"] for o in yaml.safe_load_all(done.stdout) if o]
    assert len(names) >= 12
    assert [n for n in names if len(n) > 63] == []


def test_the_generated_token_is_weak_or_always_the_same(helm: Any) -> None:
    def token() -> bytes:
        (secret,) = helm.template(*helm.values("cpu-demo")).of_kind("Secret")
        return base64.b64decode(secret["data"]["engine-token"])

    assert [len(made) for made in {token(), token()}] == [48, 48]


@pytest.fixture
def packed(helm: Any, tmp_path: Path) -> Path:
    """The chart as a house may build it: with a suffix of its own."""
    words = ("--version", "0.2.0+hospital.3", "--app-version", "0.2.0+hospital.3")
    done = helm.run("package", str(helm.chart), *words, "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    return tmp_path / "bedside-0.2.0+hospital.3.tgz"


def test_kubernetes_would_refuse_a_version_of_the_house(helm: Any, packed: Path) -> None:
    done = helm.run("template", "bedside", str(packed), *helm.values("cpu-demo"))
    assert done.returncode == 0, done.stderr
    objects = [o for o in yaml.safe_load_all(done.stdout) if o]
    assert len(objects) >= 12
    labels = {label for o in objects for label in o["metadata"]["labels"].values()}
    assert {"0.2.0_hospital.3", "bedside-0.2.0_hospital.3"} <= labels
    assert [x for x in labels if not re.fullmatch(r"([A-Za-z0-9]([\w.-]{0,61}\w)?)?", x)] == []
    assert 'image: "bedside/gateway:0.2.0_hospital.3"' in done.stdout


def test_a_parent_chart_cannot_hand_over_its_keys(helm: Any, packed: Path, tmp_path: Path) -> None:
    parent = tmp_path / "clinic"
    (parent / "charts").mkdir(parents=True)
    packed.rename(parent / "charts" / packed.name)
    depends = {"name": "bedside", "version": "0.2.0+hospital.3", "condition": "bedside.enabled"}
    chart = {"apiVersion": "v2", "name": "clinic", "version": "1.0.0", "dependencies": [depends]}
    (parent / "Chart.yaml").write_text(yaml.safe_dump(chart))
    values = {"global": {"region": "north"}, "bedside": {"enabled": True}}
    (parent / "values.yaml").write_text(yaml.safe_dump(values))
    done = helm.run("template", "clinic", str(parent))
    assert done.returncode == 0, done.stderr
    kinds = {o["kind"] for o in yaml.safe_load_all(done.stdout) if o}
    assert {"Deployment", "StatefulSet", "NetworkPolicy"} <= kinds


def test_a_secret_is_made_though_one_is_named(render: Any) -> None:
    manifests = render("air-gap")
    assert manifests.of_kind("Secret") == []
    volumes = {v["name"]: v for p in manifests.pods.values() for v in p.spec["volumes"]}
    assert volumes["engine-token"]["secret"]["secretName"] == "bedside-engine-token"
    (source,) = volumes["secrets"]["projected"]["sources"]
    assert source["secret"]["name"] == "bedside-engine-token"


def test_claims_and_token_go_with_the_release(render: Any) -> None:
    manifests = render("cpu-demo")
    kept = [*manifests.of_kind("PersistentVolumeClaim"), *manifests.of_kind("Secret")]
    policies = {
        o["metadata"]["name"]: o["metadata"]["annotations"]["helm.sh/resource-policy"] for o in kept
    }
    assert policies == dict.fromkeys(
        (
            *("bedside-registry", "bedside-evidence", "bedside-operator", "bedside-pin"),
            "bedside-engine-token",
        ),
        "keep",
    )

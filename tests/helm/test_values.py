"""Values: what is refused, and with which words; comments and order of what is offered."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

COMPONENTS = (
    *("gateway", "engine", "adapt", "corpus", "trainer", "merger", "eval"),
    *("admin", "check", "test"),
)
ORDER = ["image", "resources", "gpu", "shmSize"]
PLACEMENT = [
    *("annotations", "labels", "priorityClassName"),
    *("nodeSelector", "tolerations", "affinity"),
]


@pytest.mark.parametrize(
    ("typo", "place"),
    [
        ("gatewayy.image.tag=1", "at '': additional properties 'gatewayy' not allowed"),
        ("engine.replicaz=2", "at '/engine': additional properties 'replicaz' not allowed"),
        ("engine.gpu.enabeld=true", "at '/engine/gpu': additional properties 'enabeld'"),
        ("gateway.storage.sizes=1Gi", "at '/gateway/storage': additional properties 'sizes'"),
        ("trainer.image.tga=1", "at '/trainer/image': additional properties 'tga'"),
        ("networkPolicy.client=a", "at '/networkPolicy': additional properties 'client'"),
        ("gateway.secrets.pgpass=a", "at '/gateway/secrets': additional properties 'pgpass'"),
        (
            "networkPolicy.clients[0].podSelectr.a=b",
            "at '/networkPolicy/clients/0': additional properties 'podSelectr'",
        ),
    ],
)
def test_a_misspelt_key_passes(helm: Any, typo: str, place: str) -> None:
    assert place in helm.refusal("--set", typo)


@pytest.mark.parametrize("component", ["gateway", "engine", "corpus", "trainer", "merger", "eval"])
@pytest.mark.parametrize("tag", ["latest", "stable", "main"])
def test_a_tag_that_is_no_version_passes(helm: Any, component: str, tag: str) -> None:
    said = helm.refusal("--set", f"{component}.image.tag={tag}")
    assert f"at '/{component}/image/tag': '{tag}' does not match pattern" in said


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("gateway.image.repository=bedside/gateway:latest", "/gateway/image/repository"),
        ("global.imageRegistry=http://mirror.example", "/global/imageRegistry"),
        ("global.imagePullPolicy=Always", "/global/imagePullPolicy"),
        ("engine.image.digest=sha256:12", "/engine/image/digest"),
        ("engine.gpu.count=0", "/engine/gpu/count"),
        ("engine.slots={}", "/engine/slots/0"),
        ("engine.slots={engine,engine}", "/engine/slots"),
        ("engine.slots={engine-2}", "/engine/slots/0"),
        ("gateway.replicas=0", "/gateway/replicas"),
        ("gateway.service.type=ExternalName", "/gateway/service/type"),
        ("admin.replicas=2", "/admin/replicas"),
        ("gateway.secrets.postgres=Not_A_Name", "/gateway/secrets/postgres"),
        ("engine.resources.limits.memory=null", "/engine/resources/limits"),
        ("engine.resources.limits.memory=8GB", "/engine/resources/limits/memory"),
        ("engine.resources.limits.memory=8g", "/engine/resources/limits/memory"),
        ("engine.resources.requests.cpu=2Gi", "/engine/resources/requests/cpu"),
        ("engine.resources.limit.memory=8Gi", "/engine/resources"),
        ("global.scratchSize=500m", "/global/scratchSize"),
        ("registry.accessMode=ReadWriteOncePod", "/registry/accessMode"),
        ("config.name=../other", "/config/name"),
        ("networkPolicy.clients=null", "/networkPolicy"),
    ],
)
def test_a_wrong_value_passes(helm: Any, words: str, place: str) -> None:
    assert f"at '{place}': " in helm.refusal("--set", words)


def test_a_label_that_the_chart_selects_by_is_taken(helm: Any) -> None:
    said = helm.refusal("--set", "gateway.labels.app\\.kubernetes\\.io/name=x")
    assert "invalid propertyName 'app.kubernetes.io/name'" in said


@pytest.mark.parametrize("peers", ["[]", "[{}]"])
def test_everybody_becomes_a_client_by_an_empty_list(helm: Any, peers: str) -> None:
    said = helm.refusal("--set-json", f"networkPolicy.clients={peers}")
    assert "at '/networkPolicy/clients" in said


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        ('{"to": [], "ports": [5432]}', "/to"),
        ('{"to": [{"ipBlock": {"cidr": "192.0.2.10/32"}}], "ports": []}', "/ports"),
        ('{"to": [{"ipBlock": {"cidr": "192.0.2.10/32"}}], "ports": ["5432"]}', "/ports/0"),
        ('{"to": [{"ipBlock": {"cidr": "192.0.2.10/32"}}]}', ""),
        ('{"to": [{"ipBlock": {"cidr": "192.0.2.10"}}], "ports": [1]}', "/to/0/ipBlock/cidr"),
    ],
)
def test_the_gateway_may_reach_everything_by_half_a_rule(helm: Any, rule: str, place: str) -> None:
    said = helm.refusal("--set-json", f"networkPolicy.egress=[{rule}]")
    assert f"at '/networkPolicy/egress/0{place}': " in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "adapt.enabled=true",
            "adapt.enabled: the adaptation reads documents - set data.existingClaim",
        ),
        (
            "engine.allowUnproven=true",
            "engine.allowUnproven: there is no base model to serve - set config.base",
        ),
        (
            "engine.allowUnproven=true,config.base.licence=MIT,config.base.directory=data/models/base",
            "engine.allowUnproven: config.base.directory lies on the data claim",
        ),
        (
            "config.inference.gateway.port=9000",
            "config.inference.gateway.port: pods listen on 8080 here",
        ),
        (
            "registry.existingClaim=one,gateway.storage.existingClaim=one",
            "registry.existingClaim: one is also gateway.storage.existingClaim",
        ),
        (
            "signing.size=32Mi",
            "signing: is now keys.evidence, beside keys.operator",
        ),
        (
            "keys.evidence.existingClaim=one,keys.operator.existingClaim=one",
            "keys.operator.existingClaim: one is also keys.evidence.existingClaim",
        ),
        (
            "gateway.replicas=2,config.inference.limits.url=postgresql://db/rates",
            "gateway.replicas: several gateways must share API keys - set config.inference.state",
        ),
        (
            "gateway.replicas=2,config.inference.state.url=postgresql://db/state",
            "gateway.replicas: several gateways must share rates - set config.inference.limits.url",
        ),
        (
            "config.inference.gateway.workers=4",
            "config.inference.gateway.workers: several workers must share rates",
        ),
        (
            "config.inference.gateway.workers=8,config.inference.limits.url=postgresql://db/rates",
            "gateway.resources.limits.memory: 8 workers need 896Mi or more, and 512Mi is less",
        ),
        (
            "engine.gpu.count=2",
            "engine.gpu.count: no setting spreads the engine over several GPUs yet",
        ),
        (
            "engine.shmSize=16Gi",
            "engine.shmSize: shared memory counts as memory, and 16Gi is not less than",
        ),
        (
            "trainer.shmSize=8192Mi",
            "trainer.shmSize: shared memory counts as memory, and 8192Mi is not less than",
        ),
        (
            "gateway.replicas=2,gateway.storage.existingClaim=one",
            "gateway.storage.existingClaim: several gateways each need a volume of their own",
        ),
    ],
)
def test_values_that_contradict_each_other_pass(helm: Any, words: str, said: str) -> None:
    assert said in helm.refusal("--set", words)


def test_only_the_first_of_two_mistakes_is_named(helm: Any) -> None:
    said = helm.refusal("--set", "adapt.enabled=true,engine.allowUnproven=true")
    assert re.findall(r"^- (\S+):", said, re.MULTILINE) == ["adapt.enabled", "engine.allowUnproven"]


def test_a_key_has_no_comment(chart: Path) -> None:
    lines = (chart / "values.yaml").read_text(encoding="utf-8").splitlines()
    # What Kubernetes defines needs no comment of ours: selectors, requests and limits.
    foreign = re.compile(
        r" *(- )?(requests|limits|(pod|namespace)Selector|matchLabels|k8s-app|kubernetes\.io/.*):"
    )
    keys = [
        (number, line)
        for number, line in enumerate(lines)
        if re.match(r" *(- )?[\w./-]+:", line) and not foreign.match(line)
    ]
    assert len(keys) > 90
    assert [line for number, line in keys if not lines[number - 1].lstrip().startswith("#")] == []


def test_components_name_their_keys_in_another_order(chart: Path) -> None:
    values = yaml.safe_load((chart / "values.yaml").read_text(encoding="utf-8"))
    for component in COMPONENTS:
        keys = list(values[component])
        own = [key for key in keys if key not in (*ORDER, *PLACEMENT)]
        expected = [key for key in ORDER if key in keys] + own
        expected += [key for key in PLACEMENT if key in keys]
        assert keys == (expected if component != "test" else ["apiKeySecret", "resources"])


@pytest.mark.parametrize(
    "words",
    [
        "engine.resources.limits.cpu=2,engine.resources.limits.memory=8589934592",
        "engine.resources.requests.cpu=500m,engine.resources.requests.memory=1.5Gi",
        "engine.resources.limits.ephemeral-storage=2Gi,engine.resources.limits.example\\.com/nic=1",
    ],
)
def test_a_quantity_of_kubernetes_is_taken(helm: Any, words: str) -> None:
    helm.template("--set", words)


def open_objects(schema: Any, path: str = "") -> list[str]:
    """Places of a schema where any key may stand."""
    if isinstance(schema, list):
        return [p for item in schema for p in open_objects(item, path)]
    if not isinstance(schema, dict):
        return []
    is_object = "object" in schema.get("type", ()) and isinstance(schema["type"], str | list)
    here = [path] if is_object and "additionalProperties" not in schema else []
    return here + [p for key, item in schema.items() for p in open_objects(item, f"{path}/{key}")]


def test_the_schema_lets_any_key_stand_somewhere(chart: Path) -> None:
    schema = yaml.safe_load((chart / "values.schema.json").read_text(encoding="utf-8"))
    assert sorted(open_objects(schema)) == [
        "/definitions/passthrough",
        "/definitions/tolerations/items",
    ]


def test_the_defaults_hold_a_secret_or_a_tag(chart: Path) -> None:
    values = yaml.safe_load((chart / "values.yaml").read_text(encoding="utf-8"))
    assert values["engineToken"] == {"existingSecret": ""}
    assert values["test"]["apiKeySecret"] == ""
    tags = {n: v["image"]["tag"] for n, v in values.items() if isinstance(v, dict) and "image" in v}
    assert tags == dict.fromkeys(("gateway", "engine", "corpus", "trainer", "merger", "eval"), "")

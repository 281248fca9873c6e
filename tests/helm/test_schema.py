"""The run config's part of the values schema: made from the services' config classes.

After a changed setting, `BEDSIDE_GOLDEN=1 pytest tests/helm/test_schema.py` (or
`scripts/values_schema.py`) writes it anew.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bedside_core.config import load_section
from bedside_core.errors import ConfigError
from bedside_core.services import SECTIONS

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("values_schema", ROOT / "scripts/values_schema.py")
assert SPEC is not None and SPEC.loader is not None
values_schema = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(values_schema)

RUNS = sorted((ROOT / "configs").glob("*.yaml"))
SYSLOG = {"host": "siem", "ca_file": "/ca.pem"}
OIDC = {"issuer": "https://idp.example", "audience": "bedside", "roles": {"doctor": {}}}


def misspelt(section: str, *path: str, **base: Any) -> Any:
    """A section with a key that nobody knows, in the mapping at a path."""
    value: dict[str, Any] = {**base, "retention_day": 1}
    for key in reversed(path):
        value = {key: value}
    return pytest.param(section, value, id=".".join((section, *path)))


SLIPS = [
    *(misspelt(section) for section in SECTIONS),
    misspelt("corpus", "medical_filter"),
    misspelt("merger", "probe", heldout="data/heldout"),
    misspelt("merger", "search", target="ward", general=["general"]),
    misspelt("inference", "engine"),
    misspelt("inference", "gateway"),
    misspelt("inference", "gateway", "health"),
    misspelt("inference", "admission", "weights"),
    misspelt("inference", "audit", "syslog", **SYSLOG),
    misspelt("inference", "oidc", **OIDC),
]
WRONG = [
    ("base", {"licence": ""}),
    ("corpus", {"language": "Deutsch"}),
    ("trainer", {"learning_rate": "fast"}),
    ("trainer", {"batch_size": 0}),
    ("merger", {"method": "magic"}),
    ("merger", {"method": "slerp", "parameters": {"t": []}}),
    ("merger", {"method": "slerp", "parameters": {"t": [{"filter": "mlp"}]}}),
    ("merger", {"models": [{"model": "data/base"}]}),
    ("eval", {"heldout": {"a/b": "data/heldout"}}),
    ("inference", {"model_name": "a model"}),
    ("inference", {"engine": {"dtype": "int8"}}),
    ("inference", {"state": {"url": "mysql://db"}}),
    ("inference", {"oidc": {**OIDC, "roles": {}}}),
    ("inference", {"gateway": {"health": {"strikes": 3}}}),
]


@pytest.fixture(scope="module")
def schema(chart: Path) -> dict[str, Any]:
    """As committed."""
    found: dict[str, Any] = json.loads((chart / "values.schema.json").read_text(encoding="utf-8"))
    return found


def refusals(schema: dict[str, Any], config: object) -> list[str]:
    """What the schema objects to in a run config."""
    of_config = {**schema["properties"]["config"], "definitions": schema["definitions"]}
    validator = jsonschema.Draft7Validator(of_config)
    return [error.json_path for error in validator.iter_errors(config)]


def demo(section: str, change: dict[str, Any]) -> dict[str, Any]:
    """The demo's config with another section."""
    document = yaml.safe_load((ROOT / "configs/demo.yaml").read_text(encoding="utf-8"))
    return {**document, section: {**(document[section] or {}), **change}}


def test_the_schema_is_not_that_of_the_services(chart: Path) -> None:
    path = chart / "values.schema.json"
    made = values_schema.generated(path.read_text(encoding="utf-8"))
    if os.environ.get("BEDSIDE_GOLDEN") == "1":
        path.write_text(made, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == made, (
        "a setting was changed - run `.venvs/dev/bin/python scripts/values_schema.py`"
    )


def test_a_section_is_forgotten(schema: dict[str, Any]) -> None:
    assert list(schema["properties"]["config"]["properties"]) == ["name", *SECTIONS]


def test_a_part_of_the_schema_is_lost_on_the_way_to_draft_7(schema: dict[str, Any]) -> None:
    jsonschema.Draft7Validator.check_schema(schema)
    text = json.dumps(schema)
    unknown = ("prefixItems", "unevaluated", "dependentRequired", "$defs", "$dynamicRef")
    assert [word for word in unknown if word in text] == []


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_a_config_of_ours_is_refused(schema: dict[str, Any], path: Path) -> None:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert refusals(schema, document) == []


@pytest.mark.parametrize(("section", "change"), [*SLIPS, *WRONG])
def test_schema_and_service_disagree_about_a_mistake(
    schema: dict[str, Any], section: str, change: dict[str, Any]
) -> None:
    document = demo(section, change)
    with pytest.raises(ConfigError):
        load_section(values_schema.models()[section], document, section)
    (path,) = refusals(schema, document)
    assert path.startswith(f"$.{section}")


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("inference", {"oidc": None, "audit": {"syslog": None}}),
        ("inference", {"oidc": OIDC, "audit": {"syslog": SYSLOG}}),
        ("trainer", {"learning_rate": "1e-5", "max_steps": None}),
        ("base", {"gguf_package": None, "directory": "data/models/base"}),
    ],
)
def test_schema_and_service_disagree_about_a_setting(
    schema: dict[str, Any], section: str, change: dict[str, Any]
) -> None:
    document = demo(section, change)
    load_section(values_schema.models()[section], document, section)
    assert refusals(schema, document) == []


def test_an_empty_section_is_not_all_defaults(schema: dict[str, Any]) -> None:
    assert refusals(schema, {"name": "ward", "merger": None, "inference": None}) == []


# --- the same, asked of Helm ---


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_helm_refuses_a_config_of_ours(helm: Any, tmp_path: Path, path: Path) -> None:
    values = tmp_path / "values.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    values.write_text(yaml.safe_dump({"config": document}), encoding="utf-8")
    arrived = helm.template("--values", str(values)).config
    assert arrived.keys() == document.keys()
    for section, model in values_schema.models().items():
        if section in document:
            assert load_section(model, arrived, section) == load_section(model, document, section)


@pytest.mark.parametrize(("section", "change"), [*SLIPS, *WRONG])
def test_a_mistake_in_the_run_config_reaches_the_cluster(
    helm: Any, tmp_path: Path, section: str, change: dict[str, Any]
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({"config": {section: change}}), encoding="utf-8")
    said = helm.refusal(*helm.values("cpu-demo"), "--values", str(values))
    assert f"at '/config/{section}" in said
    assert ("'retention_day' not allowed" in said) is ("retention_day" in str(change))


def test_a_misspelt_section_reaches_the_cluster(helm: Any) -> None:
    said = helm.refusal("--set", "config.inferense.model_name=x")
    assert "at '/config': additional properties 'inferense' not allowed" in said


def test_the_new_name_of_a_setting_is_not_said(helm: Any) -> None:
    said = helm.refusal("--set", "config.inference.gateway.health.strikes=3")
    assert (
        "health/strikes': value must be 'left out, as it is now called failure_threshold'" in said
    )

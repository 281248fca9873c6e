"""Write the run config's part of the chart's values schema.

    .venvs/dev/bin/python scripts/values_schema.py

The config classes of all services are the source. From them come `properties.config` of
`helm/bedside/values.schema.json` and every definition with a dot in its name; the rest of the file
stays as it is. So Helm refuses a misspelt or impossible setting before anything in the cluster is
changed. What only a validator's code knows a schema cannot say: `bedside check` does.

Tested in tests/helm/test_schema.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from bedside_core.commands import leaves
from bedside_core.config import Config
from bedside_core.dispatch import installed
from bedside_core.services import SECTIONS

SCHEMA = Path(__file__).parent.parent / "helm" / "bedside" / "values.schema.json"
NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"


class HelmSchema(GenerateJsonSchema):
    """JSON schema as Helm needs it: draft 7, values as `--set` hands them over, no defaults."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """A config class; a former name of a setting is refused with the one it has now."""
        made = super().model_schema(schema)
        made.pop("title", None)
        for former, now in getattr(schema["cls"], "renamed", {}).items():
            made["properties"][former] = {"const": f"left out, as it is now called {now}"}
        return made

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        """A number; of `--set a=0.5` Helm makes text, which the services read as a number too."""
        made = super().float_schema(schema)
        return {**made, "type": ["number", "string"], "pattern": NUMBER}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Names that the house chooses; one that does not fit their pattern is refused."""
        made = super().dict_schema(schema)
        return {**made, "additionalProperties": False} if "patternProperties" in made else made

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """What may be null; one type instead of two schemas, where Helm's refusal is shorter."""
        made = self.generate_inner(schema["schema"])
        if isinstance(made.get("type"), str) and not {"enum", "const"} & made.keys():
            return {**made, "type": [made["type"], "null"]}
        return super().nullable_schema(schema)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """What has a default: the images have it, of their own version."""
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Nowhere: a title would repeat the name."""
        return False


def without_descriptions(schema: Any) -> Any:
    """What Helm looks at; what a setting means stands in its config class."""
    if isinstance(schema, list):
        return [without_descriptions(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: without_descriptions(value)
        for key, value in schema.items()
        if key != "description" or not isinstance(value, str)
    }


def models() -> dict[str, type[Config]]:
    """The class of each section of a run config, as the verbs of its service declare it."""
    found: dict[str, type[Config]] = {}
    for service, entry in installed().items():
        for command in leaves(entry.load()):
            if command.config is not None:
                found[command.section or service] = command.config
    return {section: found[section] for section in SECTIONS}


def generated(written: str) -> str:
    """The file's text with the part of the run config made anew."""
    schema = json.loads(written)
    definitions = {name: d for name, d in schema["definitions"].items() if "." not in name}
    sections = {}
    for section, model in models().items():
        references = f"#/definitions/{section}.{{model}}"
        made = without_descriptions(
            model.model_json_schema(ref_template=references, schema_generator=HelmSchema)
        )
        for name, below in made.pop("$defs", {}).items():
            definitions[f"{section}.{name}"] = below
        if "required" not in made:
            made["type"] = ["object", "null"]  # a section without a line is all defaults
        sections[section] = made
    config = schema["properties"]["config"]
    config["properties"] = {"name": config["properties"]["name"], **sections}
    schema["definitions"] = definitions
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(generated(SCHEMA.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{SCHEMA} is up to date\n")

"""Bills of materials: valid CycloneDX 1.6, complete, and the same for the same image."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from bedside_bundle import sbom
from bedside_bundle.manifest import Image
from bedside_core.errors import ArtifactError

IMAGE = Image(
    reference="registry.example:5000/bedside/engine:0.2.0",
    platform="linux/amd64",
    ids=("sha256:" + "1" * 64,),
)
CREATED = datetime(2026, 1, 1, tzinfo=UTC)
FOUND = {
    "system": {"id": "debian", "version": "12"},
    "debian": [{"name": "libc6", "version": "2.36-9+deb12u1", "architecture": "amd64"}],
    "python": [
        {"name": "numpy", "version": "2.0", "licence": "BSD-3-Clause AND MIT"},
        {"name": "pydantic", "version": "2.1", "licence": "MIT"},
        {"name": "odd", "version": "0", "licence": "Do what you want; please"},
        {"name": "silent", "version": "1", "licence": ""},
    ],
}


def test_document_is_valid_and_complete():
    text = sbom.bill_of_materials(IMAGE, FOUND, CREATED).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    assert document["metadata"]["component"]["name"] == "registry.example:5000/bedside/engine"
    assert document["metadata"]["component"]["version"] == "0.2.0"
    assert {c["purl"]: c.get("licenses") for c in document["components"]} == {
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u1?arch=amd64&distro=debian-12": None,
        "pkg:pypi/numpy@2.0": [{"expression": "BSD-3-Clause AND MIT"}],
        "pkg:pypi/pydantic@2.1": [{"license": {"id": "MIT"}}],
        "pkg:pypi/odd@0": [{"license": {"name": "Do what you want; please"}}],
        "pkg:pypi/silent@1": None,
    }
    (subject, *_) = (d for d in document["dependencies"] if d.get("dependsOn"))
    assert len(subject["dependsOn"]) == 5


def test_same_image_same_bytes():
    one = sbom.bill_of_materials(IMAGE, FOUND, CREATED)
    assert one == sbom.bill_of_materials(IMAGE, FOUND, CREATED)


def test_empty_image():
    found = {"system": {"id": "debian", "version": ""}, "debian": [], "python": []}
    text = sbom.bill_of_materials(IMAGE, found, CREATED).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_file_name():
    assert sbom.file_name(IMAGE) == "registry.example-5000-bedside-engine-0.2.0.cdx.json"


def test_image_that_prints_something_else(monkeypatch):
    monkeypatch.setattr(sbom, "docker", lambda *words: "hello\n")
    with pytest.raises(ArtifactError, match="did not list its packages"):
        sbom.inventory(IMAGE)

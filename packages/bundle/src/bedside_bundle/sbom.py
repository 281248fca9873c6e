"""A CycloneDX 1.6 bill of materials of an image, from what is installed in the image itself."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from bedside_bundle.docker import docker
from bedside_bundle.manifest import Image
from bedside_core.errors import ArtifactError


def file_name(image: Image) -> str:
    return re.sub(r"[^\w.-]", "-", image.reference, flags=re.ASCII) + ".cdx.json"


def inventory(image: Image) -> dict[str, Any]:
    """Ask the image what is in it, in a container that can do nothing else.

    Raises:
        ArtifactError: the image has no Python that could say.
    """
    script = files("bedside_bundle").joinpath("inventory.py").read_text(encoding="utf-8")
    confined = ("--network", "none", "--read-only", "--cap-drop", "ALL",
                "--security-opt", "no-new-privileges")  # fmt: skip
    # By ID: the name could be moved to another image between two commands.
    text = docker(
        "run", "--rm", *confined, "--entrypoint", "python3", image.ids[0], "-I", "-c", script
    )
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError:
        raise ArtifactError(
            f"image {image.reference} did not list its packages - is it one of Bedside's?"
        ) from None
    return found


def bill_of_materials(image: Image, found: dict[str, Any], created: datetime) -> bytes:
    """The document; the same image at the same time gives the same bytes."""
    name, _, tag = image.reference.rpartition(":")
    subject = Component(
        type=ComponentType.CONTAINER, name=name or tag, version=tag, bom_ref=image.ids[0]
    )
    tool = Component(
        type=ComponentType.APPLICATION, name="bedside-bundle", version=version("bedside-bundle")
    )
    packages = list(_packages(found))
    bom = Bom(
        components=packages,
        serial_number=uuid.uuid5(uuid.NAMESPACE_OID, f"{image.reference} {image.ids[0]}"),
    )
    bom.metadata.component = subject
    bom.metadata.timestamp = created
    bom.metadata.tools = ToolRepository(components=[tool])
    bom.register_dependency(subject, packages)
    return (JsonV1Dot6(bom).output_as_string(indent=1) + "\n").encode()


def _packages(found: dict[str, Any]) -> Iterator[Component]:
    for item in found["python"]:
        licence = LicenseFactory().make_from_string(item["licence"]) if item["licence"] else None
        yield _component(
            item, PackageURL("pypi", None, item["name"], item["version"]), [licence] * bool(licence)
        )
    system = found["system"]
    for item in found["debian"]:
        qualifiers = {
            "arch": item["architecture"],
            "distro": f"{system['id']}-{system['version']}".rstrip("-"),
        }
        purl = PackageURL("deb", system["id"], item["name"], item["version"], qualifiers)
        yield _component(item, purl, [])


def _component(item: dict[str, str], purl: PackageURL, licences: list[Any]) -> Component:
    return Component(
        type=ComponentType.LIBRARY, name=item["name"], version=item["version"],
        purl=purl, bom_ref=purl.to_string(), licenses=licences,
    )  # fmt: skip

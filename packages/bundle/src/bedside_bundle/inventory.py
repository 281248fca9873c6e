"""Runs inside an image (`python3 -I -c`): prints the packages it has, as one JSON document.

Only the standard library, and no import of ours: the image's own interpreter reads this text.
"""

import glob
import json
import re
import sys
from importlib.metadata import PackageMetadata, distributions

ENVIRONMENTS = "/opt/*/lib/python3*/site-packages"
STATUS = "/var/lib/dpkg/status"
LICENCE_CLASSIFIER = "License :: "
LONGEST_LICENCE_NAME = 60


def licence(metadata: PackageMetadata) -> str:
    """An SPDX expression, or what the package calls its licence; empty if it does not say."""
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    classifiers = metadata.get_all("Classifier") or []
    names = [c.split(" :: ")[-1] for c in classifiers if c.startswith(LICENCE_CLASSIFIER)]
    if names:
        return "; ".join(names)
    text = metadata["License"].strip() if "License" in metadata else ""
    # Some packages put the whole licence text there.
    named = len(text) <= LONGEST_LICENCE_NAME and "\n" not in text and text != "UNKNOWN"
    return text if named else ""


def python_packages() -> list[dict[str, str]]:
    found = {}
    for item in distributions(path=[*sys.path, *sorted(glob.glob(ENVIRONMENTS))]):  # noqa: PTH207
        if "Name" in item.metadata:
            key = (re.sub(r"[-_.]+", "-", item.metadata["Name"]).lower(), item.version)
            found[key] = {"name": key[0], "version": key[1], "licence": licence(item.metadata)}
    return [found[key] for key in sorted(found)]


def debian_packages(status: str) -> list[dict[str, str]]:
    """The installed packages of a dpkg status file."""
    found = []
    for paragraph in status.split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in paragraph.split("\n")
            if ": " in line and not line.startswith(" ")
        )
        if fields.get("Status", "").endswith(" installed"):
            found.append(
                {
                    "name": fields["Package"],
                    "version": fields["Version"],
                    "architecture": fields.get("Architecture", ""),
                }
            )
    return sorted(found, key=lambda package: (package["name"], package["architecture"]))


def read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""


def system() -> dict[str, str]:
    """Name and version of the distribution."""
    lines = (line.split("=", 1) for line in read("/etc/os-release").splitlines() if "=" in line)
    values = {key: value.strip("\"'") for key, value in lines}
    return {"id": values.get("ID", "linux"), "version": values.get("VERSION_ID", "")}


if __name__ == "__main__":
    json.dump(
        {
            "system": system(),
            "debian": debian_packages(read(STATUS)),
            "python": python_packages(),
        },
        sys.stdout,
    )

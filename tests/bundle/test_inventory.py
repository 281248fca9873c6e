"""The script that runs inside an image."""

from __future__ import annotations

import json
import subprocess
import sys
from email.message import Message
from importlib.metadata import version
from pathlib import Path

import pytest

from bedside_bundle import inventory


def metadata(**fields: str) -> Message:
    message = Message()
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    return message


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"License_Expression": "MIT OR Apache-2.0", "License": "x"}, "MIT OR Apache-2.0"),
        ({"Classifier": "License :: OSI Approved :: MIT License", "License": "x"}, "MIT License"),
        ({"Classifier": "Topic :: Text", "License": "BSD-3-Clause"}, "BSD-3-Clause"),
        ({"License": "Copyright\nall of it\n"}, ""),
        ({"License": "x" * 61}, ""),
        ({"License": "UNKNOWN"}, ""),
        ({}, ""),
    ],
)
def test_licence(fields, expected):
    assert inventory.licence(metadata(**fields)) == expected


STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u1
Description: GNU C Library
 Version: not this one
 .
 more

Package: removed
Status: deinstall ok config-files
Version: 1

Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2
"""


def test_debian_packages():
    assert inventory.debian_packages(STATUS) == [
        {"name": "bash", "version": "5.2", "architecture": "amd64"},
        {"name": "libc6", "version": "2.36-9+deb12u1", "architecture": "amd64"},
    ]


def test_no_dpkg_no_packages():
    assert inventory.debian_packages(inventory.read("/nonexistent")) == []


def test_script_runs_alone():
    """As in an image: isolated, from its text, without Bedside."""
    text = Path(inventory.__file__).read_text()
    done = subprocess.run(
        [sys.executable, "-I", "-c", text], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert sorted(found) == ["debian", "python", "system"]
    versions = {item["name"]: item["version"] for item in found["python"]}
    assert versions["pydantic"] == version("pydantic")
    assert [item["name"] for item in found["python"]] == sorted(versions)

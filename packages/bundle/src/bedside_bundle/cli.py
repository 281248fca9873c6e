"""`bedside bundle key | create | verify | load`.

Tested in tests/bundle/test_load.py.
"""

from __future__ import annotations

from bedside_bundle.create import create
from bedside_bundle.keys import publisher_keys
from bedside_bundle.load import Loading, load, verify_bundle
from bedside_core.commands import Command
from bedside_core.console import say
from bedside_core.registry.registry import Registry
from bedside_core.signing import fingerprint, read_public_key


def key(registry: Registry) -> None:
    """Make the publisher's key if there is none, and show its public half."""
    path = publisher_keys(registry).make()
    say(f"public key: {path}")
    say(f"SHA-256:    {fingerprint(read_public_key(path))}")


COMMANDS = (
    Command("key", "the publisher's key, made on first use, and its fingerprint", key),
    Command("create", "write one signed archive of everything", create, words=("output",)),
    Command(
        "verify",
        "check every byte of an archive against a publisher's public key",
        verify_bundle,
        words=("archive", "public_key"),
    ),
    Command(
        "load",
        "verify an archive, extract it and give its images to Docker; needs no network",
        load,
        words=("archive", "public_key", "directory"),
        arguments=Loading,
    ),
)

"""Secrets are made once, never weak, never a placeholder."""

from __future__ import annotations

import errno
import stat
import tempfile

import pytest

from bedside_core.errors import ArtifactError, ConfigError
from bedside_core.registry.registry import Registry
from bedside_inference.secret import make_secrets, read_secret

NAME = "engine-token"


@pytest.fixture(autouse=True)
def directory(monkeypatch, tmp_path):
    monkeypatch.setenv("BEDSIDE_SECRETS", str(tmp_path))
    return tmp_path


def test_made_once(directory) -> None:
    make_secrets(Registry(directory))
    made = read_secret(NAME)
    make_secrets(Registry(directory))
    assert read_secret(NAME) == made
    assert len(made) == 43  # 256 bits in base64
    assert stat.S_IMODE((directory / NAME).stat().st_mode) == 0o400


@pytest.mark.parametrize(
    "value",
    [
        *("", "short", "x" * 64, "abcabcabc" * 5, "${ENGINE_TOKEN:-0123456789abcdefghijkl}"),
        *("changeme-0123456789abcdefghijklmnop", "<put 43 random characters here, please>"),
        "this-is-an-EXAMPLE-0123456789abcdefghijkl",
    ],
)
def test_a_placeholder_is_refused_everywhere(directory, value) -> None:
    (directory / NAME).write_text(value)
    for use in (lambda: read_secret(NAME), lambda: make_secrets(Registry(directory))):
        with pytest.raises(ConfigError, match="engine-token: shorter than 32") as caught:
            use()
        assert len(value) < 10 or value not in str(caught.value)
    assert (directory / NAME).read_text() == value


def test_bytes_that_are_no_text(directory) -> None:
    (directory / NAME).write_bytes(b"\xff" * 40)
    with pytest.raises(ConfigError, match="no readable secret"):
        read_secret(NAME)


def test_no_directory_named(monkeypatch) -> None:
    monkeypatch.delenv("BEDSIDE_SECRETS")
    with pytest.raises(ConfigError, match="BEDSIDE_SECRETS is not set"):
        read_secret(NAME)


def test_directory_that_cannot_be_written(directory, monkeypatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/run/secrets/bedside")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(ArtifactError, match="no right to write engine-token"):
        make_secrets(Registry(directory))

"""Addresses and digests that a run config may name."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from bedside_core.endpoint.config import EndpointConfig


@pytest.mark.parametrize(
    ("given", "address", "socket"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", None),
        ("http://judge:8000/v1", "http://judge:8000", None),
        ("https://judge.klinik.internal/v1/", "https://judge.klinik.internal", None),
        ("/run/engine.sock", "/run/engine.sock", "/run/engine.sock"),
    ],
)
def test_addresses(given, address, socket) -> None:
    config = EndpointConfig(address=given, model="m")
    assert (config.address, config.socket) == (address, socket)


@pytest.mark.parametrize("address", ["https://api.openai.com/v1", "http://8.8.8.8", "judge", ""])
def test_texts_stay_in_the_house(address) -> None:
    with pytest.raises(ValidationError, match="texts stay in the house"):
        EndpointConfig(address=address, model="m")


@pytest.mark.parametrize("digest", ["", "latest", "AB" * 32, "ab" * 31, "sha256:" + "ab" * 32])
def test_a_digest_is_a_digest(digest) -> None:
    with pytest.raises(ValidationError):
        EndpointConfig(address="/run/engine.sock", model="m", digest=digest)

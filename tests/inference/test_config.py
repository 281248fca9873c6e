"""Settings: what they are checked for, and where serving keeps its files."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from pydantic import ValidationError

from bedside_core.config import load_document, validate
from bedside_core.errors import ConfigError
from bedside_inference.config import EngineConfig, GatewayConfig, InferenceConfig
from bedside_inference.gateway.server import listen
from bedside_inference.paths import base_url, socket_path


def test_the_demo_is_valid(root) -> None:
    document = load_document(root / "configs" / "demo.yaml")
    config = validate(InferenceConfig, document["inference"], "inference")
    assert config.model_name == "bedside-demo"


@pytest.mark.parametrize(
    ("section", "where"),
    [
        ({"gateway": {"port": 0}}, "inference.gateway.port"),
        ({"gateway": {"prot": 1}}, "inference.gateway.prot"),
        ({"gateway": {"max_body_bytes": 1}}, "inference.gateway.max_body_bytes"),
        ({"engine": {"dtype": "int4"}}, "inference.engine.dtype"),
        ({"model_name": "a b"}, "inference.model_name"),
        ({"model_name": "-x"}, "inference.model_name"),
        ({"mock": {"tokens": 1}}, r"inference\.mock: is now called .* bench/mock_engine\.py"),
    ],
)
def test_bad_values_are_named(section, where) -> None:
    with pytest.raises(ConfigError, match=where):
        validate(InferenceConfig, section, "inference")


@pytest.mark.parametrize("section", ["state", "limits"])
@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis://127.0.0.1:6379/0", "must be a PostgreSQL database"),
        ("valkey://bedside@valkey:6379/0", "must be a PostgreSQL database"),
        ("valkeys://u:geheim@h:1", "must be a PostgreSQL database"),
        ("http://h", "must be a PostgreSQL database"),
        ("postgresql://bedside:geheim@db/bedside", "holds a password"),
        ("postgresql://bedside@db/bedside?password=geheim", "holds a password"),
        ("postgresql://bedside@db/bedside?sslpassword=geheim", "holds a password"),
        ("postgresql://bedside:geheim@db:port/bedside", "cannot be read"),
        ("postgresql://[bedside:geheim@db/bedside", "cannot be read"),
    ],
)
def test_a_shared_store_is_postgresql_without_a_password(section, url, sentence) -> None:
    with pytest.raises(ConfigError, match=rf"^inference\.{section}\.url: {sentence}") as error:
        validate(InferenceConfig, {section: {"url": url}}, "inference")
    assert "geheim" not in str(error.value)


def test_socket_path_length_counts_bytes() -> None:
    def path(name: str) -> Path:
        return socket_path(InferenceConfig(engine=EngineConfig(socket=Path(f"/{name}"))), Path("/"))

    assert path("a" * 106) == Path("/" + "a" * 106)
    for name in ("a" * 107, "ä" * 54):
        with pytest.raises(ConfigError, match=r"inference\.engine\.socket"):
            path(name)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("ward.example", "http://ward.example:8080"),
    ],
)
def test_base_url(host, url) -> None:
    assert base_url(GatewayConfig(host=host)) == url


@pytest.mark.parametrize(
    ("host", "words"),
    [("192.0.2.1", "cannot listen on 192.0.2.1"), ("no such host", r"inference\.gateway\.host")],
)
def test_an_address_that_is_not_ours(host, words) -> None:
    with pytest.raises(ConfigError, match=words):
        listen(GatewayConfig(host=host))


def test_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} on 127\.0\.0\.1 is in use"):
            listen(GatewayConfig(port=port))


@pytest.mark.parametrize(
    "url", ["https://engine:8000", "http://engine", "http://engine:0", "http://engine:65536", "x"]
)
def test_engine_url_that_is_none(url) -> None:
    with pytest.raises(ValidationError):
        EngineConfig(url=url)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("strikes", "failure_threshold"),
        ("canary_seconds", "idle_probe_seconds"),
        ("canary_timeout_seconds", "idle_probe_timeout_seconds"),
    ],
)
def test_old_names_are_refused_with_the_new_ones(old, new) -> None:
    with pytest.raises(ConfigError, match=f"{old}: is now called {new}"):
        validate(InferenceConfig, {"gateway": {"health": {old: 3}}}, "inference")

"""The way to an OpenAI-compatible server of the house, and which model stands behind it."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import NamedTuple, Self

import httpx2

from bedside_core.endpoint.config import EndpointConfig
from bedside_core.endpoint.responses import digest_in, digest_of, parsed, whole
from bedside_core.errors import ConfigError, InputError

CONNECT_SECONDS = 5.0


def open_http(config: EndpointConfig) -> httpx2.AsyncClient:
    """A client that goes to this server and, whatever the environment says, nowhere else.

    Raises:
        ConfigError: `ca_file` holds no certificates.
    """
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    if key := os.environ.get(config.key_variable):
        headers["Authorization"] = f"Bearer {key}"
    try:
        tls = ssl.create_default_context(cafile=config.ca_file)
    except OSError:
        raise ConfigError(
            f"ca_file: {config.ca_file}: no certificates can be read from it - name a PEM file"
        ) from None
    transport = httpx2.AsyncHTTPTransport(
        verify=tls,
        trust_env=False,
        limits=httpx2.Limits(max_connections=config.concurrency),
        uds=config.socket,
    )
    return httpx2.AsyncClient(
        base_url="http://endpoint" if config.socket else config.address,
        headers=headers,
        timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
        transport=transport,
        trust_env=False,
    )


class Peer(NamedTuple):
    """The model behind a server."""

    address: str
    digest: str
    says: bool
    """Whether the server itself names it, with each answer."""

    @classmethod
    async def found(cls, http: httpx2.AsyncClient, config: EndpointConfig) -> Self:
        """What the server says of its model, otherwise what the config states.

        Raises:
            ConfigError: neither says anything.
            InputError: they differ, or nobody answers.
        """
        said = await _said(http, config)
        digest = config.digest or said
        if digest is None:
            raise ConfigError(
                f"{config.address}: does not say which weights it serves - set `digest` to their "
                "SHA-256, or wait until the server is ready if it is one of ours"
            )
        if said not in (None, digest):
            raise InputError(
                f"{config.address}: serves model {said}, not {digest} - mend `digest` or `address`"
            )
        return cls(config.address, digest, said is not None)

    def check(self, said: str | None) -> None:
        """Whether an answer is this model's.

        Raises:
            InputError: it is another's.
        """
        if said != self.digest and (self.says or said is not None):
            raise InputError(
                f"{self.address}: answers come from {f'model {said[:12]}' if said else 'a model'} "
                f"now that is not {self.digest[:12]} - run the same command again to begin with "
                "the new model; the other's answers are kept apart"
            )


async def _said(http: httpx2.AsyncClient, config: EndpointConfig) -> str | None:
    # The engine marks every response, also a 404; the gateway has this page for it.
    try:
        async with asyncio.timeout(config.timeout_seconds), http.stream("GET", "/readyz") as page:
            said = digest_of(page)
            if said is None and page.status_code == 200:
                said = digest_in(parsed(await whole(page)).get("model"))
    except (httpx2.RequestError, TimeoutError):
        raise unreachable(config) from None
    return said


def unreachable(config: EndpointConfig) -> InputError:
    """Nobody is there."""
    return InputError(
        f"{config.address}: nobody answers there - start the server or mend the address; the same "
        "command goes on from here"
    )


def hopeless(config: EndpointConfig, route: str, status: int | None) -> ConfigError:
    """What a status means with which no request will fare better."""
    if status in (401, 403):
        there = "another key" if os.environ.get(config.key_variable) else "no key"
        return ConfigError(
            f"{config.address}: this key may not ask ({status}) - {config.key_variable} holds "
            f"{there}; set it to one that may use model {config.model!r}"
        )
    return ConfigError(
        f"{config.address}: there is no {route}, or no model {config.model!r} ({status}) - mend "
        "`address` or `model`"
    )

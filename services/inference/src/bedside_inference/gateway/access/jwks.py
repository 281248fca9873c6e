"""The identity provider's public keys: fetched in the background, kept through an outage.

They come from the issuer's discovery document (OpenID Connect Discovery 1.0, section 4) or from a
configured URL, and are the only keys there are: nothing that a token names is ever fetched or used.
An answer counts only as a whole. Without one the keys at hand stay good for a time that the house
sets, then nobody is let in by them.

Tested in tests/inference/gateway/access/test_oidc.py.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Literal

import aiohttp
from cryptography.exceptions import UnsupportedAlgorithm
from jwt import PyJWK, PyJWTError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bedside_core import log
from bedside_core.errors import ConfigError
from bedside_inference.config import OidcConfig
from bedside_inference.urls import is_secure

logger = logging.getLogger(__name__)

FETCH_SECONDS = 5
"""For a whole fetch: connecting, the discovery document and the keys."""
RETRY_SECONDS = 10
"""Pause after a fetch that failed."""
ASK_SECONDS = 30
"""Between two fetches for the sake of tokens with an unknown key; the names of such keys are
anybody's invention, and must not become a flood at the provider."""
MAX_ANSWER_BYTES = 256 << 10
MAX_KEYS = 256

KEY_KINDS = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""Key type and curve of each algorithm (RFC 7518 section 3.1, RFC 8037 section 3.1)."""


class ProviderError(Exception):
    """The provider gave no usable answer; the message is a fixed code."""


class Discovery(BaseModel):
    """What is used of a discovery document."""

    issuer: str
    jwks_uri: str


class KeySet(BaseModel):
    """A JWK Set (RFC 7517 section 5) whose members are yet to be looked at."""

    keys: Annotated[list[Any], Field(max_length=MAX_KEYS)]


class PublicKey(BaseModel):
    """A JWK for signatures (RFC 7517 section 4); what else it carries is not used."""

    model_config = ConfigDict(strict=True)

    kty: Literal["RSA", "EC", "OKP"]
    kid: str | None = None
    use: Literal["sig"] | None = None
    key_ops: list[str] | None = None
    alg: str | None = None
    crv: str | None = None
    n: str | None = None
    e: str | None = None
    x: str | None = None
    y: str | None = None
    d: None = None
    """A private key that is shown around proves nothing."""

    def fits(self, algorithm: str) -> bool:
        """Whether signatures of an algorithm may be checked with it."""
        kind, curve = KEY_KINDS[algorithm]
        return (
            self.kty == kind
            and (curve is None or self.crv == curve)
            and self.alg in (None, algorithm)
            and (self.key_ops is None or "verify" in self.key_ops)
        )


class Keys:
    """The provider's keys, as fresh as the provider lets them be."""

    def __init__(self, config: OidcConfig) -> None:
        """Find the certificate authority.

        Raises:
            ConfigError: its file cannot be read.
        """
        self._config = config
        self._tls = _trusting(config.ca_file)
        self._keys: tuple[PyJWK, ...] = ()
        self._fetched: float | None = None
        self._asked: float | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the keys fresh within this block, which starts at once, with or without them."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Nothing is unpacked here, so that a small answer cannot become a large one.
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            auto_decompress=False,
            skip_auto_headers=("User-Agent",),
            trust_env=False,
        ) as self._session:
            refreshing = asyncio.create_task(self._keep_fresh())
            try:
                yield
            finally:
                tasks = [task for task in (refreshing, self._fetching) if task]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def usable(self) -> bool:
        """Whether there are keys that were the provider's own not too long ago."""
        age = self._age()
        return bool(self._keys) and age is not None and age <= self._config.outage_seconds

    async def find(self, algorithm: str, kid: str | None) -> tuple[PyJWK, ...]:
        """The keys that fit; for a token that names none, all of its algorithm.

        If there are none the provider may have new ones and is asked, unless it just was; that
        takes FETCH_SECONDS at most.
        """
        found = self._fitting(algorithm, kid)
        if not found and self._may_ask():
            await self._fetch_once()
            found = self._fitting(algorithm, kid)
        return found

    def _fitting(self, algorithm: str, kid: str | None) -> tuple[PyJWK, ...]:
        return tuple(
            key
            for key in self._keys
            if key.algorithm_name == algorithm and (kid is None or key.key_id == kid)
        )

    def _age(self) -> float | None:
        return None if self._fetched is None else monotonic() - self._fetched

    def _may_ask(self) -> bool:
        if self._fetching is not None:
            return True
        now = monotonic()
        if self._asked is not None and now - self._asked < ASK_SECONDS:
            return False
        self._asked = now
        return True

    async def _keep_fresh(self) -> None:
        while True:
            fetched = self._fetched
            await self._fetch_once()
            failed = self._fetched == fetched
            every = self._config.refresh_seconds
            await asyncio.sleep(min(every, RETRY_SECONDS) if failed else every)

    async def _fetch_once(self) -> None:
        """Fetch, or wait for the fetch that runs already.

        It is a task of its own: whoever waits may be cancelled, and that must not end it for all.
        """
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
        await asyncio.wait([self._fetching])

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                keys, ignored = usable_keys(
                    await self._get(await self._keys_url()), self._config.algorithms
                )
        except ProviderError as error:
            self._failed(str(error))
        except TimeoutError:
            self._failed("timeout")
        except aiohttp.ClientSSLError:
            self._failed("tls")
        except (aiohttp.ClientError, OSError):
            self._failed("connection")
        else:
            self._keys, self._fetched = keys, monotonic()
            facts = log.fields(keys=len(keys), ignored=ignored)
            if keys:
                logger.info("keys of the identity provider fetched", extra=facts)
            else:
                logger.error("no key of the identity provider is usable here", extra=facts)
        finally:
            self._fetching = None

    def _failed(self, reason: str) -> None:
        age = self._age()
        logger.warning(
            "keys of the identity provider not fetched",
            extra=log.fields(
                reason=reason, usable=self.usable, age_seconds=None if age is None else round(age)
            ),
        )

    async def _keys_url(self) -> str:
        if self._config.jwks_url is not None:
            return self._config.jwks_url
        issuer = self._config.issuer
        answer = await self._get(issuer.removesuffix("/") + "/.well-known/openid-configuration")
        try:
            found = Discovery.model_validate_json(answer)
        except ValidationError:
            raise ProviderError("discovery") from None
        if found.issuer != issuer:
            raise ProviderError("issuer")
        if not is_secure(found.jwks_uri):
            raise ProviderError("jwks_uri")
        return found.jwks_uri

    async def _get(self, url: str) -> bytes:
        if self._session is None:
            raise RuntimeError("the keys are not being kept")
        body = bytearray()
        async with self._session.get(url, allow_redirects=False) as answer:
            if answer.status != 200:
                raise ProviderError("status")
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise ProviderError("size")
        return bytes(body)


def usable_keys(document: bytes, algorithms: Sequence[str]) -> tuple[tuple[PyJWK, ...], int]:
    """Each key of a JWK Set bound to each of the algorithms that it fits, and how many fit none.

    Raises:
        ProviderError: it is not a JWK Set.
    """
    try:
        members = KeySet.model_validate_json(document).keys
    except ValidationError:
        raise ProviderError("jwks") from None
    bound = [_bound(member, algorithms) for member in members]
    return tuple(key for keys in bound for key in keys), sum(not keys for keys in bound)


def _bound(member: object, algorithms: Sequence[str]) -> list[PyJWK]:
    try:
        key = PublicKey.model_validate(member)
        data = key.model_dump(exclude_none=True)
        bound = [PyJWK(data, name) for name in algorithms if key.fits(name)]
    except (ValidationError, PyJWTError, UnsupportedAlgorithm):
        return []
    # RSA keys below 2048 bits (RFC 7518 section 3.3).
    return [key for key in bound if key.Algorithm.check_key_length(key.key) is None]


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError:
        raise ConfigError(
            f"inference.oidc.ca_file: {ca_file}: no readable certificate - give the PEM file of "
            "the certificate authority that vouches for the identity provider"
        ) from None

"""Bearer tokens of the house's identity provider, checked here without asking it each time.

Covered: signed JWTs (RFC 7519), access tokens (RFC 9068) and ID tokens alike, checked as RFC 8725
advises: the algorithms of the config, the provider's published keys, issuer, audience and times.
Not covered: opaque and encrypted tokens, and a token's revocation before it expires - the
provider should issue short ones.

A check takes about 0.2 ms of CPU, so none is remembered: an expired token cannot come back from a
cache, whatever the clock does.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import jwt

from bedside_core import log
from bedside_inference.config import OidcConfig
from bedside_inference.gateway.access.jwks import Keys
from bedside_inference.gateway.errors import ApiError, invalid_token, no_role, provider_unavailable
from bedside_inference.principal import Principal

logger = logging.getLogger(__name__)

MAX_TOKEN_BYTES = 16 << 10
MAX_SUBJECT_CHARS = 255
"""OpenID Connect Core 1.0, section 2."""
TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
"""Header `typ` (RFC 9068 section 4, RFC 7519 section 5.1), if there is one: a logout token or a
DPoP proof of the same provider is not a token to let somebody in."""
REQUIRED = ("exp", "iat", "iss", "aud", "sub")
REASONS: Mapping[type[jwt.PyJWTError], str] = {
    jwt.InvalidSignatureError: "signature",
    jwt.ExpiredSignatureError: "expired",
    jwt.ImmatureSignatureError: "not_yet_valid",
    jwt.InvalidIssuerError: "issuer",
    jwt.InvalidAudienceError: "audience",
    jwt.MissingRequiredClaimError: "claims",
}
"""What a refusal is counted as; any other is `malformed`."""


class TokenError(Exception):
    """A token is not valid here; the message is a fixed code."""


class TokenVerifier:
    """Tells who is behind a token; its tokens and their claims stay out of logs and errors."""

    def __init__(self, config: OidcConfig) -> None:
        """Find the certificate authority.

        Raises:
            ConfigError: its file cannot be read.
        """
        self.refused: Counter[str] = Counter()
        """Tokens by the reason why they were refused."""
        self._config = config
        self._keys = Keys(config)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the provider's keys fresh; starts at once, even while the provider is away."""
        async with self._keys.running():
            yield

    async def verify(self, token: str) -> Principal:
        """Who is behind a token.

        Raises:
            ApiError: 401 for a token that is not valid here, 403 for one without a role of this
                house, 503 while the provider's keys are not known.
        """
        try:
            claims = await self._verified(token)
        except TokenError as refused:
            reason = str(refused)
        else:
            return self._principal(claims)
        # Outside of the handler: an exception remembers the one before it, and that its input.
        raise self._refusal(reason, invalid_token())

    async def _verified(self, token: str) -> dict[str, Any]:
        header = _header(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._config.algorithms:
            raise TokenError("algorithm")
        key = await self._key(algorithm, kid)
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self._config.issuer,
                audience=self._config.audience,
                leeway=self._config.leeway_seconds,
                options={"require": list(REQUIRED)},
            )
        except jwt.PyJWTError as error:
            raise TokenError(REASONS.get(type(error), "malformed")) from None
        if not _well_formed(claims):
            raise TokenError("claims")
        return claims

    async def _key(self, algorithm: str, kid: str | None) -> jwt.PyJWK:
        found = await self._keys.find(algorithm, kid)
        if not self._keys.usable:
            raise self._refusal("provider", provider_unavailable())
        if len(found) != 1:
            raise TokenError("ambiguous_key" if found else "unknown_key")
        return found[0]

    def _principal(self, claims: dict[str, Any]) -> Principal:
        names = roles_in(claims, self._config.roles_claim)
        for name, role in self._config.roles.items():
            if name in names:
                return Principal(
                    method="oidc",
                    subject=f"{claims['iss']}|{claims['sub']}",
                    key_id=None,
                    department=role.department,
                    priority=role.priority,
                    purpose="TREAT",
                    models=None if role.models is None else frozenset(role.models),
                    requests_per_minute=role.requests_per_minute,
                    tokens_per_minute=role.tokens_per_minute,
                )
        raise self._refusal("role", no_role())

    def _refusal(self, reason: str, error: ApiError) -> ApiError:
        self.refused[reason] += 1
        logger.info("token refused", extra=log.fields(reason=reason))
        return error


def roles_in(claims: dict[str, Any], path: str) -> frozenset[str]:
    """The roles that a claim lists, or writes as words; none if it holds anything else."""
    value: Any = claims
    for name in [path] if path in claims else path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, str):
        return frozenset(value.split())
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return frozenset(value)
    return frozenset()


def _header(token: str) -> dict[str, Any]:
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenError("size")
    # Three parts: an encrypted token has five (RFC 7516 section 3.1).
    if not token.isascii() or token.count(".") != 2:
        raise TokenError("malformed")
    try:
        # Its first part alone, because the rest costs more and may be worth nothing.
        header = jwt.get_unverified_header(token.partition(".")[0] + "..")
    except jwt.PyJWTError:
        raise TokenError("malformed") from None
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in TYPES:
        raise TokenError("type")
    if "crit" in header:  # no extension is understood (RFC 7515 section 4.1.11)
        raise TokenError("crit")
    return header


def _well_formed(claims: dict[str, Any]) -> bool:
    """What PyJWT takes more freely than RFC 7519 section 2 writes it.

    `azp` names the client to which a token was issued. It is not compared: we are the resource in
    `aud`, not that client (RFC 9068 section 4; OpenID Connect Core 1.0, section 3.1.3.7 asks it
    of clients).
    """
    dates = [claims[name] for name in ("exp", "iat", "nbf") if name in claims]
    return (
        all(type(date) in (int, float) for date in dates)
        and 0 < len(claims["sub"]) <= MAX_SUBJECT_CHARS
        and isinstance(claims.get("azp", ""), str)
    )

"""Who asks, and why: a key of the house or a token of its identity provider."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from bedside_inference.gateway.access.oidc import TokenVerifier
from bedside_inference.gateway.engines.admission import engine_priority
from bedside_inference.gateway.errors import invalid_key, locked_out, unknown_purpose
from bedside_inference.principal import Principal
from bedside_inference.state.records import PREFIX, PURPOSES
from bedside_inference.state.watch import Watch

PURPOSE_HEADER = "x-purpose-of-use"


class Authentication:
    """Tells who asks by the headers of a request; keeps and records nothing."""

    def __init__(self, watch: Watch, verifier: TokenVerifier | None) -> None:
        self._watch, self._verifier = watch, verifier

    async def __call__(self, headers: Mapping[str, str]) -> Principal:
        """The holder of the key or token in `Authorization`.

        Raises:
            ApiError: 401 or 403 without a valid one, 503 while tokens cannot be checked.
            StateUnavailable: keys cannot be checked.
        """
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential:
            raise invalid_key()
        if self._verifier is not None and not credential.startswith(PREFIX):
            person = await self._verifier.verify(credential)
            if self._watch.state.ended(person):
                raise locked_out()
            return person
        found = self._watch.state.find(credential, datetime.now(UTC))
        if found is None:
            raise invalid_key()
        return found


def purpose_of(headers: Mapping[str, str], principal: Principal) -> str:
    """The purpose of use that a client states, otherwise that of its key.

    Raises:
        ApiError: 400, it is no code of the value set.
    """
    stated = headers.get(PURPOSE_HEADER)
    if stated is None:
        return principal.purpose
    if stated not in PURPOSES:
        raise unknown_purpose(codes=", ".join(sorted(PURPOSES)))
    return stated


def owned(salt_key: bytes, principal: Principal) -> dict[str, str | int]:
    """The fields of a request that only the gateway sets.

    The salt keeps one department's prompts apart from another's in the engine's prefix cache: an
    answer that comes faster because somebody else asked the same would tell so.
    """
    salt = _salt(salt_key, principal.department)
    return {"cache_salt": salt, "priority": engine_priority(principal.priority)}


@lru_cache(maxsize=1024)
def _salt(key: bytes, department: str) -> str:
    return hmac.new(key, department.encode(), "sha256").hexdigest()

"""Who asks, and what that allows.

Tested in tests/inference/gateway/access/test_oidc.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bedside_inference.config import PriorityClass


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a valid API key or of a token of the identity provider."""

    method: Literal["api_key", "oidc"]
    subject: str
    """The key's id, or the token's `iss|sub`; it leaves the process only as a pseudonym."""
    key_id: str | None
    """Id of the API key; none for a token."""
    department: str
    priority: PriorityClass
    purpose: str
    """Default purpose of use, a code of HL7 v3 PurposeOfUse, for example `TREAT`."""
    models: frozenset[str] | None
    """The names it may use; none means all."""
    requests_per_minute: int | None
    tokens_per_minute: int | None

    def may_use(self, model: str) -> bool:
        return self.models is None or model in self.models

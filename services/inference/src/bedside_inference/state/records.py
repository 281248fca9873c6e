"""What the state database holds, as the gateway sees it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Annotated, Literal, get_args

from pydantic import AwareDatetime, Field, ValidationInfo, field_validator

from bedside_core.config import Config
from bedside_inference.config import MAX_KEY_DAYS, Name, PriorityClass
from bedside_inference.names import Department, Holder, Label
from bedside_inference.principal import Principal

PREFIX = "bsk-"
KEY_BYTES = 32
KEY_CHARS = len(PREFIX) + 43
"""256 bits in base64 without padding."""

EXPIRY_WARNING = timedelta(days=14)

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A model by the SHA-256 of its manifest."""
KeyId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]
Rate = Annotated[int, Field(ge=1, le=1_000_000_000)]

Purpose = Literal[
    "TREAT",
    "ETREAT",
    "BTG",
    "CAREMGT",
    "CLINTRCH",
    "HOPERAT",
    "HPAYMT",
    "HQUALIMP",
    "HRESCH",
    "HTEST",
    "PATADMIN",
    "PATRQT",
    "PATSFTY",
    "PUBHLTH",
    "SYSDEV",
    "TRAIN",
]
"""Codes of the HL7 value set v3-PurposeOfUse that a hospital can have for asking a model."""
PURPOSES: frozenset[str] = frozenset(get_args(Purpose))


class Scope(Config):
    """What a key allows, and whose it is."""

    holder: Holder | None = None
    """Who has it, a person or a system; stands in `keys list` and nowhere else."""
    label: Label | None = None
    """What it is for; stands in `keys list` and nowhere else."""
    department: Department = "unassigned"
    """Where the key is used; stands in the audit."""
    priority: PriorityClass = "ward"
    """Who goes first when the engine is full."""
    purpose: Purpose = "TREAT"
    """Default purpose of use, a code of HL7's PurposeOfUse."""
    models: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Model names; by default all."""
    requests_per_minute: Rate | None = None
    """How often it may ask; by default without a limit."""
    tokens_per_minute: Rate | None = None
    """Prompt and answer together; by default without a limit."""
    reidentify: bool = False
    """Whether its holder may ask for the subject behind a pseudonym; needs a holder."""


class KeyOptions(Scope):
    """What a new key allows, and for how long."""

    days: Annotated[int, Field(ge=1, le=MAX_KEY_DAYS)] | None = None
    """How long it is valid; by default `inference.state.key_days`."""

    @field_validator("reidentify")
    @classmethod
    def _of_a_person(cls, may: bool, given: ValidationInfo) -> bool:
        if may and given.data.get("holder") is None:
            raise ValueError("needs a holder - the rule that two must ask tells people by it")
        return may

    @property
    def scope(self) -> Scope:
        """What the key allows."""
        return Scope(**{name: getattr(self, name) for name in Scope.model_fields})


class Key(Scope):
    """A key as it is kept: without the key."""

    id: KeyId
    sha256: Digest
    created: AwareDatetime
    expires: AwareDatetime
    """From this moment on it is not valid."""
    revoked: AwareDatetime | None = None
    rotated_to: KeyId | None = None
    last_used: date | None = None
    """The day, in UTC; a gateway writes it within a minute."""

    @property
    def scope(self) -> Scope:
        return Scope(**{name: getattr(self, name) for name in Scope.model_fields})

    def valid(self, now: datetime) -> bool:
        return self.revoked is None and now < self.expires

    def expiring(self, now: datetime) -> bool:
        """Whether it ends soon and no other follows it."""
        soon = self.expires - now <= EXPIRY_WARNING
        return soon and self.valid(now) and self.rotated_to is None

    @cached_property
    def principal(self) -> Principal:
        return Principal(
            method="api_key",
            subject=self.id,
            key_id=self.id,
            department=self.department,
            priority=self.priority,
            purpose=self.purpose,
            models=None if self.models is None else frozenset(self.models),
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
        )


class Alias(Config):
    """Which model a name stands for."""

    name: Name
    primary: Digest | None = None
    """None is whatever the engine serves."""
    previous: Digest | None = None
    """What `rollback` goes back to."""
    canary: Digest | None = None
    canary_share: Annotated[float, Field(ge=0, le=1)] = 0
    """Part of the requests that go to the canary."""


@dataclass(frozen=True)
class State:
    """Everything at one revision."""

    revision: int
    keys: Mapping[str, Key]
    """By SHA-256 (hex)."""
    aliases: Mapping[str, Alias]
    stopped: frozenset[str]
    """Digests of the models that must not answer."""
    locked_out: frozenset[str] = frozenset()
    """SHA-256 of the subjects of the identity provider that are let in no more."""

    def find(self, key: str, now: datetime) -> Principal | None:
        """The holder of a key that is valid now.

        The index compares digests, not keys: how long it takes tells of the digest of a guess, and
        nobody can choose a guess by the first characters of its SHA-256 and learn a key from them.
        """
        if len(key) != KEY_CHARS or not key.isascii():
            return None
        stored = self.keys.get(digest_of(key))
        return stored.principal if stored and stored.valid(now) else None

    @cached_property
    def revoked(self) -> frozenset[str]:
        """Ids of the keys that were ended before their time."""
        return frozenset(key.id for key in self.keys.values() if key.revoked is not None)

    def ended(self, principal: Principal) -> bool:
        """Whether this key was revoked, or this person locked out, before the time was up."""
        if principal.method == "api_key":
            return principal.subject in self.revoked
        return bool(self.locked_out) and digest_of(principal.subject) in self.locked_out

    def alias(self, name: str) -> Alias:
        """The alias of a name; one that was never switched stands for what the engine serves."""
        return self.aliases.get(name) or Alias(name=name)


def digest_of(key: str) -> str:
    """How a key is kept: SHA-256 without a salt, because 256 random bits cannot be guessed."""
    return hashlib.sha256(key.encode()).hexdigest()

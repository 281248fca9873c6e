"""The house's public keys, as its log introduces them: entries of type `keys`.

An entry names all three keys (base64 of their DER form, and the fingerprint), who, and why. It is
signed by the operator key that it names itself; the first one is the first entry of every log. One
that brings another operator key also has the former one's signature, or says that it was lost.
Whether the operator key that counts now is the house's can only be known from outside: `pin`.

A key that was replaced in the ordinary way stays good for what was signed with it. One that was
reported lost, which includes stolen, is worth nothing from then on: nobody can tell what its owner
signed from what a thief did.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple, get_args

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.chain import Entry
from bedside_core.config import canonical_json
from bedside_core.errors import ArtifactError
from bedside_core.signing import KEY_ID_CHARS, Keys, PublicKey, der, fingerprint, fits

TYPE = "keys"
"""The type of these entries."""
Role = Literal["operator", "evidence", "publisher"]
ROLES: tuple[Role, ...] = get_args(Role)
_FORMER_DOMAIN = b"bedside key succession v1\n"


class HouseKey(NamedTuple):
    """One public key of the house."""

    role: Role
    key: PublicKey
    fingerprint: str
    since: datetime
    reason: str
    """Why it was made."""
    by: str
    replaced: HouseKeyEnd | None = None

    @property
    def id(self) -> str:
        return self.fingerprint[:KEY_ID_CHARS]

    def fits(self, message: bytes, signature: str) -> bool:
        """Whether an Ed25519 signature (base64) over a message, domain included, is this key's."""
        return isinstance(self.key, Ed25519PublicKey) and fits(self.key, message, signature)


class HouseKeyEnd(NamedTuple):
    """How a key came to be a former one."""

    time: datetime
    lost: bool
    reason: str
    by: str


class _Named(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    public: str
    fingerprint: str


class _Former(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    key: str
    signature: str


class _Introduction(BaseModel):
    """What an entry `keys` says, besides what every entry has."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    operator: _Named
    evidence: _Named
    publisher: _Named
    reason: str
    by: str
    lost: list[Role] = []
    former: _Former | None = None


class Keyring:
    """All keys that a log has introduced so far."""

    def __init__(self) -> None:
        self._current: dict[Role, HouseKey] = {}
        self.former: list[HouseKey] = []
        """Those that were replaced, oldest first."""

    def __bool__(self) -> bool:
        return bool(self._current)

    def __getitem__(self, role: Role) -> HouseKey:
        """The key that counts now."""
        return self._current[role]

    def find(self, key_id: str) -> HouseKey | None:
        """Any key that the house has or had, by its id."""
        known = (*self._current.values(), *self.former)
        return next((key for key in known if key.id == key_id), None)

    def evidence(self, key_id: str) -> HouseKey:
        """The key that signed evidence, if what it signed still counts.

        Raises:
            ArtifactError: it is no evidence key of this house, or was reported lost.
        """
        found = self.find(key_id)
        if found is None or found.role != "evidence":
            ours = f"is {self['evidence'].id}" if self else "is not made yet"
            raise ArtifactError(
                f"the evidence's signature is of key {key_id[:KEY_ID_CHARS]!r}, this house's "
                f"evidence key {ours} - it was changed after signing or comes from elsewhere; run "
                "the evaluation again"
            )
        if found.replaced is not None and found.replaced.lost:
            end = found.replaced
            raise ArtifactError(
                f"the evidence's signature is of key {found.id}, which was reported lost on "
                f"{end.time:%Y-%m-%d} by {end.by}: {end.reason} - run the evaluation again"
            )
        return found

    def introduce(self, entry: Entry) -> None:
        """Take the keys of an entry; its own signature is checked by the log.

        Raises:
            ValueError: what is wrong with it.
        """
        try:
            said = _Introduction.model_validate(entry.members)
        except ValidationError:
            raise ValueError("does not name the house's keys") from None
        new = {role: _read(role, getattr(said, role)) for role in ROLES}
        if self and fingerprint(new["operator"]) != self["operator"].fingerprint:
            self._check_succession(said, entry)
        moment = datetime.fromisoformat(entry.members["time"])
        for role, key in new.items():
            mark, past = fingerprint(key), self._current.get(role)
            if past is not None and mark == past.fingerprint:
                continue
            if self.find(mark[:KEY_ID_CHARS]) is not None:
                raise ValueError("names a key that the house has or had already")
            if past is not None:
                end = HouseKeyEnd(moment, role in said.lost, said.reason, said.by)
                self.former.append(past._replace(replaced=end))
            self._current[role] = HouseKey(role, key, mark, moment, said.reason, said.by)

    def _check_succession(self, said: _Introduction, entry: Entry) -> None:
        if said.former is None:
            if "operator" not in said.lost:
                raise ValueError("brings another operator key without the former one's signature")
            return
        message = succession(entry.members, entry.prev)
        past = self["operator"]
        if said.former.key != past.id or not past.fits(message, said.former.signature):
            raise ValueError("has a signature of the former operator key that does not fit")


def introduction(
    keys: Mapping[Role, PublicKey], *, reason: str, by: str, lost: tuple[Role, ...] = ()
) -> dict[str, Any]:
    """The members of an entry `keys`."""
    named: dict[str, Any] = {
        role: {
            "public": base64.b64encode(der(keys[role])).decode(),
            "fingerprint": fingerprint(keys[role]),
        }
        for role in ROLES
    }
    return {**named, **({"lost": list(lost)} if lost else {}), "reason": reason, "by": by}


def with_former(members: Mapping[str, Any], former: Keys, prev: str) -> dict[str, Any]:
    """The same members, and the former operator key's word for them."""
    signature = former.sign(
        succession(members, prev).removeprefix(_FORMER_DOMAIN), domain=_FORMER_DOMAIN
    )
    return {**members, "former": {"key": former.key_id, "signature": signature}}


def succession(members: Mapping[str, Any], prev: str) -> bytes:
    """What the former operator key signs: the new keys, why, and where in the log they stand."""
    names = (*ROLES, "lost", "reason", "by")
    signed = {name: members[name] for name in names if name in members}
    return _FORMER_DOMAIN + canonical_json({**signed, "prev": prev})


def _read(role: Role, named: _Named) -> PublicKey:
    try:
        key = load_der_public_key(base64.b64decode(named.public, validate=True))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    match role, key:
        case "publisher", ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
            found: PublicKey = key
        case "operator" | "evidence", Ed25519PublicKey():
            found = key
        case _:
            raise ValueError(f"names no usable {role} key")
    if fingerprint(found) != named.fingerprint:
        raise ValueError(f"names a fingerprint that is not its {role} key's")
    return found

"""`bedside registry init`, `rotate` and `keys`: a house's keys and its pin, made on purpose.

`init` makes the keys, then the first entry of the log, which introduces them, then the pin. Killed
anywhere, the same command goes on; where all is there it says so again. Nothing else makes a key.

`rotate` makes a successor beside the private key, then the entry, then puts the successor in the
key's place, then moves the pin. Killed anywhere, the same command goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from bedside_core.console import say, table
from bedside_core.errors import ArtifactError, ConfigError
from bedside_core.kinds.policy import Policy, read_policy
from bedside_core.registry.keyring import ROLES, TYPE, HouseKey, Role, introduction
from bedside_core.registry.registry import Registry, account
from bedside_core.registry.removal import check_reason
from bedside_core.registry.signed_log import Writing
from bedside_core.signing import KeyPair, Keys, fingerprint

FOUNDING = {TYPE, "approve-policy"}
"""The entries that `init` itself writes."""


def init(registry: Registry, policy: Path | None = None) -> None:
    """Make a new house's keys, its log and its pin; or say that all is there.

    Where the fingerprint is given (`BEDSIDE_PIN`), the house exists, perhaps without its private
    keys: then none is made, and a pin file that is named as well is brought in line.

    Args:
        registry: where.
        policy: of scope `demo`, to be approved at the beginning; that is good for the demo's texts
            alone, so nobody has to have read it.

    Raises:
        ArtifactError: there is something of a house already, and not all of it.
        ConfigError: there is no such policy, or it is not the demo's.
    """
    registry.refuse_old()
    approved = None if policy is None else _of_the_demo(policy)
    if registry.pin.given is not None:
        registry.refuse_unfounded()
        registry.pin.note()
    elif found(registry):
        say(f"made the keys of a new house: {registry.home}")
    if approved is not None and {entry.type for entry in registry.entries()} == {TYPE}:
        registry.approve(approved, "at the first start, for the demo alone")
    ring = registry.keyring()
    say(f"operator key (SHA-256): {ring['operator'].fingerprint}")
    say(f"pinned by {registry.pin.where}; keep a copy of the fingerprint elsewhere")


def _of_the_demo(path: Path) -> Policy:
    policy = read_policy(path)
    if policy.scope != "demo":
        raise ConfigError(
            f"{path}: policy {policy.name!r} is not the demo's - a person reads it and approves it "
            "with `bedside registry approve-policy FILE --reason WHY`"
        )
    return policy


def found(registry: Registry, *, adopting: bool = False) -> bool:
    """Make what a house needs, or finish what was begun.

    Args:
        registry: where.
        adopting: whether artifacts and keys of an earlier version are expected there.

    Returns:
        Whether anything was missing.

    Raises:
        ArtifactError: see `init`.
    """
    log, pin = registry.log, registry.pin
    if not log.path.exists():
        pin.check(log.read(pinned=False).ring, log.path)
        if not adopting:
            _refuse_remains(registry)
    with log.writing(pinned=False) as writing:
        new = not writing.entries
        if new:
            pin.check(writing.ring, log.path)
            for keys in _pairs(registry).values():
                keys.make()
            _begin(registry, writing)
        _refuse_gone(registry, writing)
        only_begun = {entry.type for entry in writing.entries} <= FOUNDING
        if pin.read() is None and only_begun and not writing.ring.former:
            pin.write(writing.ring["operator"].fingerprint)
            new = True
        pin.check(writing.ring, log.path)
    return new


def rotate(registry: Registry, role: str, reason: str, *, lost: bool) -> None:
    """Put a new key in the place of one.

    Args:
        registry: whose key.
        role: which key.
        reason: why; stays in the log.
        lost: whether the key is gone or in other hands, so that nothing counts any more that it
            signed outside the log.

    Raises:
        ArtifactError: there is no such key, it is not here and not called lost, or the log is not
            the pinned house's.
        ConfigError: the reason is none.
    """
    if role not in ROLES:
        raise ArtifactError(f"there is no key {role!r} - the keys are {', '.join(ROLES)}")
    check_reason(reason)
    registry.refuse_old()
    with registry.log.writing(pinned=False) as writing:
        if not writing.ring:
            raise ArtifactError(f"{registry.home} has no keys yet - `bedside registry init`")
        if not _finish(registry, writing, role):
            registry.pin.check(writing.ring, registry.log.path)
            _succeed(registry, writing, role, reason, lost=lost)
            _finish(registry, writing, role)
        key = writing.ring[role]
    say(f"the {role} key is now {key.fingerprint}")
    if role == "operator":
        if registry.pin.given is not None:
            say(registry.pin.how(key.fingerprint))
        say("whatever else pins the former key refuses this registry until it pins the new one")


def show_keys(registry: Registry) -> None:
    """The house's keys, since when, and whether the pin agrees; read without the pin.

    Raises:
        ArtifactError: the log is not what was written; or, after the table, the pin does not agree.
    """
    registry.refuse_old()
    ring = registry.log.read(pinned=False).ring
    rows = [["key", "SHA-256", "since", "state"]]
    keys = [*ring.former, *(ring[role] for role in ROLES)] if ring else []
    rows += [[k.role, k.fingerprint, f"{k.since:%Y-%m-%d %H:%M}", _state(k)] for k in keys]
    say(table(rows) if ring else f"{registry.home} has no keys yet - `bedside registry init`")
    registry.pin.check(ring, registry.log.path)
    if ring:
        say(f"{registry.pin.where} pins this operator key")


def _state(key: HouseKey) -> str:
    if key.replaced is None:
        return "current"
    how = "lost" if key.replaced.lost else "replaced"
    end = key.replaced
    return f"{how} {end.time:%Y-%m-%d} by {end.by}: {end.reason}"


def _pairs(registry: Registry) -> dict[Role, KeyPair]:
    return {
        "operator": registry.operator_keys,
        "evidence": registry.evidence_keys,
        "publisher": registry.publisher_keys,
    }


def _refuse_remains(registry: Registry) -> None:
    """A registry whose log or private keys are gone is no new one."""
    remains = [
        str(keys.public_path)
        for keys in _pairs(registry).values()
        if keys.public_path.exists() and not keys.private_path.exists()
    ]
    if registry.store.is_dir() and any(registry.store.iterdir()):
        remains.append(str(registry.store))
    if remains:
        raise ArtifactError(
            f"{', '.join(remains)} of a house is here, and its log or keys are not - restore them "
            "from a backup; only if this shall be a new house, move what is here away"
        )


def _refuse_gone(registry: Registry, writing: Writing) -> None:
    """Every private key must be here, and be the one that the log names."""
    for role, keys in _pairs(registry).items():
        known = writing.ring[role]
        here = keys.private_path.exists()
        if not here or keys.key_id != known.id:
            problem = f"holds the key {keys.key_id}, not {known.id}" if here else "is missing"
            raise ArtifactError(
                f"{keys.private_path} {problem} - restore it from a backup; if the key is gone "
                f"for good or in other hands: `bedside registry rotate {role} --lost --reason WHY`"
            )


def _begin(registry: Registry, writing: Writing) -> None:
    keys = {role: pair.public for role, pair in _pairs(registry).items()}
    members = introduction(keys, reason="first keys of this house", by=account())
    writing.add_keys(members, registry.operator_keys, None)


def _succeed(registry: Registry, writing: Writing, role: Role, reason: str, *, lost: bool) -> None:
    """Make the successor of a key, and say so in the log."""
    pairs = _pairs(registry)
    pair, successor = pairs[role], pairs[role].successor
    here = pair.private_path.exists() and pair.key_id == writing.ring[role].id
    if not here and not lost:
        raise ArtifactError(
            f"{pair.private_path} is not the {role} key of this house - restore it from a backup, "
            "or say `--lost` if it is gone or in other hands"
        )
    if role == "operator" and registry.pin.given is None:
        # What cannot be moved must show before the log needs it.
        registry.pin.write(writing.ring["operator"].fingerprint)
    successor.make()
    keys = {name: writing.ring[name].key for name in ROLES} | {role: successor.public}
    members = introduction(keys, reason=reason, by=account(), lost=(role,) if lost else ())
    if role == "operator":
        former = registry.operator_keys if here else None
        writing.add_keys(members, cast(Keys, successor), former)
    else:
        writing.add_keys(members, registry.operator_keys, None)


def _finish(registry: Registry, writing: Writing, role: Role) -> bool:
    """Put a successor that the log names in its place, and move the pin; False if there is none."""
    pair, known, done = _pairs(registry)[role], writing.ring[role], False
    successor = pair.successor
    if successor.private_path.exists() and fingerprint(successor.public) == known.fingerprint:
        pair.replace()
        done = True
    former = [key for key in writing.ring.former if key.role == "operator"]
    if (
        role == "operator"
        and former
        and registry.pin.given is None
        and registry.pin.read() == former[-1].fingerprint
        and pair.private_path.exists()
        and pair.key_id == known.id
    ):
        registry.pin.write(known.fingerprint)
        done = True
    return done

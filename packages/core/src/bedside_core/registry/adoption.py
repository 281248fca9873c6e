"""`bedside registry adopt`: take over a house of Bedside 0.1, which had one key and no signed log.

Its key signed evidence, so it becomes the evidence key; the other keys and the pin are made as for
a new house (`house`). Its promotions become entries of the log, each with the time at which it was
made; the last entry names the file that they came from. Killed anywhere, the same command goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bedside_core.console import say
from bedside_core.errors import ArtifactError
from bedside_core.files import sha256_file
from bedside_core.registry.house import FOUNDING, found
from bedside_core.registry.registry import Registry, account

_LINE = TypeAdapter(dict[str, str])
_MEMBERS = {"time", "action", "model", "evidence"}


def adopt(registry: Registry) -> None:
    """Rename the key of 0.1, make the others, carry its promotions into the signed log.

    Raises:
        ArtifactError: a line of `promotions.jsonl` is none, a file of either name is there, or the
            key's private half is not here.
    """
    old = registry.home / "promotions.jsonl"
    promotions = _read(old)
    renamed = _rename_keys(registry)
    begun = registry.evidence_keys.private_path.exists() and not registry.log.path.exists()
    if renamed or begun or old.exists():
        found(registry, adopting=True)
    if old.exists():
        _carry_over(registry, old, promotions)
        old.rename(old.with_name("promotions-0.1.jsonl"))
    elif not renamed and not begun:
        say(f"{registry.home}: nothing of an earlier version here")
        return
    key, operator = registry.evidence_keys.key_id, registry.keyring()["operator"].fingerprint
    say(f"adopted: {len(promotions)} promotions; the evidence key is {key}")
    say(f"operator key (SHA-256): {operator}, pinned by {registry.pin.where}")


def _read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    # Version 0.1 said: a torn last line counts as not written.
    lines = [line for line in path.read_bytes().split(b"\n")[:-1] if line]
    try:
        found = [_LINE.validate_json(line) for line in lines]
    except ValidationError:
        found = [{}]
    if any(
        set(line) != _MEMBERS or line["action"] not in ("promote", "rollback") for line in found
    ):
        raise ArtifactError(
            f"{path}: a line is not a promotion record - restore it from a backup; nothing was "
            "adopted"
        )
    return found


def _rename_keys(registry: Registry) -> bool:
    keys, renamed = registry.evidence_keys, False
    for new in (keys.private_path, keys.public_path):
        old = new.with_name(f"signing{new.suffix}")
        if not old.exists():
            continue
        if new.exists():
            raise ArtifactError(
                f"{old} and {new} are both there - keep the one that signed this registry's "
                "evidence under the new name, move the other away"
            )
        old.rename(new)
        renamed = True
    return renamed


def _carry_over(registry: Registry, old: Path, promotions: list[dict[str, str]]) -> None:
    with registry.log.writing() as log:
        done = [entry for entry in log.entries if "adopted" in entry.members]
        if log.entries and log.entries[-1].type == "adopt":
            return
        if any("adopted" not in e.members and e.type not in FOUNDING for e in log.entries):
            raise ArtifactError(
                f"{old}: this registry has a log of its own already - move one away"
            )
        for line in promotions[len(done) :]:
            log.add(line["action"], _members(line))
        source = {"sha256": sha256_file(old), "promotions": len(promotions), "by": account()}
        log.add("adopt", source)


def _members(line: dict[str, str]) -> dict[str, Any]:
    return {"model": line["model"], "evidence": line["evidence"], "adopted": line["time"],
            "by": account()}  # fmt: skip

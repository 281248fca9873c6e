"""The newest entry that a private key wrote, remembered beside it: an earlier log is recognised.

Who can write the registry could keep the log and its head of one day and put both back on another:
every signature would fit, and what was withdrawn or looked at since would not have been. The pin
does not change with each entry, but whoever holds a private key has a place that the others cannot
write. So a key's holder notes there what he wrote last, and refuses a log without it.

Covered: an earlier log, for the evaluation and the operator's verbs, each from its own last entry.
Not covered: a reader without a private key (the engine), until the next of the operator's verbs;
somebody who restores the key's place of that day, too, as a whole backup does.

Tested in tests/core/registry/test_signed_log.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.chain import Entry
from bedside_core.errors import ArtifactError
from bedside_core.files import write_atomic

SUFFIX = ".seen"


class Remembered(BaseModel):
    """`<private key>.seen`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    seq: int
    hash: str


def remember(private_key: Path, entry: Entry) -> None:
    """Note an entry that this key has just signed."""
    noted = Remembered(seq=entry.seq, hash=entry.hash)
    # The entry stands already; without this note an earlier one still holds.
    with suppress(OSError):
        write_atomic(private_key.with_suffix(SUFFIX), noted.model_dump_json().encode() + b"\n")


def recall(private_keys: Iterable[Path]) -> dict[Path, Remembered]:
    """What is noted beside these keys; to be read before the log, which may grow meanwhile.

    Raises:
        ArtifactError: a note cannot be read.
    """
    found = {}
    for path in (key.with_suffix(SUFFIX) for key in private_keys):
        try:
            found[path] = Remembered.model_validate_json(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue  # that key has written nothing yet, or is not for us
        except (OSError, ValidationError):
            raise ArtifactError(
                f"{path} cannot be read - restore it from a backup, together with the registry"
            ) from None
    return found


def check(noted: dict[Path, Remembered], entries: Sequence[Entry], log: Path) -> None:
    """Compare a log with what the keys' holders wrote.

    Raises:
        ArtifactError: the log lacks such an entry, or has another in its place.
    """
    for path, last in noted.items():
        if not 0 < last.seq <= len(entries) or entries[last.seq - 1].hash != last.hash:
            raise ArtifactError(
                f"{log} is an earlier one: it lacks entry {last.seq}, which the key beside {path} "
                "has signed - restore the newest backup; only if an older one was restored on "
                f"purpose, and what was withdrawn or looked at since is known, remove {path}"
            )

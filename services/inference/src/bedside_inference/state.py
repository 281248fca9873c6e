"""What the engine serves (`BEDSIDE_HOME/run/engine.json`), for the gateway to tell its clients."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.artifacts import write_atomic


class ServedModel(BaseModel):
    """The model behind the engine and what it stands on."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    name: str
    """What clients call it."""
    model: str
    """Digest of the model artifact."""
    evidence: str | None
    """Digest of the evidence that promoted it; none for an unproven model."""
    verdict: Literal["PROMOTE", "UNPROVEN"]
    socket: str
    """The engine's Unix socket."""
    started: datetime


def write_state(path: Path, served: ServedModel) -> None:
    """Replace the state file at once."""
    write_atomic(path, served.model_dump_json(indent=2).encode() + b"\n")


class StateFile:
    """Reads the state file again whenever it was replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._version: tuple[int, int] | None = None
        self._served: ServedModel | None = None

    def read(self) -> ServedModel | None:
        """The served model, or None while no engine has written a readable state."""
        try:
            found = self.path.stat()
            version = (found.st_ino, found.st_mtime_ns)
            if version != self._version:
                self._served = ServedModel.model_validate_json(self.path.read_bytes())
                self._version = version
        except (OSError, ValidationError):
            self._version = self._served = None
        return self._served

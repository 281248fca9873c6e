"""The pin: the fingerprint of the operator key that counts now, kept outside the registry.

Who can write the registry could replace its log and all its keys by others that fit each other. So
everyone who reads the log compares the operator key that it ends with to a fingerprint that came
another way:

    BEDSIDE_PIN         64 hex characters; who sets it says that the house exists
    BEDSIDE_PIN_FILE    a file that holds them; by default `<BEDSIDE_HOME>.pin`, beside the home

A log without a pin is refused, and so is a pin without a log.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from bedside_core.errors import ArtifactError, ConfigError
from bedside_core.files import write_atomic
from bedside_core.registry.keyring import Keyring

VALUE = "BEDSIDE_PIN"
FILE = "BEDSIDE_PIN_FILE"
_FINGERPRINT = re.compile("[0-9a-f]{64}")


class Pin:
    """Where the fingerprint is said, and what it is."""

    def __init__(self, path: Path, *, given: str | None = None) -> None:
        """`given`: the fingerprint itself, which no file can change."""
        self.path = path
        self.given = given

    @classmethod
    def beside(cls, home: Path) -> Pin:
        """The file beside a home."""
        home = home.absolute()  # `.` has no name
        return cls(home.with_name(f"{home.name}.pin"))

    @classmethod
    def from_environment(cls, home: Path) -> Pin:
        """As the variables say, else beside the home.

        Raises:
            ConfigError: `BEDSIDE_PIN` is no fingerprint.
        """
        given = os.environ.get(VALUE) or None
        if given is not None and not _FINGERPRINT.fullmatch(given):
            raise ConfigError(
                f"{VALUE}: not a fingerprint of 64 lower-case hex characters - `bedside registry "
                "keys` shows the house's"
            )
        named = os.environ.get(FILE)
        return cls(Path(named).absolute() if named else cls.beside(home).path, given=given)

    @property
    def where(self) -> str:
        """For messages."""
        return VALUE if self.given is not None else str(self.path)

    def read(self) -> str | None:
        """The fingerprint, if one is pinned.

        Raises:
            ArtifactError: the file holds something else or cannot be read.
        """
        if self.given is not None:
            return self.given
        try:
            text = self.path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            text = ""
        if not _FINGERPRINT.fullmatch(text):
            raise ArtifactError(
                f"{self.path}: not a fingerprint of 64 lower-case hex characters - restore it from "
                "a backup, or write there what `bedside registry init` said"
            )
        return text

    def write(self, fingerprint: str) -> None:
        """Pin a fingerprint in the file."""
        write_atomic(self.path, fingerprint.encode() + b"\n")

    def note(self) -> None:
        """Bring the file in line with what is given, if a file is named too."""
        if self.given is not None and os.environ.get(FILE):
            self.write(self.given)

    def check(self, ring: Keyring, log: Path) -> None:
        """Compare the operator key that counts now with the pin.

        Raises:
            ArtifactError: they differ, or one is there without the other.
        """
        pinned = self.read()
        if pinned is None and not ring:
            return
        if not ring:
            raise ArtifactError(
                f"{self.where} pins a house, and {log} holds none - restore the registry from a "
                f"backup; only if there never was one here, remove the pin and `bedside registry "
                "init`"
            )
        found = ring["operator"].fingerprint
        if pinned is None:
            raise ArtifactError(
                f"{log} is not pinned: nothing outside the registry says whose it is - compare "
                f"{found} with the fingerprint that `bedside registry init` or `rotate` said, then "
                f"write it to {self.path} or set {VALUE}"
            )
        if pinned != found:
            raise ArtifactError(
                f"{self.where} pins the operator key {pinned[:16]}, and {log} is signed with "
                f"{found} - the registry was replaced, or the house has another key now; only if "
                f"those who run it say so themselves, {self.how(found)}"
            )

    def how(self, fingerprint: str) -> str:
        """How to pin a fingerprint, as the end of a sentence."""
        if self.given is not None:
            return f"set {VALUE}={fingerprint}"
        return f"pin it: echo {fingerprint} > {self.path}"

"""What an interrupted measurement has done, kept so that only this house's evaluation can have.

Scores are signed in the end, so nothing may become a score because it was found on a disk. State
lies in the directory of the private evidence key; each file carries an HMAC-SHA256 (RFC 2104) under
a key derived from that one, over what the scores are of and the scores. A file from elsewhere, of
another recipe, model, device or version, or a changed one does not verify, and is measured again.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from bedside_core.artifacts import Recipe
from bedside_core.config import canonical_json
from bedside_core.console import say
from bedside_core.files import write_atomic
from bedside_core.signing import Keys

FORMAT = 1
PURPOSE = b"bedside evaluation state v1"


class State:
    """The finished parts of one measurement, by model and part."""

    def __init__(self, directory: Path, keys: Keys, recipe: Recipe) -> None:
        """Read the key.

        Args:
            directory: where nobody else writes.
            keys: the evidence keys.
            recipe: of the evidence that will hold the scores; names versions and device.

        Raises:
            ArtifactError: there is no private key, or others can read it.
        """
        self.directory = directory
        self._key = keys.derive(PURPOSE)
        self._recipe = recipe

    def load(self, model: str, part: str, dtype: str) -> bytes | None:
        """What `save` kept under the same names; None if the part must be measured."""
        path = self._path(model, part)
        try:
            mac, _, content = path.read_bytes().partition(b"\n")
        except OSError:
            return None
        if hmac.compare_digest(mac, self._mac(model, part, dtype, content)):
            return content
        say(
            f"{path}: not written by this evaluation for this recipe, model, device and these "
            "versions - measured again"
        )
        return None

    def save(self, model: str, part: str, dtype: str, content: bytes) -> None:
        """Keep a finished part.

        Args:
            model: digest.
            part: `heldout/<name>`, `exam/<name>` or another name without a dot.
            dtype: that was measured in.
            content: the scores.

        Raises:
            ArtifactError: the disk is full.
        """
        mac = self._mac(model, part, dtype, content)
        write_atomic(self._path(model, part), mac + b"\n" + content, mode=0o600)

    def _path(self, model: str, part: str) -> Path:
        return self.directory / f"{model[:16]}.{part.replace('/', '.')}"

    def _mac(self, model: str, part: str, dtype: str, content: bytes) -> bytes:
        binding = {
            "format": FORMAT,
            "recipe": self._recipe.sha256,
            "environment": self._recipe.environment,
            "model": model,
            "part": part,
            "dtype": dtype,
        }
        # A hash has one length: no byte can move from the binding to the content or back.
        message = hashlib.sha256(canonical_json(binding)).digest() + content
        return hmac.digest(self._key, message, "sha256").hex().encode()

"""Which model stands behind an answer: the engine says it with each of its responses.

Tested in tests/inference/engine/test_door.py.
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

HEADER = "X-Bedside-Served"
"""The engine's response header that holds a `ServedModel` as JSON."""

VARIABLE = "BEDSIDE_SERVED"
"""Environment variable through which the engine verb tells vLLM's process what it serves."""


class ServedModel(BaseModel):
    """The model behind the engine and what it stands on."""

    # Members are ignored that a newer engine adds: a gateway outlives its update by some seconds.
    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())

    model: str
    """Digest of the model artifact."""
    created: AwareDatetime
    """When that artifact was made."""
    evidence: str | None
    """Digest of the evidence that promoted it; none for an unproven model."""
    verdict: Literal["PROMOTE", "UNPROVEN"]
    scope: Literal["demo", "house"] = "house"
    """Of the policy that gave the verdict: `demo` says nothing of a house's own work."""
    anchor: str | None = None
    """Fingerprint of the operator key under which the registry's log was verified and pinned."""
    max_model_len: int | None = None
    """Longest prompt plus answer in tokens; none if the engine does not say."""
    tools: bool | None = None
    """Whether calls of tools are found in the model's words; none if the engine does not say."""
    run: str | None = None
    """The run that made it, as the registry names it (`name/slot`); none if the engine has none."""
    withdrawn: bool = False
    """Whether it was withdrawn meanwhile; such an engine answers nothing and ends in seconds."""
    draining: bool = False
    """Whether it lets running answers finish and ends then; it takes no new request."""

    @property
    def leaving(self) -> bool:
        """Whether the engine takes no request any more and ends."""
        return self.withdrawn or self.draining

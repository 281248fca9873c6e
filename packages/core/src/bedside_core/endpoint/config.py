"""Where an OpenAI-compatible server of the house is, which model it serves, and how it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from bedside_core.addresses import is_in_house
from bedside_core.config import Config


class EndpointConfig(Config):
    """One model of one OpenAI-compatible server."""

    address: str
    """`http(s)://HOST[:PORT]` in the house, or the path of a Unix socket."""
    model: Annotated[str, Field(min_length=1)]
    """What the server calls the model."""
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the model. Our own servers say it themselves; for any other it must stand here,
    for example the `sha256sum` of its weights, because a name can mean other weights tomorrow."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 8
    """Requests that are under way at a time."""
    timeout_seconds: Annotated[float, Field(gt=0, le=86_400)] = 300
    """For one try of one request, from its first byte to the answer's last."""
    retries: Annotated[int, Field(ge=0, le=100)] = 6
    """Further tries of a request that failed; waits grow from half a second to half a minute."""
    key_variable: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] = "BEDSIDE_API_KEY"
    """Environment variable that holds the API key; none is sent where it is not set."""
    ca_file: Path | None = None
    """The house's own certificate authority."""

    @field_validator("address")
    @classmethod
    def _in_house(cls, address: str) -> str:
        if not address.startswith("/") and not is_in_house(address):
            raise ValueError(
                "must be the path of a Unix socket, or an http:// or https:// URL of a loopback or "
                "private address, a name without dots, or one that ends in .internal, .local or "
                ".svc - texts stay in the house"
            )
        return address.rstrip("/").removesuffix("/v1")

    @property
    def socket(self) -> str | None:
        """The Unix socket, if the server listens at one."""
        return self.address if self.address.startswith("/") else None

"""The publisher's key: it signs bundles, and is not the key that signs evidence."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bedside_core.errors import ArtifactError, ConfigError
from bedside_core.registry.registry import Registry
from bedside_core.signing import Keys

DOMAIN = b"bedside bundle v1\n"
ENVIRONMENT = "BEDSIDE_BUNDLE_KEY"


def publisher_keys(registry: Registry) -> Keys:
    """The key pair at `BEDSIDE_BUNDLE_KEY`, by default `BEDSIDE_HOME/keys/bundle.pem`.

    Raises:
        ConfigError: the path does not end in `.pem`, so that its public half would have no name.
    """
    path = Path(os.environ.get(ENVIRONMENT) or registry.home / "keys" / "bundle.pem").absolute()
    if path.suffix != ".pem":
        raise ConfigError(f"{ENVIRONMENT}: {path} does not end in .pem - name a PEM file")
    return Keys(path.parent, stem=path.stem, domain=DOMAIN)


def check_signature(key: Ed25519PublicKey, message: bytes, signature: bytes) -> None:
    """Check the content of a signature file byte for byte: one key and message, one signature.

    Raises:
        ArtifactError: it does not fit.
    """
    try:
        plain = base64.b64decode(signature.removesuffix(b"\n"), validate=True)
        key.verify(plain, DOMAIN + message)
        # Base64 can write the same 64 bytes in several ways; only the usual one counts.
        fits = base64.b64encode(plain) + b"\n" == signature
    except (InvalidSignature, ValueError):
        fits = False
    if not fits:
        raise ArtifactError(
            "bundle.json: its signature does not fit the public key - the bundle was changed after "
            "signing, or is another publisher's; get it again and compare the key's fingerprint"
        )

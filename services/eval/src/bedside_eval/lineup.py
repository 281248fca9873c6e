"""What must hold of the three models before they can be compared, read from their files alone."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from hashlib import sha256

from bedside_core.artifacts import Artifact
from bedside_core.config import sha256_of
from bedside_core.errors import ArtifactError, InputError
from bedside_core.heldout import HeldoutText
from bedside_core.registry import Registry, document_ids
from bedside_eval.records import LABELS, Role

# State of the last call, which saving a tokenizer writes along; it does not change what it does.
_CALL_STATE = ("padding", "truncation")


def shared_tokenizer(models: Mapping[Role, Artifact]) -> str:
    """SHA-256 of the tokenizer that all models have.

    Raises:
        InputError: they differ, so a token of one is no token of another and likelihoods per token
            cannot be compared.
        ArtifactError: a model has no `tokenizer.json`.
    """
    hashes = {role: _tokenizer_hash(artifact) for role, artifact in models.items()}
    odd = [role for role in hashes if hashes[role] != hashes["base"]]
    if odd:
        names = ", ".join(f"{LABELS[role]} ({hashes[role][:12]})" for role in odd)
        raise InputError(
            f"the tokenizer of {names} is not the base's ({hashes['base'][:12]}) - likelihoods per "
            "token are only comparable with one tokenizer; train and merge from this base"
        )
    return hashes["base"]


def _tokenizer_hash(artifact: Artifact) -> str:
    path = artifact.file("tokenizer.json")
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        raise InputError(
            f"{artifact.kind} {artifact.digest[:12]}: tokenizer.json is not JSON - import the "
            "base model again"
        ) from None
    return sha256_of({key: content[key] for key in content if key not in _CALL_STATE})


def heldout_in_corpus(
    registry: Registry, checkpoint: Artifact, texts: Iterable[HeldoutText]
) -> int:
    """How many held-out texts are, word for word, documents that the checkpoint was trained on.

    Raises:
        ArtifactError: the checkpoint does not name its corpus.
    """
    digest = checkpoint.manifest.parents.get("corpus")
    if digest is None:
        raise ArtifactError(
            f"checkpoint {checkpoint.digest[:12]} does not name the corpus it was trained on - "
            "make it with `bedside trainer run`"
        )
    trained_on = {document["sha256"] for document in document_ids(registry.get(digest))}
    return sum(_text_hash(item.text) in trained_on for item in texts)


def _text_hash(text: str) -> str:
    return sha256(unicodedata.normalize("NFC", text).strip().encode()).hexdigest()

"""What must hold of the three models before they can be compared, read from their files alone."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from hashlib import sha256

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError, InputError
from bedside_core.heldout import HeldoutText
from bedside_core.kinds.corpus import document_ids
from bedside_core.kinds.model import TOKENIZER, tokenizer_sha256
from bedside_core.registry import Registry
from bedside_eval.records import LABELS, Role


def shared_tokenizer(models: Mapping[Role, Artifact]) -> str:
    """SHA-256 of the tokenizer that all models have.

    Raises:
        InputError: they differ, so a token of one is no token of another and likelihoods per token
            cannot be compared.
        ArtifactError: a model has no `tokenizer.json`.
    """
    hashes = {role: tokenizer_sha256(artifact.file(TOKENIZER)) for role, artifact in models.items()}
    odd = [role for role in hashes if hashes[role] != hashes["base"]]
    if odd:
        names = ", ".join(f"{LABELS[role]} ({hashes[role][:12]})" for role in odd)
        raise InputError(
            f"the tokenizer of {names} is not the base's ({hashes['base'][:12]}) - likelihoods per "
            "token are only comparable with one tokenizer; train and merge from this base"
        )
    return hashes["base"]


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

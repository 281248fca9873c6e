"""What must hold of the three models before they can be compared, read from their files alone."""

from __future__ import annotations

from collections.abc import Mapping

from bedside_core.artifacts import Artifact
from bedside_core.errors import InputError
from bedside_core.kinds.model import TOKENIZER, tokenizer_sha256
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

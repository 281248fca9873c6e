"""`bedside trainer seen DOCUMENT [CHECKPOINT]`: which optimizer steps saw a document.

Tested in tests/trainer/data/test_lineage.py.
"""

from __future__ import annotations

from bedside_core.artifacts import Artifact
from bedside_core.console import say
from bedside_core.errors import InputError
from bedside_core.run import Run
from bedside_trainer.config import TrainerConfig

SHOWN = 12


def seen(config: TrainerConfig, run: Run, document: str, model: str | None) -> None:
    """Say it for each piece of the document.

    Args:
        config: not used: the answer lies in the checkpoint.
        run: its checkpoint is asked, where no model is named.
        document: an id, as the corpus lists it.
        model: a digest or `run/slot`; of a merged model, the checkpoint that it was made from.

    Raises:
        InputError: the model was not trained here, or on no document of this id.
        ArtifactError: there is no such model, or its index was changed.
    """
    from bedside_trainer.data import lineage

    checkpoint = _checkpoint(run, model)
    pieces = lineage.seen(checkpoint, document)
    name = f"checkpoint {checkpoint.digest[:SHOWN]}"
    if pieces is None:
        number = lineage.read_record(checkpoint).documents
        raise InputError(
            f"{name}: none of the {number} documents that it was made from is called {document!r} "
            "- ids are those in `documents/` of the corpus"
        )
    for piece in pieces:
        steps = ", ".join(map(str, piece.steps)) or "none: the training ended before"
        say(f"{name}: tokens {piece.start} to {piece.end} of {document}: steps {steps}")


def _checkpoint(run: Run, model: str | None) -> Artifact:
    found = run.registry.get(model or f"{run.name}/checkpoint")
    for _, _, artifact in run.registry.ancestors(found):
        if artifact.kind == "checkpoint":
            return artifact
    raise InputError(
        f"{found.kind} {found.digest[:SHOWN]} was not trained here - name a checkpoint or a merged "
        "model; `bedside registry list` shows them"
    )

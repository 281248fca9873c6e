"""An encoder with a classification head, from a directory: whole documents in windows.

A document is cut into windows of as many tokens as the model takes, one behind the other, and its
logit is the mean of the windows' logits, weighted by their tokens. So no part of a long document is
passed over, and its length alone makes no score higher. Windows of all documents of a batch are
sorted by length, so that little is padded. On a GPU the weights are bfloat16 and the model is
compiled; on a CPU they are float32 and one thread computes, so that scores do not depend on the
number of cores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bedside_core.errors import InputError

if TYPE_CHECKING:
    import torch

FOLDER = "encoder"
"""Of an artifact."""
MAX_WINDOW = 512
"""Tokens of a window at most; shorter, where the model takes fewer."""
STEP_TOKENS = {"cpu": 1 << 12, "cuda": 1 << 17}
"""Tokens that go through the model at once, padding included."""
PAD_TO = 64
"""Lengths are padded to multiples of this, so that a compiled model sees few shapes."""


class Window(NamedTuple):
    """A part of a document."""

    document: int
    ids: list[int]


class Encoder:
    """A tokenizer and a model with one output for each class."""

    def __init__(self, tokenizer: Any, model: Any, device: str) -> None:
        """`device`: `cpu`, or `cuda:` and a number; the model is there."""
        self.tokenizer, self.model, self.device = tokenizer, model, device
        self.classes = int(model.config.num_labels)
        limit = int(getattr(model.config, "max_position_embeddings", MAX_WINDOW))
        # RoBERTa's positions begin behind the padding token's.
        self.window = min(limit - 2, MAX_WINDOW)

    def windows(self, texts: Sequence[str]) -> list[Window]:
        """The windows of the documents, in order; a text without tokens has one."""
        cut = self.tokenizer(
            list(texts),
            truncation=True,
            max_length=self.window,
            return_overflowing_tokens=True,
            return_attention_mask=False,
        )
        pairs = zip(cut["overflow_to_sample_mapping"], cut["input_ids"], strict=True)
        return [Window(int(document), ids) for document, ids in pairs]

    def padded(self, windows: Sequence[Window]) -> dict[str, torch.Tensor]:
        """A batch for the model."""
        import torch

        longest = max(len(one.ids) for one in windows)
        length = min(-(-longest // PAD_TO) * PAD_TO, self.window)
        ids = torch.full((len(windows), length), int(self.tokenizer.pad_token_id))
        for row, one in enumerate(windows):
            ids[row, : len(one.ids)] = torch.tensor(one.ids)
        lengths = torch.tensor([[len(one.ids)] for one in windows])
        mask = (torch.arange(length)[None] < lengths).long()
        return {"input_ids": ids.to(self.device), "attention_mask": mask.to(self.device)}

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The probability of each class, of shape (texts, classes)."""
        import torch

        sums = np.zeros((len(texts), self.classes))
        windows = self.windows(texts) if texts else []
        tokens = np.zeros(len(texts))
        for batch in _batches(windows, STEP_TOKENS[self.device.partition(":")[0]]):
            with torch.inference_mode():
                logits = self.model(**self.padded(batch)).logits.float().cpu().numpy()
            for one, row in zip(batch, logits, strict=True):
                sums[one.document] += row * len(one.ids)
                tokens[one.document] += len(one.ids)
        found = 1 / (1 + np.exp(-sums / tokens[:, None]))
        return found.astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write both, the weights as safetensors."""
        self.model.save_pretrained(str(folder / FOLDER), safe_serialization=True)
        self.tokenizer.save_pretrained(str(folder / FOLDER))

    @classmethod
    def load(cls, folder: Path, rank: int) -> Encoder:
        """What `save` wrote, ready to score.

        Args:
            folder: of the artifact.
            rank: of the work; on several GPUs it says which one.

        Raises:
            InputError: torch and transformers are missing, or the files cannot be read.
        """
        import_torch("this classifier")
        import torch

        if not torch.cuda.is_available():
            torch.set_num_threads(1)
            return open_encoder(folder / FOLDER, None, "cpu")
        device = f"cuda:{rank % torch.cuda.device_count()}"
        encoder = open_encoder(folder / FOLDER, None, device)
        encoder.model.to(torch.bfloat16)
        encoder.model.compile(dynamic=True)
        return encoder


def import_torch(what: str) -> None:
    """See whether torch and transformers are there.

    Raises:
        InputError: they are not.
    """
    try:
        import torch
        import transformers
    except ImportError:
        raise InputError(
            f"{what} needs torch and transformers, which this environment has not - install the "
            "extra `model` of the corpus service"
        ) from None
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    del torch


def device_kind() -> str:
    """`cuda` or `cpu`: a recipe names it, as its scores differ in their last digits.

    Raises:
        InputError: torch and transformers are missing.
    """
    import_torch("an encoder")
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def open_encoder(path: Path, classes: int | None, device: str) -> Encoder:
    """An encoder from a directory.

    Args:
        path: of the directory.
        classes: outputs of a new head; nothing keeps the one that is there.
        device: `cpu` or `cuda:0`.

    Raises:
        InputError: it has no model that transformers can read, or no fast tokenizer.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    if not (path / "config.json").is_file():
        raise InputError(f"{path} is no directory with an encoder - it has no config.json")
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    head = {} if classes is None else {"num_labels": classes, "ignore_mismatched_sizes": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path), **options)
        model = AutoModelForSequenceClassification.from_pretrained(
            str(path), use_safetensors=True, **options, **head
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"{path} cannot be loaded ({type(error).__name__}) - an encoder of transformers with "
            "a fast tokenizer and safetensors is read"
        ) from None
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise InputError(f"{path} has no fast tokenizer with a padding token")
    return Encoder(tokenizer, model.to(device).eval(), device)


def _batches(windows: Sequence[Window], tokens: int) -> Iterator[list[Window]]:
    """The longest first, so that memory that is enough once is enough for all."""
    batch: list[Window] = []
    width = 0
    for one in sorted(windows, key=lambda one: -len(one.ids)):
        width = width or -(-len(one.ids) // PAD_TO) * PAD_TO
        if batch and (len(batch) + 1) * width > tokens:
            yield batch
            batch, width = [], -(-len(one.ids) // PAD_TO) * PAD_TO
        batch.append(one)
    if batch:
        yield batch

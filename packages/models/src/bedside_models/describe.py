"""What every manifest says of a model, whichever step wrote it.

Tested in tests/models/test_services_agree.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bedside_core.kinds.model import (
    TOKENIZER,
    chat_template_sha256,
    tensor_shapes,
    tokenizer_sha256,
)
from bedside_models.load import check_weights, context_length, load_tokenizer, stored_dtype


def describe(path: Path) -> dict[str, Any]:
    """Facts of a complete model directory; reads headers, not weights.

    Raises:
        InputError: it cannot be read, its weights are not exactly the architecture's, or its
            config does not say how many tokens the model sees.
    """
    load_tokenizer(path)  # refuses one that cannot be used
    tensor_shapes(path)  # refuses a tensor that two files have
    model = check_weights(path)
    return {
        "architecture": type(model).__name__,
        "num_parameters": model.num_parameters(),
        "context_length": context_length(model.config, path),
        "dtype": stored_dtype(path),
        "tokenizer_sha256": tokenizer_sha256(path / TOKENIZER),
        "chat_template_sha256": chat_template_sha256(path),
    }

"""What is known of a base that is not here yet, from the numbers that a config carries; no torch.

Tested in tests/trainer/importing/test_shrunk.py.
"""

from __future__ import annotations

from typing import Any

from bedside_trainer.config import Shrink

HEAD = 16
"""Width of an attention head of a shrunk model."""
MULTIPLE = 8
"""Of which the width of its feed-forward blocks is one."""
VOCABULARY = 257
"""Its tokens: the bytes, and the end of a text."""


def parameters(architecture: dict[str, Any]) -> int:
    """Of a decoder with gated feed-forward blocks (Llama, Mistral, Qwen): its matrices and norms.

    Biases and norms of queries and keys, less than a thousandth, are left out.
    """
    hidden, layers = architecture["hidden_size"], architecture["num_hidden_layers"]
    heads = architecture["num_attention_heads"]
    keys = architecture.get("num_key_value_heads", heads)
    width = architecture.get("head_dim", hidden // heads)
    attention = 2 * hidden * width * (heads + keys)
    block = attention + 3 * hidden * architecture["intermediate_size"] + 2 * hidden
    embeddings = 1 if architecture.get("tie_word_embeddings") else 2
    return int(layers * block + embeddings * architecture["vocab_size"] * hidden + hidden)


def shrunk(architecture: dict[str, Any], shrink: Shrink) -> dict[str, Any]:
    """The numbers of a small model: as many queries per key, the same shape of a block."""
    queries = architecture["num_attention_heads"]
    keys = architecture.get("num_key_value_heads", queries)
    kept = max(1, shrink.hidden_size // HEAD // (queries // keys))
    wide = architecture["intermediate_size"] * shrink.hidden_size // architecture["hidden_size"]
    return architecture | {
        "num_hidden_layers": shrink.layers,
        "hidden_size": shrink.hidden_size,
        "intermediate_size": wide // MULTIPLE * MULTIPLE,
        "num_attention_heads": kept * (queries // keys),
        "num_key_value_heads": kept,
        "head_dim": HEAD,
        "vocab_size": VOCABULARY,
        "bos_token_id": None,
        "eos_token_id": 0,
        "pad_token_id": None,
    }

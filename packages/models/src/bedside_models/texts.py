"""Texts as token ids: what a text says is text, never syntax of the tokenizer.

A document can spell `<|im_end|>`. Tokenised without care, that becomes the end of a turn, so that
whoever writes a page or a letter could plant turns and ends of documents in what a model learns.
Here it becomes ordinary tokens, like any other word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from bedside_core.errors import InputError

_MARK = re.compile(r"<[^<>\s]+>|\[[A-Z_/]+\]")
"""Added tokens that some models do not flag as special although they are syntax: `<think>`,
`<tool_call>`, `[INST]`. Others, such as runs of blanks, are text."""


class TextTokenizer:
    """A model's tokenizer for corpora and held-out texts."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Copy the tokenizer, so that nobody else's calls change what this one does.

        Raises:
            InputError: it makes a control token of text even so.
        """
        content = json.loads(tokenizer.backend_tokenizer.to_str())
        for token in content["added_tokens"]:
            # What is special is what the next setting splits.
            token["special"] = token["special"] or bool(_MARK.fullmatch(token["content"]))
        self._backend = Tokenizer.from_str(json.dumps(content))
        self._backend.encode_special_tokens = True
        self._backend.no_truncation()
        self._backend.no_padding()
        syntax = {t["content"]: t["id"] for t in content["added_tokens"] if t["special"]}
        self.syntax = tuple(sorted(syntax, key=lambda name: (-len(name), name)))
        """The control tokens, as a text would spell them."""
        self._spelt = re.compile("|".join(map(re.escape, self.syntax))) if syntax else None
        for name, ids in zip(self.syntax, self.ids(self.syntax), strict=True):
            if syntax[name] in ids:
                raise InputError(
                    f"the tokenizer makes its control token {name!r} of text that spells it, so a "
                    "document could write turns and ends of documents - use another base"
                )

    def ids(self, texts: Sequence[str], *, framed: bool = False) -> list[list[int]]:
        """Token ids of each text, in the order given.

        Args:
            texts: any; control tokens that they spell become ordinary tokens.
            framed: with whatever the model's tokenizer puts before and after a text.
        """
        encoded = self._backend.encode_batch_fast(list(texts), add_special_tokens=framed)
        return [encoding.ids for encoding in encoded]

    def spells_syntax(self, text: str) -> bool:
        """Whether a text spells a control token, which in its ids is none."""
        return self._spelt is not None and self._spelt.search(text) is not None

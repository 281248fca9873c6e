"""The settings `corpus.passport`.

Tested in tests/corpus/passport/test_measures.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from bedside_core.config import Config
from bedside_core.errors import InputError

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
FILE = "tokenizer.json"


class PassportConfig(Config):
    """What the passport of a corpus counts beside documents and words."""

    tokenizers: dict[Name, Path] = Field(default_factory=dict)
    """By a name of yours, a `tokenizer.json` or a model's folder with one: tokens are counted by
    each, at about 1 MB a second and core."""

    def files(self) -> dict[str, Path]:
        """The files of the tokenizers.

        Raises:
            InputError: one is not there.
        """
        found = {}
        for name, path in self.tokenizers.items():
            file = path / FILE if path.is_dir() else path
            if not file.is_file():
                raise InputError(
                    f"corpus.passport.tokenizers.{name}: {file} does not exist - name a "
                    f"{FILE}, or a folder that has one"
                )
            found[name] = file
        return found

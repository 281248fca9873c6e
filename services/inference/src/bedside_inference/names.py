"""Names that people give to departments, keys and each other: any letters, nothing invisible."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator

DEPARTMENT_CHARS = LABEL_CHARS = 64
HOLDER_CHARS = 128
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's categories of what no name needs: control and format characters, half characters,
private and unassigned ones, breaks of lines and paragraphs."""


def _named(most: int) -> AfterValidator:
    def named(text: str) -> str:
        if any(unicodedata.category(char) in _INVISIBLE for char in text):
            raise ValueError("may hold no line breaks, control or invisible characters")
        # One form of each letter and blank, so that names that look alike are equal.
        found = " ".join(unicodedata.normalize("NFC", text).split())
        if not 0 < len(found) <= most:
            raise ValueError(f"must have 1 to {most} characters")
        return found

    return AfterValidator(named)


Department = Annotated[str, _named(DEPARTMENT_CHARS)]
"""For example `Innere Medizin`."""
Label = Annotated[str, _named(LABEL_CHARS)]
Holder = Annotated[str, _named(HOLDER_CHARS)]
"""A person's name, or a system's: nothing but the state database and `keys list` knows it."""

"""The files of the passport, as they lie in the artifact of a corpus.

    passport.html     for people
    passport.json     for machines
    funnel.svg        the picture

Tested in tests/corpus/passport/test_passport.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bedside_core.kinds.corpus import PASSPORT, PASSPORT_PAGE
from bedside_corpus.passport.page import page
from bedside_corpus.passport.pictures import funnel

FUNNEL = "funnel.svg"


def passport_files(passport: Mapping[str, Any]) -> dict[str, bytes]:
    """The content of each file, by its name."""
    title = f"Corpus {passport['content_sha256'][:12]}"
    return {
        PASSPORT: (json.dumps(passport, indent=2, ensure_ascii=False) + "\n").encode(),
        PASSPORT_PAGE: page(passport, title).encode(),
        FUNNEL: funnel(passport["funnel"]).encode(),
    }

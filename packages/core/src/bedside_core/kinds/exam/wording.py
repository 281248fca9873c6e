"""How a question is put, by language: with options as continuations, and with lettered options.

Tested in tests/core/kinds/exam/test_items.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bedside_core.config import sha256_of

LETTERS = "ABCDEFGHIJ"
MAX_OPTIONS = len(LETTERS)
PLACE = "{question}"
"""Where the question stands in a template."""


class Wording(NamedTuple):
    """The sentences of one language."""

    template: str
    """What a model reads before an option, which follows after one space."""
    cue: str
    """Stands before an answer, of a model or of an example."""
    one: str
    """Asks for one letter."""
    several: str
    """Asks for the letters of all right options."""


WORDINGS = {
    "de": Wording(
        "Frage: {question}\nAntwort:",
        "Antwort:",
        "Antworte nur mit dem Buchstaben der richtigen Antwort.",
        "Mehrere Antworten können richtig sein. Antworte nur mit den Buchstaben aller richtigen "
        "Antworten, durch Komma getrennt.",
    ),
    "fr": Wording(
        "Question : {question}\nRéponse :",
        "Réponse :",
        "Répondez uniquement par la lettre de la bonne réponse.",
        "Plusieurs réponses peuvent être justes. Répondez uniquement par les lettres de toutes les "
        "bonnes réponses, séparées par des virgules.",
    ),
    "en": Wording(
        "Question: {question}\nAnswer:",
        "Answer:",
        "Answer with the letter of the right option only.",
        "Several options may be right. Answer only with the letters of all right options, "
        "separated by commas.",
    ),
}
WORDING_SHA256 = sha256_of({name: wording._asdict() for name, wording in WORDINGS.items()})
"""A part of a plan: other sentences are another exam."""


def wording(language: str) -> Wording:
    """The sentences of a language, by its first subtag; English for those that have none here."""
    return WORDINGS.get(language.partition("-")[0], WORDINGS["en"])


def lettered(options: Sequence[str]) -> str:
    """The options, a line each."""
    return "\n".join(f"{letter}) {o}" for letter, o in zip(LETTERS, options, strict=False))

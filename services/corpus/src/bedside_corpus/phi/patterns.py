"""A house's own recognisers, from the YAML that Presidio calls custom pattern recognisers.

    recognizers:
      - name: ward round number
        supported_language: de
        supported_entity: ID
        patterns: [{name: number, regex: "V-[0-9]{5}", score: 0.9}]
        context: [Visite, Visitennummer]

A pattern with `context` scores 0.35 more, as in Presidio, where one of the words stands within the
60 characters before it. A `deny_list` holds words that are found as they are. What Presidio has in
code (`type: predefined`) is refused: its class is not here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import regex
import yaml
from pydantic import Field, StringConstraints, ValidationError

from bedside_core.config import Config
from bedside_core.errors import InputError
from bedside_corpus.phi.spans import CATEGORIES, OTHER, Span

CONTEXT_SCORE = 0.35
"""`context_similarity_factor` of Presidio's LemmaContextAwareEnhancer."""
CONTEXT_CHARS = 60
SECONDS = 10.0
"""A pattern that takes longer on one document stops, and the document counts as not judged."""
FLAGS = regex.DOTALL | regex.MULTILINE | regex.IGNORECASE
"""Presidio's `global_regex_flags`, 26."""
MEANINGS = {
    "PERSON": "NAME",
    "DATE_TIME": "DATE",
    "PHONE_NUMBER": "CONTACT",
    "EMAIL_ADDRESS": "CONTACT",
    "URL": "CONTACT",
    "IBAN_CODE": "ID",
    "ORGANIZATION": "LOCATION",
    "GPE": "LOCATION",
}
"""Presidio's names of our categories."""

_Text = Annotated[str, StringConstraints(min_length=1)]


class _Pattern(Config):
    name: str = ""
    regex: _Text
    score: float = Field(ge=0, le=1)


class _Recogniser(Config):
    name: _Text
    type: Literal["custom"] = "custom"
    enabled: bool = True
    supported_entity: _Text
    supported_language: str | None = None
    supported_languages: tuple[str, ...] = ()
    patterns: tuple[_Pattern, ...] = ()
    deny_list: tuple[_Text, ...] = ()
    deny_list_score: float = Field(default=1.0, ge=0, le=1)
    context: tuple[_Text, ...] = ()


class _File(Config):
    recognizers: tuple[_Recogniser, ...]
    supported_languages: tuple[str, ...] = ()
    global_regex_flags: Literal[26] = 26


class PatternRecognizer:
    """Finds what its patterns match, and the words of its deny list."""

    def __init__(self, told: _Recogniser) -> None:
        self._entity = entity_of(told.supported_entity)
        languages = {*told.supported_languages, told.supported_language} - {None}
        self._languages = languages
        rules = [(one.regex, one.score) for one in told.patterns]
        if told.deny_list:
            words = "|".join(map(regex.escape, told.deny_list))
            rules.append((rf"(?:^|(?<=\W))(?:{words})(?:(?=\W)|$)", told.deny_list_score))
        self._rules = [(regex.compile(rule, FLAGS), score) for rule, score in rules]
        words = "|".join(map(regex.escape, told.context))
        self._context = regex.compile(words, regex.IGNORECASE) if words else None

    def analyze(self, text: str, language: str) -> Iterator[Span]:
        if self._languages and language not in self._languages:
            return
        for rule, score in self._rules:
            for match in rule.finditer(text, timeout=SECONDS):
                if match.start() < match.end():
                    weight = self._weigh(text, match.start(), score)
                    yield Span.of(match, self._entity, weight, 0)

    def _weigh(self, text: str, start: int, score: float) -> float:
        if self._context is None:
            return score
        near = self._context.search(text, max(0, start - CONTEXT_CHARS), start)
        return min(1.0, score + CONTEXT_SCORE) if near else score


def entity_of(name: str) -> str:
    """Our category of a label: `B-PER`, `NAME_PATIENT`, `PHONE_NUMBER`, `DATE`."""
    plain = name.upper().removeprefix("B-").removeprefix("I-")
    plain = MEANINGS.get(plain, plain)
    for category in CATEGORIES:
        if plain == category or plain.startswith(f"{category}_"):
            return category
    return {"PER": "NAME", "LOC": "LOCATION", "ORG": "LOCATION"}.get(plain, OTHER)


def read_patterns(path: Path) -> list[PatternRecognizer]:
    """The enabled recognisers of a file.

    Raises:
        InputError: it cannot be read, or one of its recognisers is none.
    """
    try:
        value: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        told = _File.model_validate(value)
        return [PatternRecognizer(one) for one in told.recognizers if one.enabled]
    except OSError as error:
        raise InputError(f"corpus.phi.patterns: {path} cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, yaml.YAMLError):
        raise InputError(f"corpus.phi.patterns: {path} is not valid YAML") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"corpus.phi.patterns: {path}: {where}: {first['msg']} - patterns and deny lists of "
            "Presidio's custom recognisers are read, nothing else"
        ) from None
    except regex.error as error:
        raise InputError(
            f"corpus.phi.patterns: {path}: a regular expression is none ({error.msg})"
        ) from None

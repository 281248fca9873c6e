"""How far the measures of a text may go, per kind of source and language.

`web` is FineWeb2's filter (Penedo et al. 2025; its configs for German and French, Gopher's table A1
and FineWeb for English and the rest). It is for crawls: clinical letters are short, full of lists,
tables and numbers, and it drops most of them. `house` keeps the limits that such letters do not
reach: what it drops is one line or phrase over and over, or hardly a word among signs.

Tested in tests/corpus/quality/test_measures.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Limits:
    """Each measure beyond its limit is a reason; by default nothing is."""

    min_words: int = 0
    max_words: int = 10**9
    word_length: tuple[float, float] = (0, 10**9)
    """Mean number of characters, lowest and highest."""
    min_alphabetic: float = 0
    min_worded: float = 0
    max_hashes: float = 1
    max_ellipses: float = 1
    max_bullet_lines: float = 1
    max_ellipsis_lines: float = 1
    min_ended_lines: float = 0
    max_line_ends: float = 10**9
    stop_words: frozenset[str] = frozenset()
    """At least two of them, where there are any."""
    min_repeating: int = 0
    """Tokens below which repetition is not looked at."""
    max_repeated_lines: float = 1
    max_repeated_line_characters: float = 1
    max_top_phrase: tuple[tuple[int, float], ...] = ()
    """Words of the phrase, and the share."""
    max_repeated_phrases: tuple[tuple[int, float], ...] = ()


HOUSE = Limits(
    min_worded=0.2,
    max_hashes=0.3,
    min_repeating=100,
    max_repeated_lines=0.8,
    max_repeated_line_characters=0.8,
    max_repeated_phrases=((20, 0.8),),
)
"""Ours, for every language: at least twice what any letter of the tests, GraSCCo or the demo
reaches. A table of numbers stays, a list of findings that all are "o. B.", a curve without a
change: a phrase counts as repeated only if it is longer than such a line."""
_GOPHER = Limits(
    min_words=50,
    max_words=100_000,
    word_length=(3, 10),
    min_alphabetic=0.8,
    max_hashes=0.1,
    max_ellipses=0.1,
    max_bullet_lines=0.9,
    max_ellipsis_lines=0.3,
    max_line_ends=0.3,
    max_repeated_lines=0.3,
    max_repeated_line_characters=0.1,
    max_top_phrase=((2, 0.2), (3, 0.18), (4, 0.16)),
    max_repeated_phrases=((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.1)),
)
_GERMAN = (
    *("der", "und", "die", "in", "von", "im", "den", "des", "mit", "das", "er", "dem", "als"),
    *("wurde", "für"),
)
_FRENCH = (
    *("de", "la", "le", "et", "à", "en", "l'", "des", "du", "les", "est", "d'", "un", "une"),
    *("il", "dans", "par", "au"),
)
_ENGLISH = ("the", "be", "to", "of", "and", "that", "have", "with")
WEB = {
    "de": replace(
        _GOPHER,
        word_length=(0, 15),
        min_alphabetic=0.774,
        max_line_ends=0.152,
        stop_words=frozenset(_GERMAN),
        max_repeated_lines=0.263,
        max_top_phrase=((2, 0.169), (3, 0.153), (4, 0.137)),
        max_repeated_phrases=(
            *((5, 0.141), (6, 0.134), (7, 0.126)),
            *((8, 0.117), (9, 0.108), (10, 0.098)),
        ),
    ),
    "fr": replace(
        _GOPHER,
        word_length=(2, 11),
        min_alphabetic=0.812,
        min_ended_lines=0.1,
        max_line_ends=0.185,
        stop_words=frozenset(_FRENCH),
        max_repeated_lines=0.264,
        max_top_phrase=((2, 0.161), (3, 0.149), (4, 0.134)),
        max_repeated_phrases=(
            *((5, 0.15), (6, 0.141), (7, 0.131)),
            *((8, 0.121), (9, 0.111), (10, 0.1)),
        ),
    ),
    "en": replace(_GOPHER, min_ended_lines=0.12, stop_words=frozenset(_ENGLISH)),
}


def limits(kind: str, language: str) -> Limits:
    """The limits of a source's `quality`, `house` or `web`, for documents of a language."""
    return HOUSE if kind == "house" else WEB.get(language, _GOPHER)

"""The first limit that a text is beyond.

Tested in tests/corpus/quality/test_measures.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from bedside_corpus.quality.limits import Limits
from bedside_corpus.quality.measures import Measures

_STOP_WORDS = 2


def fault(text: str, limits: Limits) -> str | None:
    """The reason to drop a text, or nothing; the cheap measures are looked at first."""
    return next(
        (reason for reason, is_beyond in _faults(Measures(text), limits) if is_beyond), None
    )


def _faults(text: Measures, limits: Limits) -> Iterator[tuple[str, bool]]:
    shortest, longest = limits.word_length
    yield "quality_length", not limits.min_words <= len(text.words) <= limits.max_words
    yield "quality_word_length", not shortest <= text.word_length <= longest
    yield "quality_letters", text.alphabetic < limits.min_alphabetic
    yield (
        "quality_signs",
        text.worded < limits.min_worded
        or text.hashes > limits.max_hashes
        or text.ellipses > limits.max_ellipses,
    )
    yield "quality_bullets", text.bullet_lines > limits.max_bullet_lines
    yield "quality_ellipses", text.ellipsis_lines > limits.max_ellipsis_lines
    yield "quality_sentences", text.ended_lines < limits.min_ended_lines
    yield "quality_list", text.line_ends > limits.max_line_ends
    if limits.stop_words:
        yield "quality_stop_words", text.stop_words(limits.stop_words) < _STOP_WORDS
    if len(text.tokens) < limits.min_repeating:
        return
    yield (
        "quality_repeated_lines",
        text.repeated_lines > limits.max_repeated_lines
        or text.repeated_line_characters > limits.max_repeated_line_characters,
    )
    for words, limit in limits.max_top_phrase:
        yield "quality_repeated_phrases", text.top_phrase(words) > limit
    for words, limit in limits.max_repeated_phrases:
        yield "quality_repeated_phrases", text.repeated_phrases(words) > limit

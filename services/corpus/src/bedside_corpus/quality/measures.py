"""What a text looks like, in numbers: words, signs, lines, repetition.

The measures are those of Gopher (Rae et al. 2021, table A1 and section A1.1) and FineWeb (Penedo et
al. 2024, section 3.6). datatrove has filters for them, which cut words with spaCy's models of each
language; here an expression cuts words and signs, so a share may differ by a few percent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

_TOKEN = re.compile(r"\w+['’](?=\w)|\w+(?:[-.,]\w+)*|[^\w\s]")
"""A word with its inner hyphen or decimal sign, an elided one ("l'"), or one other sign."""
_SHORT = 5
"""Words of the shortest phrases whose repetition has limits of its own."""
_BULLETS = ("•", "-", "–", "*", "▪", "☐", "☑", "☒")
_ELLIPSES = ("...", "…")
_ENDS = tuple(".!?:;…\"'”“»)")
"""What a line of running text ends with."""


@dataclass(frozen=True)
class Measures:
    """Of one text; each is computed once, when it is asked for. Time is linear in the length."""

    text: str

    @cached_property
    def tokens(self) -> list[str]:
        return _TOKEN.findall(self.text)

    @cached_property
    def words(self) -> list[str]:
        """Tokens that are no single sign."""
        return [token for token in self.tokens if token[0].isalnum() or token[0] == "_"]

    @cached_property
    def lines(self) -> list[str]:
        """Without the blank ones."""
        return [line.strip() for line in self.text.split("\n") if line.strip()]

    @property
    def word_length(self) -> float:
        """Mean number of characters."""
        return _share(sum(map(len, self.words)), len(self.words))

    @property
    def alphabetic(self) -> float:
        """Share of the tokens that hold a letter."""
        with_letter = sum(token.isalpha() or any(map(str.isalpha, token)) for token in self.tokens)
        return _share(with_letter, len(self.tokens))

    @property
    def worded(self) -> float:
        """Share of the tokens that are words or numbers."""
        return _share(len(self.words), len(self.tokens))

    @property
    def hashes(self) -> float:
        """Hash signs per token."""
        return _share(self.text.count("#"), len(self.tokens))

    @property
    def ellipses(self) -> float:
        """Ellipses per token."""
        return _share(sum(map(self.text.count, _ELLIPSES)), len(self.tokens))

    @property
    def bullet_lines(self) -> float:
        """Share of the lines that begin with a bullet."""
        return _share(sum(line.startswith(_BULLETS) for line in self.lines), len(self.lines))

    @property
    def ellipsis_lines(self) -> float:
        """Share of the lines that end with an ellipsis."""
        return _share(sum(line.endswith(_ELLIPSES) for line in self.lines), len(self.lines))

    @property
    def ended_lines(self) -> float:
        """Share of the lines that end as a sentence does."""
        return _share(sum(line.endswith(_ENDS) for line in self.lines), len(self.lines))

    @property
    def line_ends(self) -> float:
        """Line ends per token."""
        return _share(self.text.count("\n"), len(self.tokens))

    @cached_property
    def repeated_lines(self) -> float:
        """Share of the lines that stood before."""
        return _share(len(self.lines) - len(set(self.lines)), len(self.lines))

    @cached_property
    def repeated_line_characters(self) -> float:
        """Share of the characters that are in such lines."""
        again = sum(len(line) * (count - 1) for line, count in Counter(self.lines).items())
        return _share(again, sum(map(len, self.lines)))

    @cached_property
    def _repeats_short(self) -> bool:
        phrases = _phrases(self.tokens, _SHORT)
        return len(set(phrases)) < len(phrases)

    def stop_words(self, wanted: frozenset[str]) -> int:
        """How many of these words the text has."""
        return len(wanted.intersection(word.lower() for word in set(self.words)))

    def top_phrase(self, words: int) -> float:
        """Share of the text's characters that are in its most frequent phrase of so many words."""
        phrases = Counter(_phrases(self.tokens, words))
        if not phrases:
            return 0.0
        phrase, count = phrases.most_common(1)[0]
        return _share(len(" ".join(phrase)) * count, len(self.text)) if count > 1 else 0.0

    def repeated_phrases(self, words: int) -> float:
        """Share of the characters in phrases of so many words that stood before, none twice."""
        if words >= _SHORT and not self._repeats_short:
            return 0.0  # a longer phrase that stands twice has shorter ones that do
        seen: set[tuple[str, ...]] = set()
        repeated, position = 0, 0
        for place, phrase in enumerate(_phrases(self.tokens, words)):
            if place < position:
                continue
            if phrase in seen:
                repeated += sum(map(len, phrase))
                position = place + words
            else:
                seen.add(phrase)
        return _share(repeated, sum(map(len, self.tokens)))


def _phrases(tokens: Sequence[str], words: int) -> list[tuple[str, ...]]:
    if words == 2:
        return list(pairwise(tokens))
    return list(zip(*(tokens[start:] for start in range(words)), strict=False))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

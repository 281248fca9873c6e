"""Which options a free answer chooses, in German, French and English; nothing is guessed.

In this order: the letters after a cue ("Antwort: C", "La réponse est (B)"), an answer that is
letters and no more or begins with one lettered option, an answer that holds the words of exactly
one option. An answer with two cues that disagree chooses nothing. A letter inside a sentence is no
choice: "A" is a word in English, and "a" in French.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bedside_core.kinds.exam.wording import LETTERS
from bedside_core.matching import canonical

THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
MARKS = re.compile(r"[*_`]+|\\boxed|\\text")
_LETTER = r"[\(\[\{]?\s*(?:(?:Option|Antwort|Réponse|Answer)\s+)?([A-J])\s*[\)\]\}]?"
_AND = r"\s*(?:,|;|/|&|\+|und|oder|et|ou|and|or|sowie|ainsi que)\s*"
_LIST = rf"{_LETTER}(?:(?:{_AND})+{_LETTER})*"
_END = r"(?![^\W_]|['’])"
"""Behind a letter: no other letter or digit, no apostrophe ("D'abord")."""
_NOUN = (
    r"(?:Antwort(?:en|möglichkeit)?|Lösung(?:en)?|Option(?:en|s)?|Réponses?|Answers?|Choix|Choice)"
)
_GOOD = r"(?:richtigen?|korrekten?|right|correct|final|bonnes?|exactes?|justes?|correctes?)"
_VERB = r"(?:ist|sind|lautet|lauten|wäre|est|sont|serait|is|are)"
_CUES = (
    # "Antwort: C", "Die richtige Antwort ist (B)", "La bonne réponse est B".
    rf"{_NOUN}\s*(?:{_GOOD}\s*)?(?:(?::|=|-|–)\s*|{_VERB}\s*:?\s*(?:also|daher|donc|clearly)?\s*)",
    # "Richtig ist C", "Richtig sind A und C", "Correct: D".
    rf"{_GOOD}?\b(?:Richtig|Korrekt|Correct|Juste|Exact)\s*(?::|{_VERB}\s*:?)\s*",
    # "Ich wähle C", "Je choisis B", "I choose D".
    r"(?:Ich\s+(?:wähle|nehme)|Je\s+(?:choisis|prends)|I\s+(?:choose|pick|select))\s*:?\s*",
)
_CUED = [re.compile(rf"\b{cue}({_LIST}){_END}", re.IGNORECASE) for cue in _CUES]
_IS_RIGHT = re.compile(
    rf"\b(?:(?:Antwort|Option|Réponse|Answer)\s+)?({_LIST})\s+{_VERB}\s+(?:also\s+|donc\s+)?{_GOOD}?"
    r"\b(?:richtig|korrekt|correcte?s?|justes?|exactes?|right|true|vraie?s?)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"^\s*(?:\W\s*)?(?:ist|sind|est|sont|is|are)\s+(?:nicht\s+|pas\s+|not\s+)?"
    r"(?:falsch|richtig\s+nicht|fausses?|incorrect\w*|wrong|false)",
    re.IGNORECASE,
)
_NOT = re.compile(r"\b(?:nicht|keine|kein|pas|non|not|nor|falsche[nrs]?|wrong|mauvaise)\s*\Z", re.I)
_ALONE = re.compile(rf"\s*({_LIST})\s*[.):]?\s*\Z", re.IGNORECASE)
_FIRST = re.compile(r"\s*[\(\[]?([A-J])[\)\].:](?=\s|\Z)")
_LINE = re.compile(r"^\s*[\(\[]?([A-J])[\)\].:](?=\s)", re.MULTILINE)


def cleaned(text: str) -> str:
    """Without what a model thought before it answered, and without marks of emphasis."""
    return MARKS.sub("", THINKING.sub("", text)).strip()


def chosen(text: str, options: Sequence[str]) -> frozenset[int] | None:
    """Indices of the options that an answer chooses; None where none can be read from it."""
    answer = cleaned(text)
    cued = _by_cue(answer)
    if cued:
        found = next(iter(cued)) if len(cued) == 1 else None
    else:
        found = _by_letter(answer, options) or _by_words(answer, options)
    return found if found and max(found) < len(options) else None


def _by_cue(answer: str) -> set[frozenset[int]]:
    """What each cue names; more than one where they disagree."""
    found = set()
    for pattern in (*_CUED, _IS_RIGHT):
        for match in pattern.finditer(answer):
            rest = answer[match.end() :]
            if _DENIED.match(rest) or _NOT.search(answer[: match.start(1)]):
                continue
            if letters := _letters(match.group(1), rest):
                found.add(letters)
    return found


def _by_letter(answer: str, options: Sequence[str]) -> frozenset[int] | None:
    if alone := _ALONE.match(answer):
        return _letters(alone.group(1), "") or None
    first = _FIRST.match(answer)
    if not first or not set(_LINE.findall(answer)) <= {first.group(1)}:
        return None
    letters = _letters(first.group(1), "")
    # Behind a full stop stands the option itself, or it is a name ("E. coli").
    behind = canonical(answer[first.end() :])
    named = [canonical(option) for number, option in enumerate(options) if number in letters]
    if first.group().endswith(".") and not any(behind.startswith(name) for name in named):
        return None
    return letters


def _by_words(answer: str, options: Sequence[str]) -> frozenset[int] | None:
    words = f" {canonical(answer)} "
    forms = [f" {canonical(option)} " for option in options]
    held = {number for number, form in enumerate(forms) if form.strip() and form in words}
    # "Diabetes mellitus Typ 2" holds "Diabetes mellitus" too: the longest stands for the others.
    held -= {n for n in held if any(forms[n] in forms[other] for other in held - {n})}
    return frozenset(held) if len(held) == 1 else None


def _letters(listed: str, rest: str) -> frozenset[int]:
    """Indices of the letters; none of a small one that may be a word ("the answer is a fever")."""
    named = re.sub(r"(?i)\b(?:option|antwort|réponse|answer)\b", " ", listed)
    found = re.findall(r"(?<![^\W_])[A-Ja-j](?![^\W_])", named)
    if any(letter.islower() for letter in found) and not re.match(r"\s*(?:[).\]:]|\n|\Z)", rest):
        return frozenset()
    return frozenset(LETTERS.index(letter.upper()) for letter in found)

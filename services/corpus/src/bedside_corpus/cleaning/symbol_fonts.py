"""What a private-use character of a symbol font shows.

Word and PDF put the fonts Symbol and Wingdings at U+F020 to U+F0FF. The text does not say which of
the two it was, so a code goes to the font in which it is written in clinical text: letters,
comparators and units are Symbol, boxes, ticks and arrows are Wingdings.

Sources: Adobe's Symbol encoding (the mapping symbol.txt of the Unicode Consortium) and the table of
Wingdings in ISO/IEC JTC1/SC2/WG2 N4384.

Tested in tests/corpus/cleaning/test_characters.py.
"""

from __future__ import annotations

_SYMBOL = {
    0x20: " !∀#∃%&∋()∗+,−./0123456789:;<=>?",
    0x40: "≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_",
    0x61: "αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼",
    0xA1: "ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…",
    0xC5: "⊕∅",
    0xD0: "∠",
    0xD2: "®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓",
}
_WINGDINGS = {
    **{0x4A: "☺", 0x4C: "☹", 0xA8: "☐", 0xA7: "▪", 0xD8: "➢", 0xDF: "←", 0xE0: "→", 0xE1: "↑"},
    **{0xE2: "↓", 0xE8: "➔", 0xFB: "✗", 0xFC: "✓", 0xFD: "☒", 0xFE: "☑"},
}
"""What Symbol has at these places (a theta, card suits, pieces of brackets) is not written."""

SHOWN: dict[str, str] = {
    chr(0xF000 + start + offset): shown
    for start, row in _SYMBOL.items()
    for offset, shown in enumerate(row)
} | {chr(0xF000 + code): shown for code, shown in _WINGDINGS.items()}
"""By private-use character: the character of Unicode."""

BOXES: dict[str, str] = dict.fromkeys("\uf06f\uf071\uf072", "☐")
"""Letters of Symbol that are empty boxes of Wingdings where a blank follows."""

BULLET = "•"
"""What any other one is at the start of a line or cell, with a blank after it."""
MARKS: frozenset[str] = frozenset("▪➢→✓✗☐☑☒☺☹←↑↓➔•")
"""What stays itself there: a tick or a box says more than a bullet."""

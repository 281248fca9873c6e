"""Text that was decoded with the wrong table, or escaped and never unescaped."""

from __future__ import annotations

import re
from collections import Counter
from html import unescape

from ftfy import TextFixerConfig, fix_encoding

from bedside_corpus.cleaning.changes import point, substitute

_SAFE = TextFixerConfig(
    # It takes a blank for half of a character: "2 Å 5" may become "2 Š5", two runs are one.
    restore_byte_a0=False,
    # It puts U+FFFD for a character of which only a part is left.
    replace_lossy_sequences=False,
    # `windows_controls` does it, and counts it.
    fix_c1_controls=False,
    explain=False,
)
"""For `fix_encoding`, the part of ftfy 6.3 that decodes again.

ftfy's other steps are not used, because they harm clinical text: `remove_control_chars` and
`remove_terminal_escapes` leave no gap ("Na", U+001F, "138" becomes "Na138"), `unescape_html` stops
where a "<" stands ("CRP < 5 &micro;g"), `uncurl_quotes` and `fix_character_width` change signs that
are no dirt, and the form NFKC turns "10²" into "102".
"""
_FOLLOWS = (
    "\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc"
    "\u2013\u2014\u2018-\u201e\u2020-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122"
)
"""What Windows-1252 shows for the second and further bytes of a UTF-8 sequence, 80 to BF."""
_SUSPECT = re.compile(
    f"[\u00c2-\u00f4\u0102][{_FOLLOWS}]|[\u00ac\u201a\u221a\u251c\u252c\u0393][^\u0000-\u007f]"
)
"""A first byte and a next one, in the Windows tables; or a first byte in MacRoman (C2 to ¬, C3 to
√, E2 to ‚) or in DOS code page 437 (┬, ├, Γ). ftfy's own test for mojibake runs at 5 MB a second
and sees only lines that hold such a pair."""
_FAR = re.compile(
    "[\u0400-\u1dff\u2c00-\ufaff\ufb07-\ufefe\U00010000-\U0001efff\U00020000-\U0010ffff]+"
)
_FEW = 4
"""Fewer new characters of another script prove nothing: "Ø½" would be an Arabic letter. Nor do any
number that stand alone: "×", U+0096, "7" would be a Hebrew one."""
_GLUED = re.compile("[\u0100-\u017f](?=[0-9])|(?<=[0-9])[\u0100-\u017f]")
"""Å and the control U+0096 are the bytes of Ŗ, and of a dash behind an Ångström: no word has such a
letter beside a digit, and as a letter it would take a range for one number."""

_ENTITY = re.compile(
    r"&(?:(?:amp|AMP|#0{0,5}38|#[xX]0{0,5}26);)*"
    r"(?:amp|AMP|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
)
"""A character reference of HTML with its semicolon, escaped any number of times."""
_ESCAPED_SIGNS = frozenset("&<>\"'%+,-./:=()*!?|$@[]_~ \n\t")
"""ASCII that a reference may stand for; the rest of ASCII could make a new reference."""

_C1 = re.compile("[\u0080-\u009f]")


def entities(text: str, counts: Counter[str]) -> str:
    """`&auml;`, `&#181;` and `&amp;lt;` become the characters that they name."""
    if "&" not in text or ";" not in text:
        return text

    def decoded(match: re.Match[str]) -> str:
        last = match[0].rsplit("&", 1)[-1].rstrip(";").rsplit(";", 1)[-1]
        character = unescape(f"&{last};")
        known = len(character) == 1 and (character in _ESCAPED_SIGNS or not character.isascii())
        if not known or character == "\ufffd":  # what `unescape` has for no character
            return match[0]
        counts[f"reference to {point(character)}"] += 1
        return character

    return _ENTITY.sub(decoded, text)


def mojibake(text: str, counts: Counter[str]) -> str:
    """UTF-8 that was read as Windows-1252, Latin-1, MacRoman or a DOS table, line by line."""
    if text.isascii() or not _SUSPECT.search(text):
        return text
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if not line.isascii() and _SUSPECT.search(line):
            fixed = fix_encoding(line, _SAFE)
            if fixed != line and _is_plausible(line, fixed):
                for character, count in (Counter(fixed) - Counter(line)).items():
                    counts[f"sequence to {point(character)}"] += count
                lines[number] = fixed
    return "\n".join(lines)


def windows_controls(text: str, counts: Counter[str]) -> str:
    """C1 controls are Windows-1252 read as Latin-1, as HTML has it: U+0096 is an en dash.

    Five of them mean nothing there either; they stay for `control`.
    """

    def decoded(match: re.Match[str]) -> str:
        return match[0].encode("latin-1").decode("windows-1252", errors="ignore") or match[0]

    return substitute(_C1, decoded, text, counts)


def _is_plausible(line: str, fixed: str) -> bool:
    """Whether what ftfy found is text: Latin, Greek and signs, or several of another script."""
    if len(_GLUED.findall(fixed)) > len(_GLUED.findall(line)):
        return False
    before, after = ([len(run) for run in _FAR.findall(text)] for text in (line, fixed))
    words = sum(n for n in after if n > 1) - sum(n for n in before if n > 1)
    return sum(after) <= sum(before) or words >= _FEW

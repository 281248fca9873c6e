import io
import sys
from pathlib import Path

import pytest

from bedside_corpus.intake.docx import read_docx
from bedside_corpus.intake.docx_numbers import formatted

sys.path.insert(0, str(Path(__file__).parent))
import samples


def level(number, kind, text, start=1):
    return (
        f'<w:lvl w:ilvl="{number}"><w:start w:val="{start}"/><w:numFmt w:val="{kind}"/>'
        f'<w:lvlText w:val="{text}"/></w:lvl>'
    )


def abstract(number, *levels):
    return f'<w:abstractNum w:abstractNumId="{number}">{"".join(levels)}</w:abstractNum>'


def num(number, of, override=""):
    return f'<w:num w:numId="{number}"><w:abstractNumId w:val="{of}"/>{override}</w:num>'


ANEW = '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/></w:lvlOverride>'
NUMBERING = (
    abstract(0, level(0, "decimal", "%1."), level(1, "lowerLetter", "%2)"))
    + abstract(1, level(0, "bullet", "\uf0b7"), level(1, "bullet", "o"))
    + abstract(2, level(0, "upperRoman", "%1", 3), level(1, "decimal", "%1.%2"))
    + num(1, 0) + num(2, 0) + num(3, 0, ANEW) + num(4, 1) + num(5, 2)
)  # fmt: skip
STYLES = (
    '<w:style w:styleId="Heading"><w:pPr><w:numPr><w:numId w:val="5"/></w:numPr></w:pPr></w:style>'
    '<w:style w:styleId="Sub"><w:basedOn w:val="Heading"/><w:pPr><w:numPr><w:ilvl w:val="1"/>'
    '<w:numId w:val="5"/></w:numPr></w:pPr></w:style>'
    '<w:style w:styleId="Bullet"><w:pPr><w:numPr><w:numId w:val="4"/></w:numPr></w:pPr></w:style>'
    '<w:style w:styleId="Mine"><w:basedOn w:val="Bullet"/></w:style>'
    '<w:style w:styleId="Loop"><w:basedOn w:val="Loop"/></w:style>'
)


def item(text, number=None, depth=None, style=None):
    given = "" if style is None else f'<w:pStyle w:val="{style}"/>'
    if number is not None or depth is not None:
        parts = "" if depth is None else f'<w:ilvl w:val="{depth}"/>'
        parts += "" if number is None else f'<w:numId w:val="{number}"/>'
        given += f"<w:numPr>{parts}</w:numPr>"
    return f"<w:p><w:pPr>{given}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def lines(*items, **parts):
    parts = {"numbering": NUMBERING, "styles": STYLES, **parts}
    return read_docx(io.BytesIO(samples.docx("".join(items), **parts))).text.split("\n")


def test_numbers_count_by_level_and_begin_anew_where_the_file_says_so():
    found = lines(
        item("Aspirin", 1), item("morgens", 1, 1), item("abends", 1, 1), item("", 1),
        item("Ramipril", 1), item("mittags", 1, 1), item("weiter", 2), item("neu", 3),
        item("danach", 3), item("ohne"),
    )  # fmt: skip
    assert found == [
        "1. Aspirin", "  a) morgens", "  b) abends", "", "3. Ramipril", "  a) mittags",
        "4. weiter", "1. neu", "2. danach", "ohne",
    ]  # fmt: skip


def test_lists_and_headings_of_styles():
    found = lines(
        item("Diagnosen", style="Heading"), item("Herz", style="Sub"), item("Lunge", style="Sub"),
        item("Therapie", style="Heading"), item("Herz", style="Sub"), item("a", style="Mine"),
        item("b", style="Mine", depth=1), item("frei", 0, style="Bullet"),
        item("frei", style="Loop"), item("frei", style="none"),
    )  # fmt: skip
    assert found == [
        "III Diagnosen", "III.1 Herz", "III.2 Lunge", "IV Therapie", "IV.1 Herz", "- a",
        "  - b", "frei", "frei", "frei",
    ]  # fmt: skip


def test_a_list_that_the_file_does_not_explain_is_a_dash():
    assert lines(item("a", 99), item("b", 1, 8), item("c", "x", "y")) == [
        "- a", "                - b", "- c",
    ]  # fmt: skip
    damaged = '<w:num/><w:abstractNum/><w:num w:numId="1"/>'
    assert lines(item("a", 1), numbering=damaged) == ["- a"]


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (1994, "lowerRoman", "mcmxciv"), (4, "upperRoman", "IV"), (5000, "lowerRoman", "5000"),
        (27, "lowerLetter", "aa"), (26, "upperLetter", "Z"), (0, "lowerLetter", "0"),
        (7, "decimalZero", "07"), (3, "chicago", "3"), (3, "none", ""),
    ],
)  # fmt: skip
def test_formats(number, kind, text):
    assert formatted(number, kind) == text

import pytest
from ftfy import fix_text

from bedside_corpus.cleaning.clean import clean


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("FÃ¤lle von ZÃ¶liakie, 5 Âµg, â‰¥ 3 mmol/l", "Fälle von Zöliakie, 5 µg, ≥ 3 mmol/l"),
        ("SÃƒÂ¤ugling", "Säugling"),
        ("Größe und FÃ¤lle, 3â€“5 mmol/l", "Größe und Fälle, 3–5 mmol/l"),
        ("ünd\nZÃ¶liakie\nGrad °II", "ünd\nZöliakie\nGrad °II"),
        ("37Â°C, Î±-Blocker, 10â\x81¹/l, 23 kg/mÂ²", "37°C, α-Blocker, 10⁹/l, 23 kg/m²"),
        ("œdÃ¨me, « naÃ®t »", "œdème, « naît »"),
        ("√ºber 5 ¬µg", "über 5 µg"),
        ("f├╝r ├ñltere", "für ältere"),
    ],
)
def test_mojibake_is_decoded(raw, expected):
    cleaned = clean(raw)
    assert cleaned.text == expected
    assert any(label.startswith("mojibake: sequence to U+") for label in cleaned.changes)


@pytest.mark.parametrize(
    "text",
    ["Ø½ Tbl.", "10×² ×³", "Î 5, Ã 3", "« été »", "Crohn’s – „gut“", "Größe ½ Österreich", "é»"],
)
def test_signs_that_look_like_mojibake_stay(text):
    assert clean(text) == (text, {})


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("&auml;rztlich 5 &micro;g &lt; 3 &#8805; 2", "ärztlich 5 µg < 3 ≥ 2"),
        ("CRP < 5 &micro;g/l", "CRP < 5 µg/l"),
        ("&amp;amp;lt;5mm, R&amp;D", "<5mm, R&D"),
        ("3&#150;5, 3&#x2013;5, 1&nbsp;000", "3–5, 3–5, 1 000"),
        ("Schwanger&shy;schaft", "Schwangerschaft"),
        ("2006&shy;2015", "2006-2015"),
        ("&Atilde;&curren;rztlich", "ärztlich"),
    ],
)
def test_references_are_decoded(raw, expected):
    assert clean(raw).text == expected


@pytest.mark.parametrize(
    "text", ["R&D; H&P", "AT&T", "&unknown;", "a&b;c", "&#48;", "&#xd800;", "&num;", "&;", "Q&A."]
)
def test_what_is_no_reference_stays(text):
    assert clean(text) == (text, {})


def test_windows_1252_read_as_latin_1():
    raw = "\x93o. B.\x94 Crohn\x92s 2\x89, 5 \x80, \x95 ASS\x85"
    assert clean(raw).text == "“o. B.” Crohn’s 2‰, 5 €, • ASS…"
    # Five controls mean nothing in Windows-1252 either.
    assert clean("138\x814,2\x9d").text == "138 4,2"


def test_why_the_other_steps_of_ftfy_are_not_used():
    assert fix_text("Na\x1f138\x1fK\x1f4,2") == "Na138K4,2"
    assert fix_text("CRP < 5 &micro;g/l") == "CRP < 5 &micro;g/l"
    assert fix_text("Crohn’s") == "Crohn's"
    assert fix_text("Ã© 2 Å 5") == "é 2 Š5"
    assert clean("Ã© 2 Å 5").text == "é 2 Å 5"

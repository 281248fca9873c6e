import pytest

from bedside_corpus.cleaning.clean import clean

FULL = "Die Patientin wurde nach der Behandlung der"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Siehe https://klinik.example/a?b=1,2.", "Siehe."),
        ("Siehe www.klinik.example, Kalium 3–5", "Siehe, Kalium 3–5"),
        ("Quelle (https://klinik.example/a_(b)) und <http://a.example>", "Quelle und"),
        ("https://a.example\nBefund", "Befund"),
        ("Na\thttps://a.example\t138", "Na\t\t138"),
        ("a(https://a.example)b", "a b"),
        ("www.a.example/3–5 mmol/l", "–5 mmol/l"),
    ],
)
def test_addresses_go(raw, expected):
    assert clean(raw).text == expected


@pytest.mark.parametrize(
    "text", ["http und www", "www. ist kein Wort", "https://", "a@www.b.c", "ftp://x", "doi:10.1/2"]
)
def test_what_is_no_address_stays(text):
    assert clean(text).text == text


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Seite 3 von 7", "page_number"),
        ("- Page 2 sur 5 -", "page_number"),
        ("| page 12/34 |", "page_number"),
        ("© 2024 Klinikum Muster. Alle Rechte vorbehalten.", "rights"),
        ("All rights reserved", "rights"),
        ("Diese Website verwendet Cookies, um Ihnen zu dienen.", "cookies"),
        ("Accepter tous les cookies", "cookies"),
        ("Please enable JavaScript to view this page.", "script"),
        ("↑ Nach oben", "navigation"),
        ("Skip to main content", "navigation"),
    ],
)
def test_lines_of_the_page_go(line, kind):
    assert clean(f"Befund:\n{line}\nunauffällig") == (
        "Befund:\nunauffällig",
        {f"boilerplate: line {kind}": 1},
    )


@pytest.mark.parametrize(
    "line",
    [
        "Seite: links",
        "Seite 3 von 7 Präparaten",
        "3/7",
        "- 3 -",
        "Cookies isst das Kind gern.",
        "Arme nach oben gestreckt",
        "Alle Rechte vorbehalten bleiben dem Patienten",
        "Copyright 2024",
    ],
)
def test_lines_of_the_text_stay(line):
    text = f"Befund:\n{line}\nunauffällig"
    assert clean(text).text == text


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (f"{FULL} Schwanger-\nschaft entlassen", f"{FULL} Schwangerschaft entlassen"),
        (f"{FULL} Herz- und Lungen-\nerkrankung", f"{FULL} Herz- und Lungenerkrankung"),
        ("Schwanger-\nschaft\nder Schwangerschaft", "Schwangerschaft\nder Schwangerschaft"),
        ("une co-ingestion, une autre co-\ningestion", "une co-ingestion, une autre co-ingestion"),
        ("une allergie est possible, peut-\nêtre", "une allergie est possible, peut-être"),
    ],
)  # fmt: skip
def test_a_divided_word_is_joined(raw, expected):
    assert clean(raw).text == expected


@pytest.mark.parametrize(
    "text",
    [
        f"{FULL} Herz-\nund Lungenerkrankung",
        f"{FULL} CT-\nAbdomen",
        f"{FULL} HLA-B27-\npositiv",
        f"{FULL} COVID-\n19",
        "Urinstix: Leuko-\nnitrit neg",
        "Patientin wach, orientiert, meningismus-\nfieber- übelkeit+",
        "Kalium 3-\n5 mmol/l",
        f"{FULL} Schwanger-\n  schaft",
    ],
)
def test_a_hyphen_that_is_one_stays(text):
    assert clean(text).text == text


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Na\t138\t\t\nK\t4,2 \n", "Na\t138\t\t\nK\t4,2"),
        ("Na\t138\nKrea\t\nK\t4", "Na\t138\nKrea\t\nK\t4"),
        ("Befund\t\nEpikrise", "Befund\nEpikrise"),
        ("1. ASS\n \t\n\n\n2. Ramipril", "1. ASS\n\n2. Ramipril"),
        ("\n\n\t\n  Befund \n", "Befund"),
        ("  a\n  b", "  a\n  b"),
        ("a  b   c", "a  b   c"),
    ],
)
def test_blanks(raw, expected):
    assert clean(raw).text == expected

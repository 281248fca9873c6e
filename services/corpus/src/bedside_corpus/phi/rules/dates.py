"""Dates and ages as German and French letters write them.

Covered: full dates in any usual order and separator, with two- or four-digit years; days without a
year; months with a year, in words or digits; years and seasons; ranges; ages.
Not covered: "last Tuesday", "on her birthday", OCR that put letters into digits.
Doses (1-0-1), blood pressure, strengths (4/5), times and decimals are no dates.

Tested in tests/corpus/phi/test_rules.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import regex

from bedside_corpus.phi.spans import Span

MONTHS: dict[str, int] = {}
"""Names and abbreviations of the months in lower case, without a point: both languages."""
for _number, _names in enumerate(
    (
        "januar jänner jan janvier janv",
        "februar feber feb février fevrier févr fév",
        "märz maerz mrz mär mars",
        "april apr avril avr",
        "mai",
        "juni jun juin",
        "juli jul juillet juil",
        "august aug août aout",
        "september sept sep septembre",
        "oktober okt oct octobre",
        "november nov novembre",
        "dezember dez déc dec décembre decembre",
    ),
    start=1,
):
    MONTHS |= dict.fromkeys(_names.split(), _number)

_MONTH = "(?i:" + "|".join(sorted(MONTHS, key=lambda name: (-len(name), name))) + r")\b\.?"
_D = r"(?:0?[1-9]|[12]\d|3[01])"
_M = r"(?:0?[1-9]|1[0-2])"
_Y4 = r"(?:1[89]\d\d|20\d{2,3})(?!\d)"
_Y = rf"(?:{_Y4}|\d\d(?!\d))"
_BEFORE = r"(?<![\d\p{L}])(?<!\d[.,/:])"
_AFTER = r"(?![\d%])(?!\s?(?:mg|µg|ug|mcg|ml|dl|cm|mm|kg|g|l|IE|I\.E|mmol|kcal|mval|mmHg)\b)"
_TO = r"\s?(?:-|–|—|/|bis(?:\szum)?|und|u\.|\+|&|au|et)\s?"
_UNIT = (
    r"(?!\s?(?:mg|µg|ug|mcg|ng|pg|ml|dl|cl|cm|mm|kg|g|l|IE|I\.\s?E|IU|UI|mmol|µmol|kcal|mval|mmHg|U/l|/|%|°"
    r"|m[²2]|x\b|mal\b|ccm|qm|Hz|ms|Gy|kPa|bpm|fois|km|m\b|€|EUR|Euro|Uhr|Std|Stunden|Min|Zellen|Punkte))"
)
_NO_RATIO = r"(?<!\b(?:KG|Kraft|RR|Th|BWK|LWK|HWK|LK|Lymphknoten|pN|N|Score|VAS|NRS|Apgar|GCS|Visus|Grad|von|Stadium|Punkte|Index|V|aVL|SpO2|Janda)[:.]?\s)"
_SEASON = (
    r"(?i:Frühjahr|Frühling|Sommer|Herbst|Winter|Weihnachten|Ostern|Pfingsten|Silvester|Neujahr|Anfang|Mitte"
    r"|Ende|printemps|été|automne|hiver|Noël|début|fin|Jahr|Jg\.|Jahrgang)"
)
_AT = r"(?:am|vom|bis|zum|ab|seit|dem|den|von|le|du|au|depuis)"

FULL = regex.compile(
    rf"(?:{_BEFORE}|(?<=\d\.\d\d?\.(?:\d\d)?\d\d[/,]\s?))(?:{_D}(?:\.\s?{_M})?\.?{_TO})?(?P<d>{_D})(?P<s1>\s?[./]\s?)(?P<m>{_M})(?P<s2>\s?[./]\s?)(?P<y>{_Y})"
    rf"|{_BEFORE}(?P<y>{_Y4})(?P<s1>[-./])(?P<m>{_M})(?P<s2>[-./])(?P<d>{_D})(?!\d)"
    rf"|{_BEFORE}(?P<d>{_D})(?P<s1>[-‐–])(?P<m>{_M})(?P<s2>[-‐–])(?P<y>{_Y4})"
    rf"|{_BEFORE}(?P<d>\d\d)(?P<s1> )(?P<m>\d\d)(?P<s2> )(?P<y>{_Y4})"
    rf"|{_BEFORE}\d{{1,2}}\s?[.,/]{{1,2}}\s?\d{{1,2}}\s?[.,/]{{1,2}}\s?(?:19|20)\d\d(?!\d)"
    rf"|{_BEFORE}{_D}\.{_M}\.\d{{3}}(?!\d)"
)
"""A day, a month and a year in digits, with the end of a range that shares them."""
WORDS = regex.compile(
    rf"{_BEFORE}(?:{_D}\.?{_TO})?(?P<d>{_D}|1er)(?P<s1>\.?\s?(?:de\s)?)(?P<w>{_MONTH})(?:(?P<s2>,?\s{{0,2}})(?P<y>{_Y4}|'?\d\d(?![\d,.:/]|\sUhr)))?"
    rf"|(?<!\p{{L}})(?:{_MONTH}\s?[-/–]\s?)?(?P<w>{_MONTH})(?P<s2>\s?[./]?\s?)(?P<y>{_Y4}|'\d\d\b|\d\d(?![\d,.:/%]){_UNIT})"
)
"""A day or a year with the name of a month."""
MONTH_YEAR = regex.compile(
    rf"{_BEFORE}(?:{_M}{_TO})?(?P<m>{_M})(?P<s2>\s?[./-]\s?)(?P<y>{_Y4})(?!\d|-\d|\.\d)"
    rf"|(?:(?<=[(*])|(?<=\b(?:ab|seit|ED|im|bis|von|vom|am|zuletzt|Jahr|en|depuis)\s)|(?<=^\s?))"
    rf"(?:{_M}{_TO})?(?P<m>{_M})(?P<s2>/)(?P<y>\d\d)(?![\d/]|[.,]\d|\s?mm){_UNIT}"
    rf"|{_BEFORE}(?P<m>0[1-9]|1[0-2])(?P<s2>/)(?P<y>[0-6]\d)(?![\d/]|[.,]\d|\s?mm){_UNIT}"
    rf"|(?<=\p{{L}}\s){_NO_RATIO}(?P<m>{_M})(?P<s2>/)(?P<y>\d\d)(?=[ \t]*$)"
    rf"|(?<=\d/\d\d\s?[-–]\s?)(?P<m>{_M})(?P<s2>/)(?P<y>\d\d)(?!\d)"
    rf"|(?<=[\p{{L}}),:.]\s){_NO_RATIO}(?P<m>{_M})(?P<s2>/)(?P<y>1[3-9]|[2-6]\d)(?![\d/]|[.,]\d|\s?mm){_UNIT}"
    rf"|{_BEFORE}(?P<y>{_Y4})(?P<s2>[-/])(?P<m>0[1-9]|1[0-2])(?![-/\d])",
    flags=regex.MULTILINE,
)
"""A month and a year; with two digits only where a date is meant, because 4/5 is a strength."""
DAY_MONTH = regex.compile(
    rf"{_BEFORE}(?:{_D}\.?{_TO})?(?P<d>{_D})(?P<s1>\.\s?)(?P<m>{_M})\.(?!\d){_UNIT}"
    rf"|(?<=\b{_AT}\s|\(){_D}[./](?:0[1-9]|1[0-2])(?![\d/]|[.,]\d){_UNIT}"
    rf"|(?<=\b(?:am|vom)\s){_D}\.{_M}(?=\s[\p{{Ll}}(])(?!\s?(?:mg|ml|cm|mm|g|l|kg)\b)"
    rf"|{_BEFORE}{_D}[./]{_M}(?=\.?{_TO}{_D}[./]{_M}[./](?:{_Y}))"
)
"""A day and a month without a year."""
YEAR = regex.compile(
    rf"(?:{_SEASON}\s(?:des\sJahres\s|de\s)?)?(?<![\d\p{{L}}])(?<!\d[.,:])(?P<y>(?:19|20)\d\d)"
    rf"(?:\s?[/–-]\s?(?:(?:19|20)?\d\d))?(?:er\b)?(?!\d|[.,:]\d{{1,3}}\b|\s\d{{3}}\b){_UNIT}"
    r"|\b(?:Q[1-4]|KW\s?\d\d?)/(?:19|20)?\d\d(?!\d)"
    r"|(?<=\b(?:im|Anfang|Mitte|Ende|en)\s)'\d\d\b|(?<![\p{L}\d])'\d\d\b"
    r"|(?<![\d\p{L}])[xX_?]{1,2}\.(?:[xX_?]{1,2}|\d\d)\.(?:\d{4}|[xX_?]{2,4})"
    rf"|{_BEFORE}\d{{1,2}}/(?:19|20)\d{{3}}(?!\d)"
)
"""A year, with its season, and what is left of a date that was made unreadable."""
BARE_MONTH = regex.compile(
    r"(?<=\b(?:im|seit|ab|bis|Anfang|Mitte|Ende|seit Anfang|seit Ende|en|depuis|début|fin|mi)[ -])"
    + "(?i:"
    + "|".join(sorted(name for name in MONTHS if len(name) > 4 or name in ("mai", "juni", "juli")))
    + r")\b"
    + r"|\b(?:Januar|Jänner|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember)s?\b"
)
BIRTH_DIGITS = regex.compile(
    r"(?i:\b(?:geb|geboren|né|née)\b\.?(?:\s(?:am|le))?:?\s?)(?P<x>\d{6}|\d{8})(?!\d)"
)
AGE = regex.compile(
    r"(?<![\d.,/])(?P<x>\d{1,3})(?=\s?-?\s?(?:[jJ]ähr|j[hg]?r?\.|j[gä]\b|(?<=\d\d\s?)J\.|Jahre?n?\s(?:alt|jung)|a\salt|ans\b(?!\sde\s(?:suivi|traitement))))"
    r"|(?i:im\sAlter\svon|Alter:?|mit|âgée?\sde|âge\s?:?|l['’]âge\sde)\s(?:ca\.\s|etwa\s)?(?P<x>\d{1,3})"
    r"(?=\.?\s?(?:Jahren|Lebensjahr|LJ\b|Lj\b|ans\b|a\b))"
    r"|(?<![\d.,/])(?P<x>\d{1,3})(?=\.\s?(?i:lebensjahr|lj\b))"
    r"|\bAlter:?\s(?P<x>\d{1,3})\b"
    r"|(?P<x>\b\p{L}*(?i:zwanzig|dreißig|dreissig|vierzig|fünfzig|fünfig|sechzig|siebzig|achtzig|neunzig|zehn))(?=\s?-?jährig)"
    r"|(?P<x>\b(?i:zwei|drei|vier|fünf|sechs|sieben|acht|neun|elf|zwölf))(?=\s?-?jährig)"
    r"|(?<=[(,]\s?)(?P<x>\d{1,3})(?=\s(?:Jahre|J|a|ans)\b)"
    r"|\b(?i:verst\p{L}+|starb|gestorben|†)\s(?:mit\s)?(?P<x>\d{2,3})(?=\b)"
    r"|\bmit\s(?:ca\.\s)?(?P<x>\d{1,3})(?=\.?\s(?:an|verstorben|gestorben|erkrankt|a|Lj|LJ|J)\b)"
    r"|\b(?:Anfang|Mitte|Ende)\s(?P<x>[2-9]0)(?!\d)"
    r"|\b(?P<x>\d{1,3})(?=\.?(?:/\d{1,3}\.)?\s?(?i:LJ|Lebensj\p{L}*|y\b|yo\b|jg\b))"
)

_RULES = (
    (FULL, 0.2),
    (WORDS, 0.15),
    (MONTH_YEAR, 0.02),
    (DAY_MONTH, 0.05),
    (YEAR, 0.0),
    (BARE_MONTH, 0.0),
)


class DateRecognizer:
    """Finds dates and ages; both languages, as months have other names and nothing else differs."""

    def analyze(self, text: str, language: str) -> Iterator[Span]:
        for rule, score in _RULES:
            for match in rule.finditer(text):
                whole = rule is not WORDS or match["d"] is not None
                yield Span(match.start(), match.end(), "DATE", score if whole else 0.02)
        for match in BIRTH_DIGITS.finditer(text):
            yield Span.of(match, "DATE", 0.5)
        for match in AGE.finditer(text):
            yield Span.of(match, "AGE", 0.05)

"""Addresses, towns, hospitals and professions.

Covered: streets with a number, post codes with a town, towns behind "wohnhaft in", before a date, and by
name where the text says in, aus or nach; hospitals with a proper name; professions behind a label.
Not covered: a village that no list has, outside an address; what a description gives away ("the mayor").

Tested in tests/corpus/phi/test_rules.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import regex

from bedside_corpus.phi.rules.lexicon import is_ordinary, towns
from bedside_corpus.phi.rules.names import WORD
from bedside_corpus.phi.spans import Span

_TOWN = rf"(?:(?:Bad|Sankt|St\.|Markt|Klein|Groß|Neu|Alt|Ober|Unter|Saint|Le|La|Les)[ -])?{WORD}(?:[ ](?:am|an\sder|im|ob\sder|in|sur|en|bei)[ ]{WORD}|/{WORD}|\s\(\p{{L}}+\))?"
_STREET_END = r"(?:(?:st(?:r|raße|rasse|rße|raase)|gasse|weg|platz|allee|ring|ufer|damm|steig|park|hof|berg|zeile|chaussee|graben|markt|promenade|pfad|wall|tor|brücke|siedlung)\b\.?|str\.)"
_HOSPITAL = r"(?:\p{Lu}\p{L}*(?:klinik(?:um|en)?|klinikums|krankenhaus(?:es)?|spital|hospital|kliniken|heilstätten?)|(?:Städt\.|Städtisches|Evangelisches|Evang\.|Katholisches|Kath\.|Allgemeines|Psychiatrisches)\s(?:Klinikum|Krankenhaus)|Univ\.?-?\s?(?:Klinik|klinik|Klinikum)\p{L}*|Reha-?\p{L}*|\p{L}*[hH]eim|Sanatorium|Medizinische\s(?:Universität|Hochschule)|Universität|Klinikum|Klinik|Krankenhaus|Spital|LKH|BKH|LNK|ÖHK|KH|UKE|Charité|Hôpital|Clinique|CHU|CHRU|Hospices?)"

_RULES: tuple[tuple[str, float, regex.Pattern[str]], ...] = tuple(
    (category, score, regex.compile(pattern))
    for category, score, pattern in (
        ("LOCATION", 0.6, rf"(?<![\p{{L}}.])(?P<x>\p{{Lu}}[\p{{L}}.]{{0,30}}(?:[- ]\p{{Lu}}?[\p{{L}}.]{{1,30}}){{0,3}}(?i:[- ]?{_STREET_END})[ ]{{0,2}}\d{{1,4}}(?:\s?[a-h]\b)?(?:\s?[-/]\s?\d{{1,3}})?)"),
        ("LOCATION", 0.6, r"(?<!\p{L})(?P<x>(?:Am|An\sder|Im|In\sder|Auf\sde[rm]|Zum|Zur|Unter\sden)\s\p{Lu}\p{L}+(?:\s\p{Lu}\p{L}+)?\s\d{1,3}[a-h]?)(?=\s*[,;\n]\s*(?:[A-Z]{1,2}-)?\d{4,5})"),
        ("LOCATION", 0.6, r"(?<![\p{L}\d])(?P<x>\d{1,4}(?:\s?(?:bis|ter))?,?\s(?i:rue|avenue|av\.|boulevard|bd|place|chemin|impasse|allée|quai|route|square|cours)\s(?:(?:de\sla|de\sl['’]|du|des|de|d['’]|la|le)\s?)?\p{Lu}[\p{L}'’-]*(?:[ -]\p{Lu}[\p{L}'’-]*){0,3})"),
        ("LOCATION", 0.3, rf"(?<![\p{{L}}\d.,/])(?P<x>(?:(?:[ADF]|CH|FL|L)[- ]{{1,2}})?\d{{4,5}})[ ]{{1,2}}(?P<y>{_TOWN})"),
        ("LOCATION", 0.3, rf"(?i:\b(?:wohnhaft|wohnt|lebt|lebend|wh\.?|Wohnort|Ort|geboren\sin|Geburtsort|aufgewachsen|habite|domicilié\w*|demeurant)\b:?\s(?:in|à)?\s?)(?:\d{{4,5}}\s)?(?P<x>{_TOWN})"),
        ("LOCATION", 0.1, rf"(?m)^[ \t]*(?P<x>{_TOWN}),\s?(?:(?:den|am|le)\s)?(?=\d{{1,2}}\.)"),
        ("LOCATION", 0.1, rf"(?<!\p{{L}})(?P<x>{_TOWN}),\s(?:den|le)\s(?=\d{{1,2}})"),
        ("LOCATION", 0.2, rf"(?<!\p{{L}})(?P<x>{_HOSPITAL}(?:[ ](?:(?:für|der|des|am|im|in|zu|de|du|d['’]|la|St\.|Sankt|Bad|von|den)[ ]){{0,2}}{WORD}){{1,4}})"),
        ("PROFESSION", 0.1, r"(?i:\b(?:Beruf|von\sBeruf|berufstätig\sals|arbeitet\sals|arbeitete\sals|tätig\sals|gelernter?|ausgebildete[rn]?|pensionierter?|berentete[rn]?|ehemaliger?|früher\sals|profession|travaille\scomme|ancien(?:ne)?)\b:?\s(?:eine?\s)?)(?P<x>\p{L}{4,})"),
        ("PROFESSION", 0.1, r"\b(?:Sie|Er|Patient|Patientin|Pat\.)\s(?:ist|war)\s(?P<x>\p{Lu}\p{Ll}{3,}(?:in|er|mann|frau|ist|istin|eur|kraft))(?=[,.;]|\sund|\svon)"),
    )
)  # fmt: skip

_ADDRESS = regex.compile(r"(?:^|[,;(\n]|\b(?:wohnhaft|wohnt|wh\.?:?|in|à))\s*$")


def _is_code(text: str, match: regex.Match[str]) -> bool:
    """Four digits are a post code of Austria or Switzerland only where an address stands."""
    near = text[max(0, match.start("x") - 12) : match.start("x")]
    return len(match["x"]) > 4 or match["y"] in towns() or _ADDRESS.search(near) is not None


@cache
def _in_town() -> regex.Pattern[str]:
    names = "|".join(map(regex.escape, sorted(towns(), key=lambda name: (-len(name), name))))
    return regex.compile(
        rf"(?<=\b(?:in|aus|nach|bei|von|Raum|Stadt|Kreis|Klinikum|Klinik|Krankenhaus|LKH|à|de|in der|aus der|in die|aus dem|im)\s)(?:{names})\b"
    )


_COUNTRY = regex.compile(
    r"\b(?:Österreichs?|Deutschlands?|Schweiz|Frankreichs?|Italiens?|Türkei|Serbiens?|Kroatiens?|Bosniens?|Sloweniens?|Kosovo|Albaniens?|Mazedoniens?"
    r"|Montenegro|Ungarns?|Rumäniens?|Bulgariens?|Griechenlands?|Polens?|Tschechiens?|Slowakei|Ukraine|Russlands?|Syriens?|Afghanistans?|Iraks?|Irans?"
    r"|Marokkos?|Tunesiens?|Ägyptens?|Spaniens?|Portugals?|Niederlande|Belgiens?|Dänemarks?|Schwedens?|Norwegens?|Finnlands?|Großbritanniens?|Englands?"
    r"|USA|Thailands?|Vietnams?|Indiens?|Kenias?|Nigerias?|Somalias?|Eritreas?|Äthiopiens?|Austria|Germany|Liechtensteins?|Luxemburgs?|Jugoslawiens?)\b"
)


class PlaceRecognizer:
    """Finds locations and professions."""

    def analyze(self, text: str, language: str) -> Iterator[Span]:
        for category, score, rule in _RULES:
            for match in rule.finditer(text):
                start, end = match.span("x")
                if category == "LOCATION" and score == 0.2 and not _has_proper_name(match["x"]):
                    continue
                if "y" in rule.groupindex:
                    if is_ordinary(match["y"].split()[0]) or not _is_code(text, match):
                        continue
                    yield Span.of(match, category, 0.1, "y")
                yield Span(start, end, category, score)
        for match in _COUNTRY.finditer(text):
            yield Span.of(match, "LOCATION", 0.0, 0)
        for match in _in_town().finditer(text):
            yield Span.of(match, "LOCATION", 0.1, 0)


def _has_proper_name(hospital: str) -> bool:
    """Whether a word behind the kind of house is neither a specialty nor another noun."""
    return any(word[0].isupper() and not is_ordinary(word) for word in hospital.split()[1:])

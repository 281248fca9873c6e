"""Names of patients, relatives, doctors and others, by what stands around them.

Covered: names behind a salutation, a title, a role or a label; before a date of birth; in the lines of a
signature; a known given name and a word behind it; and every other place of a name that was found.
Not covered: a bare surname that appears nowhere with any of these; nicknames; initials alone.

Tested in tests/corpus/phi/test_rules.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import regex

from bedside_corpus.phi.rules.eponyms import EPONYMS, is_eponym
from bedside_corpus.phi.rules.lexicon import (
    AMBIGUOUS,
    NOT_NAMES,
    given_names,
    is_no_name,
    is_ordinary,
    surnames,
)
from bedside_corpus.phi.spans import Span

WORD = r"\p{Lu}[\p{L}\p{M}'’]{0,40}(?:[-–]\p{Lu}?[\p{L}'’]{1,40}){0,3}"
_INITIAL = r"\p{Lu}\p{Ll}?\."
_PARTICLE = (
    r"(?i:von|van|vom|de|der|den|zu|zur|zum|ter|ten|della|del|di|da|dos|du|des|la|le|el|al|ben|bin)"
)
_UNIT = rf"(?:{_INITIAL}|{_PARTICLE}(?=[ ]\p{{L}})|{WORD})"
NAME = rf"{_UNIT}(?:(?:[^\S\n]{{1,3}}|(?<=\.)|,[ ]){_UNIT}){{0,5}}"

_SALUTATION = (
    r"(?:Herr(?:n|en)?|HERRN?|FRAU|Hr\.?|Hrn\.?|Frau|(?<!\d\s?)Fr\b\.?|Fräulein|Frl\.|Fam(?:ilie|\.)|Eheleute|Ehepaar|Koll\.|Sr\.|i\.\s?A\.|i\.\s?V\.|Monsieur|MONSIEUR|Madame|MADAME"
    r"|Mademoiselle|Mme|MME|Mlle|Mmes|Mr\.?|Mrs\.)"
)
_DEGREE = r"(?:[ ]?(?:med|univ|habil|rer|nat|phil|h\.\s?c|dent|vet|sc|hum|biol|psych|jur|theol|scient|techn)\b\.?)"
TITLE = (
    r"(?:(?:Univ\.?[- ]{0,2}|apl\.\s?|[aA]\.?\s?[oO]\.\s?(?:Univ\.?[- ]{0,2})?|em\.\s?|Hon\.-?|Ass(?:oz|oc|t)?\.?[- ]{0,2}|Assistenz|Gast)?Prof(?:essor(?:in)?\b|\.|\b)|Priv\.?-?\s?Do[zc](?:ent(?:in)?|\.)?|(?:Univ\.?-?\s?)?Doz(?:ent(?:in)?\b|\.)|cand\.\s?med\.|PD\b\.?(?=\s(?:Dr|DR|Prof|Mag|\p{Lu}\p{Ll}+\s\p{Lu}\p{Ll}))|DDr\.|Dres\."
    rf"|DR\b\.?|PROF\b\.?|Dr(?:in)?\b\.?(?:a\b\.?|in\b)?|Dipl\.[- ]?\p{{L}}+\.?|Mag\.(?:a\b)?|Prim(?:ar(?:ius|ia)?\b|\.)|Doktor\b|Docteur\b|Professeur\b|Pr\b\.?){_DEGREE}*"
)
_ROLE = (
    r"(?:L?OA|F?OÄ|FOA|CA|FA|FÄ|AA|AÄ|TA|OT|Ass\.-?|DGKP|DGKS|MTRA|MTA|BMA|PT|ET|Chefarzt|Chefärztin|Oberarzt|Oberärztin|Stationsarzt|Stationsärztin|Assistenzarzt"
    r"|Assistenzärztin|Hausarzt|Hausärztin|Facharzt|Fachärztin|Kolleg(?:e|en|in)|Kollegen|Psycholog(?:e|in)|Schwester|Pfleger|confrère|consœur|Koll\.|Sr\.|i\.\s?A\.|i\.\s?V\.|Ehepaar)(?:\b\.?|(?<=\.))"
)
_CHAIN = rf"(?:{_ROLE}[ \t:]{{1,3}})?(?:{_SALUTATION}(?:/{_SALUTATION})?(?:\s{{1,3}}|(?<=\.))(?:{_ROLE}\s{{1,2}})?(?:{TITLE}[,]?\s{{0,3}}){{0,6}}|(?:{TITLE}\s{{0,3}}){{1,6}})"
_BIRTH = r"(?:\(?\s?(?:\*(?=\s?\d{1,2}[./-]\s?\d|\s?\d{4})|(?i:geb(?:oren(?:e|er)?)?\b\.?|\bnée?\b|date\sde\snaissance|DDN\b)))"

ANCHORED = regex.compile(rf"(?<![\p{{L}}]){_CHAIN}(?P<x>{NAME})")
"""Behind a salutation or a title."""
MONSIEUR = regex.compile(rf"(?<![\p{{L}}.])MM?\.\s(?P<x>{NAME})")
"""The French M. is a man; the German one is Morbus."""
TITLES = regex.compile(
    rf"(?<!\p{{L}})(?P<x>(?:(?:OA|OÄ)\s)?{TITLE}(?:\s?{TITLE}){{0,3}}|(?<=\s)(?:MBA|M\.?Sc|PhD|MD|MPH|LL\.M)\b\.?)"
)
ROLE = regex.compile(
    rf"(?<!\p{{L}})(?:L?OA|F?OÄ|FOA|CA|CÄ|FA|FÄ|AA|AÄ|TA|OT|DGKP|DGKS|MTRA|MTA|BMA|Oberarzt|Oberärztin|Chefarzt|Chefärztin|Stationsarzt|Stationsärztin"
    rf"|gez\.?|z\.\s?Hd\.|Liebe|Lieber|Werter|Kolleg(?:e|en|in)|Assistenzarzt|Assistenzärztin|Turnusarzt|Turnusärztin|Physiotherapeut(?:in)?|Psycholog(?:e|in)|Logopäd(?:e|in)|Sozialarbeiter(?:in)?)[ \t:]{{1,3}}(?P<x>{NAME})"
)
"""Behind a role alone."""
HEADER = regex.compile(
    rf"(?m)^[ \t]*(?P<x>{NAME}),?[ \t]{{0,4}}\(?(?=\d{{1,2}}\.\s?\d{{1,2}}\.\s?\d{{2,4}}\b)"
)
"""A line that begins with a name and a date."""
COORDINATED = regex.compile(
    rf"(?<!\p{{L}})(?:Dres\.|Herren|Drs?\.?|Professoren)(?:{_DEGREE})*\s{{1,3}}{WORD}(?:,\s{WORD}){{0,4}}\s?(?:und|u\.|/|&|et|,)\s?(?P<x>{WORD})"
    rf"|(?<!\p{{L}})(?:{TITLE})\s{{1,2}}(?:{_INITIAL}\s?)?{WORD}\s?/\s?(?P<x>(?:{_INITIAL}\s?)?{WORD})"
)
BORN = regex.compile(
    rf"(?<![\p{{L}}-])(?P<x>{NAME}),?\s{{0,3}}(?={_BIRTH}[:,]?\s{{0,3}}(?:am|le|:)?\s?\d)"
)
"""Before a date of birth."""
BIRTH_NAME = regex.compile(rf"(?<=[,(]\s?|{WORD}\s)(?i:geb\.|geborene|née)\s(?P<x>{WORD})(?!\s?\d)")
LABELLED = regex.compile(
    rf"(?i:(?<!\p{{L}})(?:Pat(?:ient(?:in)?)?|Name(?:\sdes\sPatienten)?|Vorname|Nachname|Familienname|Zuname|Versicherter?|Angehörige[r]?|Ansprechpartner(?:in)?"
    rf"|Hausarzt|Hausärztin|Zuweiser(?:in)?|Überweiser|Einweiser|Operateur(?:in)?|Operateure|\d\.\s?Assistenz|Assistenz|Assistent(?:in)?|Anästhesist(?:in)?|Anästhesie"
    rf"|Untersucher(?:in)?|Befunder(?:in)?|Orthoptistin|Betreuer(?:in)?|Vormund|Instrumentierende|Arzt|Ärztin|gez|Dienstarzt|Visum|Unterzeichner|Unterschrift|Oberarzt|Oberärztin"
    rf"|Nom(?:\sde\snaissance|\sd['’]usage)?|Prénom|Patiente?|Médecin(?:\straitant)?|Chirurgien|Anesthésiste|Opérateur|Signé)"
    rf"\.?(?:\s?/\s?in)?\s?:\s{{0,8}})(?:{_CHAIN}\s?)?(?P<x>{NAME})"
)
PATIENT = regex.compile(
    rf"(?<!\p{{L}})(?i:Patient(?:in|en|e)?|Pat\.|Sohn(?:es)?|Tochter|Ehemann(?:es)?|Ehefrau|Gatte|Gattin|Mutter|Vater|Bruder|Schwester|Lebensgefährtin?|Betreuerin?"
    rf"|Kolleg(?:e|en|in)|Hausarzt(?:es)?|Hausärztin|fils|fille|épouse|mari|époux)[ \t]{{0,2}},?\s{{1,3}}(?:{TITLE}\s?)?(?P<x>{NAME})"
)
REVERSED = regex.compile(
    rf"(?<![\p{{L}}.-])(?P<x>(?P<last>{WORD})[ ]?,[ ]?(?P<first>{WORD})(?:[ ]{WORD})?)"
)
PAIR = regex.compile(
    rf"(?<![\p{{L}}-])(?P<x>(?P<first>{WORD})[ ](?:(?:{_INITIAL}|{WORD}|{_PARTICLE})[ ]){{0,2}}?(?P<last>{WORD}))"
)
TITLE_LAST = regex.compile(
    rf"(?<!\p{{L}})(?P<x>{WORD}(?:[ ](?:{WORD}|{_INITIAL}))),?[ ](?=(?:Dr\b|MBA\b|M\.?Sc\b|Prof\b|PhD\b|MD\b))"
)
CLOSING = regex.compile(
    r"(?im)^.{0,40}(?:Mit\s(?:\p{L}+[ ,]+(?:und\s)?){1,3}Gr(?:ü|ue)(?:ß|ss)|Hochachtungsvoll|Freundliche\sGrüße|Beste\sGrüße|MfG|Cordialement|Bien\scordialement|confraternel|Salutations|sentiments).*$"
)
ROLE_LINE = regex.compile(
    r"(?im)^(?P<x>[^\n]{3,90})\n[ \t]*(?:(?:Leitender?|Stellv\.|Geschäftsf\.)\s)?(?:\p{L}*(?:arzt|ärztin)|Ober-?\s?und|Klinikdirektor|Direktor|Ärztlicher|Psycholog|Dipl\.|Chef\sde|Praticien|Interne|Médecin)"
)
_SIGNATURE_CHARS = 400
_UNITS = regex.compile(rf"(?<![\p{{L}}-]){_UNIT}(?:[ ]{_UNIT}){{1,3}}(?![\p{{L}}])")
_ARTICLE = r"(?:der|die|das|den|dem|des|im|am|ins|beim|vom|zum|zur|eine?[rmns]?|keine?[rmns]?|linke[rnms]?|rechte[rnms]?|li\.|re\.|le|la|les|du|un|une)"

_EDGE_LINES = 10
_CELL = regex.compile(
    rf"(?<![^\n\t(]|(?<=\S)\s)(?P<x>{_UNIT}(?:[ ]{_UNIT}){{1,3}})(?=[ \t]*(?:$|\n|\t|[ ]{{2}}|[,;)]))"
)
PERSON, STAFF, WEAK = 1.0, 0.4, 0.1
"""What a name weighs: of a patient or relative, of one who has a title or signs, of who may be none."""


class NameRecognizer:
    """Finds names; the anchors of both languages at once, as letters cross the border."""

    def analyze(self, text: str, language: str) -> Iterator[Span]:
        """Strong places first, then every other place of the words found there."""
        found = list(_strong(text))
        if language != "de":
            for match in MONSIEUR.finditer(text):
                found += _cut(match, PERSON)
        yield from found
        yield from (Span.of(m, "TITLE", 0.0) for m in TITLES.finditer(text))
        yield from _elsewhere(text, found)


def _strong(text: str) -> Iterator[Span]:
    for match in ANCHORED.finditer(text):
        person = regex.match(_SALUTATION, match[0]) and not regex.search(TITLE, match[0])
        yield from _cut(match, PERSON if person else STAFF, initial=bool(person))
    for rule, score in (
        (COORDINATED, STAFF),
        (BORN, PERSON),
        (BIRTH_NAME, PERSON),
        (LABELLED, PERSON),
    ):
        for match in rule.finditer(text):
            word = regex.search(WORD, match["x"])  # none in initials alone
            if word is None or not is_ordinary(word[0]):
                yield from _cut(match, score)
    for match in ROLE.finditer(text):
        if not is_ordinary(match["x"].split()[0].rstrip(".,")):
            yield from _cut(match, STAFF)
    for match in HEADER.finditer(text):
        words = [w.rstrip(".,") for w in match["x"].split() if w[0].isupper()]
        if len(words) > 1 and not any(map(is_ordinary, words)):
            yield Span.of(match, "NAME", PERSON)
    for match in TITLE_LAST.finditer(text):
        if not any(w.rstrip(".").casefold() in NOT_NAMES for w in match["x"].split()):
            yield Span.of(match, "NAME", STAFF)
    for match in PATIENT.finditer(text):
        words = [w for w in match["x"].split() if w[0].isupper()]
        if words and _begins_a_name(words):
            yield from _cut(match, PERSON)
    yield from _pairs(text)
    yield from _signed(text)
    yield from _alone(text)


def _pairs(text: str) -> Iterator[Span]:
    """A known given name beside a word that may be a surname."""
    for match in REVERSED.finditer(text):
        if _is_given(match["first"]) and not is_ordinary(match["last"]):
            alone = text[max(0, match.start() - 9) : match.start()].rstrip(" \t")[-1:] in (
                "",
                "\n",
                ":",
            )
            yield Span.of(match, "NAME", PERSON if alone else STAFF)
    at = 0
    while match := PAIR.search(text, at):
        at = match.end("first")
        if _is_given(match["first"]) and not is_ordinary(match["last"]):
            if not all(word.casefold() in EPONYMS for word in match["x"].split()):
                yield Span.of(match, "NAME", STAFF)
            at = match.end()


def _signed(text: str) -> Iterator[Span]:
    for closing in CLOSING.finditer(text):
        yield from _lines(text, closing.end(), min(len(text), closing.end() + _SIGNATURE_CHARS))
    for match in ROLE_LINE.finditer(text):
        yield from _lines(text, *match.span("x"))


def _alone(text: str) -> Iterator[Span]:
    """Cells of the first and last lines that hold nothing but two to four words that may be a name."""
    lines = [m.span() for m in regex.finditer(r"[^\n]+", text)]
    for start, end in {*lines[:_EDGE_LINES], *lines[-_EDGE_LINES:]}:
        for match in _CELL.finditer(text, start, end):
            words = [w.rstrip(".,") for w in match["x"].split() if w[0].isupper()]
            if len(words) > 1 and not any(map(is_ordinary, words)) and any(map(_may_be, words)):
                yield Span.of(match, "NAME", WEAK)


def _lines(text: str, start: int, end: int) -> Iterator[Span]:
    for match in _UNITS.finditer(text, start, end):
        words = [w for w in match[0].split() if w[0].isupper()]
        if len(words) > 1 and not any(is_ordinary(w.rstrip(".")) for w in words):
            yield Span.of(match, "NAME", STAFF, 0)


def _cut(match: regex.Match[str], score: float, *, initial: bool = False) -> Iterator[Span]:
    """The part before the first word that is no name; particles alone are none, one initial may be."""
    text, (start, end) = match.string, match.span("x")
    stop = start
    full = False
    for unit in regex.finditer(_UNIT, text, pos=start, endpos=end):
        word = unit[0]
        if regex.fullmatch(_PARTICLE, word):
            continue
        ordinary = is_ordinary if full else is_no_name
        if ordinary(word.rstrip(".")) or (full and word.isupper() and 1 < len(word) < 4):
            break
        stop = unit.end()
        full = full or len(word.rstrip(".")) > 1
    if full or (stop > start and (initial or text[start:stop].count(".") > 1)):
        yield Span(start, stop, "NAME", score)


def _begins_a_name(words: list[str]) -> bool:
    """Behind "Patient" most capitalised words are none."""
    first = words[0].rstrip(".,")
    known = _is_given(first) or first.casefold() in surnames() or words[0] != first
    two = len(words) > 1 and not any(is_ordinary(w.rstrip(".,")) for w in words[:2])
    return known or two


def _may_be(word: str) -> bool:
    """An initial, or a name of the lists, even one that is also a word."""
    lower = word.casefold()
    return (len(word) == 1 and word != "A") or lower in surnames() or lower in given_names()


def _is_given(word: str) -> bool:
    lower = word.casefold()
    known = given_names()
    return lower not in AMBIGUOUS and (lower in known or lower.split("-")[0] in known)


def _elsewhere(text: str, found: Iterable[Span]) -> Iterator[Span]:
    """Other places of the words of names, unless the word is an ordinary one in this document."""
    scores: dict[str, float] = {}
    for span in (span for span in found if span.score > WEAK):
        for word in regex.findall(rf"(?<!\p{{L}}){WORD}", text[span.start : span.end]):
            ordinary = is_no_name if span.score == PERSON else is_ordinary
            if len(word) > 2 and not ordinary(word):
                scores[word.casefold()] = max(span.score, scores.get(word.casefold(), 0.0))
    if not scores:
        return
    article = regex.compile(rf"(?i:\b{_ARTICLE})\s(?P<x>{WORD})")
    things = {m["x"].casefold() for m in article.finditer(text)}
    for match in regex.finditer(rf"(?<![\p{{L}}]){WORD}", text):
        # Cut before the case is folded: ß becomes two letters.
        name = match[0]
        if name.casefold() not in scores and name[-1] in "sS'’":
            name = name.rstrip("'’")
            name = name[:-1] if name[-1:] in ("s", "S") else name
            name = name.rstrip("'’")
        word = name.casefold()
        if (
            word in scores
            and word not in things
            and not is_eponym(text, *match.span(), listed=False)
        ):
            yield Span(match.start(), match.start() + len(name), "NAME", scores[word])

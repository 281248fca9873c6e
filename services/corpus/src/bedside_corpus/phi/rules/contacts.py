"""Telephone numbers, addresses of the net, and numbers that name one patient, case or sample.

Covered: numbers with a label (Tel., Fallnummer, IPP ...), international and national telephone numbers,
e-mail and web addresses, IBAN, insurance numbers of Germany, Switzerland and France, wards with
a number, journal numbers of pathology (1234/20), and digits of at least eight in a row.
Not covered: a number without label and of fewer digits; laboratory values look the same.

Tested in tests/corpus/phi/test_rules.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import regex

from bedside_corpus.phi.spans import Span

_NUMBER = r"(?:\+|00|\(0|\(\+|0)?[\d(][\d\s()/.–-]{3,22}\d"
_PHONE_LABEL = (
    r"(?i:\b(?:Tele(?:fon|phon|fax)?(?:nummer|nr\.?)?|Tel|Fax(?:nr|nummer)?|Mobil(?:telefon|nummer)?|Handy(?:nr|nummer)?"
    r"|Durchwahl|DW|Ruf(?:nummer|nr)?|Hotline|Funk|Pager|Pieper|Piepser|Klappe|Kl|Nst|Nebenstelle|Notfallnummer"
    r"|téléphone|tél|portable|mobile|télécopie|poste|secrétariat))\b[.:-]*\s?(?:Nr\.?|Nummer|n°)?\s?[:.]?\s?"
)
_LABEL = (
    r"(?i:\b(?:(?:Fall|Aufnahme|Patienten|Pat|Fälle|Kranken|Versicherten|Versicherungs|Sozialversicherungs|Mitglieds"
    r"|Kassen|Befund|Histologie|Histo|Auftrags?|Labor|Akten|Proben?|Präparate?|Eingangs|Einsende|Einsendungs|Journal"
    r"|Bett|Zimmer|Implantat|Serien|Chargen?|Ausweis|Personal|Konto|Rechnungs|Untersuchungs|Identifikations|Referenz"
    r"|Blutkonserven|Konserven|Studien|Arzt|Betriebsstätten|Geräte|Vorgangs|Register|Pass|OP|E|H|HN|N|B|PID|P|M)"
    r"[- ]?\.?\s?(?:Nr|Nummer|No|Zahl|Zeichen|Kennung|ID|Code)\b"
    r"|HNr|PatNr|FallNr|PID|ID|IPP|NDA|NIP|IEP|NIR|SVNR|SVN|VSNR|AHV|KVNR|LANR|BSNR|IK|Az|Aktenzeichen|GZ|Fall|Kennziffer"
    r"|Geschäftszahl|Nummer|Nr|LOT|REF|Ref"
    r"|n°\s?(?:de\s)?(?:dossier|séjour|patient|sécurité\ssociale|venue|sécu|prélèvement|RPPS|ADELI|lot)|RPPS|ADELI|FINESS"
    r"|numéro\s(?:de\s)?(?:dossier|séjour|patient|sécurité\ssociale|prélèvement)))"
    r"(?!\p{L})\.?\s?[:.#]*\s{0,3}"
)

_RULES: tuple[tuple[str, float, regex.Pattern[str]], ...] = tuple(
    (category, score, regex.compile(pattern))
    for category, score, pattern in (
        (
            "CONTACT",
            1.0,
            r"(?<![\w.+-])(?P<x>[\w.+-]{1,64}\s?(?:@|\(at\)|\[at\])\s?(?:[\w-]{1,63}\.){1,4}\p{L}{2,10})\b",
        ),
        ("CONTACT", 0.4, r"(?P<x>\b(?:https?://|www\.)[^\s<>\"'()]{3,200})"),
        (
            "CONTACT",
            0.4,
            r"(?<![\w.-])(?P<x>(?:[\p{Ll}\d-]{2,40}\.){1,3}(?:de|at|ch|fr|com|org|net|eu|info))\b(?!\.\p{L})",
        ),
        ("CONTACT", 0.9, _PHONE_LABEL + rf"(?P<x>{_NUMBER}|-?\s?\d{{2,5}})(?!\d)"),
        (
            "CONTACT",
            0.9,
            r"(?<![\d\p{L}/.,-])(?P<x>(?:\+|00)[1-9]\d{0,2}[\s(/-]{0,2}\d[\d\s()/-]{5,16}\d)(?!\d)",
        ),
        (
            "CONTACT",
            0.9,
            r"(?<![\d\p{L}.,/-])(?P<x>\(?0[1-9]\d{1,4}\)?\s?[/ –-]\s?\d{2,}(?:[\s/–-]{1,2}\d{1,}){0,4})(?![\d.,]\d|\s?(?:mg|ml))",
        ),
        ("CONTACT", 0.9, r"(?<![\d\p{L}.,/-])(?P<x>0[1-9](?:[\s.]?\d\d){4})(?!\d)"),
        (
            "CONTACT",
            0.9,
            r"(?<![\d\p{L}.,/-])(?P<x>\(?0\d{1,4}\)?\s?/\s?(?:\d[ -]?){5,12}\d?)(?![\d.,/])",
        ),
        (
            "CONTACT",
            0.9,
            r"(?<![\d\p{L}.,/-])(?P<x>0[1-9]\d{1,4}\.\d{2,4}\.\d{2,8}(?:\.\d+)*)(?!\d)",
        ),
        ("CONTACT", 0.9, r"\b[TF]:\s?(?P<x>[+(]?\d[\d\s()/.–-]{5,20}\d)"),
        (
            "CONTACT",
            0.9,
            r"(?<=\d[\d-]{2,9}\s?(?:,|oder|od\.|bzw\.|und|u\.|/|;)\s?)(?P<x>(?:DW\s?|-\s?)\d{2,6})(?!\d)",
        ),
        (
            "ID",
            0.8,
            r"(?<![\w.,/+-])(?P<x>(?:E|H|P|B|N|S|HE|IX)[ -]\d{2,6}[-/](?:19|20)?\d\d)(?!\d)",
        ),
        (
            "ID",
            1.0,
            r"(?<![\w.,/+-])(?P<x>\d{4}[ /-]?(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])\d\d)(?![\w/]|[.,]\d)",
        ),
        (
            "ID",
            0.3,
            r"\b[sS]tation(?:en)?\s(?P<x>[A-Z]\b|[IVX]{1,4}\b|\d{1,2}\s?[A-Z]\b|\d{1,2}\.\d)(?![.,/]\d)",
        ),
        (
            "ID",
            0.8,
            r"(?i:\b(?:SN|S/N|Ser|Zl|PZN)\b\.?\s?[:#]?\s?(?:Nr\.?\s?)?)(?P<x>(?=[\w./-]*\d{3})[\w./-]{4,25})",
        ),
        (
            "ID",
            1.0,
            r"(?<!\w)(?P<x>(?:DE|AT|CH|FR|LI|LU)\d\d(?:\s?[\dA-Z]{4}){3,6}(?:\s?[\dA-Z]{1,3})?)\b",
        ),
        ("ID", 1.0, r"(?<!\w)(?P<x>756[. ]?\d{4}[. ]?\d{4}[. ]?\d\d)(?!\d)"),
        (
            "ID",
            1.0,
            r"(?<!\w)(?P<x>[12]\s?\d\d\s?(?:0[1-9]|1[0-2]|[2-9]\d)\s?(?:\d\d|2[AB])\s?\d{3}\s?\d{3}(?:\s?\d\d)?)(?!\d)",
        ),
        ("ID", 1.0, r"(?<!\w)(?P<x>[A-Z]\d{9})(?!\w)"),
        (
            "ID",
            0.8,
            r"(?<!\p{L})(?!(?i:INR)|Haus|Telefon|Fax|Mobil|Ruf|Tel)(?i:[\p{L}./-]{1,25}(?:nr|nummer|[- .]id))\b\.?\s?:?[ \t]{0,3}#?\s?(?P<x>(?=(?:[\w./-]*\d){3})[\w]+(?:[./-][\w]+){0,4}(?:\s\d{3,}){0,3})",
        ),
        ("ID", 0.8, r"(?<!\w)#\s?(?P<x>\d{3,12})\b"),
        ("ID", 0.8, r"(?<![\w.,/+-])(?P<x>[A-Z]{1,2}-?\d{5,12})(?!\w)"),
        ("ID", 0.8, r"(?<![\w.,/+-])(?P<x>\d{5,8}-(?:19|20)?\d\d)(?![\w/-]|[.,]\d)"),
        (
            "ID",
            0.8,
            _LABEL + r"(?P<x>(?=[\w./-]*\d)[\p{L}\d][\w]*(?:[./-][\w]+){0,4}(?:\s\d{3,}){0,3})",
        ),
        (
            "ID",
            0.3,
            r"\b(?:Station|Stat\.|Ambulanz|Abteilung|Abt\.|Bettenstation|Pflegestation|Tagesklinik|Zimmer|Intensivstation|Poliklinik"
            r"|\p{L}{2,}(?:logie|kologie|urgie|iatrie|medizin|ambulanz|station)|service|unité|chambre|lit)\s(?:Nr\.\s)?(?P<x>(?:[A-Z]{1,4}[- ]?)?\d{1,4}[A-Za-z]?)\b(?![.,/:%]\d|\s?(?:mg|ml|cm|mm|Tage|Wochen|Stunden|Jahre|Monate|h\b|ans|jours|x\b|mal\b|bis|Uhr))",
        ),
        (
            "ID",
            0.3,
            r"\b(?:\p{L}*[sS]tation(?:en)?|Stat\.|\p{L}*[aA]mbulanz|\p{L}*[aA]bteilung|\p{L}*[kK]linik|Ebene|Haus|Gebäude|Bereich|Team):?\s(?P<x>[A-Z]{1,3}[- ]?\d{1,4}(?:\.\d)?[A-Za-z]?)\b",
        ),
        (
            "ID",
            0.8,
            r"(?<![\w.,/+-])(?P<x>(?!(?:19|20)\d\d/)[A-Z]{0,3}[- ]?\d{4,7}[a-z]?/(?:19|20)?\d\d)(?![\d/.,-]|\s?mm|\s?(?:µl|ul|Min))",
        ),
        ("ID", 0.8, r"(?<![\w.,/+-])(?P<x>(?:19|20)\d\d-(?!(?:19|20)\d\d\b)\d{4,8})(?!\w)"),
        ("ID", 0.8, r"(?<![\w.,/+-])(?P<x>\d{7,20})(?![\w]|[.,]\d|\s?(?:/|mg|µl|ml))"),
        ("ID", 0.8, r"(?<![\w.,/+-])(?P<x>[A-Z]{1,4}[-.]?\d{2,4}[-./]\d{3,10})(?!\w)"),
        (
            "ID",
            0.8,
            r"(?<![\w.,/+-])(?P<x>(?=[A-Z\d-]{8,20}\b)(?:[A-Z]+\d{4,}|\d{3,}[A-Z]+\d{2,})[A-Z\d-]*)(?!\w)",
        ),
        (
            "NAME",
            0.4,
            r"(?i:\b(?:Diktat(?:zeichen)?|Dikt|Schreibzeichen|Schreibkraft|Kürzel|Benutzer(?:name)?|User(?:name)?|Login|erstellt\svon|freigegeben\svon"
            r"|Visum|geschrieben\svon|gez)\b\.?\s?[:/]\s?)(?P<x>[\p{L}\d_.]{2,20}(?:/[\p{L}\d_.]{1,10})?)",
        ),
    )
)


class NumberRecognizer:
    """Finds contacts and identifiers, and every other place of an identifier that was found."""

    def analyze(self, text: str, language: str) -> Iterator[Span]:
        known: dict[str, float] = {}
        for category, score, rule in _RULES:
            for match in rule.finditer(text):
                yield Span.of(match, category, score)
                if category == "ID" and len(match["x"]) > 2:
                    known[match["x"]] = score
        for match in _CODE.finditer(text):
            if match[0] in known:
                yield Span.of(match, "ID", known[match[0]], 0)


_CODE = regex.compile(r"(?<![\w/.-])[\w/-]{3,30}(?![\w/])")
"""What may stand for itself where it stands again."""

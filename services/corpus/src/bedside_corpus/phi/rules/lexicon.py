"""Given names, surnames, towns, and the capitalised words that are none of them.

The lists of names and towns are Faker's (MIT licence, data that ships in its package): German,
Austrian, Swiss, French, and those of the languages most spoken by patients there. German writes all
nouns with a capital letter, so a list of names alone finds organs (Iris, Leber); what is also an
ordinary word counts as a name only behind a salutation or a title.

Tested in tests/corpus/phi/test_rules.py.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from bedside_corpus.medical_filter import is_medical

_LOCALES = (
    "de_DE de_AT de_CH fr_FR fr_CH fr_BE tr_TR pl_PL hr_HR it_IT es_ES hu_HU cs_CZ ro_RO sl_SI sk_SK nl_NL "
    "pt_PT da_DK sv_SE"
)
_AMBIGUOUS = """
    alba alma alp ambra angel april art august bernstein bon carina cella constance cor coral delta eden elle esprit
    espérance fee fleur flora fort france gala gamma gloria grace grün heide heil held heller herz hilde honoré hope insel
    iris jade joy juli june juni karma klinge laser leo liv lore luna lux mai major mali mark mars martial marine max may
    mea mega mio nova oliv olive pal palma paris pia pol prima prudence ramus raphe regina rex rica rosa rose salbe salz sen
    sofa sol star stella union ursa vera violet violette vita will wolf zoe china cerise blanc blanche brun aimé désirée
"""
AMBIGUOUS = frozenset(_AMBIGUOUS.split())
"""Given names that are also words of these languages or of anatomy, in lower case."""

_NOT_NAMES = """
    patient patientin patienten patientinnen pat kollege kollegin kollegen kolleginnen damen herren herr herrn frau
    doktor professor oberarzt oberärztin stationsarzt stationsärztin chefarzt chefärztin assistenzarzt assistenzärztin
    facharzt fachärztin arzt ärztin hausarzt hausärztin leitender leitende leiter leiterin direktor direktorin vorstand
    klinikdirektor klinikvorstand sekretariat abteilung station ambulanz klinik klinikum krankenhaus institut praxis
    zentrum universität universitätsklinik universitätsklinikum ambulant stationär turnusarzt turnusärztin
    psychologe psychologin pflege schwester pfleger therapeut therapeutin diplom sehr geehrte geehrter liebe lieber
    werte werter der die das den dem des ein eine einer einem einen eines und oder mit ohne bei beim am im in an auf aus
    nach von vom zu zum zur für über unter durch gegen seit bis ab um wegen während wir sie er es ich uns ihr ihre ihrer
    ihren ihrem sein seine sich wird wurde wurden ist war waren hat hatte als wie auch nur noch nicht kein keine aktuell
    aktuelle aktueller bitte danke dank beste besten freundliche freundlichen kollegialen grüße grüßen gruß
    hochachtungsvoll anlage anlagen kopie verteiler nachrichtlich tel telefon fax mail datum seite diagnose diagnosen
    anamnese befund befunde therapie verlauf epikrise labor status procedere empfehlung medikation aufnahme entlassung
    zusammenfassung beurteilung untersuchung operation eingriff medikament allergien arztbrief entlassungsbericht
    entlassungsbrief bericht brief sprechstunde termin termine kontrolle wiedervorstellung hauptdiagnose nebendiagnosen
    januar februar märz april mai juni juli august september oktober november dezember montag dienstag mittwoch
    donnerstag freitag samstag sonntag jahr jahre monat monate woche wochen tag tage uhr herz lunge niere mutter vater
    sohn tochter bruder schwester ehemann ehefrau eltern kind kinder großmutter großvater oma opa tante onkel familie
    rückfragen verfügung weiterbehandlung weiterbetreuung vertretung auftrag elektronisch freigegeben unterschrift
    oa oä ca fa fä aa aä pd dr prof med univ priv doz dipl mag mba msc phd tel ct mrt ekg mfg
    monsieur madame mademoiselle docteur professeur patiente service chef clinique hôpital centre interne externe
    praticien hospitalier cher chère confrère consœur le la les un une des du de et ou avec sans pour par sur dans il elle
    nous vous je ce cette cordialement salutations confraternellement sincères meilleures motif antécédents histoire
    examen conclusion traitement compte rendu lettre hospitalisation consultation mère père fils fille frère sœur
    épouse époux mari femme janvier février mars avril juin juillet août septembre octobre décembre
    syndrom krankheit zeichen test score klassifikation kriterien stadium grad typ schema protokoll syndrome maladie signe
    gynäkologie chirurgie kardiologie neurologie onkologie urologie pädiatrie innere medizin dermatologie
    bundesland stadt landkreis gemeinde land staat republik europa deutschland österreich schweiz france suisse
    wissenschaft gesellschaft universitäts technische hochschule ministerium bundesrat regierung partei polizei
    befundung vorstellung unterbringung psychiatrische orthopädie anästhesie radiologie tumorboard
"""
NOT_NAMES = frozenset(_NOT_NAMES.split())
"""Words with a capital letter that stand where a name may stand, in lower case."""

_TOWNS = """
    Aachen Augsburg Bamberg Basel Bayreuth Belgrad Berlin Bern Bielefeld Bochum Bonn Bordeaux Bottrop Braunschweig Bregenz Bremen
    Bremerhaven Brest Brüssel Budapest Bukarest Chemnitz Cottbus Darmstadt Dijon Dortmund Dresden Duisburg Düsseldorf Eisenach
    Erfurt Erlangen Flensburg Frankfurt Freiburg Fulda Fürth Genf Gera Gießen Graz Göppingen Görlitz Göttingen Grenoble Greifswald
    Halle Hamburg Hamm Hannover Heidelberg Heilbronn Herne Hildesheim Homburg Ingolstadt Innsbruck Istanbul Jena Kaiserslautern
    Karlsruhe Kassel Kempten Kiel Klagenfurt Koblenz Konstanz Krefeld Köln Landshut Lausanne Leipzig Leoben Leverkusen Lille Linz
    London Lübeck Ludwigsburg Ludwigshafen Luzern Lyon Magdeburg Mailand Mainz Mannheim Marburg Marseille Metz Minden Montpellier
    Moskau München Münster Nancy Nantes Neubrandenburg Neuss Nizza Nürnberg Oberhausen Offenbach Oldenburg Osnabrück Paderborn
    Paris Passau Pforzheim Pirna Plauen Potsdam Prag Recklinghausen Regensburg Remscheid Rennes Reutlingen Rom Rosenheim Rostock
    Rouen Saarbrücken Salzburg Schwerin Solingen Sofia Stralsund Straßburg Stuttgart Suhl Toulouse Trier Tübingen Ulm Villach
    Warschau Weimar Wels Wien Wiesbaden Winterthur Wismar Witten Wolfsburg Wuppertal Würzburg Zagreb Zürich Zwickau Tours
    Steiermark Kärnten Tirol Bayern Sachsen Thüringen Hessen Saarland Brandenburg Serbien Kroatien Türkei Syrien Polen Ukraine
"""
"""Large towns that Faker's lists leave out."""

_NOUN_ENDINGS = (
    "ung", "ungen", "heit", "keit", "schaft", "tion", "tionen", "itis", "ose", "osen", "ismus", "ität", "logie", "skopie",
    "graphie", "grafie", "metrie", "tomie", "therapie", "gramm", "ologe", "ologin", "iker", "kasse", "klinik", "ärztin",
    "tumor", "schmerz", "schmerzen", "befund", "bericht", "phase", "syndrom", "krankheit", "score", "woche", "anstalt",
    "behandlung", "aufnahme", "abteilung", "versicherung", "verein", "straße", "strasse", "ische", "ischer", "isches",
    "liche", "licher", "liches", "ischen", "lichen",
)  # fmt: skip


def _of(kind: str, *names: str) -> frozenset[str]:
    found: set[str] = set()
    for locale in _LOCALES.split():
        provider = import_module(f"faker.providers.{kind}.{locale}").Provider
        for name in names:
            found.update(str(word).casefold() for word in getattr(provider, name, None) or ())
    return frozenset(found)


@cache
def given_names() -> frozenset[str]:
    """In lower case, without those that are also words."""
    names = _of("person", "first_names", "first_names_male", "first_names_female")
    parts = {part for name in names for part in name.split("-")}
    return frozenset(n for n in names | parts if len(n) > 2) - AMBIGUOUS - NOT_NAMES


@cache
def surnames() -> frozenset[str]:
    """In lower case; many are also words."""
    return _of("person", "last_names", "last_names_male", "last_names_female") - NOT_NAMES


@cache
def towns() -> frozenset[str]:
    """Towns and countries as they are written in German."""
    found = set(_TOWNS.split())
    for locale in ("de_DE", "de_AT", "de_CH"):
        provider = import_module(f"faker.providers.address.{locale}").Provider
        found.update(str(name) for name in getattr(provider, "cities", ()))
        found.update(str(name) for name in getattr(provider, "countries", ()))
    return frozenset(found)


_SURNAMES_TOO = frozenset(
    [
        "januar",
        "februar",
        "märz",
        "april",
        "mai",
        "juni",
        "juli",
        "august",
        "september",
        "oktober",
        "november",
        "dezember",
        "montag",
        "freitag",
        "samstag",
        "sonntag",
        "herz",
        "lieber",
        "liebe",
        "werte",
        "stadt",
        "lang",
        "kurz",
        "kind",
        "sohn",
        "vater",
        "schwester",
        "bruder",
        "zentrum",
        "ernst",
        "tag",
        "uhr",
        "typ",
    ]
)


def is_no_name(word: str) -> bool:
    """Whether no name is this word, even behind a salutation: a role, the beginning of a sentence."""
    lower = word.casefold()
    return lower in NOT_NAMES and lower not in _SURNAMES_TOO


def is_ordinary(word: str) -> bool:
    """Whether a capitalised word is rather a noun, a role or a term of medicine than a name."""
    lower = word.casefold()
    if lower in NOT_NAMES:
        return True
    if lower in surnames() or lower in given_names():
        return False
    return lower.endswith(_NOUN_ENDINGS) or is_medical(lower)

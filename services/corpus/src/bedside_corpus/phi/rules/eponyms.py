"""Where a person's name stands for a disease, a sign, a method or a product, and names nobody.

A name is one of these by its place ("Morbus Crohn", "Sudeck-Syndrom", "signe de Babinski") or because
the word is on the list. Behind a salutation or before a date of birth it is a person all the same:
"Frau Parkinson". Drugs carry no list: no rule here finds a bare word.

Tested in tests/corpus/phi/test_rules.py.
"""

from __future__ import annotations

import regex

EPONYMS = frozenset(
    """
    addison alport alzheimer apgar asperger babinski baker bankart barré barrett bartholin barthel basedow bechterew behçet
    bell billroth binswanger bobath böhler borrelia boyd broca brown bruns budd burkitt bülau chagas charcot cheyne child
    chopart chvostek colles conn cooper cortison coxsackie creutzfeldt crohn cullen cushing dandy dercum down dressler
    dubin duchenne dukes dupuytren durand ebstein edwards eisenmenger epstein erb ewing fabry fallot fanconi foley forrester
    fowler frank freiberg gaucher gilbert giemsa glasgow gleason goodpasture gram graves grocott guillain hashimoto heberden
    heimlich henoch hirschsprung hodgkin holter horner hounsfield huntington jakob jackson jones kaposi kaplan kawasaki
    kehr kernig killip kirschner klinefelter kocher koch korsakow krukenberg köhler langerhans langhans laennec lasègue lauge
    lennert leriche lewy libman löffler lown lugol lyell lyme mallory marfan mcburney meckel meigs meniere menière mendel
    meulengracht moro moschcowitz murphy neer osler osgood ortner osgood paget papanicolaou parkinson payr perthes peutz
    peyer peyronie pfannenstiel pick pierre prinzmetal purkinje quervain quincke raynaud recklinghausen reiter reiter rett
    reye ringer rinne romberg rorschach rosai roux röntgen salter sapporo schilling schober schlatter scheuermann schönlein
    seldinger sjögren starling stevens still sturge sudeck swan takayasu tawara tietze tinel tourette trendelenburg trousseau
    turner valsalva virchow waldenström weber wegener weil wernicke whipple widal willebrand wilms wilson wolff wright
    zenker ziehl zollinger ellison neelsen johnson chiari arnold becker guérin calmette doppler fogarty galeazzi ganz
    hartmann hering hertz hegar kupffer leydig mantoux martin mayo miller nissen norton bauhin ranvier roemheld sertoli
    tiffeneau treitz vater oddi willis winiwarter buerger bürger charlson karnofsky ann arbor tanner barlow
    """.split()  # noqa: SIM905 - one word a place reads better than quotes
)
"""In lower case: a bare word of these is no patient, unless the document says that it is."""

_BEFORE = regex.compile(
    r"(?:\b(?:M\.|Mb\.|Morbus|Typ|Zeichen\s(?:nach|von)|Score\snach|nach|n\.|modifiziert\snach|maladie\sde|syndrome\sde|signe\sde"
    r"|chorée\sde|score\sde|test\sde|classification\sde|facteur|manœuvre\sde|fracture\sde|de)\s?|\p{L}[-–])$"
)
_AFTER = regex.compile(
    r"(?:[-–]|s?\s)(?:\p{L}+[-–])?(?i:Syndrom|Krankheit|Zeichen|Test|Score|Index|Klassifikation|Kriterien|Stadium|Lösung|Färbung"
    r"|Manöver|Fraktur|Lymphom|Sarkom|Tumor|Knoten|Operation|OP\b|Schnitt|Katheter|Draht|Drähte|Drainage|Ulkus|Ösophagus|Zyste|Anämie"
    r"|Probe|Kontrakt|Thyreoiditis|Arteriitis|Struma|Erkrankung|Demenz|Chorea|Heberden|Lagerung|Protokoll|Skala|Tetralogie"
    r"|Patient|Medikation|Schub|Block|Palsy|Parese|Phänomen|Anomalie|Trias|Faktor|Laktat|Acetat|-Nagel|Diagnostik|Aufnahme|Bild)"
)


def is_eponym(text: str, start: int, end: int, *, listed: bool = True) -> bool:
    """Whether the name at this place stands for a thing of medicine.

    Args:
        text: of the document.
        start: where the name begins.
        end: where it ends.
        listed: a bare word of the list counts, too.
    """
    if _BEFORE.search(text, max(0, start - 40), start) or _AFTER.match(text, end):
        return True
    words = regex.findall(r"\p{L}{2,}", text[start:end].casefold())
    return (
        listed
        and bool(words)
        and all(w in EPONYMS or w.removesuffix("s") in EPONYMS for w in words)
    )

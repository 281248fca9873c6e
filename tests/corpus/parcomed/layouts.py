"""Three documents of each source of configs/parcomed-corpus.yaml, in the layout it is published in.

All texts are our own inventions. A function writes a source's files below its path and returns the
texts that must be read from them, in order.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

Write = Callable[[Path], list[str]]

LINES = {
    "hal": "L’étude porte sur la prise en charge des plaies chroniques, cas {}.",
    "has": "La commission recommande 0,25 mg de colchicine toutes les {} heures.",
    "istex": "Nous rapportons {} observations d’amylose cardiaque à transthyrétine.",
    "bdpm": "Ne prenez jamais plus de {} comprimés par jour (≥ 15 ans).",
    "cerimes": "Cours numéro {} : anatomie de l’œil et de ses annexes.",
    "cnedimts": "Avis {} : service attendu suffisant pour la prothèse de hanche.",
    "qualiscope": "L’établissement {} est certifié avec mention, coopération très développée.",
    "clear": "La fièvre monte à 39,{} °C pendant l’infection.",
    "wmt18-medline": "Les auteurs ont suivi {} patients diabétiques pendant un an.",
}


def lines(source: str) -> Write:
    """One gzip file of the authors' repository, a document per line; a blank line is none."""

    def write(folder: Path) -> list[str]:
        texts = [LINES[source].format(number) for number in (4, 6, 8)]
        content = f"{texts[0]}\n\n{texts[1]}\r\n{texts[2]}".encode()
        _file(folder / "merged_full_text.txt.gz", gzip.compress(content))
        return texts

    return write


def wikipedia(folder: Path) -> list[str]:
    texts = [f"Le foie pèse environ 1,{n} kg.\n\nAnatomie\n\nIl a deux lobes." for n in (3, 4, 5)]
    table = {"title": ["Foie"] * 3, "text": texts, "subset": ["médecine"] * 3}
    _parquet(folder / "wikipedia.parquet", table)
    return texts


def wmt16(folder: Path) -> list[str]:
    """A pandas CSV of all languages; titles with commas and quotes, and other pairs beside it."""
    texts = [
        'La "médecine anti-âge", une science',
        "Les Carabins",
        "Du détournement, et d’autres maux",
    ]
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(
        ["", "lang", "doc_id", "workshop", "publisher", "source_text", "target_text"]
    )  # with the index that pandas writes
    for number, target in enumerate(texts):
        rows.writerow([number, "en-fr", 26839447 + number, "WMT'16", "pubmed", "A title", target])
    _file(folder / "en-fr.csv", text.getvalue().encode())
    _file(folder / "en-es.csv", b"source_text,target_text\na,Un titulo\n")
    return texts


def emea(folder: Path) -> list[str]:
    texts = ["Qu’est-ce qu’Abilify ?", "5 mg/ml", "Excipients : lactose monohydraté."]
    _file(folder / "EMEA.en-fr.fr", "\n".join(texts).encode() + b"\n")
    _file(folder / "EMEA.en-fr.en", b"What is Abilify?\n")
    return texts


def brat(folder: Path, names: Iterable[str]) -> list[str]:
    """Stand-off annotations: the text beside its .ann, and the project's .conf files."""
    texts = []
    for number, name in enumerate(names):
        text = f"Patient de {60 + number} ans.\nÉchographie : lithiase vésiculaire."
        _file(folder / f"{name}.txt", f"{text}\n".encode())
        _file(folder / f"{name}.ann", "T1\tDISO 38 56\tlithiase vésiculaire\n".encode())
        texts.append(text)
    _file(folder / "annotation.conf", b"[entities]\nDISO\n")
    return texts


def frasimed(folder: Path) -> list[str]:
    return brat(folder, ("CANTEMIST/cc_onco1", "CANTEMIST/cc_onco2", "DISTEMIST/es-S0004"))


def quaero(folder: Path) -> list[str]:
    return brat(folder, ("corpus/dev/MEDLINE/1", "corpus/test/EMEA/2", "corpus/train/MEDLINE/3"))


def mantra(folder: Path) -> list[str]:
    names = ("EMEA_ec22-cui-best_man/0001_d327.u55", "EMEA_ec22-cui-best_man/0002_d230.u75",
             "Medline_EN_FR_ec22-cui-best_man/1")  # fmt: skip
    return brat(folder, names)


def cas(folder: Path) -> list[str]:
    folder = folder / "DEFT-cas-cliniques"
    return brat(folder, ("filehtml-1-cas", "filepdf-1-cas", "filepdf-103-1-cas"))


def deft2021(folder: Path) -> list[str]:
    """A row per sentence, its words in a list; a case has several rows."""
    sentences = [
        ("cas-1", ["Une", "patiente", "de", "40", "ans", "."]),
        ("cas-1", ["Elle", "tousse", "."]),
        ("cas-2", ["Un", "enfant", "fébrile", "."]),
        ("cas-3", ["Décès", "à", "J+3", "."]),
    ]
    identifiers, words = zip(*sentences, strict=True)
    table = {
        "id": [str(n) for n in range(4)],
        "document_id": list(identifiers),
        "tokens": list(words),
        "ner_tags": [[0] * len(one) for one in words],
    }
    _parquet(folder / "data/train-00000-of-00001.parquet", table)
    return ["Une patiente de 40 ans . Elle tousse .", "Un enfant fébrile .", "Décès à J+3 ."]


def frenchmedmcqa(folder: Path) -> list[str]:
    """An array of questions with nested answers, as in train.json."""
    questions = [
        {
            "id": f"{number}",
            "question": f"Parmi les propositions suivantes, laquelle est exacte ? ({number})",
            "answers": {letter: f"Réponse {letter}{number}" for letter in "abcde"},
            "correct_answers": ["a", "c"],
            "type": "multiple",
        }
        for number in (1, 2, 3)
    ]
    _file(folder / "train.json", json.dumps(questions, indent=2, ensure_ascii=False).encode())
    return ["\n".join([one["question"], *one["answers"].values()]) for one in questions]


def ecdc(folder: Path) -> list[str]:
    """TMX 1.4 with a document type that lies elsewhere; a unit need not have every language."""
    texts = ["Lavez-vous les mains.", "Les oreillons & la rougeole.", "Restez chez vous."]
    units = "".join(
        f'<tu tuid="{n}"><tuv xml:lang="EN"><seg>Text.</seg></tuv>'
        f'<tuv xml:lang="FR-FR"><seg>{text.replace("&", "&amp;")}</seg></tuv></tu>'
        for n, text in enumerate(texts)
    )
    untranslated = '<tu><tuv xml:lang="EN"><seg>Only here.</seg></tuv></tu>'
    content = (
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE tmx SYSTEM "tmx14.dtd">'
        f'<tmx version="1.4"><header srclang="EN"/><body>{untranslated}{units}</body></tmx>'
    )
    _file(folder / "ECDC.tmx", content.encode("utf-16"))
    return texts


def pxcorpus(folder: Path) -> list[str]:
    texts = [
        "doliprane 500 milligrammes matin et soir",
        "arrêter le kardégic",
        "amoxicilline 6 jours",
    ]
    _file(folder / "data.txt", "\n".join(texts).encode())
    return texts


def e3c(folder: Path) -> list[str]:
    """A file per document, one JSON object over many lines, with a licence of its own."""
    texts = [f"Un homme de {age} ans consulte\npour une dyspnée d’effort." for age in (50, 60, 70)]
    own = ("CC BY-NC 4.0", "CC BY 4.0", "CC BY-NC-SA 4.0")
    for number, (text, licence) in enumerate(zip(texts, own, strict=True)):
        document = {
            "authors": [{"author": "A. Inventé"}],
            "doi": "", "publication_date": "2019", "id": f"FR10000{number}", "url": "",
            "source": "Journal", "source_url": "", "licence": licence, "language": "French",
            "type": "clinical case", "description": "", "text": text,
        }  # fmt: skip
        path = folder / f"layer{number + 1}/FR10000{number}.json"
        _file(path, json.dumps(document, indent=4, ensure_ascii=False).encode())
    return texts


def essai(folder: Path) -> list[str]:
    """Sentence, position, word, lemma, part of speech, negation; a quote is a word like others."""
    sentences = (
        ["Étude", "de", "phase", "II"],
        ["Bras", '"', "A", '"', ":", "5-FU"],
        ["Pas", "de", "métastase"],
    )
    rows = [
        f"{number}\t{place}\t{word}\t{word.lower()}\tNOM\t***"
        for number, words in enumerate(sentences)
        for place, word in enumerate(words)
    ]
    _file(folder / "ESSAI_neg.txt", "\n".join(rows).encode() + b"\n")
    return [" ".join(words) for words in sentences]


def mqc(folder: Path) -> list[str]:
    texts = []
    for number, name in enumerate(("dialogues_clean_clean", *["dialogues_clean_clean.txt"] * 2)):
        text = f"bonjour je suis l’interne\nj’ai mal au ventre depuis {number + 2} jours"
        _file(folder / f"Interne0{number + 1}/{name}", text.encode())
        texts.append(text)
    _file(folder / "prepro_dialogues.py", b"print()\n")
    return texts


WRITERS: dict[str, Write] = {
    **{source: lines(source) for source in LINES},
    "wikipedia": wikipedia, "wmt16": wmt16, "emea-v3": emea, "frasimed": frasimed,
    "deft2021": deft2021, "quaero": quaero, "frenchmedmcqa": frenchmedmcqa, "ecdc-tm": ecdc,
    "pxcorpus": pxcorpus, "mantra-gsc": mantra, "e3c": e3c, "cas": cas, "essai": essai, "mqc": mqc,
}  # fmt: skip


def _file(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _parquet(path: Path, table: dict[str, list[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), path)

"""A form on which people compare the pairs that judges compared, without knowing whose is whose.

One HTML file without anything from elsewhere: it works on a machine without a network, by keyboard
alone. Which side is the candidate's, the order of the pairs and their names follow from a secret of
this house's private evidence key, so that nobody else can tell, and no list of sides has to be
kept: as long as the key is there, results can be read.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import NamedTuple

from bedside_core.kinds.exam import ExamItem
from bedside_eval.answering.answers import Answer
from bedside_eval.judging.pairs import text_of
from bedside_eval.records import Role
from bedside_eval.reporting.numerals import Language

PURPOSE = b"bedside blind form v1"
CHOICES = ("left", "right", "equal", "none")
"""What a person may say of a pair; `none`: cannot judge it."""
WORDS: Mapping[Language, Mapping[str, str]] = {
    "de": {
        "title": "Verblindeter Vergleich von Antworten",
        "intro": "Lesen Sie die Frage und beide Antworten. Welche ist besser: richtiger, klarer, "
        "vollständiger, sicherer? Von welchem Modell eine Antwort stammt, weiß diese Seite nicht.",
        "warning": "Diese Datei kann Angaben über Patientinnen und Patienten enthalten. Nicht "
        "weitergeben und nach dem Auswerten löschen.",
        "rater": "Ihr Kürzel (kein Name)",
        "context": "Unterlage", "question": "Frage", "left_answer": "Linke Antwort",
        "right_answer": "Rechte Antwort", "left": "Linke besser", "right": "Rechte besser",
        "equal": "Gleich gut", "none": "Kann ich nicht beurteilen", "which": "Welche ist besser?",
        "done": "beantwortet", "json": "Ergebnis speichern (JSON)", "csv": "als CSV",
        "missing": "Bitte zuerst ein Kürzel eintragen.", "pair": "Paar", "empty": "(keine Antwort)",
    },
    "fr": {
        "title": "Comparaison de réponses à l'aveugle",
        "intro": "Lisez la question et les deux réponses. Laquelle est la meilleure : plus juste, "
        "plus claire, plus complète, plus sûre ? Cette page ignore de quel modèle vient une "
        "réponse.",
        "warning": "Ce fichier peut contenir des données de patients. Ne pas le transmettre, et "
        "le supprimer après l'analyse.",
        "rater": "Votre code (pas de nom)",
        "context": "Document", "question": "Question", "left_answer": "Réponse de gauche",
        "right_answer": "Réponse de droite", "left": "Gauche meilleure",
        "right": "Droite meilleure", "equal": "Équivalentes", "none": "Je ne peux pas juger",
        "which": "Laquelle est la meilleure ?", "done": "répondu",
        "json": "Enregistrer le résultat (JSON)", "csv": "en CSV",
        "missing": "Indiquez d'abord un code.", "pair": "Paire", "empty": "(aucune réponse)",
    },
    "en": {
        "title": "Blinded comparison of answers",
        "intro": "Read the question and both answers. Which one is better: more correct, clearer, "
        "more complete, safer? This page does not know which model wrote an answer.",
        "warning": "This file may hold data of patients. Do not pass it on, and delete it after "
        "the analysis.",
        "rater": "Your code (no name)",
        "context": "Document", "question": "Question", "left_answer": "Left answer",
        "right_answer": "Right answer", "left": "Left is better", "right": "Right is better",
        "equal": "Equally good", "none": "I cannot judge", "which": "Which one is better?",
        "done": "answered", "json": "Save the result (JSON)", "csv": "as CSV",
        "missing": "Enter a code first.", "pair": "Pair", "empty": "(no answer)",
    },
}  # fmt: skip
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


class Blinding(NamedTuple):
    """What hides the sides of one form."""

    secret: bytes
    form: str
    """Name of the form: which evidence, and against whom."""

    @classmethod
    def of(cls, secret: bytes, evidence: str, against: Role) -> Blinding:
        """Of a house's secret and the evidence's digest."""
        return cls(
            secret, hmac.digest(secret, f"{evidence}\0{against}".encode(), "sha256").hex()[:16]
        )

    def _digest(self, exam: str, item: str) -> bytes:
        return hmac.digest(self.secret, f"{self.form}\0{exam}\0{item}".encode(), "sha256")

    def pair(self, exam: str, item: str) -> str:
        """The name of a pair on the form."""
        return self._digest(exam, item)[:8].hex()

    def candidate_left(self, exam: str, item: str) -> bool:
        """Whether the candidate's answer is on the left."""
        return bool(self._digest(exam, item)[-1] & 1)


class Shown(NamedTuple):
    """One exam on the form: its items, and both models' answers to them."""

    exam: str
    items: Sequence[ExamItem]
    candidate: Sequence[Answer]
    against: Sequence[Answer]


def form(blinding: Blinding, shown: Sequence[Shown], language: Language) -> str:
    """The HTML file; pairs of which both answers are the same are left out."""
    pairs = []
    for one in shown:
        for item, ours, theirs in zip(one.items, one.candidate, one.against, strict=True):
            texts = [text_of(ours), text_of(theirs)]
            if texts[0] == texts[1]:
                continue
            if not blinding.candidate_left(one.exam, item.id):
                texts.reverse()
            pairs.append(
                {
                    "id": blinding.pair(one.exam, item.id), "context": item.context,
                    "question": item.question, "left": texts[0], "right": texts[1],
                }
            )  # fmt: skip
    pairs.sort(key=lambda pair: pair["id"])
    data = {"form": blinding.form, "words": WORDS[language], "pairs": pairs}
    page = resources.files("bedside_eval.judging").joinpath("form.html").read_text("utf-8")
    script = _SCRIPT.search(page)
    assert script is not None  # noqa: S101 - a file of this package
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    # Within <script> only "<" could end the data.
    content = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    return (
        page.replace("@LANGUAGE@", language).replace("@SCRIPT@", digest).replace("@DATA@", content)
    )

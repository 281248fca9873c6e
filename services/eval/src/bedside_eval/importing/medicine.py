"""Exams and questions of medicine.

* MedQA (Jin et al. 2021): JSON Lines, `question, options {A: ...}, answer_idx` (jind11/MedQA); as
  bigbio/med_qa has it, `options` is a list of `{key, value}`; as GBaker's copy for lm-eval,
  `sent1, sent2, ending0` and so on, `label`. MedQA-de of DeFineMed is a translation of 500.
* MedQADE: no description of its files was found; it is read in MedQA's layout.
* MedMCQA (Pal et al. 2022): `question, opa` to `opd, cop, subject_name`. The authors' JSON counts
  `cop` from 1, the Hub's Parquet from 0, copies either way: a file has a 0 or a 4 and says so, and
  one with neither or both is not read.
* PubMedQA (Jin et al. 2019): `ori_pqal.json`, `{pmid: {QUESTION, CONTEXTS, final_decision}}`, with
  the ids of the test split in `test_ground_truth.json`; or the Hub's `pubid, question,
  context.contexts, final_decision`.
* FrenchMedMCQA (Labrak et al. 2022): `corpus/dev.json`, a list of `{id, question, answers {a..e},
  correct_answers [..], type}`; its CSV has `answers.a` and keys separated by semicolons.
* MedAlpaca (Han et al. 2023): `medalpaca_small.json`, a list of `{instruction, input, output}`.

Tested in tests/eval/importing/test_layouts.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from bedside_core.errors import InputError
from bedside_core.matching import canonical
from bedside_eval.importing.layout import (
    Fields,
    Layout,
    LeftOutError,
    Origin,
    exactly,
    index,
    letter,
    text,
)
from bedside_eval.importing.tables import KEY, Row, read_rows, read_text

DECISIONS = {
    "en": ["yes", "no", "maybe"], "de": ["ja", "nein", "vielleicht"],
    "fr": ["oui", "non", "peut-être"],
}  # fmt: skip
TRUTH = "test_ground_truth.json"
SPLIT = "_split"
BASE = "_base"
_CITE = "Name the authors and the licence where results are published."
_FRENCH_BURNT = (
    "PARCOMED trains on all its splits (their section 3.1), and so does whoever starts from their "
    "corpus or models."
)


def _medqa(row: Row, origin: Origin) -> Fields:
    name = text(row, "id", needed=False) or origin.name
    if "ending0" in row:
        endings = [row[f"ending{n}"] for n in range(10) if row.get(f"ending{n}")]
        parts = (text(row, "sent1", needed=False), text(row, "sent2", needed=False))
        return {
            "id": name, "question": " ".join(filter(None, parts)),
            "options": [str(one) for one in endings],
            "answer": index(row.get("label"), len(endings)),
        }  # fmt: skip
    lettered = _lettered(row.get("options"))
    options = list(lettered.values())
    said = text(row, "answer", needed=False)
    if chosen := text(row, "answer_idx", needed=False):
        if chosen not in lettered:
            raise LeftOutError("no key that names an option")
        key = list(lettered).index(chosen)
        if said and canonical(said) != canonical(options[key]):
            raise LeftOutError("letter and text of the key differ")
    else:
        key = exactly(said, options)
    return {"id": name, "question": text(row, "question"), "options": options, "answer": key}


def _lettered(found: object) -> dict[str, str]:
    """Options by letter; one that a question does not have may be empty."""
    if isinstance(found, list):
        found = {one.get("key"): one.get("value") for one in found if isinstance(one, dict)}
    if not isinstance(found, dict):
        raise LeftOutError("no options")
    given = {str(name): str(one).strip() for name, one in found.items() if one is not None}
    return {name: given[name] for name in sorted(given) if given[name]}


def _counted(rows: Iterable[Row]) -> Iterator[Row]:
    """Every row with the number that its file counts `cop` from, which the keys themselves show."""
    found = list(rows)
    keys = {str(row.get("cop")) for row in found}
    base = {(True, False): 0, (False, True): 1}.get(("0" in keys, "4" in keys))
    yield from ({**row, BASE: base} for row in found)


def _medmcqa(row: Row, origin: Origin) -> Fields:
    if row[BASE] is None:
        raise LeftOutError("a file of which no key says whether it counts from 0 or from 1")
    key = index(row.get("cop"), 5) - row[BASE]
    return {
        "id": text(row, "id", needed=False) or origin.name, "question": text(row, "question"),
        "options": [text(row, name) for name in ("opa", "opb", "opc", "opd")],
        "answer": index(key, 4), "specialty": text(row, "subject_name", needed=False)[:100],
    }  # fmt: skip


def _read_pubmedqa(path: Path) -> Iterator[Row | None]:
    """Rows, each with its split where the authors' list of the test split lies beside it."""
    truth = path.parent / TRUTH
    tested: set[str] | None = None
    if truth.is_file() and path != truth:
        try:
            tested = set(json.loads(read_text(truth)))
        except (ValueError, TypeError):
            raise InputError(f"{truth}: no valid JSON") from None
    for row in read_rows(path):
        if row is not None and tested is not None:
            row[SPLIT] = "test" if row.get(KEY) in tested else "dev"
        yield row


def _pubmedqa(row: Row, origin: Origin) -> Fields:
    context = row.get("context")
    parts = context.get("contexts") if isinstance(context, dict) else row.get("CONTEXTS")
    if not isinstance(parts, list) or not parts:
        raise LeftOutError("no abstract")
    pmid = text(row, KEY, needed=False) or text(row, "pubid")
    decision = text(row, "final_decision").lower()
    if decision not in DECISIONS["en"]:
        raise LeftOutError("no key that names an option")
    return {
        "id": f"pmid-{pmid}", "cluster": f"pmid-{pmid}", "context": "\n".join(map(str, parts)),
        "question": text(row, "QUESTION" if "QUESTION" in row else "question"),
        "options": DECISIONS.get(origin.language, DECISIONS["en"]),
        "answer": DECISIONS["en"].index(decision),
    }  # fmt: skip


def _frenchmedmcqa(row: Row, origin: Origin) -> Fields:
    answers = row.get("answers")
    nested = isinstance(answers, dict)
    options = [
        str(answers.get(name) or "").strip() if isinstance(answers, dict)
        else text(row, f"answers.{name}" if f"answers.{name}" in row else f"answer_{name}")
        for name in "abcde"
    ]  # fmt: skip
    if nested and not all(options):
        raise LeftOutError("no options")
    keys = row.get("correct_answers")
    listed = keys.split(";") if isinstance(keys, str) else keys
    if not isinstance(listed, list) or not listed:
        raise LeftOutError("no key that names an option")
    right = sorted({
        letter(one, 5) if isinstance(one, str) and not one.strip().isdecimal() else index(one, 5)
        for one in listed
    })  # fmt: skip
    several = len(right) > 1 or text(row, "type", needed=False) == "multiple"
    return {
        "id": text(row, "id", needed=False)[:100] or origin.name, "question": text(row, "question"),
        "options": options, "answer": right if several else right[0],
        "specialty": text(row, "subject_name", needed=False)[:100],
    }  # fmt: skip


def _medalpaca(row: Row, origin: Origin) -> Fields:
    asked = "\n\n".join(
        filter(None, (text(row, name, needed=False) for name in ("instruction", "input")))
    )
    if not asked:
        raise LeftOutError("no question")
    return {
        "type": "open", "id": origin.name, "question": asked, "reference": text(row, "output"),
    }  # fmt: skip


_MEDQA_BURNT = "MedAlpaca's mixture holds the 10,178 questions of MedQA's train split."

LAYOUTS = {
    "medqa": Layout(
        "MedQA: questions of medical boards (Jin et al. 2021), or a translation", _medqa, "MIT",
        _CITE, burnt=_MEDQA_BURNT,
    ),
    "medqade": Layout(
        "MedQADE: German medical questions, in MedQA's layout", _medqa, "",
        "No licence was found: ask the authors before results leave the house.",
        languages=("de",), burnt=_MEDQA_BURNT,
    ),
    "medmcqa": Layout(
        "MedMCQA: Indian entrance exams (Pal et al. 2022); the test split has no key", _medmcqa,
        "Apache-2.0", _CITE, split="dev", examples="train", expand=_counted,
    ),
    "pubmedqa": Layout(
        "PubMedQA: yes, no or maybe from an abstract (Jin et al. 2019)", _pubmedqa, "MIT",
        "Abstracts are their publishers': do not pass the file on.", read=_read_pubmedqa,
        split_of=lambda row: str(row.get(SPLIT, "")),
    ),
    "frenchmedmcqa": Layout(
        "FrenchMedMCQA: pharmacy exams, one or several of five (Labrak et al. 2022)",
        _frenchmedmcqa, "Apache-2.0", _CITE, languages=("fr",), burnt=_FRENCH_BURNT,
    ),
    "medalpaca": Layout(
        "MedAlpaca: questions with free answers (Han et al. 2023)", _medalpaca, "",
        "A mixture of sources with licences of their own; the repository's code is GPL-3.0.",
        split="", examples="",
        burnt="It holds MMLU's medical test questions and MedQA: no model trained on it is tested "
        "by those.",
    ),
}  # fmt: skip

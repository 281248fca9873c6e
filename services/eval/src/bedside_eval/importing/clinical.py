"""The six clinical tasks of Dada et al. (CLUE), as their files are published.

Columns are those that eval/eval_*.py of TIO-IKIM/CLUE (2de4314) reads. What that code does wrong,
and this does not: an option is the key because the key's text occurs in it; documents are shuffled
without a seed, so that every model sits another exam; examples come from the test set.

* MedNLI (Romanov and Shivade 2018): JSON Lines `sentence1, sentence2, gold_label, pairID`.
* MeQSum (Ben Abacha and Demner-Fushman 2019): a spreadsheet with `File, CHQ, Summary`, as CSV.
* Problem lists (Gao et al. 2023): CSV `File ID, Subjectives, Assessment, Summary`.
* LongHealth (Adams et al. 2024): `benchmark_v5.json`, `{patient: {texts, questions: [{No, question,
  answer_a..e, correct, answer_location}]}}`.
* MeDiSumQA: `discharge_summary, Question, Answer`, `note_id` where it is kept.
* MeDiSumCode: `hadm_id, text, icd_codes: [{code, description}]`.

Tested in tests/eval/importing/test_layouts.py, tests/eval/importing/test_clinical.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from bedside_core.config import sha256_of
from bedside_eval.importing.layout import (
    Fields,
    Layout,
    LeftOutError,
    Origin,
    cluster,
    exactly,
    text,
)
from bedside_eval.importing.tables import KEY, Row

RELATIONS = ["entailment", "neutral", "contradiction"]
ARRANGEMENTS = 5
"""How often a question of LongHealth is asked, as its authors do; they are one cluster."""
DISTRACTORS = 10
"""Letters of other patients in tasks 2 and 3."""
UNANSWERABLE = "This cannot be answered from these documents."
_BETWEEN = "\n\n--------------\n\n"
_PHYSIONET = "LicenseRef-PhysioNet-Credentialed"
_PATIENTS = (
    "Letters of patients under PhysioNet's agreement: every reader is credentialed, nothing leaves "
    "the machine, and no text goes to a judge outside."
)
_NONE_PUBLISHED = "No licence was published: ask the authors before the file leaves the house."


def _mednli(row: Row, origin: Origin) -> Fields:
    label = text(row, "gold_label").lower()
    if label not in RELATIONS:
        raise LeftOutError("no key that names an option")
    first = text(row, "sentence1")
    return {
        "id": text(row, "pairID", needed=False) or origin.name, "cluster": cluster(first),
        "context": first, "options": RELATIONS, "answer": RELATIONS.index(label),
        "question": f"{text(row, 'sentence2')}\nIs this entailment, neutral or a contradiction?",
    }  # fmt: skip


def _meqsum(row: Row, origin: Origin) -> Fields:
    return {
        "type": "document", "task": "summarise", "context": text(row, "CHQ"),
        "id": text(row, "File", needed=False)[:100] or origin.name,
        "question": "Summarise this patient's inquiry as one short question. Write nothing else.",
        "reference": text(row, "Summary"),
    }  # fmt: skip


def _problems(row: Row, origin: Origin) -> Fields:
    parts = (text(row, "Subjectives", needed=False), text(row, "Assessment"))
    problems = [one.strip() for one in text(row, "Summary").split(";") if one.strip()]
    if not problems:
        raise LeftOutError("no Summary")
    name = text(row, "File ID", needed=False)[:100] or origin.name
    return {
        "type": "document", "task": "summarise", "id": name, "cluster": name,
        "context": "\n\n".join(filter(None, parts)),
        "question": "List this patient's diagnoses and problems. Write nothing else.",
        "reference": ", ".join(problems),
    }  # fmt: skip


def _medisumqa(row: Row, origin: Origin) -> Fields:
    letter = text(row, "discharge_summary")
    return {
        "type": "document", "task": "plain_language", "id": origin.name, "context": letter,
        "cluster": text(row, "note_id", needed=False)[:100] or cluster(letter),
        "question": f"Answer the patient's question briefly. {text(row, 'Question')}",
        "reference": text(row, "Answer"),
    }  # fmt: skip


def _medisumcode(row: Row, origin: Origin) -> Fields:
    found = row.get("icd_codes")
    listed = found if isinstance(found, list) else []
    codes = [str(one.get("code") or "") if isinstance(one, dict) else str(one) for one in listed]
    codes = list(dict.fromkeys(code.replace(".", "").strip() for code in codes if code.strip()))
    if not codes:
        raise LeftOutError("no codes")
    letter = text(row, "text")
    return {
        "type": "document", "task": "codes", "context": letter,
        "id": f"hadm-{text(row, 'hadm_id', needed=False) or origin.number}",
        "cluster": cluster(letter), "facts": codes, "reference": ", ".join(codes),
        "question": "List the ICD-10 codes of all diagnoses in this letter. Write nothing else.",
    }  # fmt: skip


def _longhealth(task: int, patients: Iterable[Row]) -> Iterator[Row]:
    """A row per question and arrangement of documents.

    Task 1 has all letters of the patient, task 2 those that answer among letters of others, task 3
    letters of others alone. The order follows from patient, question and arrangement, so all models
    sit the same exam; nothing is cut to what one model can read.
    """
    everyone = list(patients)
    for patient in everyone:
        name, texts, questions = patient.get(KEY), patient.get("texts"), patient.get("questions")
        if not isinstance(texts, dict) or not isinstance(questions, list):
            yield {"fault": "no letters or questions"}
            continue
        others = [
            letter
            for other in everyone
            if other.get(KEY) != name and isinstance(other.get("texts"), dict)
            for letter in other["texts"].values()
        ]
        for number, question in enumerate(questions):
            for arrangement in range(ARRANGEMENTS):
                order = random.Random(  # noqa: S311 - an order that anybody can repeat
                    sha256_of(["longhealth", task, name, number, arrangement])
                )
                yield {
                    "id": f"{name}-{number}-{arrangement}", "patient": name, "question": question,
                    "documents": _documents(task, texts, question, others, order),
                }  # fmt: skip


def _documents(
    task: int, texts: dict[str, str], question: object, others: Sequence[str], order: random.Random
) -> list[str]:
    located = question.get("answer_location") if isinstance(question, dict) else None
    needed = [texts[name] for name in located or {} if name in texts]
    if task == 1:
        chosen = list(texts.values())
    else:
        strangers = order.sample(others, min(DISTRACTORS, len(others)))
        chosen = [*needed, *strangers] if task == 2 else strangers
        if task == 2 and not needed:
            return []
    order.shuffle(chosen)
    return chosen


def _longhealth_item(task: int, row: Row, origin: Origin) -> Fields:
    if fault := row.get("fault"):
        raise LeftOutError(str(fault))
    question = row["question"]
    if not isinstance(question, dict):
        raise LeftOutError("no letters or questions")
    options = [text(question, f"answer_{name}") for name in "abcde"]
    key = exactly(text(question, "correct"), options)
    if not row["documents"]:
        raise LeftOutError("no letter that answers, or none of others")
    if task > 1:
        options.append(UNANSWERABLE)
    return {
        "id": row["id"], "cluster": row["patient"], "context": _BETWEEN.join(row["documents"]),
        "question": text(question, "question"), "options": options,
        "answer": 5 if task == 3 else key, "abstain": 5 if task > 1 else None,
    }  # fmt: skip


def _of_longhealth(task: int, says: str) -> Layout:
    item: Callable[[Row, Origin], Fields] = partial(_longhealth_item, task)
    return Layout(
        f"LongHealth {task}: {says} (Adams et al. 2024)", item, "Apache-2.0",
        "Name the authors; the patients are invented.", split="", examples="",
        suffixes=(".json",), expand=partial(_longhealth, task),
    )  # fmt: skip


LAYOUTS = {
    "mednli": Layout(
        "MedNLI: what one sentence says of another (Romanov and Shivade 2018)", _mednli, _PHYSIONET,
        _PATIENTS,
    ),
    "meqsum": Layout(
        "MeQSum: an inquiry as one question (Ben Abacha and Demner-Fushman 2019); save as CSV",
        _meqsum, "", _NONE_PUBLISHED, split="", examples="",
    ),
    "problem-list": Layout(
        "Problem lists from progress notes (Gao et al. 2023)", _problems, _PHYSIONET, _PATIENTS,
    ),
    "longhealth-1": _of_longhealth(1, "questions on all letters of a patient"),
    "longhealth-2": _of_longhealth(2, "the letters that answer among those of others"),
    "longhealth-3": _of_longhealth(3, "letters of others, which answer nothing"),
    "medisumqa": Layout(
        "MeDiSumQA: a patient's questions on a discharge letter (Dada et al. 2024)", _medisumqa,
        _PHYSIONET, _PATIENTS, split="", examples="",
    ),
    "medisumcode": Layout(
        "MeDiSumCode: the ICD-10 codes of a discharge letter (Dada et al. 2024)", _medisumcode,
        _PHYSIONET, _PATIENTS, split="", examples="",
    ),
}  # fmt: skip

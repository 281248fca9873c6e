"""MMLU and what was made of it.

* MMLU (Hendrycks et al. 2021): the authors' CSV files without a header, `test/anatomy_test.csv`
  (question, four options, letter), or the Hub's Parquet (`question, subject, choices, answer`).
* MMMLU (OpenAI 2024): `test/mmlu_DE-DE.csv`, columns `Question, A, B, C, D, Answer, Subject` after
  a column of row numbers (card of openai/MMMLU).
* Global-MMLU (Singh et al. 2024): Parquet by language, `sample_id, subject, question, option_a` to
  `option_d, answer`, and how it was checked (card of CohereForAI/Global-MMLU).
* MMLU-ProX (Xuan et al. 2025): Parquet by language, `question_id, question, option_0` to
  `option_9, answer, answer_index, category, src` (lm-evaluation-harness, tasks/mmlu_prox); options
  that a question does not have are empty or `N/A`.

Tested in tests/eval/importing/test_layouts.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bedside_eval.importing.layout import (
    Fields,
    Layout,
    LeftOutError,
    Origin,
    index,
    letter,
    text,
)
from bedside_eval.importing.tables import Row, read_rows

MEDICAL = frozenset(
    (
        "anatomy", "clinical_knowledge", "college_biology", "college_medicine", "health",
        "medical_genetics", "nutrition", "professional_medicine", "virology",
    )
)  # fmt: skip
"""Subjects of MMLU and the category of MMLU-Pro that are medicine; PARCOMED's table 2 has seven."""
PROX_OPTIONS = 10
_MMLU_SPLITS = {
    "train": frozenset({"train"}),
    "dev": frozenset({"dev"}),
    "validation": frozenset({"val", "validation"}),
    "test": frozenset({"test"}),
}
_HEADER = ("question", "A", "B", "C", "D", "answer")
_CITE = "Name the authors and the licence where results are published."
_BURNT = (
    "MedAlpaca's mixture holds the 3,787 medical questions of MMLU's test split, in whatever "
    "language it was translated to."
)


def _subject(name: str) -> Fields:
    subject = name.strip().lower().replace(" ", "_")
    return {
        "specialty": subject,
        "domain": "medical" if subject in MEDICAL else "general",
    }


def _read_mmlu(path: Path) -> Iterator[Row | None]:
    return read_rows(path, _HEADER)


def _mmlu(row: Row, origin: Origin) -> Fields:
    choices = row.get("choices")
    if isinstance(choices, list):
        options, key = [str(one) for one in choices], index(row.get("answer"), len(choices))
        subject = text(row, "subject", needed=False) or origin.path.parent.name
    else:
        options = [text(row, name) for name in "ABCD"]
        key = letter(text(row, "answer"), 4)
        subject = re.sub(r"_(test|dev|val)$", "", origin.path.stem)
    return {
        "id": f"{subject}-{origin.number}", "question": text(row, "question"),
        "options": options, "answer": key, **_subject(subject),
    }  # fmt: skip


def _mmmlu(row: Row, origin: Origin) -> Fields:
    return {
        "id": f"mmmlu-{text(row, '', needed=False) or origin.number}",
        "question": text(row, "Question"), "options": [text(row, name) for name in "ABCD"],
        "answer": letter(text(row, "Answer"), 4), **_subject(text(row, "Subject")),
    }  # fmt: skip


def _global_mmlu(row: Row, origin: Origin) -> Fields:
    return {
        "id": text(row, "sample_id").replace("/", "-"), "question": text(row, "question"),
        "options": [text(row, f"option_{name}") for name in "abcd"],
        "answer": letter(text(row, "answer"), 4), **_subject(text(row, "subject")),
    }  # fmt: skip


def _prox(row: Row, origin: Origin) -> Fields:
    found = [text(row, f"option_{n}", needed=False) for n in range(PROX_OPTIONS)]
    options = [one for one in found if one and one != "N/A"]
    if found[: len(options)] != options:
        raise LeftOutError("an option is missing before others")
    key = index(row.get("answer_index"), len(options))
    if (named := text(row, "answer", needed=False)) and letter(named, len(options)) != key:
        raise LeftOutError("letter and index of the key differ")
    return {
        "id": f"prox-{text(row, 'question_id')}", "question": text(row, "question"),
        "options": options, "answer": key, **_subject(text(row, "category")),
    }  # fmt: skip


LAYOUTS = {
    "mmlu": Layout(
        "MMLU: 57 subjects, four options (Hendrycks et al. 2021)", _mmlu, "MIT", _CITE,
        splits=_MMLU_SPLITS, by_specialty=True, read=_read_mmlu, burnt=_BURNT,
    ),
    "mmmlu": Layout(
        "MMMLU: MMLU's test split by translators, 14 languages (OpenAI 2024)", _mmmlu, "MIT",
        _CITE, languages=("ar", "bn", "de", "es", "fr", "hi", "id", "it", "ja", "ko", "pt", "sw",
                          "yo", "zh"), examples="", burnt=_BURNT,
    ),
    "global-mmlu": Layout(
        "Global-MMLU: MMLU in 42 languages, with a dev split (Singh et al. 2024)", _global_mmlu,
        "Apache-2.0", _CITE, languages=("de", "en", "es", "fr", "it", "nl", "pt"),
        by_specialty=True, burnt=_BURNT,
    ),
    "mmlu-prox": Layout(
        "MMLU-ProX: MMLU-Pro in 29 languages, up to ten options (Xuan et al. 2025)", _prox, "MIT",
        _CITE, languages=("de", "en", "es", "fr", "it", "nl", "pt"), by_specialty=True,
    ),
}  # fmt: skip

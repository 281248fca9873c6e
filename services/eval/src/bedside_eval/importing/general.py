"""What a model can beside medicine: DeFineMed's appendix A.6, and instructions.

* ARC (Clark et al. 2018): JSON Lines `{id, question: {stem, choices: [{text, label}]}, answerKey}`,
  or the Hub's Parquet with `choices {text, label}`; labels are letters or numbers.
* HellaSwag (Zellers et al. 2019): `ctx_a, ctx_b, activity_label, endings, label, source_id`; the
  test split has no labels. Put as lm-evaluation-harness does (tasks/hellaswag): the beginning, and
  each ending as its continuation, without the marks of WikiHow.
* GSM8K (Cobbe et al. 2021): `question, answer`; the answer's last line is `#### 72`, and `<<...>>`
  are annotations for a calculator.
* IFEval (Zhou et al. 2023): `key, prompt, instruction_id_list, kwargs`; the Hub's Parquet has every
  argument in every `kwargs`, those that do not count empty.

Tested in tests/eval/importing/test_layouts.py.
"""

from __future__ import annotations

import re

from bedside_eval.importing.layout import (
    WORKED,
    Fields,
    Layout,
    LeftOutError,
    Origin,
    cluster,
    index,
    text,
)
from bedside_eval.importing.tables import Row

_MARK = re.compile(r"\[[^\]]*\]")
_NOTE = re.compile(r"<<[^>]*>>")
_FINAL = re.compile(r"####\s*(-?[\d.,]+)\s*$")
_CITE = "Name the authors and the licence where results are published."


def _arc(row: Row, origin: Origin) -> Fields:
    question = row.get("question")
    nested = question if isinstance(question, dict) else row
    choices = nested.get("choices")
    if isinstance(choices, dict):
        labels, texts = list(choices.get("label") or []), list(choices.get("text") or [])
    elif isinstance(choices, list) and all(isinstance(one, dict) for one in choices):
        labels = [one.get("label") for one in choices]
        texts = [one.get("text") for one in choices]
    else:
        raise LeftOutError("no options")
    key = text(row, "answerKey")
    if labels.count(key) != 1:
        raise LeftOutError("no key that names an option")
    return {
        "id": text(row, "id"), "domain": "general",
        "question": text(nested, "stem") if nested is question else text(row, "question"),
        "options": [str(one).strip() for one in texts], "answer": labels.index(key),
    }  # fmt: skip


def _plain(part: str) -> str:
    """Without marks in brackets, of which a title ends a sentence."""
    return " ".join(_MARK.sub("", part.replace(" [title]", ". ")).split())


def _hellaswag(row: Row, origin: Origin) -> Fields:
    second = text(row, "ctx_b", needed=False)
    begin = f"{text(row, 'ctx_a')} {second[:1].upper()}{second[1:].lower()}"
    endings = row.get("endings")
    if not isinstance(endings, list):
        raise LeftOutError("no options")
    return {
        "id": f"hellaswag-{text(row, 'ind')}", "domain": "general", "template": "{question}",
        # Several beginnings of one video or article are one source.
        "cluster": cluster(text(row, "source_id", needed=False) or begin),
        "question": _plain(f"{text(row, 'activity_label')}: {begin}"),
        "options": [_plain(str(one)) for one in endings],
        "answer": index(row.get("label"), len(endings)),
    }  # fmt: skip


def _gsm8k(row: Row, origin: Origin) -> Fields:
    solution = _NOTE.sub("", text(row, "answer"))
    found = _FINAL.search(solution)
    if not found:
        raise LeftOutError("no number after ####")
    number = found[1].rstrip(".").replace(",", "")
    return {
        "type": "short", "id": origin.name, "domain": "general", "question": text(row, "question"),
        "answers": [number], WORKED: solution,
    }  # fmt: skip


def _ifeval(row: Row, origin: Origin) -> Fields:
    names, kwargs = row.get("instruction_id_list"), row.get("kwargs")
    if not isinstance(names, list) or not isinstance(kwargs, list):
        raise LeftOutError("no checks")
    if not all(isinstance(one, dict) for one in kwargs):
        raise LeftOutError("arguments of a check that are no mapping")
    return {
        "type": "instructions", "id": f"ifeval-{text(row, 'key')}", "domain": "general",
        "question": text(row, "prompt"), "instruction_id_list": [str(name) for name in names],
        "kwargs": [{k: v for k, v in one.items() if v is not None} for one in kwargs],
    }  # fmt: skip


LAYOUTS = {
    "arc": Layout(
        "ARC: questions of school science, easy or challenge (Clark et al. 2018)", _arc,
        "CC-BY-SA-4.0", "Name the authors; pass changed files on under the same licence alone.",
    ),
    "hellaswag": Layout(
        "HellaSwag: how a description goes on (Zellers et al. 2019)", _hellaswag, "MIT", _CITE,
        split="dev", examples="train",
    ),
    "gsm8k": Layout(
        "GSM8K: word problems with a number as answer (Cobbe et al. 2021)", _gsm8k, "MIT", _CITE,
        examples="train",
    ),
    "ifeval": Layout(
        "IFEval: instructions that a program checks (Zhou et al. 2023)", _ifeval, "Apache-2.0",
        _CITE, split="", examples="",
    ),
}  # fmt: skip

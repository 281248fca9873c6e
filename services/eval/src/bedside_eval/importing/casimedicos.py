"""CasiMedicos (Agerri et al. 2023): cases of the Spanish residency exam, in parallel languages.

Two layouts: the authors' `FR/test.tsv` (ixa-ehu/antidote-casimedicos), a token with its label per
line and a blank line between segments, where a case begins with `QUESTION TYPE:`, its options with
`1-` to `5-` and its key with `CORRECT ANSWER :` (or in the file's language); and JSON Lines of
`{id, lang, specialty, question, options, answer, explanation}`, made of it.

A case is a cluster, in whatever language. Explanations are by doctors after the exam and give the
answer away: they are not imported.

Tested in tests/eval/importing/test_layouts.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bedside_eval.importing.layout import Fields, Layout, LeftOutError, Origin, index, text
from bedside_eval.importing.tables import Row, read_rows, read_text

OPTIONS = 5
_OPTION = re.compile(r"(\d)\s*-\s*(.*)", re.DOTALL)
_KEY = re.compile(
    r"(?:correct answer|bonne réponse|réponse correcte|respuesta correcta|risposta corretta)"
    r"\s*:\s*(\d)",
    re.IGNORECASE,
)
_TYPE = re.compile(r"question type\s*:\s*(.*)", re.IGNORECASE | re.DOTALL)
_CASE = re.compile(
    r"(?:clinical case|cas clinique|caso clínico|caso clinico)\s*:?\s*", re.IGNORECASE
)


def read(path: Path) -> Iterator[Row | None]:
    """A row per case, of either layout.

    Raises:
        InputError: the file cannot be read.
    """
    if path.suffix.lower() == ".tsv":
        yield from _cases(_segments(read_text(path)))
    else:
        yield from read_rows(path)


def _segments(content: str) -> Iterator[str]:
    for block in re.split(r"\n\s*\n", content):
        tokens = [line.split()[0] for line in block.split("\n") if line.strip()]
        if tokens:
            yield " ".join(tokens)


def _cases(segments: Iterator[str]) -> Iterator[Row]:
    case: Row | None = None
    for segment in segments:
        if found := _TYPE.match(segment):
            if case is not None:
                yield _whole(case)
            case = {"specialty": found[1].strip(), "parts": [], "options": {}, "answer": None}
        elif case is not None:
            _add(case, segment)
    if case is not None:
        yield _whole(case)


def _whole(case: Row) -> Row:
    options = [case["options"].get(number, "") for number in range(1, OPTIONS + 1)]
    return {**case, "question": " ".join(case["parts"]), "options": options}


def _add(case: Row, segment: str) -> None:
    """A segment after the key is the explanation, and a numbered one there is no option."""
    if case["answer"] is not None:
        return
    if found := _KEY.match(segment):
        case["answer"] = int(found[1]) - 1
    elif found := _OPTION.match(segment):
        case["options"][int(found[1])] = found[2].strip()
    elif case["options"]:
        # What follows an option belongs to the last of them.
        last = max(case["options"])
        case["options"][last] = f"{case['options'][last]} {segment}".strip()
    elif rest := _CASE.sub("", segment, count=1).strip():
        case["parts"].append(rest)


def _item(row: Row, origin: Origin) -> Fields:
    said = text(row, "lang", needed=False)
    if said and said != origin.language.partition("-")[0]:
        raise LeftOutError("another language")
    split = next((s for s in ("train", "dev", "test") if s in origin.path.stem.lower()), "")
    name = text(row, "id", needed=False) or f"casi-{split or 'case'}-{origin.number - 1:04}"
    options = row.get("options")
    if not isinstance(options, list) or len(options) != OPTIONS or not all(options):
        raise LeftOutError("not five options")
    if row.get("answer") is None:
        raise LeftOutError("no key")
    return {
        "id": name, "cluster": name, "question": text(row, "question"),
        "options": [str(one) for one in options], "answer": index(row["answer"], OPTIONS),
        "specialty": text(row, "specialty", needed=False).lower()[:100],
    }  # fmt: skip


def _split(row: Row) -> str:
    """Of JSON Lines by the id, as in `casi-train-0007`; a TSV file says it by its name."""
    parts = str(row.get("id") or "").split("-")
    return parts[1] if len(parts) == 3 else ""


LAYOUTS = {
    "casimedicos": Layout(
        "CasiMedicos: cases with five options, in parallel languages (Agerri et al. 2023)",
        _item, "CC-BY-4.0",
        "Name the authors (the archive's LICENSE says CC0-1.0, its README CC BY 4.0).",
        languages=("en", "fr", "es", "it"), split="", split_of=_split, read=read,
    ),
}  # fmt: skip

"""From answers to numbers: one for each item and measure, with a fixed denominator.

An answer that is missing, empty, cut off or cannot be read is wrong, and is counted apart: a model
that knows and does not keep to the form is another finding than one that does not know.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rouge_score import rouge_scorer  # type: ignore[import-untyped]

from bedside_core.kinds.exam import (
    ChoiceItem,
    DocumentItem,
    ExamItem,
    InstructionItem,
    OpenItem,
    ShortItem,
)
from bedside_core.matching import canonical
from bedside_eval.answering.answers import Answer, Answered, Mode
from bedside_eval.answering.extraction import THINKING, chosen, cleaned
from bedside_eval.answering.failures import is_mixed, is_repetition, leaks
from bedside_eval.answering.fidelity import unsupported, values_of
from bedside_eval.answering.instructions import followed
from bedside_eval.answering.rotations import by_item, rotated
from bedside_eval.records import AnswerCounts

Values = dict[str, tuple[float, ...]]
FACT_SHARE = 0.6
"""In the references of our document tasks 87 % of the facts are found by it, in the references of
other letters 4 %; at 0.8 they are 72 and 0 %."""
_FINAL = re.compile(r"####\s*(.+)|(?:Antwort|Réponse|Answer)\s*:\s*(.+)", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*")


def score(
    exams: Mapping[str, Sequence[ExamItem]], answered: Answered
) -> tuple[dict[str, Values], dict[str, dict[Mode, AnswerCounts]]]:
    """By exam the values of each measure, in the order of the items, and what could not be read."""
    values: dict[str, Values] = {}
    counts: dict[str, dict[Mode, AnswerCounts]] = {}
    for (name, mode), answers in answered.items():
        items = rotated(exams[name]) if mode == "rotated" else exams[name]
        pairs = list(zip(items, answers, strict=True))
        counts.setdefault(name, {})[mode] = _counts(pairs, mode)
        of = values.setdefault(name, {})
        if mode == "rotated":
            right = [float(_chosen_right(item, answer)) for item, answer in pairs]
            in_order = zip(of["accuracy_constrained"], by_item(exams[name], right), strict=True)
            of["consistent_accuracy"] = tuple(float(one and others) for one, others in in_order)
        else:
            of.update(_values(pairs, mode))
    return values, counts


def _values(pairs: Sequence[tuple[ExamItem, Answer]], mode: Mode) -> Values:
    measures = _MEASURES[type(pairs[0][0])] if mode == "generated" else CONSTRAINED
    if mode == "constrained" and all(
        isinstance(item, ChoiceItem) and item.abstain is not None for item, _ in pairs
    ):
        measures = {**measures, "abstention": _abstains_rightly}
    return {
        name: tuple(float(measure(item, answer)) for item, answer in pairs)
        for name, measure in measures.items()
    }


def _counts(pairs: Sequence[tuple[ExamItem, Answer]], mode: Mode) -> AnswerCounts:
    answers = [answer for _, answer in pairs]
    lettered = [(i, a) for i, a in pairs if isinstance(i, ChoiceItem) and mode != "generated"]
    size = max((len(item.options) for item, _ in lettered), default=0)
    said = Counter(place for i, a in lettered for place in _choice(i, a) or ())
    right = Counter(place for item, _ in lettered for place in item.answers)
    return AnswerCounts(
        of=len(answers),
        unanswered=sum(answer.finish == "none" for answer in answers),
        empty=sum(answer.finish != "none" and is_empty(answer) for answer in answers),
        truncated=sum(answer.finish == "length" for answer in answers),
        unreadable=sum(
            isinstance(item, ChoiceItem) and not is_empty(answer) and _choice(item, answer) is None
            for item, answer in pairs
        ),
        said=tuple(said[place] for place in range(size)),
        right=tuple(right[place] for place in range(size)),
    )


def is_empty(answer: Answer) -> bool:
    """Whether nothing is left of an answer but what the model thought before it."""
    return not cleaned(answer.text)


def _choice(item: ChoiceItem, answer: Answer) -> frozenset[int] | None:
    found = chosen(answer.text, item.options)
    return found if found is None or item.several or len(found) == 1 else None


def _chosen_right(item: Any, answer: Answer) -> bool:
    return _choice(item, answer) == frozenset(item.answers)


def _abstains_rightly(item: Any, answer: Answer) -> bool:
    """Both ways: it abstains where it must, and answers where it can."""
    found = _choice(item, answer)
    must = item.answers == (item.abstain,)
    return found is not None and (found == {item.abstain}) == must


def _short(item: Any, answer: Answer) -> bool:
    return is_exact(answer.text, item.answers)


def is_exact(text: str, answers: Sequence[str]) -> bool:
    """Whether an answer ends in one of these numbers, or is or begins with one of these words.

    A number counts behind "####" or a cue, else the last one; a word in the first line.
    """
    plain = cleaned(text)
    finals = [one or other for one, other in _FINAL.findall(plain)]
    final = finals[-1] if finals else plain
    for wanted in answers:
        if _NUMBER.fullmatch(wanted.strip()):
            numbers = _NUMBER.findall(final)
            said = (numbers[0] if finals else numbers[-1]) if numbers else ""
            if said and set(_signed(said)) & set(_signed(wanted.strip())):
                return True
        else:
            first, _, _ = final.strip().partition("\n")
            if f"{canonical(first)} ".startswith(f"{canonical(wanted)} "):
                return True
    return False


def _signed(number: str) -> tuple[float, ...]:
    values = values_of(number.removeprefix("-"))
    return tuple(-value for value in values) if number.startswith("-") else values


def _follows(item: Any, answer: Answer) -> bool:
    # Marks of emphasis are a part of some forms.
    return all(followed(item, THINKING.sub("", answer.text).strip()))


def _faithful(item: Any, answer: Answer) -> bool:
    return not is_empty(answer) and not unsupported(cleaned(answer.text), item.context).any


def _rouge_l(item: Any, answer: Answer) -> float:
    scorer = rouge_scorer.RougeScorer(["rougeL"], tokenizer=_Words())
    return float(scorer.score(item.reference, cleaned(answer.text))["rougeL"].fmeasure)


class _Words:
    """Words in canonical form: rouge-score's own tokenizer knows English letters alone."""

    def tokenize(self, text: str) -> list[str]:
        return canonical(text).split()


def facts_found(item: DocumentItem, text: str) -> float:
    """Share of the facts that are in an answer.

    Of a mapping, those whose key has the value in the JSON object of the answer; of a list, those
    of which `FACT_SHARE` of the words are in the answer, in whatever order.
    """
    if not item.facts:
        return 0.0
    if isinstance(item.facts, dict):
        found = _object(text)
        right = sum(_same(found.get(key), value) for key, value in item.facts.items())
    else:
        words = set(canonical(text).split())
        right = sum(_holds(words, fact) for fact in item.facts)
    return right / len(item.facts)


def _holds(words: set[str], fact: str) -> bool:
    wanted = set(canonical(fact).split())
    return len(wanted & words) >= FACT_SHARE * len(wanted)


def _object(text: str) -> dict[str, Any]:
    """The first JSON object of an answer; an empty one without."""
    # Marks of emphasis would be a part of keys.
    plain = THINKING.sub("", text)
    start = plain.find("{")
    if start < 0:
        return {}
    try:
        found, _ = json.JSONDecoder().raw_decode(plain[start:])
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _same(found: object, wanted: object) -> bool:
    if isinstance(wanted, bool) or isinstance(found, bool):
        return found is wanted
    if isinstance(wanted, int | float):
        numbers = [found] if isinstance(found, int | float) else _NUMBER.findall(str(found))
        return len(numbers) == 1 and float(wanted) in _signed(str(numbers[0]))
    return isinstance(found, str) and canonical(found) == canonical(str(wanted))


def _facts(item: Any, answer: Answer) -> float:
    return facts_found(item, answer.text)


def _repeats(_: Any, answer: Answer) -> bool:
    return is_repetition(answer.text)


def _mixes(item: Any, answer: Answer) -> bool:
    return is_mixed(answer.text, item.language)


def _leaks(_: Any, answer: Answer) -> bool:
    return leaks(answer.text)


def _is_empty(_: Any, answer: Answer) -> bool:
    return is_empty(answer)


def _is_cut(_: Any, answer: Answer) -> bool:
    return answer.finish == "length"


def _strange_numbers(item: Any, answer: Answer) -> bool:
    found = unsupported(cleaned(answer.text), item.context)
    return bool(found.numbers or found.units)


def _turned(item: Any, answer: Answer) -> bool:
    found = unsupported(cleaned(answer.text), item.context)
    return bool(found.sides or found.denials)


Measure = Callable[[Any, Answer], bool | float]
FAILURES: Mapping[str, Measure] = {
    "failure_empty": _is_empty,
    "failure_truncated": _is_cut,
    "failure_repetition": _repeats,
    "failure_language_mixing": _mixes,
    "failure_template_leakage": _leaks,
}
OF_DOCUMENTS: Mapping[str, Measure] = {
    "document_fidelity": _faithful,
    "facts_found": _facts,
    "rouge_l": _rouge_l,
    "failure_numbers": _strange_numbers,
    "failure_turned": _turned,
}
CONSTRAINED: Mapping[str, Measure] = {"accuracy_constrained": _chosen_right}
_MEASURES: Mapping[type[ExamItem], Mapping[str, Measure]] = {
    ChoiceItem: {"accuracy_generated": _chosen_right, **FAILURES},
    ShortItem: {"exact_match": _short, **FAILURES},
    InstructionItem: {"instructions_followed": _follows, **FAILURES},
    OpenItem: {"rouge_l": _rouge_l, **FAILURES},
    DocumentItem: {**OF_DOCUMENTS, **FAILURES},
}

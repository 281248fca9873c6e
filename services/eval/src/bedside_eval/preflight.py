"""What is looked at before the first question, because an examination takes hours: fails closed.

Refused: items that would be cut, items or options without a token, a tokenizer that ends every text
with a token. Said: texts of more than one window, tokens that span question and option, the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from bedside_core.errors import InputError
from bedside_core.kinds.exam import ChoiceItem
from bedside_eval.exam import Paper, Part
from bedside_eval.records import Answers
from bedside_models.likelihood import EncodedSet, encode, windows
from bedside_models.options import cut

NAMED = 5
"""Items that a message names; the rest it counts."""
EncodedItem = tuple[list[int], list[list[int]]]
"""The question's token ids, and each option's."""


class Encoded(NamedTuple):
    """A paper as token ids."""

    heldout: dict[str, EncodedSet]
    exams: dict[str, list[EncodedItem]]

    def fits(self, paper: Paper, part: Part, answers: Answers) -> bool:
        """Whether these are answers to this part: ids, order, numbers of tokens, bytes, options."""
        if part.kind == "exam":
            items = paper.choices[part.name]
            return _fits(
                [(item.id, item.answers, len(item.options)) for item in items],
                [(item.id, item.answers, len(item.loglikelihoods)) for item in answers.items],
                answers.of,
            )
        texts = self.heldout[part.name].texts
        return _fits(
            [(text.id, len(text.ids), text.bytes) for text in texts],
            [(text.id, text.tokens, text.bytes) for text in answers.texts],
            answers.of,
        )


def _fits(asked: Sequence[tuple[Any, ...]], found: Sequence[tuple[Any, ...]], of: int) -> bool:
    """Whether what was found, by ids, is a part of what was asked, in its order."""
    answered = {identifier for identifier, *_ in found}
    return found == [each for each in asked if each[0] in answered] and of == len(asked)


class Size(NamedTuple):
    """What a model is given to read, by part."""

    sequences: dict[Part, int]
    """Windows of texts, and options of items."""
    tokens: dict[Part, int]
    """A question counts once for its options."""
    longest: int
    """Tokens of the longest sequence."""
    windowed: dict[str, int]
    """Texts with more than one window, by held-out set."""


def encode_paper(paper: Paper, tokenizer: Any, max_length: int) -> Encoded:
    """Tokenise everything that will be asked, and refuse what cannot be asked whole.

    Raises:
        InputError: a text has no token, an item is too long or has an option without a token, or
            the tokenizer puts a token after every text; names ids, quotes nothing.
    """
    plain = tokenizer.encode("a", add_special_tokens=False)
    if tokenizer.encode("a")[-len(plain) :] != plain:
        raise InputError(
            "the model's tokenizer puts a token after every text, so an option would not follow "
            "its question - take it out of the post_processor in tokenizer.json, and import the "
            "base again"
        )
    heldout = {name: encode(texts, tokenizer) for name, texts in paper.heldout.items()}
    exams = {
        name: [cut(tokenizer, i.prompt, [f" {option}" for option in i.options]) for i in items]
        for name, items in paper.choices.items()
    }
    for name, items in paper.choices.items():
        _check_items(name, items, exams[name], max_length)
    return Encoded(heldout, exams)


def _check_items(
    exam: str, items: Sequence[ChoiceItem], encoded: Sequence[EncodedItem], max_length: int
) -> None:
    too_long, empty = [], []
    for item, (context, endings) in zip(items, encoded, strict=True):
        if not context or not all(endings):
            empty.append(item.id)
        # The last token is predicted and not seen.
        elif max(map(len, endings)) + len(context) - 1 > max_length:
            too_long.append(item.id)
    if too_long:
        raise InputError(
            f"exam {exam}: {len(too_long)} item(s) are longer than eval.max_length = {max_length} "
            f"tokens ({_some(too_long)}) - raise it or shorten them"
        )
    if empty:
        raise InputError(
            f"exam {exam}: the tokenizer leaves {len(empty)} item(s) without a token of the "
            f"question or of an option ({_some(empty)}) - put them differently or remove them"
        )


def measure_size(encoded: Encoded, max_length: int) -> Size:
    """How much there is to read."""
    sequences, tokens, longest, windowed = {}, {}, 0, {}
    for name, texts in encoded.heldout.items():
        cuts = [list(windows(text.ids, texts.prefix_id, max_length)) for text in texts.texts]
        lengths = [len(window.ids) - 1 for each in cuts for window in each]
        part = Part("heldout", name)
        sequences[part], tokens[part] = len(lengths), sum(lengths)
        longest = max(longest, *lengths)
        windowed[name] = sum(len(each) > 1 for each in cuts)
    for name, items in encoded.exams.items():
        part = Part("exam", name)
        sequences[part] = sum(len(endings) for _, endings in items)
        tokens[part] = sum(len(context) + sum(map(len, endings)) for context, endings in items)
        longest = max(longest, *(len(c) + max(map(len, e)) - 1 for c, e in items))
    return Size(sequences, tokens, longest, {name: n for name, n in windowed.items() if n})


def remarks(paper: Paper, encoded: Encoded, size: Size, tokenizer: Any) -> list[str]:
    """What is no fault, but should be known."""
    found = [
        f"held-out set {name}: {count} of {len(paper.heldout[name])} text(s) are longer than "
        "eval.max_length and scored in windows"
        for name, count in size.windowed.items()
    ]
    for name, items in paper.choices.items():
        across = [
            item.id
            for item, (context, _) in zip(items, encoded.exams[name], strict=True)
            if len(context) < len(tokenizer.encode(item.prompt))
        ]
        if across:
            found.append(
                f"exam {name}: in {len(across)} item(s) a token spans question and option "
                f"({_some(across)}); their options are scored from before it"
            )
    return found


def duration(seconds: float) -> str:
    """For people: seconds, minutes or hours."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _some(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return ", ".join(ids[:NAMED]) + more

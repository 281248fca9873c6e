"""What a model is asked about a document, and what its answer says.

The model may answer with one token. Its probabilities, over all spellings of each answer (`Yes`,
` yes`, `YES`), give the label and how sure the model was; which token was drawn does not matter.

Covered: answers without log-probabilities, refusals, answers that are none, numbers that are none.
Not covered: a document that tells the model what to answer. People's review (see agreement.py) is
what shows how often the labels are right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from bedside_core.errors import ConfigError
from bedside_corpus.labelling.config import Question

PLACE = "<DOCUMENT>"
TOP_TOKENS = 20
"""Of which the probability is asked for; more than this no server gives by default."""
MIN_MASS = 0.01
"""Of the probability that must be on the answers; below it the model did not take the question."""
HALVINGS = 5
"""Of a document that the server refuses for its length."""
_MARKS = " \t\r\n\u2581\u0120\u010a\"'.*`"
"""Around a token: blanks, also as tokenizers write them, quotes, a full stop, emphasis."""


class Unlabelled(Exception):  # noqa: N818 - an outcome, not an error
    """An answer gives no label; `reason` is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says."""

    probability: float
    """Of the answers that mean yes, among all answers."""
    mass: float
    """Of all answers, among all tokens."""


class Asked:
    """A question with its prompt, read once."""

    def __init__(self, question: Question) -> None:
        """Read the prompt.

        Raises:
            ConfigError: the prompt cannot be read, or has no place, or several, for the document.
        """
        self.question = question
        self.prompt = _read(question.prompt)
        self._answers = {answer.casefold() for answer in question.answers}
        self._yes = {answer.casefold() for answer in question.yes}

    @property
    def sha256(self) -> str:
        """Of what decides an answer beside model and document: prompt, answers, what they mean."""
        decides = [self.prompt, *self.question.answers, "", *self.question.yes]
        return sha256("\0".join(decides).encode()).hexdigest()

    def cut(self, text: str, halved: int = 0) -> str:
        """The beginning of a text that is asked about, cut at a blank where it is too long."""
        most = min(len(text), self.question.max_characters) >> halved
        if len(text) <= most:
            return text
        end = max(text.rfind(blank, 0, most + 1) for blank in " \n\t")
        return text[: end if end > most // 2 else most]

    def body(self, text: str) -> dict[str, Any]:
        """A request for `/v1/chat/completions`."""
        content = self.prompt.replace(PLACE, text)
        body: dict[str, Any] = {
            "messages": [{"role": "user", "content": content}],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": TOP_TOKENS,
        }
        choice = list(self.question.answers)
        match self.question.constraint:
            case "structured_outputs":
                body["structured_outputs"] = {"choice": choice}
            case "guided_choice":
                body["guided_choice"] = choice
        return body

    def read(self, answer: dict[str, Any]) -> Reading:
        """What a completion says.

        Raises:
            Unlabelled: `refused`, `no_logprobs`, `malformed` or `no_answer` (it is none of them).
        """
        try:
            choice = answer["choices"][0]
            if choice.get("finish_reason") == "content_filter" or choice["message"].get("refusal"):
                raise Unlabelled("refused")
            content = (choice.get("logprobs") or {}).get("content") or ()
            if not content:
                raise Unlabelled("no_logprobs")
            tokens = [content[0], *(content[0].get("top_logprobs") or ())]
            # The drawn token stands among the most probable ones again.
            found = {str(one["token"]): math.exp(_number(one["logprob"])) for one in tokens}
        except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError):
            raise Unlabelled("malformed") from None
        mass = yes = 0.0
        for token, probability in found.items():
            word = token.strip(_MARKS).casefold()
            mass += probability * (word in self._answers)
            yes += probability * (word in self._yes)
        if mass < MIN_MASS:
            raise Unlabelled("no_answer")
        return Reading(yes / mass, min(mass, 1.0))


def _number(value: object) -> float:
    """A log-probability; rounding may put it a little above 0.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, int | float) or math.isnan(value) or value > 1e-3:
        raise ValueError
    return min(float(value), 0.0)


def _read(path: Path | None) -> str:
    where = "corpus.annotate.question.prompt"
    try:
        text = (
            files("bedside_corpus.labelling").joinpath("prompts/definemed.txt").read_text("utf-8")
            if path is None
            else path.read_text(encoding="utf-8")
        )
    except OSError as error:
        raise ConfigError(f"{where}: {path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: {path}: not UTF-8 - convert it") from None
    if text.count(PLACE) != 1:
        raise ConfigError(
            f"{where}: {path}: has {PLACE} {text.count(PLACE)} times - write it once, where the "
            "document goes"
        )
    return text.strip()

"""Every drawn document to the model that labels, once; what was answered survives a kill.

Tested in tests/corpus/labelling/test_asking.py.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Iterator, Sized
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from bedside_core.endpoint.client import Endpoint, Outcome, Route, UnansweredError, connected
from bedside_core.endpoint.config import EndpointConfig
from bedside_core.endpoint.connection import Peer, open_http
from bedside_core.errors import InputError
from bedside_corpus.document import Document
from bedside_corpus.labelling.question import HALVINGS, Asked, Reading, Unlabelled

ROUTE: Route = "/v1/chat/completions"
TOO_LONG = "http_400"
"""What vLLM and others answer to a prompt that is longer than the model's context."""
SHORTEST = 200
"""Characters; what is refused at twice this length is refused for another reason."""
MAX_LOST = 0.01
"""Of the documents; where more have no answer it is the server, and they are asked for again."""
MAX_UNLABELLED = 0.5
"""Of the documents; where more have an answer that is none, the model does not do as it is told."""
FEW = 20
"""Readings from which on it is no chance if they are all alike."""
PROBE = "Bei Hypertonie wird Ramipril in einer Dosis von 2,5 bis 10 mg am Tag gegeben."
"""Asked first, so that a server without log-probabilities is found before all are asked."""


class Documents(Sized, Protocol):
    """A sample; each pass over it gives the same documents."""

    def __iter__(self) -> Iterator[Document]:
        """In their order."""


@dataclass(slots=True)
class Answers:
    """What the model said, by the document's place in the sample."""

    readings: dict[int, Reading] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    """Why a document has no label."""
    cut: set[int] = field(default_factory=set)
    """Documents of which the beginning alone was asked about."""

    @property
    def counts(self) -> dict[str, int]:
        """How many have no label, per reason."""
        return dict(sorted(Counter(self.reasons.values()).items()))


class _Answered(NamedTuple):
    """What became of the question about one document."""

    place: int
    characters: int
    """Of the document that were asked about."""
    is_cut: bool
    outcome: Outcome


def model_digest(config: EndpointConfig) -> str:
    """The digest of the model behind the server; nobody is asked where the config states it.

    Raises:
        ConfigError: neither states one.
        InputError: nobody answers.
    """

    async def found() -> str:
        async with open_http(config) as http:
            return (await Peer.found(http, config)).digest

    return config.digest or asyncio.run(found())


def ask(config: EndpointConfig, asked: Asked, documents: Documents, cache: Path) -> Answers:
    """Ask about each document.

    Args:
        config: the server.
        asked: the question.
        documents: the sample; only a few are held at a time.
        cache: answers are kept here, under the model's digest; no text of a document is in them.

    Raises:
        InputError: the server is gone, serves another model, gives no log-probabilities or always
            the same, leaves more than `MAX_LOST` of the documents unanswered or answers more than
            `MAX_UNLABELLED` with something else.
        ConfigError: it does not know this key, this model or this route.
    """
    answers = asyncio.run(_ask(config, asked, documents, cache))
    _check(answers, len(documents), config, cache)
    return answers


async def _ask(config: EndpointConfig, asked: Asked, documents: Documents, cache: Path) -> Answers:
    answers = Answers()
    wanted: Collection[int] = range(len(documents))
    async with connected(config, cache) as endpoint:
        await _probe(endpoint, asked)
        for halved in range(HALVINGS + 1):
            too_long: set[int] = set()
            async with aclosing(_round(endpoint, asked, documents, wanted, halved)) as answered:
                async for one in answered:
                    if one.is_cut:
                        answers.cut.add(one.place)
                    if one.outcome.reason == TOO_LONG and one.characters > 2 * SHORTEST:
                        too_long.add(one.place)
                    _note(answers, asked, one)
            if not too_long:
                break
            wanted = too_long
    return answers


async def _round(
    endpoint: Endpoint, asked: Asked, documents: Documents, wanted: Collection[int], halved: int
) -> AsyncGenerator[_Answered]:
    """Ask about the documents at these places, each cut as a round cuts it."""
    places: list[tuple[int, int, bool]] = []

    def bodies() -> Iterator[dict[str, object]]:
        for place, document in enumerate(documents):
            if place in wanted:
                part = asked.cut(document.text, halved)
                places.append((place, len(part), part != document.text))
                yield asked.body(part)

    asking = endpoint.ask_all(ROUTE, bodies(), total=len(wanted), name="annotate")
    async with aclosing(asking) as outcomes:
        async for outcome in outcomes:
            yield _Answered(*places[outcome.number], outcome)


def _note(answers: Answers, asked: Asked, one: _Answered) -> None:
    if one.outcome.answer is None:
        answers.reasons[one.place] = one.outcome.reason or "unanswered"
        return
    try:
        answers.readings[one.place] = asked.read(one.outcome.answer)
    except Unlabelled as unlabelled:
        answers.reasons[one.place] = unlabelled.reason
    else:
        answers.reasons.pop(one.place, None)


async def _probe(endpoint: Endpoint, asked: Asked) -> None:
    address = endpoint.config.address
    try:
        asked.read(await endpoint.ask(ROUTE, asked.body(PROBE)))
    except UnansweredError as error:
        raise InputError(
            f"{address}: has no answer to a first question ({error.reason}) - look at the server's "
            "log; one that does not know structured outputs needs corpus.annotate.question."
            "constraint: none"
        ) from None
    except Unlabelled as error:
        raise InputError(_UNFIT[error.reason].format(address)) from None


_UNFIT = {
    "refused": "{}: the model refuses a harmless question - take another model",
    "no_logprobs": "{}: gives no log-probabilities - start the server so that it does (`logprobs` "
    "and `top_logprobs` of a chat completion), or take another",
    "malformed": "{}: its log-probabilities are none - look at what the server is",
    "no_answer": "{}: the model gives a first question none of the answers - mend "
    "corpus.annotate.question (prompt, answers), or take another model",
}


def _check(answers: Answers, documents: int, config: EndpointConfig, cache: Path) -> None:
    address = config.address
    lost = sum(not one.startswith("http_4") for one in _unanswered(answers))
    if lost > MAX_LOST * documents:
        raise InputError(
            f"{address}: {lost} of {documents} documents have no answer ({_shown(answers)}) - look "
            "at the server's log; the same command asks for these alone"
        )
    if len(answers.reasons) > MAX_UNLABELLED * documents:
        raise InputError(
            f"{address}: {len(answers.reasons)} of {documents} documents have no label "
            f"({_shown(answers)}) - mend corpus.annotate.question, or take another model"
        )
    if len(answers.readings) >= FEW:
        different = {round(reading.probability, 6) for reading in answers.readings.values()}
        if len(different) <= 2:
            raise InputError(
                f"{address}: {len(answers.readings)} answers have {len(different)} different "
                "probabilities, so they say nothing of how sure the model is - mend the server and "
                f"remove {cache}, where its answers are kept"
            )


def _unanswered(answers: Answers) -> list[str]:
    of_the_model = set(_UNFIT)
    return [reason for reason in answers.reasons.values() if reason not in of_the_model]


def _shown(answers: Answers) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in answers.counts.items())

"""A model answers the exams, by the engine that would serve it.

Each question is one user's message, as a clinician's client sends it: the model's chat template,
no system prompt, greedy. A model without a template is asked for a completion. Answers are kept
piece by piece under the evaluation's own MAC, so that an interrupted run goes on, and no file of
anybody else's becomes an answer. Each answer names the weights behind it; another model's is
refused.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from bedside_core.artifacts import Artifact
from bedside_core.console import say
from bedside_core.endpoint.client import Endpoint, Route, connected
from bedside_core.endpoint.config import EndpointConfig
from bedside_core.errors import InputError
from bedside_core.kinds.exam import ChoiceItem, ExamItem
from bedside_core.kinds.exam.wording import LETTERS, wording
from bedside_eval.answering.answers import PIECE, Answer, Answered, Mode
from bedside_eval.answering.canaries import check_engine
from bedside_eval.answering.config import Generation
from bedside_eval.answering.rotations import rotated
from bedside_eval.state import State

PIECE_ITEMS = 32
"""What a kill costs at most."""
CHAT: Route = "/v1/chat/completions"
COMPLETION: Route = "/v1/completions"


class Questions(NamedTuple):
    """The items of one exam, in one mode."""

    exam: str
    mode: Mode
    items: Sequence[ExamItem]


class Kept:
    """One model's answers that are kept, and those that are still to be asked for."""

    def __init__(
        self, model: Artifact, questions: Sequence[Questions], state: State, dtype: str
    ) -> None:
        """`dtype`: that is served."""
        self.model, self._state, self._dtype = model, state, dtype
        self.directory = state.directory
        self._found: dict[str, tuple[Answer, ...]] = {}
        self._pieces: dict[str, tuple[Questions, tuple[ExamItem, ...]]] = {}
        for asked in questions:
            for number, items in enumerate(_pieces(asked.items)):
                name = f"answers/{asked.exam}/{asked.mode}/{number}"
                self._pieces[name] = (asked, items)
                found = _read(state.load(model.digest, name, dtype))
                # What the engine did not answer in time is asked again where a run goes on.
                if (
                    found is not None
                    and [a.id for a in found] == [item.id for item in items]
                    and all(a.finish != "none" for a in found)
                ):
                    self._found[name] = found

    @property
    def missing(self) -> Iterator[tuple[str, Mode, tuple[ExamItem, ...]]]:
        """Name, mode and items of each piece without answers."""
        for name, (asked, items) in self._pieces.items():
            if name not in self._found:
                yield name, asked.mode, items

    def keep(self, name: str, answers: tuple[Answer, ...]) -> None:
        """Keep the answers of a piece."""
        self._state.save(self.model.digest, name, self._dtype, PIECE.dump_json(answers))
        self._found[name] = answers

    @property
    def answers(self) -> Answered:
        """All of them; every piece has its own by now."""
        whole: Answered = {}
        for name, (asked, _) in self._pieces.items():
            key = (asked.exam, asked.mode)
            whole[key] = (*whole.get(key, ()), *self._found[name])
        return whole


def questions_of(
    exams: Mapping[str, Sequence[ExamItem]], *, rotations: bool = False
) -> list[Questions]:
    """What is asked of these exams: everything freely, choices in letters too.

    Args:
        exams: by name.
        rotations: whether choices are asked in every rotation of their options.
    """
    found = []
    for name, items in exams.items():
        found.append(Questions(name, "generated", items))
        if isinstance(items[0], ChoiceItem):
            found.append(Questions(name, "constrained", items))
            if rotations:
                found.append(Questions(name, "rotated", rotated(items)))
    return found


def ask(config: Generation, kept: Kept, name: str, socket: Path, *, chat: bool) -> None:
    """Ask for every answer that is missing.

    Args:
        config: how.
        kept: takes the answers.
        name: what the engine calls the model.
        socket: of the engine.
        chat: whether the model has a chat template.

    Raises:
        InputError: the engine is gone, serves another model, is no engine whose answers mean
            anything, or leaves most questions of a piece unanswered.
    """
    for left in kept.directory.glob("asked-*"):
        shutil.rmtree(left)  # texts of a run that was killed
    with tempfile.TemporaryDirectory(dir=kept.directory, prefix="asked-") as cache:
        asyncio.run(_ask(config, kept, name, socket, Path(cache), chat))


async def _ask(
    config: Generation, kept: Kept, name: str, socket: Path, cache: Path, chat: bool
) -> None:
    endpoint = EndpointConfig(
        address=str(socket), model=name, digest=kept.model.digest, concurrency=config.concurrency,
        timeout_seconds=config.timeout_seconds,
    )  # fmt: skip
    async with connected(endpoint, cache) as engine:
        if not engine.peer.says:
            raise InputError(
                f"{socket}: does not say which weights it serves, so its answers are nobody's - "
                "examine with the engine of this release"
            )
        await check_engine(engine)
        for piece, mode, items in list(kept.missing):
            kept.keep(piece, await _piece(engine, config, piece, mode, items, chat))


async def _piece(
    engine: Endpoint,
    config: Generation,
    piece: str,
    mode: Mode,
    items: Sequence[ExamItem],
    chat: bool,
) -> tuple[Answer, ...]:
    bodies = [body_of(item, mode, config.max_tokens, chat=chat) for item in items]
    found = {}
    route = CHAT if chat else COMPLETION
    async for outcome in engine.ask_all(route, bodies, total=len(bodies), name=piece):
        found[outcome.number] = _answer(items[outcome.number].id, outcome.answer)
    answers = tuple(found[number] for number in range(len(items)))
    unanswered = sum(answer.finish == "none" for answer in answers)
    if 2 * unanswered > len(answers):
        raise InputError(
            f"{piece}: the engine left {unanswered} of {len(answers)} questions unanswered - look "
            "at its log; the same command asks again"
        )
    if unanswered:
        say(f"{piece}: {unanswered} of {len(answers)} unanswered, which counts as wrong")
    return answers


def body_of(item: ExamItem, mode: Mode, max_tokens: int, *, chat: bool) -> dict[str, Any]:
    """The request for one answer."""
    body: dict[str, Any] = {"temperature": 0, "seed": 0, "max_tokens": max_tokens}
    if mode != "generated" and isinstance(item, ChoiceItem):
        letters = LETTERS[: len(item.options)]
        if item.several:
            one = f"[{letters}]"
            more = f"(, {one}){{0,{len(letters) - 1}}}"
            body["structured_outputs"] = {"regex": f"{one}{more}"}
        else:
            body["structured_outputs"] = {"choice": list(letters)}
    if chat:
        body["messages"] = [{"role": "user", "content": item.asked}]
    else:
        body["prompt"] = f"{item.asked}\n\n{wording(item.language).cue}"
    return body


def _answer(name: str, found: Mapping[str, Any] | None) -> Answer:
    if found is None:
        return Answer(id=name, text="", finish="none")
    choice = found["choices"][0]
    message = choice.get("message", choice) if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return Answer(id=name, text="", finish="none")
    text = message.get("content", message.get("text"))
    finish = "length" if choice.get("finish_reason") == "length" else "stop"
    return Answer(id=name, text=text if isinstance(text, str) else "", finish=finish)


def _pieces(items: Sequence[ExamItem]) -> Iterator[tuple[ExamItem, ...]]:
    remaining = iter(items)
    while piece := tuple(islice(remaining, PIECE_ITEMS)):
        yield piece


def _read(raw: bytes | None) -> tuple[Answer, ...] | None:
    if raw is not None:
        with suppress(ValidationError):
            return PIECE.validate_json(raw)
    return None

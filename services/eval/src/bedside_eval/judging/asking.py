"""A judge is asked many things; an interrupted run goes on, and no file of others is a verdict.

Replies are reduced to their verdicts before they are kept anywhere. These lie under the
evaluation's own MAC, in pieces, with a hash of what was asked: other answers, another prompt or
another judge find nothing. Every piece also names what the server said of itself; a judge that
says something else in the middle is another judge, and is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.config import canonical_json
from bedside_core.endpoint.client import Endpoint, connected
from bedside_core.endpoint.config import EndpointConfig
from bedside_core.errors import InputError
from bedside_eval.judging.questions import Body, Reader
from bedside_eval.judging.records import JudgeIdentity
from bedside_eval.state import State

PIECE = 64
"""Replies that a kill costs at most, and those under way."""
LEFT = "judged-"
"""Prefix of the folder in which one piece's verdicts wait."""


class Reply(BaseModel):
    """What is left of a judge's reply."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    became: Literal["verdict", "invalid", "unanswered"]
    value: Any = None
    """What the reader made of it."""


class _Piece(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    asked: str
    """SHA-256 of the requests."""
    said: str | None
    """What the server said of itself."""
    replies: tuple[Reply, ...]

    @property
    def incomplete(self) -> bool:
        return any(reply.became == "unanswered" for reply in self.replies)


class Judge:
    """One judge of the config; it has an identity as soon as it was found."""

    def __init__(self, name: str, config: EndpointConfig, state: State) -> None:
        """Look which model it is.

        Raises:
            ConfigError: nobody says which weights it has.
            InputError: nobody answers, or other weights than the config states.
        """
        self._config, self._state = config, state
        for left in state.directory.glob(f"{LEFT}*"):
            shutil.rmtree(left)  # of a run that was killed
        self.identity = asyncio.run(identify(name, config, state.directory))

    def ask(self, part: str, bodies: Sequence[Body], read: Reader) -> tuple[Reply, ...]:
        """The replies to all requests, in order.

        Args:
            part: where they are kept, without a dot.
            bodies: requests of `/v1/chat/completions`.
            read: makes a verdict of a reply's text.

        Raises:
            InputError: the judge is gone, or is another one now.
        """
        replies: list[Reply] = []
        for start in range(0, len(bodies), PIECE):
            piece = bodies[start : start + PIECE]
            replies += self._piece(f"{part}/{start // PIECE}", piece, read)
        return tuple(replies)

    def _piece(self, part: str, bodies: Sequence[Body], read: Reader) -> tuple[Reply, ...]:
        name = f"judge/{self.identity.name}/{part}"
        asked = hashlib.sha256(canonical_json([list(bodies), read.__name__])).hexdigest()
        kept = self._kept(name)
        # What was not answered in time is asked again by the next run.
        if kept is None or kept.asked != asked or kept.incomplete:
            said, replies = asyncio.run(self._asked(part, bodies, read))
            kept = _Piece(asked=asked, said=said, replies=replies)
            self._check(kept.said)
            self._state.save(self.identity.digest, name, "judge", kept.model_dump_json().encode())
        self._check(kept.said)
        return kept.replies

    def _kept(self, name: str) -> _Piece | None:
        raw = self._state.load(self.identity.digest, name, "judge")
        if raw is not None:
            with suppress(ValidationError):
                return _Piece.model_validate_json(raw)
        return None

    def _check(self, said: str | None) -> None:
        """The first thing that a server says of itself stays.

        Raises:
            InputError: it says another.
        """
        if said is None:
            return
        if self.identity.server is None:
            self.identity = self.identity.model_copy(update={"server": said})
        elif self.identity.server != said:
            raise InputError(
                f"judge {self.identity.name}: the server says that it is another one than before "
                "- let one judge judge everything: start it again as it was, or begin anew"
            )

    async def _asked(
        self, part: str, bodies: Sequence[Body], read: Reader
    ) -> tuple[str | None, tuple[Reply, ...]]:
        found: dict[int, Reply] = {}
        said: set[str] = set()
        with tempfile.TemporaryDirectory(dir=self._state.directory, prefix=LEFT) as cache:
            async with connected(self._config, Path(cache), _reducer(read)) as judge:
                self._same(judge)
                async for outcome in judge.ask_all(
                    "/v1/chat/completions", bodies, total=len(bodies),
                    name=f"{self.identity.name}: {part}",
                ):  # fmt: skip
                    if outcome.answer is None:
                        found[outcome.number] = Reply(became="unanswered")
                        continue
                    found[outcome.number] = Reply.model_validate(outcome.answer["reply"])
                    if outcome.answer["said"]:
                        said.add(outcome.answer["said"])
        if len(said) > 1:
            raise InputError(
                f"judge {self.identity.name}: its server said different things of itself within "
                f"{len(bodies)} replies - let one judge judge everything, behind one address"
            )
        return next(iter(said), None), tuple(found[number] for number in range(len(bodies)))

    def _same(self, judge: Endpoint) -> None:
        if judge.peer.digest != self.identity.digest:
            raise InputError(
                f"judge {self.identity.name}: its server serves model {judge.peer.digest[:12]} "
                f"now and served {self.identity.digest[:12]} before - start that one again"
            )


async def identify(name: str, config: EndpointConfig, directory: Path) -> JudgeIdentity:
    """Which model stands behind an address; `directory` takes an empty folder for a moment."""
    with tempfile.TemporaryDirectory(dir=directory, prefix=LEFT) as cache:
        async with connected(config, Path(cache)) as judge:
            return JudgeIdentity(
                name=name, model=config.model, digest=judge.peer.digest, said=judge.peer.says
            )


def _reducer(read: Reader) -> Any:
    def reduce(answer: Body) -> Body:
        """The verdict, and what the server says of itself."""
        choice = answer["choices"][0]
        message = choice.get("message") if isinstance(choice, dict) else None
        text = message.get("content") if isinstance(message, dict) else None
        cut = isinstance(choice, dict) and choice.get("finish_reason") == "length"
        value = read(text) if isinstance(text, str) and not cut else None
        said = [answer.get(key) for key in ("model", "system_fingerprint")]
        return {
            "reply": {"became": "invalid" if value is None else "verdict", "value": value},
            "said": "/".join(str(part) for part in said if isinstance(part, str)) or None,
        }

    return reduce

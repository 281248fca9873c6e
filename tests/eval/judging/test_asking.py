"""Verdicts are asked for once, kept without a word of text, and are never another judge's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from bedside_core.endpoint import client
from bedside_core.endpoint.config import EndpointConfig
from bedside_core.errors import ConfigError, InputError
from bedside_eval.judging import asking
from bedside_eval.judging.asking import PIECE, Judge
from bedside_eval.judging.questions import pair_body, read_winner

SECRET = "Zyanose der Lippen"
BODIES = [pair_body(f"{SECRET} {n}?", "", f"{SECRET} ja {n}", "nein") for n in range(PIECE + 3)]


def values(judge: Judge) -> list[Any]:
    return [reply.value for reply in judge.ask("pairs/x", BODIES, read_winner)]


def kept(state: Any) -> str:
    files = [path for path in state.directory.rglob("*") if path.is_file()]
    return " ".join(path.read_text() for path in files)


def test_replies_are_in_order_and_asked_for_once(
    judge: Judge, standin: Any, config: EndpointConfig, state: Any
) -> None:
    standin.decide = lambda a, b: "AB0"[int(a.rpartition(" ")[2]) % 3]
    expected = ["AB0"[n % 3] for n in range(len(BODIES))]
    assert values(judge) == expected
    assert len(standin.asked) == len(BODIES)
    assert values(Judge("first", config, state)) == expected
    assert len(standin.asked) == len(BODIES), "kept"


def test_what_was_not_answered_is_asked_again_by_the_next_run(
    judge: Judge, standin: Any, config: EndpointConfig, state: Any
) -> None:
    standin.text = lambda _, text: text if len(standin.asked) != 2 else None
    replies = judge.ask("pairs/x", BODIES, read_winner)
    assert [reply.became for reply in replies].count("unanswered") == 1
    again = Judge("first", config, state).ask("pairs/x", BODIES, read_winner)
    assert {reply.became for reply in again} == {"verdict"}
    assert len(standin.asked) == len(BODIES) + PIECE, "the other piece was whole"


def test_what_is_kept_has_no_text(judge: Judge, state: Any) -> None:
    values(judge)
    held = kept(state)
    assert SECRET not in held and "Weil" not in held and '"value":"0"' in held


def test_nothing_but_a_verdict_is_on_the_disk_while_a_judge_is_asked(
    judge: Judge, standin: Any, state: Any
) -> None:
    seen = []

    def decide(a: str, b: str) -> str:
        seen.append(kept(state))
        return "A"

    standin.decide = decide
    values(judge)
    assert any("verdict" in held for held in seen)
    assert not any(SECRET in held or "Weil" in held for held in seen)


def test_other_questions_or_another_judge_find_no_verdict(
    judge: Judge, standin: Any, config: EndpointConfig, state: Any
) -> None:
    values(judge)
    judge.ask("pairs/x", [pair_body("Anders?", "", "ja", "nein")], read_winner)
    assert len(standin.asked) == len(BODIES) + 1
    standin.served = "aa" * 32
    assert values(Judge("first", config, state))
    assert len(standin.asked) == 2 * len(BODIES) + 1


def test_a_killed_run_goes_on_and_its_leftovers_are_removed(
    judge: Judge, standin: Any, config: EndpointConfig, state: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(client, "GIVE_UP", 2)
    standin.text = lambda _, text: text if len(standin.asked) <= PIECE else None
    left = state.directory / f"{asking.LEFT}old"
    (left / "x").mkdir(parents=True)
    judge = Judge("first", config, state)
    assert not left.exists()
    replies = judge.ask("pairs/x", BODIES, read_winner)
    assert [reply.became for reply in replies[PIECE:]] == ["unanswered"] * 3
    standin.served = None
    with pytest.raises(ConfigError, match="does not say which weights"):
        Judge("first", config, state)


def test_a_judge_that_is_gone_is_no_verdict(
    judge: Judge, standin: Any, config: EndpointConfig, state: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(client, "GIVE_UP", 2)
    counted = []

    def text(body: Any, found: str) -> str:
        counted.append(body)
        if len(counted) > PIECE:
            Path(standin.path).unlink(missing_ok=True)
            raise ConnectionError
        return found

    standin.text = text
    with pytest.raises(InputError, match="nobody answers there"):
        values(judge)
    assert len(list(state.directory.glob("*pairs.x.0"))) == 1, "the first piece is kept"


def test_another_judge_in_the_middle_is_refused(judge: Judge, standin: Any) -> None:
    values(judge)
    standin.served = "aa" * 32
    with pytest.raises(InputError, match="start that one again"):
        judge.ask("pairs/y", BODIES[:1], read_winner)


def test_a_server_that_says_no_digest_is_known_by_what_it_says_of_itself(
    standin: Any, config: EndpointConfig, state: Any
) -> None:
    standin.served, standin.fingerprint = None, "fp-1"
    judge = Judge("first", config.model_copy(update={"digest": "ab" * 32}), state)
    values(judge)
    assert (judge.identity.said, judge.identity.server) == (False, "judge/fp-1")
    standin.fingerprint = "fp-2"
    with pytest.raises(InputError, match="another one than before"):
        judge.ask("pairs/y", BODIES[:1], read_winner)
    standin.text = lambda _, text: (setattr(standin, "fingerprint", str(len(standin.asked))), text)[
        1
    ]
    with pytest.raises(InputError, match="different things of itself"):
        judge.ask("pairs/z", BODIES, read_winner)


def test_an_answer_that_comes_too_late_is_counted(
    standin: Any, config: EndpointConfig, state: Any
) -> None:
    standin.text = lambda _, text: (time.sleep(0.4), text)[1]
    quick = config.model_copy(update={"timeout_seconds": 0.1, "retries": 0})
    replies = Judge("first", quick, state).ask("pairs/x", BODIES[:2], read_winner)
    assert [reply.became for reply in replies] == ["unanswered"] * 2

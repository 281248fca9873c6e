"""What judges said, as sections of the report: ladder, preferences, the judges' own exam."""

from __future__ import annotations

from collections.abc import Iterator

from bedside_eval.evidence import Evidence
from bedside_eval.judging.records import JudgeCard, Judging
from bedside_eval.reporting.gains import Gain, margin
from bedside_eval.reporting.numerals import number, percent
from bedside_eval.reporting.parts import Section, Table
from bedside_eval.reporting.sentences import Speaker
from bedside_eval.statistics.estimate import Estimate, turned


def judged_sections(judging: Judging, say: Speaker) -> Iterator[Section]:
    """In the order of the report; an advisory judgement says so where it stands."""
    words = say.words
    header = tuple(words[name] for name in ("set", "model", "strength", "interval"))
    rungs = tuple(
        (
            words["exam"].format(name=ladder.exam), words[f"role_{rung.role}"],
            number(rung.strength.estimate, 2, say.language, signed=True),
            _interval(rung.strength, say, 2, 1.0),
        )
        for ladder in judging.ladders
        for rung in ladder.rungs
    )  # fmt: skip
    told = (words["ladder_text"], *advisory(judging, say))
    yield Section("ladder", words["ladder"], told, table=Table(header, rungs))
    yield _preferences(judging, say)
    yield _judges(judging, say)


def advisory(judging: Judging, say: Speaker) -> tuple[str, ...]:
    """For each exam on which no verdict may rest, one sentence."""
    return tuple(
        say.words["advisory"].format(of=say.words["exam"].format(name=exam), judges=", ".join(who))
        for exam, who in judging.advisory.items()
    )


def judged_gains(evidence: Evidence) -> list[Gain]:
    """Failures that judges saw less often in the candidate's answers than in another's."""
    if evidence.judging is None:
        return []
    return [
        Gain(
            "exam", change.exam, f"failure_{change.mode}", change.second, turned(change.change),
            margin(evidence.policy, f"failure_{change.mode}", change.exam, change.second),
        )
        for change in evidence.judging.failures
        if change.first == "candidate"
    ]  # fmt: skip


def _preferences(judging: Judging, say: Speaker) -> Section:
    words = say.words
    names = ("set", "models", "win_rate", "interval", "controlled", "interval", "counts")
    rows = tuple(
        (
            words["exam"].format(name=rate.exam),
            f"{words[f'role_{rate.first}']} : {words[f'role_{rate.second}']}",
            percent(rate.raw.estimate, say.language), _interval(rate.raw, say, 1, 100.0),
            percent(rate.controlled.estimate, say.language),
            _interval(rate.controlled, say, 1, 100.0),
            f"{rate.wins} / {rate.ties} / {rate.losses}",
        )
        for rate in judging.win_rates
    )  # fmt: skip
    table = Table(tuple(words[name] for name in names), rows)
    text = (words["preferences_text"], *_habits(judging, say), *advisory(judging, say))
    return Section("preferences", words["preferences"], text, table=table)


def _habits(judging: Judging, say: Speaker) -> tuple[str, ...]:
    asked = sum(rate.verdicts for rate in judging.win_rates)
    missing = sum(rate.invalid + rate.unanswered for rate in judging.win_rates)
    told = {name: number(count, 0, say.language) for name, count in
            (("asked", asked), ("missing", missing))}  # fmt: skip
    return (say.words["verdicts"].format(**told),)


def _judges(judging: Judging, say: Speaker) -> Section:
    words = say.words
    header = tuple(words[name] for name in ("judge", "language", "card", "value"))
    rows = tuple(
        (card.judge.name, card.language, _card(card, say), card.judge.digest)
        for card in judging.judged.cards
    )
    table = Table(header, rows)
    return Section("judges", words["judges"], (words["judges_text"],), table=table)


def _card(card: JudgeCard, say: Speaker) -> str:
    if card.passed:
        return say.words["card_passed"]
    missed = ", ".join(part.part for part in card.parts if not part.holds)
    return say.words["card_failed"].format(parts=missed or "–")


def _interval(found: Estimate, say: Speaker, digits: int, factor: float) -> str:
    bounds = found.envelope
    if bounds is None:
        return say.words["no_information"]
    low, high = (number(factor * x, digits, say.language) for x in (bounds.low, bounds.high))
    return f"{low} … {high}"

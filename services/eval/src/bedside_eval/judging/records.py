"""What judges said, as evidence keeps it: letters and numbers, never a text.

Tested in tests/eval/judging/test_pairs.py, tests/eval/judging/test_judged.py.
"""

from __future__ import annotations

from typing import Literal

from bedside_eval.records import EvidencePart, Role
from bedside_eval.statistics.estimate import Estimate

Said = Literal["A", "B", "0", "!", "?", "1", "2", "="]
"""`A`, `B`: the answer that was shown first or second is better; `0`: neither. `!`: no verdict can
be read; `?`: the judge gave no answer in time. Not asked: `1`, `2`: only the first or the second
model answered at all; `=`: neither did, or both wrote the same."""
UNJUDGED = "!?"
MAX_UNJUDGED = 0.05
"""Share of verdicts that may be missing. Each counts as a tie, which would hide a harm as well as a
gain, so a verdict rests on no pair that has more of them."""


class JudgeIdentity(EvidencePart):
    """Which model judged."""

    name: str
    """In `eval.judges`."""
    model: str
    """What its server calls it."""
    digest: str
    """SHA-256 of its weights."""
    said: bool
    """Whether the server itself names the weights with each answer; else the config states them."""
    server: str | None = None
    """What the server says of itself with each answer (`system_fingerprint`), if it does."""


class PartResult(EvidencePart):
    """One part of a judge's exam."""

    part: str
    passed: int
    """Pairs judged as they must be, in both orders."""
    of: int
    unjudged: int
    """Pairs without a verdict in one order or both; they are not passed."""
    limit: float
    """One-sided exact 95 % limit below the share of pairs that the judge gets right."""
    threshold: float

    @property
    def holds(self) -> bool:
        return self.limit >= self.threshold


class HumanAgreement(EvidencePart):
    """A judge beside the house's clinicians, on pairs that they labelled."""

    pairs: int
    unjudged: int
    """Of them; left out of the agreement."""
    same: int
    kappa: float | None
    """Cohen 1960; None where one of both said the same of every pair."""
    ac1: float | None
    """Gwet 2008, which does not collapse where one answer is rare."""


class JudgeCard(EvidencePart):
    """How a judge did in its exam in one language; bound to these weights and this exam."""

    judge: JudgeIdentity
    language: str
    version: int
    """Of the exam's parts and rules."""
    questions: str
    """SHA-256 of everything that was asked."""
    parts: tuple[PartResult, ...]
    """None of a language that the exam does not have."""
    humans: HumanAgreement | None = None

    @property
    def passed(self) -> bool:
        """A judge that fails one part fails."""
        return bool(self.parts) and all(part.holds for part in self.parts)


class JudgedPair(EvidencePart):
    """Two models' answers to one exam beside each other, one sign for each item in order."""

    exam: str
    first: Role
    second: Role
    forward: dict[str, tuple[Said, ...]]
    """By judge; the first model's answer was shown first."""
    backward: dict[str, tuple[Said, ...]]
    """The same with the second model's answer first."""
    longer: tuple[int, ...]
    """Words of the first model's answer minus those of the second's."""


class JudgedFailures(EvidencePart):
    """Whether one model's answers to one exam have the failures of DeFineMed, table 10."""

    exam: str
    role: Role
    values: dict[str, tuple[float, ...]]
    """By mode, for each item in order: the share of judges who see it; 0.5 of one who gives no
    verdict; 1 of an answer that is empty, as that is no way to fail less."""
    unjudged: int
    """Verdicts that are missing, of all."""
    of: int

    @property
    def enough(self) -> bool:
        return self.unjudged <= MAX_UNJUDGED * self.of


class Judged(EvidencePart):
    """Everything that the judges were asked."""

    judges: tuple[JudgeIdentity, ...]
    cards: tuple[JudgeCard, ...]
    languages: dict[str, tuple[str, ...]]
    """By exam, those of its items."""
    pairs: tuple[JudgedPair, ...]
    failures: tuple[JudgedFailures, ...] = ()

    @property
    def exams(self) -> tuple[str, ...]:
        return tuple(self.languages)

    def advisory(self, exam: str) -> tuple[str, ...]:
        """Judge and language of each card that is missing or not passed, of those of an exam.

        With any of them, nothing may rest on what was judged of it.
        """
        passed = {(card.judge.name, card.language) for card in self.cards if card.passed}
        return tuple(
            f"{judge.name} ({language})"
            for judge in self.judges
            for language in self.languages[exam]
            if (judge.name, language) not in passed
        )


class WinRate(EvidencePart):
    """How often a first model's answers are preferred to a second's, 0.5 being equal."""

    exam: str
    first: Role
    second: Role
    wins: int
    ties: int
    losses: int
    """Items by their score: above, at or below 0.5."""
    raw: Estimate
    """Mean over clusters."""
    controlled: Estimate
    """At equal length of both answers."""
    slope: float
    """How much of a win a longer answer is: of `tanh(difference in words / its deviation)`."""
    order_consistent: float | None
    """Share of items and judges that say the same in both orders; None where none was asked."""
    first_position: float | None
    """Share of the answers shown first among those that won; 0.5 has no preference."""
    kappa: dict[str, float | None]
    """Between two judges, by `NAME and NAME`: do they say the same of items?"""
    invalid: int
    unanswered: int
    verdicts: int
    """That were asked for."""


class Rung(EvidencePart):
    """One model on the ladder."""

    role: Role
    strength: Estimate
    """Natural logarithm of its odds against the mean of all (Bradley and Terry 1952)."""


class Ladder(EvidencePart):
    """All models by their answers to one exam, the strongest first."""

    exam: str
    rungs: tuple[Rung, ...]


class FailureChange(EvidencePart):
    """How much more often one model's answers have a failure than another's."""

    exam: str
    mode: str
    first: Role
    second: Role
    shares: tuple[float, float]
    """Of both, each cluster counting once."""
    change: Estimate
    """First minus second: negative is better for the first."""


class Judging(EvidencePart):
    """What judges said and what follows from it, on the items that are clean."""

    judged: Judged
    win_rates: tuple[WinRate, ...]
    ladders: tuple[Ladder, ...]
    failures: tuple[FailureChange, ...]
    advisory: dict[str, tuple[str, ...]]
    """By exam that a verdict may not rest on: the judges whose card is missing or not passed."""

"""A finding as one sentence in the reader's language, from its fields and not from its reason."""

from __future__ import annotations

from bedside_core.kinds.measures import LIKELIHOOD
from bedside_eval.evidence import Evidence
from bedside_eval.records import Finding
from bedside_eval.reporting.numerals import Language, number, percent
from bedside_eval.reporting.words import WORDS
from bedside_eval.statistics.estimate import Estimate, standing, turned


class Speaker:
    """Says what is in one evidence, in one language."""

    def __init__(self, evidence: Evidence, language: Language) -> None:
        self.language, self.words = language, WORDS[language]
        self._delta = evidence.policy.tail.delta

    def measure(self, name: str) -> str:
        """In words; a measure that has none is called by its name."""
        return self.words.get(name, name)

    def unit(self, measure: str) -> str:
        return self.words["unit_bits" if measure == LIKELIHOOD else "unit_points"]

    def value(self, measure: str, value: float, *, signed: bool = False) -> str:
        """Bits per byte with four decimals, shares as points with one."""
        if measure == LIKELIHOOD:
            return number(value, 4, self.language, signed=signed)
        return number(100 * value, 1, self.language, signed=signed)

    def interval(self, measure: str, estimate: Estimate) -> str:
        """From the lowest to the highest bound of any method; empty without information."""
        found = estimate.envelope
        if found is None:
            return ""
        low, high = (self.value(measure, x, signed=True) for x in (found.low, found.high))
        return f"{low} … {high}"

    def finding(self, finding: Finding) -> str:
        """What was asked, what was seen, and what would decide it."""
        if finding.lost is not None:
            return self._tail(finding)
        if finding.estimate is not None and finding.margin is not None:
            return self._compared(finding, finding.estimate, finding.margin)
        key = f"finding_{finding.measure}"
        if finding.condition != "setting":
            key = "finding_missing"
        elif finding.measure == LIKELIHOOD:
            key = "finding_size"
        needed = "" if finding.needed is None else number(finding.needed, 0, self.language)
        template = self.words.get(key, self.words["finding_setting"])
        return template.format(of=finding.of, measure=self.measure(finding.measure), needed=needed)

    def _tail(self, finding: Finding) -> str:
        lost = finding.lost
        assert lost is not None and finding.margin is not None  # noqa: S101 - asked before
        return self.words["finding_tail"].format(
            of=finding.of, lost=number(lost.clusters, 0, self.language),
            clusters=number(lost.of, 0, self.language), against=self._against(finding),
            delta=number(self._delta, 2, self.language), bound=percent(lost.bound, self.language),
            margin=percent(finding.margin, self.language),
        )  # fmt: skip

    def _compared(self, finding: Finding, estimate: Estimate, margin: float) -> str:
        floor = finding.condition == "floor"
        gain = finding.condition == "target" and finding.against == "base"
        key = "finding_floor" if floor else "finding_gain" if gain else "finding_loss"
        found, shown = estimate.envelope, ""
        if found is not None:
            low, high = (self.value(finding.measure, x) for x in (found.low, found.high))
            shown = self.words["range"].format(low=low, high=high)
        sentence = self.words[key].format(
            of=finding.of, against=self._against(finding), measure=self.measure(finding.measure),
            value=self.value(finding.measure, estimate.estimate), unit=self.unit(finding.measure),
            range=shown, margin=self.value(finding.measure, margin),
        )  # fmt: skip
        place = standing(estimate, margin) if floor or gain else standing(turned(estimate), -margin)
        if finding.outcome == "fails" and not (floor or gain):
            sentence += self.words["end_harm"]
        elif place.relation == "no information":
            sentence += self.words["end_nothing"]
        elif place.relation == "depends on the method":
            sentence += self.words["end_methods"]
        if finding.needed is not None:
            needed = number(finding.needed, 0, self.language)
            sentence += self.words["end_needed"].format(needed=needed)
        return sentence

    def _against(self, finding: Finding) -> str:
        return "" if finding.against is None else self.words[f"to_{finding.against}"]

"""What the report shows, before it is HTML, PDF or text: sections of plain strings.

A part that was not measured keeps its section, which says why.

Tested in tests/eval/reporting/test_files.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bedside_core.kinds.measures import MEASURES
from bedside_eval.evidence import Evidence
from bedside_eval.records import AGAINST, Role
from bedside_eval.reporting.gains import Gain, gains_of
from bedside_eval.reporting.grouped import subgroups_section
from bedside_eval.reporting.judged import advisory, judged_gains, judged_sections
from bedside_eval.reporting.numerals import Language, number, percent
from bedside_eval.reporting.parts import Section, Table
from bedside_eval.reporting.sentences import Speaker
from bedside_eval.reporting.words import WORDS

CALIBRATION = ("brier", "ece", "coverage_accuracy")


class View(NamedTuple):
    """The whole report in one language."""

    language: Language
    title: str
    verdict: str
    code: str
    """The verdict as the machine names it."""
    warning: str
    """Of a demo; else empty."""
    facts: tuple[tuple[str, str], ...]
    """House, dates."""
    summary: tuple[Section, ...]
    """The first page."""
    signature: tuple[tuple[str, str], ...]
    """Fields to sign, with what is known of them."""
    sections: tuple[Section, ...]


def view_of(evidence: Evidence, language: Language) -> View:
    """The report on this evidence; holds no time of its own."""
    words, say = WORDS[language], Speaker(evidence, language)
    demo = evidence.scope == "demo"
    house = evidence.house
    dates = [
        (words["planned"], evidence.planned_on or words["no_date"]),
        (words["looked"], evidence.looked_on or words["no_date" if evidence.look else "no_look"]),
    ]
    return View(
        language=language,
        title=words["title"],
        verdict=words[evidence.verdict],
        code=f"{evidence.verdict} (demo)" if demo else evidence.verdict,
        warning=words["demo"] if demo else "",
        facts=(
            (words["house"], house.name or words["no_house"]),
            *dates,
            (words["role_candidate"], evidence.candidate[:16]),
        ),
        summary=tuple(_summary(evidence, words)),
        signature=(
            (words["role"], house.responsible), (words["name"], ""), (words["date"], ""),
            (words["signed"], ""),
        ),
        sections=tuple(_sections(evidence, say)),
    )  # fmt: skip


def _summary(evidence: Evidence, words: dict[str, str]) -> Iterator[Section]:
    others = [words[f"role_{role}"] for role in AGAINST if role in evidence.models]
    compared = words["compared_same"] if evidence.verdict == "SAME_MODEL" else ""
    named = words["and"].join([part for part in (", ".join(others[:-1]), *others[-1:]) if part])
    told = words["compared_text"].format(others=named, policy=evidence.policy.name)
    advice = "recommend_demo" if evidence.scope == "demo" else f"recommend_{evidence.verdict}"
    yield Section("compared", words["compared"], (compared or told,))
    yield Section("means", words["means"], (words[f"means_{evidence.verdict}"],))
    yield Section("means-not", words["means_not"], (words["means_not_text"],))
    yield Section("recommendation", words["recommendation"], (words[advice],))


def _sections(evidence: Evidence, say: Speaker) -> Iterator[Section]:
    words = say.words
    order = ("fails", "open", "holds")
    findings = sorted(evidence.findings, key=lambda finding: order.index(finding.outcome))
    reasons = tuple((say.finding(finding), words[finding.outcome]) for finding in findings)
    table = Table((words["reason"], words["outcome"]), reasons) if reasons else None
    yield Section("reasons", words["reasons"], () if reasons else (words["compared_same"],),
                  table=table)  # fmt: skip
    gains = gains_of(evidence)
    if gains:
        confidence = percent(evidence.confidence, say.language)
        text = words["forest_text"].format(confidence=confidence)
        shown = _gains_table([g for g in gains if g.measure not in CALIBRATION], say)
        yield Section("forest", words["forest"], (text,), "forest", words["forest_alt"], shown)
    else:
        yield _missing("forest", say, "same")
    if evidence.judging is None or not evidence.judging.ladders:
        yield _missing("ladder", say, "ladder")
    else:
        yield from judged_sections(evidence.judging, say)
    yield _failures(evidence, say)
    yield _measured("calibration", [g for g in gains if g.measure in CALIBRATION], say)
    if evidence.subgroups:
        yield subgroups_section(evidence.subgroups, say)
    else:
        yield _missing("subgroups", say, "subgroups")
    yield _contamination(evidence, say)
    yield Section("identities", words["identities"], table=_identities(evidence, words))
    limits = [words["limit_use"]]
    if not any(MEASURES[g.measure].taken == "engine" for g in gains):
        limits.append(words["limit_answers"])
    if evidence.scope == "demo":
        limits.append(words["limit_demo"])
    yield Section("limits", words["limits"], tuple(limits))


def failure_gains(evidence: Evidence) -> list[Gain]:
    """What programs and judges found; its figure is that of DeFineMed (figure 3)."""
    found = [gain for gain in gains_of(evidence) if gain.measure.startswith("failure_")]
    return found + judged_gains(evidence)


def _failures(evidence: Evidence, say: Speaker) -> Section:
    gains, words = failure_gains(evidence), say.words
    if not gains:
        return _missing("failures", say, "failures")
    judging = evidence.judging
    text = (words["failures_text"], *(() if judging is None else advisory(judging, say)))
    return Section("failures", words["failures"], text, "failures", words["forest_alt"],
                   _gains_table(gains, say))  # fmt: skip


def _missing(section: str, say: Speaker, why: str) -> Section:
    told = say.words["not_measured"].format(why=say.words[f"why_{why}"])
    return Section(section, say.words[section], (told,))


def _measured(section: str, gains: list[Gain], say: Speaker) -> Section:
    if not gains:
        return _missing(section, say, section)
    return Section(section, say.words[section], table=_gains_table(gains, say))


def _gains_table(gains: list[Gain], say: Speaker) -> Table:
    words = say.words
    names = ("set", "measure", "against", "gain", "interval", "margin")
    rows = tuple(
        (
            words[gain.kind].format(name=gain.of), say.measure(gain.measure),
            words[f"role_{gain.against}"],
            f"{say.value(gain.measure, gain.estimate.estimate, signed=True)} "
            f"{say.unit(gain.measure)}",
            say.interval(gain.measure, gain.estimate) or words["no_information"],
            "" if gain.margin is None else say.value(gain.measure, gain.margin, signed=True),
        )
        for gain in gains
    )  # fmt: skip
    return Table(tuple(words[name] for name in names), rows)


def _contamination(evidence: Evidence, say: Speaker) -> Section:
    words, setting = say.words, evidence.setting
    if setting is None:
        told = words["not_measured"].format(why=words["why_same"])
        return Section("contamination", words["contamination"], (told,))
    found = setting.contamination
    rows = tuple(
        (words[kind].format(name=name), *(number(count, 0, say.language) for count in
                                          (one.exact, one.near, one.ngram, one.of)))
        for kind, sets in (("heldout", found.heldout), ("exam", found.exams))
        for name, one in sets.items()
    )  # fmt: skip
    text = (words["contamination_text"], *([words["unknown"]] if found.unknown else []))
    header = tuple(words[name] for name in ("set", "exact", "near", "ngram", "of"))
    return Section("contamination", words["contamination"], text, table=Table(header, rows))


def _identities(evidence: Evidence, words: dict[str, str]) -> Table:
    digests: dict[Role, str] = {"base": evidence.base, "candidate": evidence.candidate}
    digests.update({role: model.digest for role, model in evidence.models.items()})
    rows = [(words[f"role_{role}"], digest) for role, digest in digests.items()]
    rows += [
        (f"served.{name}", str(value))
        for name, value in sorted(evidence.served.model_dump(mode="json").items())
        if not isinstance(value, dict)
    ]
    rows += [
        ("plan", evidence.plan), ("look", evidence.look or words["no_look"]),
        (f"policy {evidence.policy.name}", evidence.policy_sha256),
    ]  # fmt: skip
    if evidence.setting is not None:
        dtype = evidence.setting.task.get("dtype")
        rows += [("task.dtype", str(dtype))] if dtype else []
    return Table((words["what"], words["value"]), tuple(rows))

"""The plan of a run: what is fixed before anything sealed is opened, and whether it still fits.

Tested in tests/eval/test_run.py, tests/eval/test_plan.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bedside_core.console import say, table
from bedside_core.errors import ConfigError, PolicyError
from bedside_core.kinds.exam import WORDING_SHA256, ChoiceItem, ExamItem, read_exam
from bedside_core.kinds.measures import LIKELIHOOD, MEASURES, of_items
from bedside_core.kinds.plan import Detectable, Plan
from bedside_core.kinds.policy import Policy, read_policy
from bedside_core.kinds.serving import Serving
from bedside_core.messages import did_you_mean
from bedside_core.registry.ledger import Planned
from bedside_core.run import Run
from bedside_eval.config import EvalConfig
from bedside_eval.groups import check_groups
from bedside_eval.judging.battery import languages
from bedside_eval.plan import prepare


def plan(config: EvalConfig, run: Run) -> None:
    """Split every set, say what the sealed parts can show, and sign it before the run.

    Raises:
        PolicyError: the policy is not approved, or sealed texts were looked at too often.
        InputError: a set or an exam is unusable, has too few clusters, or there is no base yet.
        ArtifactError: the operator's key is not here, or the disk is full.
    """
    from bedside_eval.detectable import detectable

    policy = read_policy(config.policy)
    check_sets(policy, config)
    check_types(policy, config)
    check_groups(config)
    base = run.input("base")
    development, sets = prepare(config, run)
    reference = run.registry.get(config.reference).digest if config.reference else None
    written = run.registry.plan(
        Plan(
            run=run.name,
            policy=policy,
            policy_sha256=policy.sha256,
            sets=sets,
            development=development.digest,
            shortlist=config.shortlist,
            base=base.digest,
            reference=reference,
            setting=setting_of(config, run.serving),
            looks=1,
            alpha=policy.alpha,
            detectable=detectable(policy, sets, config),
        )
    )
    _show(written)


def plan_of(config: EvalConfig, run: Run) -> Planned:
    """The plan that a run may look by.

    Raises:
        PolicyError: there is none, or the config asks for something else now.
    """
    planned = run.registry.ledger().newest(run.name)
    advice = "`bedside eval plan --config FILE`"
    if planned is None:
        raise PolicyError(
            f"run {run.name!r} has no plan, so no sealed text is opened - make one: {advice}"
        )
    plan = planned.plan
    changed = {
        "the policy": read_policy(config.policy).sha256 != plan.policy_sha256,
        "eval.shortlist": config.shortlist != plan.shortlist,
        "how the questions are put": setting_of(config, run.serving) != plan.setting,
    }
    named = ", ".join(name for name, differs in changed.items() if differs)
    if named:
        raise PolicyError(
            f"not as planned on {planned.time:%Y-%m-%d}: {named} - change it back, or plan anew "
            f"with {advice}"
        )
    return planned


def check_sets(policy: Policy, config: EvalConfig) -> None:
    """See that what the policy asks for of measures that are taken can be measured.

    Raises:
        ConfigError: a set or an exam that it names is not in the config.
    """
    for measures, section, known in (
        ((LIKELIHOOD,), "eval.heldout", config.heldout),
        (of_items(), "eval.exams", config.exams),
    ):
        for name in policy.sets(measures):
            if name not in known:
                raise ConfigError(
                    f"{config.policy}: {name!r} is not in {section} - {did_you_mean(name, known)}"
                )


def check_types(policy: Policy, config: EvalConfig) -> None:
    """See that each measure can be taken, of the items that it is asked of.

    Raises:
        ConfigError: an exam has items of another type, or nobody is asked for answers.
        InputError: an exam is unusable.
    """
    for condition in policy.conditions:
        measure = MEASURES.get(condition.measure)
        if measure is None or not measure.of:
            continue
        if measure.taken == "engine" and config.generation is None:
            raise ConfigError(
                f"{config.policy}: {condition.measure} is of what models answer, and nothing asks "
                "them - set eval.generation (`{}` takes its defaults)"
            )
        if measure.taken == "judge" and not (config.judges and config.generation):
            raise ConfigError(
                f"{config.policy}: {condition.measure} is what judges say of models' answers - set "
                "eval.judges and eval.generation"
            )
        path = config.exams[condition.of]
        items = read_exam(path)
        if items[0].type not in measure.of:
            raise ConfigError(
                f"{config.policy}: {condition.measure} is of items of type "
                f"{' or '.join(measure.of)}, and {path} has items of type {items[0].type}"
            )
        _check_choices(config, condition.measure, items)
        spoken = {item.language.partition("-")[0] for item in items}
        if measure.taken == "judge" and (without := sorted(spoken - set(languages()))):
            raise ConfigError(
                f"{config.policy}: {condition.measure} on {condition.of} would rest on judges, who "
                f"have no exam in {', '.join(without)} - only in {', '.join(languages())}"
            )


def _check_choices(config: EvalConfig, measure: str, items: Sequence[ExamItem]) -> None:
    """See that choices are asked, and can be, as two of their measures need it.

    Raises:
        ConfigError: they are not.
    """
    generation = config.generation
    if measure == "consistent_accuracy" and not (generation and generation.rotations):
        raise ConfigError(
            f"{config.policy}: {measure} needs every rotation of the options - set "
            "eval.generation.rotations: true"
        )
    if measure == "abstention":
        without = [i.id for i in items if isinstance(i, ChoiceItem) and i.abstain is None]
        if without:
            raise ConfigError(
                f"{config.policy}: {measure} is of exams whose items all have `abstain`, and "
                f"{len(without)} item(s) have none (the first is {without[0]})"
            )


def setting_of(config: EvalConfig, serving: Serving) -> dict[str, Any]:
    """How the questions are put, as far as it changes a number."""
    return {
        "max_length": config.max_length,
        "wording": WORDING_SHA256,
        "generation": config.generation and config.generation.model_dump(mode="json"),
        **serving.model_dump(mode="json"),
        **_chosen_before(config),
    }


def _chosen_before(config: EvalConfig) -> dict[str, Any]:
    """What is averaged, and by what a candidate is chosen, where there is anything to choose."""
    document = config.model_dump(mode="json", include={"groups", "selection"})
    # A judge is chosen before anything is judged; where its server stands is free.
    document["judges"] = {
        name: judge.model_dump(include={"model", "digest"}) for name, judge in config.judges.items()
    }
    return {
        name: document[name]
        for name, there_is in (
            ("groups", config.groups), ("selection", len(config.shortlist) > 1),
            ("judges", config.judges),
        )
        if there_is
    }  # fmt: skip


def _show(written: Planned) -> None:
    plan = written.plan
    rows = [["set", "development", "sealed", "sealed clusters"]]
    for name, one in plan.sets.items():
        rows.append([name, f"{len(one.development)}", f"{len(one.sealed)}", f"{one.clusters}"])
    say(table(rows))
    say(table(_power(plan.policy, plan.detectable)))
    say(
        f"plan {written.hash[:12]} of {written.time:%Y-%m-%d %H:%M} UTC: policy "
        f"{plan.policy.name}{' (a demo)' if plan.policy.scope == 'demo' else ''}, "
        f"{plan.looks} look, error {plan.alpha:g}"
    )


def _passing(smallest: float | None, unit: str) -> str:
    if smallest is None:
        return "nothing"
    # The candidate's true gain; with few clusters a guard wants one.
    kind = "a loss" if smallest < 0 else "only a gain"
    return f"{kind} of {abs(smallest):.3f} {unit}"


def _power(policy: Policy, found: tuple[Detectable, ...]) -> list[list[str]]:
    rows = [["condition", "of", "margin", "assumed spread", "shown in 8 of 10 cases",
             "passes if harmless"]]  # fmt: skip
    for condition, one in zip(policy.conditions, found, strict=True):
        gains = condition is policy.target
        if one.measure not in MEASURES or one.spread is None:
            rows.append([one.measure, one.of, f"{one.margin:g}", "", "not measured", ""])
            continue
        unit = "bits per byte" if one.measure == LIKELIHOOD else "of 1"
        shown = "nothing" if one.smallest is None else f"{one.smallest:.3f} {unit}"
        what = f"a gain of {shown}" if gains else f"{_passing(one.smallest, unit)} still passes"
        rows.append(
            [one.measure, one.of, f"{one.margin:g}", f"{one.spread:g}", what,
             "" if one.harmless is None else f"{100 * one.harmless:.0f} %"]
        )  # fmt: skip
    return rows

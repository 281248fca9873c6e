"""The sealed paper, from the look to the evidence.

Tested in tests/eval/test_run.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bedside_core.artifacts import Artifact, Recipe
from bedside_core.clusters import Member
from bedside_core.kinds.measures import MEASURES
from bedside_core.kinds.plan import Look, PlannedSet
from bedside_core.kinds.policy import Policy
from bedside_core.kinds.serving import behaviour_differs, served_identity
from bedside_core.registry.ledger import Planned
from bedside_core.run import Run
from bedside_eval.answering.examined import Engine
from bedside_eval.conclude import Subject, conclude, same_model
from bedside_eval.config import EvalConfig
from bedside_eval.contamination import contamination
from bedside_eval.evidence import Evidence, Setting
from bedside_eval.exam import Paper
from bedside_eval.judging.judged import Bench
from bedside_eval.measured import Grouping, Measured, numbered
from bedside_eval.measurement import measure, refuse_unusable
from bedside_eval.records import Contamination, Finding, Found, ModelScores, Role
from bedside_eval.subgroups import subgroups
from bedside_eval.verdict import family_size


def examine_sealed(
    config: EvalConfig,
    run: Run,
    planned: Planned,
    models: Mapping[Role, Artifact],
    recipe: Recipe,
    sealed: Paper,
    engine: Engine,
    bench: Bench | None,
) -> Evidence:
    """Sign the look, let the models sit the paper, judge.

    Raises:
        PolicyError: the plan allows no other look.
        InputError: a model cannot be served, a text or an item is unusable, or memory is too small.
    """
    digests = {role: model.digest for role, model in models.items()}
    served = served_identity(models["candidate"], run.serving)
    subject = Subject(digests, served, planned.plan, planned.hash, None)
    for role in ("base", "incumbent"):
        if role in models and served_identity(models[role], run.serving) == served:
            return same_model(subject, f"is the {role}, file by file")
    look = run.registry.look(
        Look(
            plan=planned.hash, number=1, recipe=recipe.sha256, candidate=digests["candidate"],
            base=digests["base"], incumbent=digests.get("incumbent"),
            reference=digests.get("reference"),
        )
    )  # fmt: skip
    found = contamination(run.registry, [models["candidate"], models["base"]], sealed)
    measurement = measure(config, run, recipe, models, sealed, engine, bench)
    candidate = measurement.results["candidate"]
    # What the candidate is compared with must be whole; of the candidate itself it is a finding.
    refuse_unusable({r: s for r, s in measurement.results.items() if s is not candidate})
    heldout = _groupings("heldout", sealed.heldout, found.heldout, planned.plan.sets)
    exams = _groupings("exam", sealed.exams, found.exams, planned.plan.sets)
    measured = Measured(
        measurement.results, heldout, exams,
        confidence=1 - planned.plan.alpha, family=family_size(planned.plan.policy),
        judged=measurement.judged,
    )  # fmt: skip
    named = {f"heldout/{name}": grouping for name, grouping in heldout.items()}
    named |= {f"exam/{name}": grouping for name, grouping in exams.items()}
    setting = Setting(
        inputs=recipe.inputs,
        clusters={name: grouping.clusters for name, grouping in named.items()},
        excluded={name: tuple(sorted(grouping.excluded)) for name, grouping in named.items()},
        contamination=found,
        estimand=measurement.estimand,
        task=measurement.task,
    )
    # Answers that are measured and that no condition rests on would let anything pass.
    unseen = () if _judges_answers(planned.plan.policy) else _behaviour(models)
    settings = (*_without_numbers(candidate), *unseen, *_deleted(found))
    evidence = conclude(subject._replace(look=look.hash), measured, setting, settings)
    if evidence.verdict == "SAME_MODEL":
        return evidence
    groups = subgroups(measured, sealed.exams, planned.plan.policy)
    return evidence.model_copy(update={"subgroups": groups})


def _groupings(
    kind: str,
    sets: Mapping[str, Sequence[Member]],
    found: Mapping[str, Found],
    planned: Mapping[str, PlannedSet],
) -> dict[str, Grouping]:
    """The clusters of each set; one of which a text stands in a corpus is left out whole."""
    groupings = {}
    for name, members in sets.items():
        clusters = numbered([member.cluster for member in members])
        dirty = set(found[name].ids)
        excluded = frozenset(
            cluster for cluster, member in zip(clusters, members, strict=True) if member.id in dirty
        )
        sealed = planned[f"{kind}/{name}"].sealed_sha256
        groupings[name] = Grouping(clusters, excluded, sealed)
    return groupings


def _without_numbers(candidate: ModelScores) -> tuple[Finding, ...]:
    """Where the candidate gives NaN or infinity, as it was measured or as it is served."""
    missing = dict(candidate.unusable)
    served = candidate.as_served
    if served is not None and served.without:
        missing[f"a sample in {served.dtype}, as it is served"] = served
    return tuple(
        Finding(
            condition="setting", measure="finite", of=part, against=None, outcome="fails",
            reason=(
                f"The candidate gives no number on {found.without} of {found.of} of {part}: its "
                "weights are broken, or need another inference.engine.dtype."
            ),
        )
        for part, found in missing.items()
    )  # fmt: skip


def _judges_answers(policy: Policy) -> bool:
    """Whether a condition is of what models answer; where it cannot be taken, it stays open."""
    asked = (MEASURES.get(condition.measure) for condition in policy.conditions)
    return any(measure is not None and measure.taken == "engine" for measure in asked)


def _behaviour(models: Mapping[Role, Artifact]) -> tuple[Finding, ...]:
    """What lets the candidate answer otherwise than its base, and no likelihood sees."""
    return tuple(
        Finding(
            condition="setting", measure="generation", of=name, against="base", outcome="open",
            reason=(
                f"The candidate's {name} is not the base's, so it answers otherwise than "
                "likelihood can show, and no condition of the policy is of answers."
            ),
        )
        for name in behaviour_differs(models["candidate"], models["base"])
    )  # fmt: skip


def _deleted(found: Contamination) -> tuple[Finding, ...]:
    """What nobody can look into any more may hold every text that is asked."""
    return tuple(
        Finding(
            condition="setting", measure="contamination", of=digest[:12], against=None,
            outcome="open",
            reason=(
                f"{digest[:12]}, which a model comes from, was deleted: what it was trained on "
                "cannot be compared with the texts, so that none counts as unseen."
            ),
        )
        for digest in found.unknown
    )  # fmt: skip

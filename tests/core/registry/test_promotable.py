"""What a promotion rests on: an approved policy, then a plan, then a look, then evidence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError, PolicyError
from bedside_core.registry import promotable, removal
from bedside_core.registry.registry import Registry

Judge = Callable[..., Artifact]


@pytest.fixture
def models(put) -> tuple[Artifact, Artifact]:
    base = put("base")
    return base, put("merged", parents={"base": base})


def refused(registry: Registry, evidence: Artifact, words: str) -> None:
    before = len(registry.entries())
    with pytest.raises(PolicyError, match=words):
        registry.promote(evidence)
    assert len(registry.entries()) == before
    assert registry.current() is None


def forged_look(registry: Registry, named: dict[str, Any], **changes: Any) -> str:
    """A look as who has the evaluation's key could write it, past every check; its hash."""
    look = registry.ledger().looks[named["look"]].look.model_copy(update=changes)
    with registry.log.writing() as log:
        return log.add("look", look.model_dump(mode="json")).hash


def test_a_demos_promotion_says_so(registry, models, judge, make_policy) -> None:
    base, model = models
    found = registry.promote(judge(model, base, policy=make_policy(scope="demo")))
    assert found.scope == registry.entries()[-1].members["scope"] == "demo"
    other = registry.promote(judge(model, base))
    assert other.scope == "house"
    assert "scope" not in registry.entries()[-1].members


def test_what_comes_of_random_weights_is_never_promoted(registry, put, judge) -> None:
    """However good the evidence: `base.shrink` only tries a config."""
    base = put("base", facts={"random_weights": True})
    checkpoint = put("checkpoint", parents={"base": base})
    merged = put("merged", parents={"base": base, "checkpoint": checkpoint})
    for model in (base, checkpoint, merged):
        refused(registry, judge(model, base), r"comes of random weights \(base\.shrink\)")


@pytest.mark.parametrize("lacking", ["plan", "look", "both"])
def test_evidence_without_an_earlier_plan_or_look(registry, models, judge, lacking) -> None:
    base, model = models
    names = ("plan", "look") if lacking == "both" else (lacking,)
    refused(registry, judge(model, base, **dict.fromkeys(names, "0" * 64)), "names no plan of this")
    refused(registry, judge(model, base, **dict.fromkeys(names, "")), "names no plan of this")


def test_evidence_that_names_the_plan_of_another_run(registry, models, judge, make_basis) -> None:
    base, model = models
    other = make_basis(registry, model.digest, base.digest)
    refused(registry, judge(model, base, plan=other["plan"]), "names no plan of this")


@pytest.mark.parametrize("name", ["candidate", "policy_sha256"])
def test_evidence_about_something_else_than_its_look(registry, models, judge, put, name) -> None:
    base, model = models
    other = {"candidate": base.digest, "policy_sha256": "0" * 64}
    words = "is about other models or another policy than look"
    refused(registry, judge(model, base, **{name: other[name]}), words)
    named = judge(model, base)
    head = json.loads(named.file("evidence.json").read_bytes())
    again = judge(model, base, plan=head["plan"], look=head["look"], incumbent=put("merged").digest)
    refused(registry, again, words)
    weaker = judge(model, put("base", files={"w": b"2"}), plan=head["plan"], look=head["look"])
    refused(registry, weaker, words)


def test_a_plan_that_came_after_the_look(registry, models, judge, make_plan, make_policy) -> None:
    """The look was written first; the plan that it names does not exist yet."""
    base, model = models
    registry.approve(make_policy(), "agreed")
    plan = make_plan()
    named = judge(model, base)
    head = json.loads(named.file("evidence.json").read_bytes())
    early = forged_look(registry, head, plan="0" * 64)
    late = registry.plan(plan)
    refused(registry, judge(model, base, plan=late.hash, look=early), "names no plan of this")


def test_a_policy_that_was_approved_after_the_plan(
    registry, models, judge, make_plan, make_policy
) -> None:
    base, model = models
    lax = make_policy(name="lax", max_age_days=365)
    with registry.log.writing() as log:
        planned = log.add("plan", make_plan(lax).model_dump(mode="json"))
    registry.approve(lax, "after all")
    head = json.loads(judge(model, base).file("evidence.json").read_bytes())
    look = forged_look(registry, head, plan=planned.hash)
    named = {"plan": planned.hash, "look": look, "policy_sha256": lax.sha256}
    refused(registry, judge(model, base, **named), "policy 'lax' .* is not approved here")


def test_a_loosened_policy_does_not_take_the_place_of_the_planned_one(
    registry, models, judge, make_policy
) -> None:
    base, model = models
    loose = make_policy(guards=[{"of": "general", "max_loss": 0.5}])
    registry.approve(loose, "afterwards")
    refused(registry, judge(model, base, policy_sha256=loose.sha256), "another policy than look")


def test_one_look_too_many_promotes_nothing(registry, models, judge) -> None:
    """Whoever holds the evaluation's key cannot look more often than was planned."""
    base, model = models
    head = json.loads(judge(model, base).file("evidence.json").read_bytes())
    for number in (1, 2):
        look = forged_look(registry, head, number=number, recipe="second")
        refused(
            registry, judge(model, base, plan=head["plan"], look=look),
            r"has 1 look\(s\), 1 of them taken|has 1 look\(s\), 2 of them taken",
        )  # fmt: skip


def test_a_second_plan_on_the_same_sealed_texts_promotes_nothing(
    registry, models, judge, make_plan
) -> None:
    """Written by hand with the operator's key: the log before it says that they were used up."""
    base, model = models
    head = json.loads(judge(model, base).file("evidence.json").read_bytes())
    first = registry.ledger().plans[head["plan"]].plan
    with registry.log.writing() as log:
        rival = first.model_copy(update={"run": "rival"}).model_dump(mode="json")
        planned = log.add("plan", rival)
    look = forged_look(registry, head, plan=planned.hash)
    refused(
        registry, judge(model, base, plan=planned.hash, look=look), "no error left to spend"
    )  # fmt: skip


def test_evidence_that_is_too_old(registry, models, judge, monkeypatch) -> None:
    base, model = models
    evidence = judge(model, base)
    later = datetime.now(UTC) + timedelta(days=91)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return later

    monkeypatch.setattr(promotable, "datetime", Clock)
    refused(registry, evidence, r"is 9[01] days old, policy 'test' takes at most 90")


def test_a_clock_that_was_set_back_makes_nothing_younger(
    registry, models, judge, monkeypatch
) -> None:
    from bedside_core.registry import signed_log

    base, model = models
    evidence = judge(model, base)
    ahead = datetime.now(UTC).timestamp() + 100 * 86400
    with monkeypatch.context() as patch:
        patch.setattr(signed_log.time, "time", lambda: ahead)
        removal.withdraw(registry, judge(model, base).digest, "an entry of a later day")
    refused(registry, evidence, "days old, policy 'test' takes at most 90")


def test_what_is_served_does_not_grow_too_old(registry, models, judge, monkeypatch) -> None:
    base, model = models
    evidence = judge(model, base)
    registry.promote(evidence)
    removal.withdraw(registry, registry.ledger().plans.popitem()[1].plan.policy_sha256, "too lax")
    monkeypatch.setattr(promotable, "check_age", None)
    monkeypatch.setattr(promotable, "check_standing", None)
    assert registry.check_promotable(evidence).digest == model.digest


def test_an_approval_that_was_taken_back(registry, models, judge, make_policy) -> None:
    base, model = models
    evidence = judge(model, base)
    removal.withdraw(registry, make_policy().sha256, "too lax")
    refused(registry, evidence, "the approval of policy 'test' was taken back since")


def test_evidence_that_was_withdrawn(registry, models, judge) -> None:
    base, model = models
    evidence = judge(model, base)
    removal.withdraw(registry, evidence.digest, "a wrong exam")
    refused(registry, evidence, "may not be used")


def test_a_base_that_the_candidate_was_not_made_from(registry, models, judge, put) -> None:
    base, model = models
    refused(registry, judge(model, put("base")), "which is not the base that it was made from")
    step = put("checkpoint", parents={"base": base})
    merged = put("merged", parents={"base": base, "checkpoint": step}, files={"w": b"2"})
    # A checkpoint is no base: it is the candidate's own, weaker, first half.
    refused(registry, judge(merged, step), "which is not the base that it was made from")
    second = put("merged", parents={"base": merged}, files={"w": b"3"})
    assert registry.promote(judge(second, base)).model == second.digest


def test_an_incumbent_that_changed_since(registry, models, judge, put) -> None:
    base, model = models
    other = put("merged", parents={"base": base}, files={"w": b"2"})
    evidence = judge(model, base)
    registry.promote(judge(other, base))
    with pytest.raises(PolicyError) as refused:
        registry.promote(evidence)
    assert str(refused.value) == (
        f"the incumbent changed: model {other.digest[:12]} is promoted, the comparison was with no "
        "other model - evaluate again"
    )
    assert registry.promote(judge(model, base)).model == model.digest


def test_an_incumbent_that_was_withdrawn_since(registry, models, judge, put) -> None:
    """Better than what may not be served any more is good enough; so is better than none."""
    base, model = models
    other = put("merged", parents={"base": base}, files={"w": b"2"})
    registry.promote(judge(other, base))
    evidence = judge(model, base)
    removal.withdraw(registry, other.digest, "wrong doses")
    assert registry.incumbent(model.digest) is None
    without = judge(model, base)
    assert registry.promote(evidence).model == model.digest
    assert registry.promote(without).model == model.digest


@pytest.mark.parametrize("change", ["cut", "swap", "edit", "drop", "1999"])
def test_a_log_that_was_changed_promotes_nothing(registry, models, judge, change) -> None:
    base, model = models
    evidence = judge(model, base)
    path = registry.log.path
    lines = path.read_bytes().splitlines(keepends=True)
    approved, plan, look = lines[-3:]
    changed = {
        "cut": lines[:-1],
        "swap": [*lines[:-2], look, plan],
        "edit": [*lines[:-3], approved.replace(b'"max_loss":0.05', b'"max_loss":0.45'), plan, look],
        "drop": [*lines[:-3], plan, look],
        "1999": [*lines[:-1], look.replace(b'"time":"2', b'"time":"1', 1)],
    }
    path.write_bytes(b"".join(changed[change]))
    assert path.read_bytes() != b"".join(lines)
    with pytest.raises(ArtifactError):
        registry.promote(evidence)
    path.write_bytes(b"".join(lines))
    assert registry.promote(evidence).model == model.digest


def test_the_evaluations_key_promotes_nothing(registry, models, judge, tmp_path) -> None:
    """An entry `promote` under the key for looks is found by whoever reads the log."""
    base, model = models
    evidence = judge(model, base)
    thief = Registry(registry.home)
    shutil.copy(registry.evidence_keys.private_path, tmp_path / "stolen.pem")
    thief = Registry(registry.home, operator_key=tmp_path / "stolen.pem")
    with pytest.raises(ArtifactError):
        thief.promote(evidence)
    assert registry.current() is None

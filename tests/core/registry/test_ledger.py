"""Plans and looks: what is refused when, and that sealed texts stay as used as they are."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.errors import ArtifactError, PolicyError
from bedside_core.kinds.plan import Detectable, Look, Plan, PlannedSet
from bedside_core.kinds.policy import Policy
from bedside_core.registry import removal
from bedside_core.registry.ledger import Ledger, Planned, sealed
from bedside_core.registry.registry import WRITERS, Registry

MakePolicy = Callable[..., Policy]
MakePlan = Callable[..., Plan]


@pytest.fixture
def approved(registry: Registry, make_policy: MakePolicy) -> Policy:
    return registry.approve(make_policy(), "for the tests").policy


def changed(plan: Plan, name: str, **changes: Any) -> Plan:
    """A plan with one set changed."""
    sets = {**plan.sets, name: plan.sets[name].model_copy(update=changes)}
    return plan.model_copy(update={"sets": sets})


# --- approvals -------------------------------------------------------------------------------


def test_a_policy_is_approved_once_with_who_and_why(registry, make_policy) -> None:
    policy = make_policy(scope="demo")
    first = registry.approve(policy, "read and agreed")
    assert registry.approve(policy, "again") == first

    (entry,) = registry.entries()[1:]
    assert entry.members["reason"] == "read and agreed"
    assert entry.members["sha256"] == policy.sha256
    assert entry.members["scope"] == "demo"
    assert first.by == entry.members["by"]
    assert registry.ledger().approvals == {policy.sha256: first}


def test_an_approval_is_taken_back_for_good(registry, approved, make_plan) -> None:
    withdrawal, new = removal.withdraw(registry, approved.sha256[:12], "too lax")
    assert new
    assert str(withdrawal).startswith(f"policy {approved.sha256[:12]} was withdrawn")
    with pytest.raises(PolicyError, match="is not approved here, or no more"):
        registry.plan(make_plan())
    with pytest.raises(PolicyError, match="too lax"):
        registry.approve(approved, "once more")


def test_a_content_that_is_not_its_hash_approves_nothing(registry, make_policy, make_plan) -> None:
    """An entry that says the hash of one policy, and holds another."""
    loose = make_policy(target={"of": "medical", "min_gain": 0.0, "max_loss": 0.5})
    with registry.log.writing() as log:
        members = {"sha256": make_policy().sha256, "policy": loose.model_dump(mode="json")}
        log.add("approve-policy", {**members, "reason": "why", "by": "x"})
    with pytest.raises(PolicyError, match="is not approved here"):
        registry.plan(make_plan())


def test_an_entry_of_another_form_is_refused(registry) -> None:
    with registry.log.writing() as log:
        members = {"sha256": "0" * 64, "policy": {"name": "later"}, "reason": "w", "by": "x"}
        log.add("approve-policy", members)
    with pytest.raises(ArtifactError, match="entry 2 of the log, approve-policy: of a form"):
        registry.ledger()


# --- plans -----------------------------------------------------------------------------------


def test_a_plan_is_an_entry_and_the_same_plan_again_is_the_same(
    registry, approved, make_plan
) -> None:
    planned = registry.plan(make_plan())
    assert registry.plan(make_plan()) == planned
    assert planned.plan == make_plan()
    assert [e.type for e in registry.entries()[1:]] == ["approve-policy", "plan"]
    other = registry.plan(make_plan(setting={"max_length": 512}))
    assert registry.ledger().newest("demo") == other
    assert registry.ledger().newest("none") is None
    again = registry.plan(make_plan())
    assert again.seq > other.seq


def test_another_library_makes_no_other_plan(registry, approved, make_plan) -> None:
    """What can be detected is computed, and differs in its last digit from version to version."""
    one = {"measure": "likelihood", "of": "medical", "clusters": 30, "margin": 0.1, "spread": 0.02,
           "smallest": 0.01, "harmless": None}  # fmt: skip
    planned = registry.plan(make_plan(detectable=(Detectable(**one),)))
    other = Detectable(**one | {"smallest": 0.010000000000000002})
    assert registry.plan(make_plan(detectable=(other,))) == planned


def test_no_plan_by_a_policy_that_nobody_approved(registry, make_policy, make_plan) -> None:
    """The policy that was loosened after the result was seen is another policy."""
    registry.approve(make_policy(), "strict")
    loose = make_policy(guards=[{"of": "general", "max_loss": 0.5}])
    with pytest.raises(PolicyError, match="is not approved here"):
        registry.plan(make_plan(loose))
    claimed = make_plan(loose, policy_sha256=make_policy().sha256)
    with pytest.raises(PolicyError, match="is not approved here"):
        registry.plan(claimed)
    assert registry.ledger().plans == {}


@pytest.mark.parametrize("changes", [{"alpha": 0.04}, {"alpha": 0.0001}, {"looks": 2}])
def test_a_plan_spends_as_its_policy_says(registry, approved, make_plan, changes) -> None:
    with pytest.raises(PolicyError, match="plan again"):
        registry.plan(make_plan(**changes))


def test_a_policy_for_some_texts_is_for_no_others(registry, make_policy, make_plan) -> None:
    plan = make_plan()
    only = {name: planned.sha256 for name, planned in plan.sets.items()}
    policy = registry.approve(make_policy(only_for=only), "demo").policy
    with pytest.raises(PolicyError, match="for other texts than heldout/medical, heldout/general"):
        registry.plan(make_plan(policy, texts="b"))
    registry.plan(make_plan(policy))


def test_sets_that_are_missing_or_small_are_all_named(registry, make_policy, make_plan) -> None:
    guards = [{"of": "general", "max_loss": 0.05}, {"of": "board", "measure": "accuracy",
              "max_loss": 0.1}, {"of": "any", "measure": "fluency", "max_loss": 0.1}]  # fmt: skip
    policy = registry.approve(make_policy(guards=guards), "three guards").policy
    plan = changed(make_plan(policy), "heldout/medical", clusters=13)
    with pytest.raises(PolicyError) as refused:
        registry.plan(plan)
    assert "there is no exam/board" in str(refused.value)
    assert "heldout/medical has 13 sealed clusters, 14 are needed" in str(refused.value)
    assert "any" not in str(refused.value)  # nobody measures it: that is the verdict's matter

    exam = PlannedSet(
        kind="exam", sha256="e" * 64, sealed_sha256="e" * 64, development=(), sealed=("e" * 16,),
        clusters=7,
    )  # fmt: skip
    plan = make_plan(policy)
    plan = plan.model_copy(update={"sets": {**plan.sets, "exam/board": exam}})
    with pytest.raises(PolicyError, match="exam/board has 7 sealed clusters, 8 are needed"):
        registry.plan(plan)
    registry.plan(changed(plan, "exam/board", clusters=8))


def test_what_was_developed_on_is_never_sealed_again(registry, approved, make_plan) -> None:
    first = make_plan()
    registry.plan(first)
    part = first.sets["heldout/general"]
    turned = changed(
        make_plan(run="other"), "heldout/general", sealed=part.development, development=part.sealed
    )
    with pytest.raises(PolicyError, match="heldout/general: 15 sealed texts were in a development"):
        registry.plan(turned)
    both = changed(make_plan(texts="b"), "heldout/general", sealed=part.development[:1])
    with pytest.raises(PolicyError, match="1 sealed texts were in a development part"):
        registry.plan(both)


# --- looks -----------------------------------------------------------------------------------


def test_a_look_is_signed_by_the_evaluation_and_goes_on_as_one(
    registry, approved, make_plan, make_look
) -> None:
    planned = registry.plan(make_plan())
    look = registry.look(make_look(planned))
    assert registry.look(make_look(planned)) == look  # killed, and begun again
    last = registry.entries()[-1]
    assert last.hash == look.hash
    assert last.members["key"] == registry.evidence_keys.key_id
    assert registry.ledger().looks_of(planned.hash) == [look]


def test_a_look_that_came_to_nothing_counts(registry, approved, make_plan, make_look) -> None:
    planned = registry.plan(make_plan())
    registry.look(make_look(planned, "aborted"))
    with pytest.raises(PolicyError, match=r"has 1 look\(s\), 1 of them taken - new sealed texts"):
        registry.look(make_look(planned, "next"))


def test_best_of_several_is_refused_when_the_looks_are_used_up(
    registry, make_policy, make_plan, make_look, put
) -> None:
    policy = registry.approve(make_policy(looks=3), "three candidates").policy
    planned = registry.plan(make_plan(policy, looks=3))
    models = [put("merged", files={"w": bytes([n])}).digest for n in range(4)]
    numbers = [
        registry.look(make_look(planned, f"r{n}", candidate=model)).look.number
        for n, model in enumerate(models[:3])
    ]
    assert numbers == [1, 2, 3]
    with pytest.raises(PolicyError, match="3 of them taken"):
        registry.look(make_look(planned, "r3", candidate=models[3]))
    assert registry.look(make_look(planned, "r1", candidate=models[1])).look.number == 2


def test_another_plan_or_run_finds_the_texts_as_used_as_they_are(
    registry, approved, make_plan, make_look
) -> None:
    first = registry.plan(make_plan())
    rival = registry.plan(make_plan(run="rival"))  # made while the texts were fresh
    registry.look(make_look(first))
    with pytest.raises(PolicyError) as refused:
        registry.plan(make_plan(run="second", setting={"max_length": 512}))
    message = str(refused.value)
    assert (
        "heldout/medical: 30 sealed texts have no error left to spend, looked at since" in message
    )
    assert "1 time(s) by run demo" in message
    assert "new sealed texts are needed" in message
    with pytest.raises(PolicyError, match="no error left to spend"):
        registry.look(make_look(rival))
    # Nor does a set with one of them, nor one that development has eaten into since.
    old = sorted(sealed(first.plan))[0]
    mixed = make_plan(texts="b")
    part = mixed.sets["heldout/general"]
    with pytest.raises(PolicyError, match="heldout/general: 1 sealed texts have no error left"):
        registry.plan(changed(mixed, "heldout/general", sealed=(*part.sealed, old)))
    registry.plan(mixed)


def test_texts_that_another_plan_developed_on_meanwhile_are_not_looked_at(
    registry, approved, make_plan, make_look
) -> None:
    planned = registry.plan(make_plan())
    other = make_plan(run="other", texts="b")
    part, taken = other.sets["heldout/general"], planned.plan.sets["heldout/general"].sealed[:2]
    registry.plan(
        changed(other, "heldout/general", development=tuple(sorted({*part.development, *taken})))
    )
    with pytest.raises(PolicyError, match="2 sealed texts were in a development part"):
        registry.look(make_look(planned))


def test_a_laxer_policy_gets_no_more_than_its_own_error(
    registry, make_policy, make_plan, make_look
) -> None:
    strict = registry.approve(make_policy(), "strict").policy
    registry.look(make_look(registry.plan(make_plan(strict))))
    lax = registry.approve(make_policy(name="lax", confidence=0.9), "lax").policy
    with pytest.raises(PolicyError, match="no error left"):
        registry.plan(make_plan(lax, run="lax"))


def test_a_look_follows_the_newest_plan_alone(registry, approved, make_plan, make_look) -> None:
    old = registry.plan(make_plan())
    new = registry.plan(make_plan(setting={"max_length": 512}))
    with pytest.raises(PolicyError, match="is not the newest of its run"):
        registry.look(make_look(old))
    with pytest.raises(PolicyError, match="is not the newest of its run"):
        registry.look(make_look(new, plan="0" * 64))
    registry.look(make_look(new))


def test_a_plan_that_came_before_the_approval_is_none(
    registry, make_policy, make_plan, make_look
) -> None:
    """Written by hand, with the operator's key: the order of the chain decides."""
    with registry.log.writing() as log:
        planned = Planned.read(log.add("plan", make_plan().model_dump(mode="json")))
    registry.approve(make_policy(), "afterwards")
    with pytest.raises(PolicyError, match="was approved after plan"):
        registry.look(make_look(planned))
    again = registry.plan(make_plan())  # the same plan, but now it may be one
    assert again.seq == planned.seq + 2
    registry.look(make_look(again))


def test_no_look_by_an_approval_that_was_taken_back(
    registry, approved, make_plan, make_look
) -> None:
    planned = registry.plan(make_plan())
    registry.look(make_look(planned))
    removal.withdraw(registry, approved.sha256, "too lax")
    with pytest.raises(PolicyError, match="is not approved here, or no more"):
        registry.look(make_look(planned))


def test_a_look_at_what_was_withdrawn_or_not_planned(
    registry, approved, make_plan, make_look, put
) -> None:
    planned, other = registry.plan(make_plan()), put("checkpoint")
    with pytest.raises(PolicyError, match="has another reference model"):
        registry.look(make_look(planned, reference=other.digest))
    with pytest.raises(PolicyError, match="the incumbent changed: no other model is promoted"):
        registry.look(make_look(planned, incumbent=other.digest))
    look = make_look(planned)
    removal.withdraw(registry, look.candidate, "wrong")
    with pytest.raises(PolicyError, match=r"candidate .* may not be used: .* wrong"):
        registry.look(look)
    assert registry.ledger().looks == {}


def test_a_look_at_another_base_than_planned(registry, approved, make_plan, make_look, put) -> None:
    """A step that was taken over plants a weak base, and a candidate that names it."""
    planned = registry.plan(make_plan())
    weak = put("base", files={"w": b"random"})
    merged = put("merged", parents={"base": weak})
    with pytest.raises(PolicyError, match=f"names base {weak.digest[:12]}, planned was a compar"):
        registry.look(make_look(planned, base=weak.digest, candidate=merged.digest))
    assert registry.ledger().looks == {}


def test_a_look_that_no_plan_came_before_is_none(registry, approved, make_plan, make_look) -> None:
    """Whoever has the evaluation's key can write looks; they count where a plan stands."""
    planned = registry.plan(make_plan())
    with registry.log.writing() as log:
        log.add("look", make_look(planned, plan="0" * 64).model_dump(mode="json"))
    ledger = registry.ledger()
    assert ledger.looks == {}
    assert ledger.looks_at() == {}


def test_the_evaluations_key_writes_looks_alone() -> None:
    assert [kind for kind, key in WRITERS.items() if key == "evidence"] == ["look"]
    assert {"plan", "approve-policy", "promote", "withdraw"} <= WRITERS.keys()


def test_two_processes_share_the_looks_that_are_left(
    registry, approved, make_plan, make_look
) -> None:
    planned = registry.plan(make_plan())
    begun = threading.Barrier(4)
    got: list[object] = []

    def look(n: int) -> None:
        begun.wait()
        try:
            got.append(Registry(registry.home).look(make_look(planned, f"r{n}")))
        except PolicyError as error:
            got.append(error)

    threads = [threading.Thread(target=look, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(x, PolicyError) for x in got) == 3
    assert len(registry.ledger().looks) == 1


@given(looks=st.integers(1, 12), confidence=st.sampled_from([0.9, 0.95, 0.975]), data=st.data())
def test_error_spent_never_exceeds_what_a_house_accepts(
    make_policy, make_plan, looks, confidence, data
) -> None:
    """Whatever runs plan and look, in whatever order: the shares add up to the whole, at most."""
    from bedside_core.chain import Entry
    from bedside_core.registry.planning import check_look, check_plan

    policy = make_policy(looks=looks, confidence=confidence, min_clusters=30)
    entries: list[Entry] = []

    def add(kind: str, members: dict[str, Any]) -> str:
        seq = len(entries) + 1
        named = {**members, "seq": seq, "type": kind, "time": "2026-11-30T12:00:00.000000Z"}
        entries.append(Entry(named, "", f"{seq:064}"))
        return entries[-1].hash

    content = {"sha256": policy.sha256, "policy": policy.model_dump(mode="json")}
    add("approve-policy", {**content, "reason": "r", "by": "b"})
    taken = 0
    for _ in range(data.draw(st.integers(1, 6))):
        plan = make_plan(policy, run="demo", looks=data.draw(st.integers(1, looks)))
        try:
            check_plan(Ledger(entries), plan)
        except PolicyError:
            assert taken + plan.looks > looks
            continue
        assert taken + plan.looks <= looks
        name = add("plan", plan.model_dump(mode="json"))
        for number in range(1, data.draw(st.integers(0, plan.looks)) + 1):
            look = Look(
                plan=name, number=number, recipe=f"r{taken}", candidate="c", base=plan.base,
                incumbent=None, reference=None,
            )  # fmt: skip
            check_look(Ledger(entries), look)
            add("look", look.model_dump(mode="json"))
            taken += 1
    ledger = Ledger(entries)
    for looks_at in ledger.looks_at().values():
        spent = ledger.spent(looks_at)
        assert spent < 1 - confidence or math.isclose(spent, 1 - confidence)

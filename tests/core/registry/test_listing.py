"""What the registry shows of itself."""

from __future__ import annotations

import json

import pytest

from bedside_core import cli
from bedside_core.registry.registry import Registry


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(registry.home))


def bedside(*words: str) -> int:
    return cli.main(["registry", *words])


def cells(capsys, artifact) -> list[str]:
    lines = capsys.readouterr().out.splitlines()
    return next(line.split() for line in lines if line.startswith(artifact.digest[:12]))


def test_a_row_says_run_size_verdict_and_state(registry, chain, judge, capsys):
    for slot, artifact in chain.items():
        registry.set_slot("demo", slot, artifact.digest)
    registry.set_slot("second", "base", chain["base"].digest)
    rejected = judge(chain["checkpoint"], chain["base"], "REJECT")
    registry.promote(chain["evidence"])
    assert bedside("list") == 0
    text = capsys.readouterr().out
    row = {line.split()[0]: line.split() for line in text.splitlines()}
    assert row["digest"] == ["digest", "kind", "run", "created", "size", "verdict", "state",
                             "licences"]  # fmt: skip
    assert row[chain["base"].digest[:12]][1:4] == ["base", "demo/base,", "second/base"]
    assert row[chain["merged"].digest[:12]][-3:] == ["MB", "-", "promoted"]
    plan = next(entry for entry in registry.entries() if entry.type == "plan").hash[:12]
    assert row[chain["evidence"].digest[:12]][-4:] == ["PROMOTE,", "plan", plan, "-"]
    assert row[rejected.digest[:12]][-4:-2] == ["REJECT,", "plan"]
    assert f"promoted: {chain['merged'].digest[:12]} on evidence" in text


def test_what_was_promoted_before(registry, put, judge, capsys):
    base = put("base")
    first, second = (
        put("merged", files={"w": bytes([n])}, parents={"base": base}) for n in range(2)
    )
    for model in (first, second):
        registry.promote(judge(model, base))
    assert bedside("list") == 0
    assert cells(capsys, first)[-2:] == ["promoted", "before"]


def test_evidence_of_another_house_has_no_verdict(registry, chain, judge, capsys):
    forged = judge(chain["merged"], chain["base"], signature=b"AAAA\n")
    assert bedside("list") == 0
    assert "does not verify" in " ".join(cells(capsys, forged))


def test_the_log_for_people(registry, chain, capsys):
    registry.promote(chain["evidence"])
    assert bedside("withdraw", "letters", "--reason", "two words") == 0
    capsys.readouterr()
    assert bedside("log") == 0
    keys, *_, first, second, last = capsys.readouterr().out.splitlines()
    entries = registry.entries()
    assert f" keys           operator={registry.operator_keys.key_id} evidence=" in keys
    assert first.split()[0] == f"{len(entries) - 1}"
    assert f" promote        model={chain['merged'].digest} evidence=" in first
    assert f"key={registry.operator_keys.key_id}" in first
    assert 'kind=source target=letters reason="two words"' in second
    assert (
        last
        == f"{len(entries)} entries, chained and signed; the last one's hash is {entries[-1].hash}"
    )


@pytest.mark.parametrize("verb", ["log", "verify", "list", "lineage"])
def test_a_log_that_was_changed_is_told_by_every_verb(registry, chain, capsys, verb):
    registry.promote(chain["evidence"])
    raw = registry.log.path.read_bytes()
    registry.log.path.write_bytes(raw.replace(b'"promote"', b'"promotf"'))
    assert bedside(verb) == 4
    last = len(raw.splitlines())
    assert f"log.jsonl line {last}: does not match its hash" in capsys.readouterr().err


def test_verify_says_what_it_checked(registry, chain, capsys):
    registry.promote(chain["evidence"])
    assert bedside("verify") == 0
    text = capsys.readouterr().out
    number = len(registry.entries())
    assert f"log.jsonl: {number} entries, chained and signed" in text
    assert text.count(": intact") == 5


def test_the_log_shows_approvals_plans_and_looks(
    registry, make_policy, make_plan, make_look, capsys, tmp_path
):
    file = tmp_path / "policy.yaml"
    file.write_text(json.dumps(make_policy(scope="demo").model_dump(mode="json")))
    policy = make_policy(scope="demo")
    assert bedside("approve-policy", str(file), "--reason", "read and agreed") == 0
    printed = capsys.readouterr().out
    assert "policy 'test' of scope demo is approved since" in printed
    assert f"registry withdraw {policy.sha256[:12]} --reason WHY" in printed
    planned = registry.plan(make_plan(policy))
    registry.look(make_look(planned))
    assert bedside("log") == 0
    *_, approved, plan, look, _ = capsys.readouterr().out.splitlines()
    assert f" approve-policy sha256={policy.sha256} name=test scope=demo reason=" in approved
    assert f" plan           run=demo policy_sha256={policy.sha256} development=" in plan
    assert plan.endswith(
        'heldout/medical="30 sealed clusters" heldout/general="30 sealed clusters"'
    )
    assert f" look           plan={planned.hash} number=1 recipe=r1" in look


@pytest.mark.parametrize(
    ("words", "code"),
    [(("none.yaml", "--reason", "why"), 2), (("none.yaml", "--reason", " "), 2),
     (("none.yaml",), 2)],
)  # fmt: skip
def test_what_is_no_policy_is_not_approved(registry, words, code, capsys):
    assert bedside("approve-policy", *words) == code
    assert registry.ledger().approvals == {}


def test_a_policy_is_withdrawn_by_the_digest_that_the_log_names(registry, make_policy, capsys):
    policy = registry.approve(make_policy(), "read").policy
    assert bedside("withdraw", policy.sha256[:12], "--reason", "too lax") == 0
    assert f"policy {policy.sha256[:12]} was withdrawn" in capsys.readouterr().out
    assert bedside("withdraw", policy.sha256[:4], "--reason", "too lax") == 4

"""What was withdrawn, and all that was made from it, is refused wherever it would be used."""

from __future__ import annotations

import pytest

from bedside_core import cli
from bedside_core.errors import ArtifactError, ConfigError, PolicyError
from bedside_core.registry import removal
from bedside_core.registry.registry import Registry
from bedside_core.run import Run

WHY = "consent withdrawn"


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(registry.home))


def bedside(*words: str) -> int:
    return cli.main(["registry", *words])


@pytest.fixture
def house(registry, chain):
    """The pipeline's artifacts in the slots of a run, and promoted."""
    for slot, artifact in chain.items():
        registry.set_slot("demo", slot, artifact.digest)
    registry.promote(chain["evidence"])
    return registry


LATER = {
    "letters": ("corpus", "checkpoint", "merged", "evidence"),
    "corpus": ("corpus", "checkpoint", "merged", "evidence"),
    "checkpoint": ("checkpoint", "merged", "evidence"),
    "base": ("base", "checkpoint", "merged", "evidence"),
    "evidence": ("evidence",),
}


@pytest.mark.parametrize(("what", "forbidden"), LATER.items())
def test_it_and_what_was_made_from_it_is_refused_by_every_step(house, chain, what, forbidden):
    given = what if what == "letters" else f"demo/{what}"
    removal.withdraw(house, given, WHY)
    run = Run("demo", "core", "step", house)
    for kind, artifact in chain.items():
        if kind not in forbidden:
            run.input(kind)
            assert run.reuse(kind, artifact.manifest.recipe).digest == artifact.digest
            continue
        with pytest.raises(PolicyError, match=rf"{artifact.digest[:12]} may not be used: .*{WHY}"):
            run.input(kind)
        with pytest.raises(PolicyError, match="may not be used"):
            run.reuse(kind, artifact.manifest.recipe)
    with pytest.raises(PolicyError, match="may not be used"):
        house.promote(chain["evidence"])


def test_what_is_made_later_from_a_withdrawn_source_is_refused_too(house, put):
    removal.withdraw(house, "letters", WHY)
    again = put("corpus", files={"new": b"1"}, facts={"sources": [{"name": "letters"}]})
    house.set_slot("demo", "corpus", again.digest)
    with pytest.raises(PolicyError, match="source letters was withdrawn"):
        Run("demo", "core", "step", house).input("corpus")


def test_a_machine_that_has_only_the_model_knows_it_too(house, chain, tmp_path):
    """As a bundle leaves it: the model and its evidence, without what they were made from."""
    import shutil

    removal.withdraw(house, "letters", WHY)
    shutil.rmtree(chain["corpus"].path)
    shutil.rmtree(chain["checkpoint"].path)
    with pytest.raises(PolicyError, match="source letters was withdrawn"):
        house.check_promotable(chain["evidence"])


def test_the_command_names_every_model_and_keeps_the_reason(house, chain, capsys):
    assert bedside("withdraw", "letters", "--reason", WHY) == 0
    text = capsys.readouterr().out
    assert text.startswith("source letters was withdrawn on ")
    for kind in ("corpus", "checkpoint", "merged"):
        assert f"{kind} {chain[kind].digest[:12]} by test {kind}, demo/{kind}" in text
    assert f"{chain['merged'].digest[:12]} by test merged, demo/merged (promoted)" in text
    entry = house.entries()[-1]
    assert (entry.type, entry.members["reason"]) == ("withdraw", WHY)
    assert entry.members["models"] == [chain["checkpoint"].digest, chain["merged"].digest]
    assert bedside("withdraw", "letters", "--reason", "again") == 0
    assert "nothing to do: source letters was withdrawn" in capsys.readouterr().out
    assert house.entries()[-1] == entry


def test_what_is_withdrawn_through_its_source_can_be_withdrawn_itself(house, chain):
    removal.withdraw(house, "letters", WHY)
    _, new = removal.withdraw(house, "demo/merged", "bad answers")
    assert new
    assert "bad answers" in str(house.withdrawals().of(chain["merged"].digest))


def test_list_and_lineage_show_it(house, chain, capsys):
    assert bedside("withdraw", "demo/corpus", "--reason", WHY) == 0
    capsys.readouterr()
    assert bedside("list") == 0
    text = capsys.readouterr().out
    rows = {line.split()[0]: line for line in text.splitlines()}
    assert rows[chain["merged"].digest[:12]].endswith("withdrawn")
    assert not rows[chain["base"].digest[:12]].endswith("withdrawn")
    assert f"nothing serves it: corpus {chain['corpus'].digest[:12]} was withdrawn" in text
    assert bedside("lineage", "demo/merged") == 0
    text = capsys.readouterr().out
    assert f"corpus {chain['corpus'].digest[:12]} by test corpus (withdrawn)" in text
    assert "it may not be used: corpus" in text
    assert bedside("lineage", "lexicon") == 0
    assert "(withdrawn)" in capsys.readouterr().out


# --- the promoted one ------------------------------------------------------------------------


@pytest.fixture
def three(put, judge, registry):
    base = put("base")
    models = [
        put("merged", files={"weights.bin": bytes([n])}, parents={"base": base}) for n in range(3)
    ]
    for model in models:
        registry.promote(judge(model, base))
    return models


def test_nothing_serves_it_and_no_other_takes_its_place_by_itself(registry, three):
    removal.withdraw(registry, three[2].digest, WHY)
    now = registry.current()
    assert now.model == three[2].digest
    with pytest.raises(PolicyError, match="may not be used"):
        registry.check_promotable(registry.get(now.evidence))


def test_rollback_goes_to_the_last_one_that_may_be_served(registry, three, content_of):
    removal.withdraw(registry, three[1].digest, WHY)
    removal.withdraw(registry, three[2].digest, WHY)
    assert registry.rollback("worse").model == three[0].digest
    before = content_of(registry.home)
    with pytest.raises(PolicyError, match="that may still be served"):
        registry.rollback("worse")
    assert content_of(registry.home) == before


def test_rollback_passes_over_the_withdrawn_one_again_and_again(registry, three, judge):
    removal.withdraw(registry, three[1].digest, WHY)
    assert registry.rollback("worse").model == three[0].digest
    registry.promote(judge(three[2], registry.get(three[2].manifest.parents["base"])))
    assert registry.rollback("worse").model == three[0].digest


def test_one_that_is_withdrawn_while_it_is_promoted_is_not(registry, three, judge, monkeypatch):
    """Between the look at weights and verdict, which takes long, and the entry."""
    evidence = judge(three[0], three[1])
    checked = registry.check_promotable

    def check(given):
        model = checked(given)
        removal.withdraw(registry, model.digest, WHY)
        return model

    monkeypatch.setattr(registry, "check_promotable", check)
    with pytest.raises(PolicyError, match="may not be used"):
        registry.promote(evidence)
    assert registry.entries()[-1].type == "withdraw"


# --- refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["nothing", "f" * 64, "demo/labels", "", "../log.jsonl"])
def test_what_is_not_there_is_refused_and_nothing_written(house, capsys, what, content_of):
    before = content_of(house.home)
    assert bedside("withdraw", what, "--reason", WHY) == 4
    said = capsys.readouterr().err
    assert "is no artifact, source or policy of this registry" in said
    assert "letters" in said  # the sources that there are
    assert content_of(house.home) == before


REASONS = ["", "  ", "two\nlines", "a\x1b[31m", "x" * 301, "bell\a"]


@pytest.mark.parametrize("verb", ["withdraw", "delete"])
@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_that_is_none_is_refused_and_nothing_written(
    house, capsys, verb, reason, content_of
):
    before = content_of(house.home)
    assert bedside(verb, "demo/merged", "--reason", reason) == 2
    said = capsys.readouterr().err
    assert "must be one printable line" in said
    assert "\x1b" not in said
    assert content_of(house.home) == before


def test_without_the_operators_key_nothing_is_withdrawn(house, content_of):
    house.operator_keys.private_path.unlink()
    before = content_of(house.home)
    with pytest.raises(ArtifactError, match=r"operator\.pem is missing"):
        removal.withdraw(house, "letters", WHY)
    assert content_of(house.home) == before


def test_the_evaluations_key_withdraws_nothing(house, tmp_path):
    """An entry under another key of the house is found by who reads the log."""
    import shutil

    shutil.copy(house.evidence_keys.private_path, tmp_path / "stolen.pem")
    thief = Registry(house.home, operator_key=tmp_path / "stolen.pem")
    with pytest.raises(ArtifactError, match="does not belong to"):
        removal.withdraw(thief, "letters", WHY)


@pytest.mark.parametrize("reason", ["Einwilligung widerrufen (Fall 12)", "x" * 300, "ok"])
def test_reasons(reason):
    removal.check_reason(reason)
    with pytest.raises(ConfigError):
        removal.check_reason(reason + "\n")

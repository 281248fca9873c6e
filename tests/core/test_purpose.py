"""The narrowest purpose flows from corpora into models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bedside_core.artifacts import Artifact
from bedside_core.cli import main
from bedside_core.config import Config
from bedside_core.errors import PolicyError
from bedside_core.licences import licence
from bedside_core.purpose import narrowest
from bedside_core.registry.registry import Registry
from bedside_core.run import Run

Put = Callable[..., Artifact]
Make = Callable[..., Artifact]


class Section(Config):
    """Of a step that makes something; `role` tells two of them apart."""

    role: str = ""


@pytest.fixture
def make(registry: Registry) -> Make:
    """What a step makes from parents."""

    def make(kind: Any, role: str = "", *parents: Artifact, **said: Any) -> Artifact:
        run = Run("demo", "trainer", "run", registry)
        named = {f"{number}": parent for number, parent in enumerate(parents)}
        recipe = run.recipe(Section(role=role), parents=named)
        licences = tuple(map(licence, said.pop("licences", ())))
        with run.write(kind, recipe, licences=licences, slot=role or kind) as artifact:
            artifact.facts.update(said)
        return artifact.result

    return make


def test_a_model_keeps_the_narrowest_purpose(make: Make) -> None:
    base = make("base", licences=["Apache-2.0"])
    open_, closed = (make("corpus", p, purpose=p) for p in ("commercial", "research"))
    replay = make("corpus", "replay", base)  # written by the base
    assert "purpose" not in base.manifest.facts
    assert make("checkpoint", "a", base, open_).manifest.facts["purpose"] == "commercial"
    assert make("checkpoint", "b", base, open_, replay).manifest.facts["purpose"] == "commercial"
    mixed = make("checkpoint", "c", base, open_, closed)
    assert mixed.manifest.facts["purpose"] == "research"
    assert make("merged", "d", base, mixed).manifest.facts["purpose"] == "research"
    assert "purpose" not in make("evidence", "e", base, mixed).manifest.facts


def test_a_base_narrows_by_its_licence(make: Make) -> None:
    corpus = make("corpus", "c", purpose="commercial")
    base = make("base", licences=["CC-BY-NC-4.0"])
    assert make("checkpoint", "a", base, corpus).manifest.facts["purpose"] == "research"
    unknown = make("base", "b", licences=["LicenseRef-llama"])
    assert narrowest([unknown, corpus]) == "commercial"


def test_a_corpus_without_a_purpose_claims_none(make: Make) -> None:
    new = make("corpus", "new", purpose="internal")
    known = make("corpus", "known", licences=["CC0-1.0"])
    unknown = make("corpus", "unknown", licences=["LicenseRef-house"])
    assert narrowest([known]) is narrowest([new, unknown]) is None
    assert narrowest([new, known]) == "internal"


def test_what_may_be_used_for_nothing_is_not_made(make: Make, registry: Registry) -> None:
    one, two = (make("corpus", p, purpose=p) for p in ("internal", "research"))
    with pytest.raises(PolicyError, match=f"corpus {one.digest[:12]} for internal, corpus"):
        make("checkpoint", "c", one, two)
    assert registry.slot("demo", "c") is None
    make("evidence", "e", one, two)  # two models may be compared all the same


def test_lineage_says_what_a_model_may_be_used_for(
    make: Make,
    registry: Registry,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(registry.home))
    corpus = make(
        "corpus", "c", purpose="research", licences=["CC-BY-NC-4.0", "CC-BY-SA-4.0"],
        sources=[{"name": "e3c", "documents": 3, "licences": "CC-BY-NC-4.0"}],
        declared={"e3c": {"attribution": "FBK, E3C 2.0.0"}, "gone": {"attribution": "nobody"}},
    )  # fmt: skip
    model = make("checkpoint", "m", make("base", licences=["MIT"]), corpus)
    capsys.readouterr()
    assert main(["registry", "lineage", model.digest]) == 0
    printed = capsys.readouterr().out
    assert f"checkpoint {model.digest[:12]} by trainer run, for research use" in printed
    assert printed.splitlines()[-6:] == [
        "purpose: research",
        "obliges to attribution: CC-BY-NC-4.0, CC-BY-SA-4.0",
        "obliges to non-commercial: CC-BY-NC-4.0",
        "obliges to notice: MIT",
        "obliges to share-alike: CC-BY-SA-4.0",
        "to be named for e3c: FBK, E3C 2.0.0",
    ]

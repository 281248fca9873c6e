"""A corpus is built for a purpose: what violates it fails the build, or is left out by name."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
import yaml

from bedside_core.cli import main
from bedside_corpus.config import Source


def lines(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return {"name": path.stem, "path": str(path), "format": "jsonl", "personal_data": "none"}


@pytest.fixture
def list_of_sources(tmp_path):
    """One that all may use, one for research, one of the house."""
    record = "Der Fall {} wurde ohne Befund beschrieben."
    return [
        {**lines(tmp_path / f"{name}.jsonl", {"text": record.format(name)}), **declared}
        for name, declared in {
            "open": {"licence": "CC-BY-SA-4.0", "attribution": "Wikipedia"},
            "studies": {"licence": "cc-by-nc-4.0", "attribution": "Universität"},
            "letters": {"licence": "LicenseRef-house", "permitted_uses": ["internal"]},
        }.items()
    ]


@pytest.mark.parametrize(
    ("purpose", "named"),
    [
        ({}, ["studies (CC-BY-NC-4.0 permits research)", "letters (permitted_uses: internal)"]),
        ({"purpose": "research"}, ["letters (permitted_uses: internal)"]),
        ({"purpose": "internal"}, ["studies (CC-BY-NC-4.0 permits research)"]),
    ],
)
def test_a_source_that_violates_the_purpose_fails_the_build(
    build, registry, list_of_sources, tmp_path, capsys, purpose, named
):
    (tmp_path / "open.jsonl").unlink()  # nothing is read before
    assert build(*list_of_sources, **purpose) == 2
    error = capsys.readouterr().err
    shown = f"purpose {purpose.get('purpose', 'commercial')!r}: {'; '.join(named)} - take these"
    assert shown in error
    assert main(["check", "--config", str(tmp_path / "run.yaml")]) == 2
    assert shown in capsys.readouterr().err
    assert registry.artifacts() == []


def test_one_list_has_a_version_for_each_purpose(build, registry, list_of_sources, capsys):
    found = {}
    for purpose in ("commercial", "research", "internal"):
        assert build(*list_of_sources, purpose=purpose, forbidden_sources="leave_out") == 0
        manifest = registry.get("test/corpus").manifest
        assert manifest.facts["purpose"] == purpose
        assert set(manifest.facts["declared"]) == {s["name"] for s in manifest.facts["sources"]}
        assert not set(manifest.facts["declared"]) & set(manifest.facts["left_out"])
        obligations = {one for item in manifest.licences for one in item.obligations}
        found[purpose] = (manifest.facts["documents"], obligations)
    said = "source letters: left out, not permitted for the purpose 'research': permitted_uses"
    assert said in capsys.readouterr().out
    assert found == {
        "commercial": (1, {"attribution", "share-alike"}),
        "research": (2, {"attribution", "share-alike", "non-commercial"}),
        "internal": (2, {"attribution", "share-alike", "review"}),
    }


def test_the_purpose_is_set_without_editing_the_list(registry, list_of_sources, tmp_path, capsys):
    config = tmp_path / "list.yaml"
    corpus = {"language": "de", "forbidden_sources": "leave_out", "sources": list_of_sources}
    config.write_text(yaml.safe_dump({"name": "list", "corpus": corpus}))
    for purpose, number in (("commercial", 1), ("research", 2)):
        command = ["corpus", "build", "--config", str(config)]
        assert main([*command, "--set", f"corpus.purpose={purpose}"]) == 0
        assert registry.get("list/corpus").manifest.facts["documents"] == number


def test_a_record_whose_own_licence_violates_it_is_dropped(build, registry, tmp_path):
    own = ("CC0-1.0", "CC-BY-NC-4.0", "LicenseRef-unknown", "Nur für Studierende", None)
    records = [{"text": f"Befund Nummer {n}.", "licence": name} for n, name in enumerate(own)]
    source = lines(tmp_path / "cases.jsonl", *records)
    granted = ["commercial", "research", "internal"]
    said = {"licence": "CC-BY-4.0", "permitted_uses": granted}
    assert build({**source, **said}) == 0
    artifact = registry.get("test/corpus")
    assert artifact.manifest.facts["dropped"] == {"licence_forbids": 3}
    rows = pq.read_table(artifact.path / "data").to_pylist()
    assert [row["licence"] for row in rows] == ["CC-BY-4.0", "CC-BY-4.0"]
    stats = json.loads(artifact.file("stats.json").read_text())
    assert stats["dropped"]["licence_forbids"]["first"][0] == "cases/cases.jsonl:2"
    assert build({**source, **said}, purpose="research") == 0
    facts = registry.get("test/corpus").manifest.facts
    assert (facts["documents"], facts["dropped"]) == (3, {"licence_forbids": 2})


def test_an_unknown_licence_permits_what_was_granted_and_no_more(build, tmp_path, capsys):
    source = {**lines(tmp_path / "a.jsonl", {"text": "Befund."}), "licence": "LicenseRef-a"}
    assert build(source) == 2
    assert "a (what LicenseRef-a permits is not known: what the" in capsys.readouterr().err
    assert build({**source, "permitted_uses": ["internal"]}, purpose="internal") == 0
    assert build({**source, "permitted_uses": []}, purpose="internal") == 2
    left_out = {"forbidden_sources": "leave_out"}
    assert build({**source, "permitted_uses": ["internal"]}, **left_out) == 2
    assert "no source is permitted for the purpose 'commercial'" in capsys.readouterr().err


def test_of_licences_that_hold_together_all_must_permit():
    values = {"name": "s", "path": "s", "format": "text", "personal_data": "none"}
    source = Source.model_validate({**values, "licence": "CC-BY-SA-4.0"})
    assert source.permits("research", "CC-BY-NC-4.0 AND CC-BY-SA-4.0")
    assert not source.permits("commercial", "CC-BY-NC-4.0 AND CC-BY-SA-4.0")
    assert not source.permits("internal", "CC-BY-NC-4.0 AND CC-BY-ND-4.0")
    granted = {"licence": "LicenseRef-a", "permitted_uses": ["research"]}
    source = Source.model_validate({**values, **granted})
    assert source.permits("research", "LicenseRef-a AND CC-BY-NC-4.0")
    assert not source.permits("research", "LicenseRef-a AND LicenseRef-b")

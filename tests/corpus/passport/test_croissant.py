"""`croissant.json` is read by MLCommons' own library, which finds every document by it."""

from __future__ import annotations

import json
import os
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from bedside_core.artifacts import Artifact
from bedside_corpus.passport.files import CROISSANT

ROOT = Path(__file__).parents[3]
READ = """
import hashlib, json, logging, sys
logging.disable(logging.CRITICAL)
import mlcroissant
data = mlcroissant.Dataset(jsonld=sys.argv[1])
issues = data.metadata.ctx.issues
rows = [{k: str(v) for k, v in row.items()} for row in data.records(record_set="documents")]
print(json.dumps({
    "errors": sorted(issues.errors), "rows": len(rows), "columns": sorted(rows[0]),
    "files": {f.id: f.sha256 for f in data.metadata.distribution if hasattr(f, "sha256")},
    "personal": data.metadata.personal_sensitive_information,
    "limits": len(data.metadata.data_limitations), "licences": data.metadata.license,
}))
"""


def test_it_lists_every_file_with_its_hash(corpus: Artifact) -> None:
    said = json.loads(corpus.file(CROISSANT).read_bytes())
    files = {one["@id"]: one for one in said["distribution"] if one["@type"] == "cr:FileObject"}
    others = {entry.path for entry in corpus.manifest.files} - {CROISSANT}
    assert files.keys() == others
    for entry in corpus.manifest.files:
        if entry.path != CROISSANT:
            assert files[entry.path]["sha256"] == entry.sha256
            assert files[entry.path]["contentSize"] == f"{entry.size} B"
    columns = [field["name"] for field in said["recordSet"][0]["field"]]
    assert columns[:6] == ["id", "text", "source", "licence", "language", "words"]
    assert "https://spdx.org/licenses/CC-BY-SA-4.0.html" in said["license"]
    assert "letters: declared pseudonymised" in said["rai:personalSensitiveInformation"]


def test_mlcroissant_reads_it(corpus: Artifact, tmp_path: Path) -> None:
    env = ROOT / os.environ.get("BEDSIDE_ENVS", ".venvs") / "verify"
    if not list(env.glob("lib/*/site-packages/mlcroissant")):
        if os.environ.get("BEDSIDE_REQUIRE_VERIFY"):
            pytest.fail(f"no mlcroissant in {env} - bash scripts/setup.sh verify")
        pytest.skip("no environment `verify` - bash scripts/setup.sh verify")
    done = subprocess.run(
        [str(env / "bin/python"), "-c", READ, str(corpus.file(CROISSANT))],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["errors"] == []
    assert found["rows"] == 3
    assert "documents/text" in found["columns"]
    assert (
        found["files"]["data/00000.parquet"]
        == sha256(corpus.file("data/00000.parquet").read_bytes()).hexdigest()
    )
    assert found["limits"] == 4 and len(found["personal"]) == 3 and len(found["licences"]) == 3

"""`docs/security-model.md` against the code: who reads is named, and each claim has its test."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security-model.md").read_text(encoding="utf-8")
PROOF = re.compile(r"\[(test_\w+)\]\(\.\./(tests/[\w/]+\.py)\)")
READS = re.compile(
    r"\.read_bytes\(|\.read_text\(|\.open\(|\bopen\(|json\.load\(|safe_open\(|\.r?glob\(|\.iterdir\("
    r"|ParquetFile\("
)
SOURCES = sorted(
    path
    for pattern in ("packages/*/src", "services/*/src")
    for folder in ROOT.glob(pattern)
    for path in folder.rglob("*.py")
)


def name_of(path: Path) -> str:
    return path.as_posix().rpartition("/src/")[2]


def rows() -> list[list[str]]:
    """Of the tables that have a column `proof`."""
    found, within = [], False
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            within = False
        elif cells[-1] == "proof":
            within = True
        elif within and set(line) - set("|-"):
            found.append(cells)
    return found


def test_each_claim_has_a_test_or_a_reason() -> None:
    assert len(rows()) > 25
    for cells in rows():
        assert len(cells) == 4, cells
        assert PROOF.search(cells[-1]) or cells[-1].startswith("no test: "), cells


def test_the_tests_that_are_named_exist() -> None:
    proofs = PROOF.findall(PAGE)
    missing = [
        proof
        for proof in proofs
        if not (ROOT / proof[1]).is_file()
        or f"def {proof[0]}(" not in (ROOT / proof[1]).read_text()
    ]
    assert missing == []
    assert len(re.findall(r"\]\(\.\./tests/", PAGE)) == len(proofs), "a link to a test names it"


def test_every_module_that_reads_a_file_is_named() -> None:
    """Who adds one says on the page what it reads and why that is believed."""
    section = PAGE[PAGE.index("## The code that reads files") :]
    named = set(re.findall(r"`(bedside_[\w./]+\.py)`", section))
    reading = {name_of(path) for path in SOURCES if READS.search(path.read_text(encoding="utf-8"))}
    assert sorted(reading - named) == []
    assert sorted(named - {name_of(path) for path in SOURCES}) == []


def test_nothing_that_is_read_can_run() -> None:
    runs = re.compile(r"\bimport pickle\b|\btorch\.load\(|\byaml\.load\(|trust_remote_code=True")
    assert [name_of(p) for p in SOURCES if runs.search(p.read_text(encoding="utf-8"))] == []

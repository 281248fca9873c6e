"""The papers' own numbers, judged: figures that were counted by hand before."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedside_eval.reanalysis.judge import Claim, JudgedTable, judge
from bedside_eval.reanalysis.printed import read_paper

PAPERS = Path(__file__).parents[3] / "docs/papers"


@pytest.fixture(scope="module")
def tables() -> dict[str, JudgedTable]:
    papers = (judge(*read_paper(PAPERS / f"{name}.yaml"), alpha=0.05)
              for name in ("definemed", "parcomed"))  # fmt: skip
    return {table.title: table for paper in papers for table in paper.tables}


def family(table: JudgedTable) -> list[Claim]:
    return [claim for claim in table.claims if claim.p_holm is not None]


@pytest.mark.parametrize(
    ("title", "claims", "flagged", "unpaired", "after_holm"),
    [("FR-MEDICAL", 56, 5, 1, 0), ("FR-OTHER", 54, 14, None, 4), ("EN-OTHER", 56, 12, None, 2)],
)
def test_parcomed(
    tables: dict[str, JudgedTable],
    title: str, claims: int, flagged: int, unpaired: int | None, after_holm: int,
) -> None:  # fmt: skip
    found = family(tables[title])
    assert len(found) == tables[title].family == claims
    assert sum(claim.flagged for claim in found) == flagged
    if unpaired is not None:
        assert sum(claim.p <= 0.05 for claim in found) == unpaired
    standing = [claim for claim in found if claim.p_holm is not None and claim.p_holm <= 0.05]
    assert len(standing) == after_holm
    assert all(claim.difference < 0 and claim.model.endswith("PDAPT") for claim in standing)


def test_a_misprint_is_counted_apart(tables: dict[str, JudgedTable]) -> None:
    doubtful = [claim for claim in tables["FR-OTHER"].claims if claim.doubtful]
    assert [(c.task, c.flagged, c.pairing) for c in doubtful] == [("Philosophy", True, None)] * 2


def test_definemed(tables: dict[str, JudgedTable]) -> None:
    merged = {c.task: c for c in tables["medical German"].claims
              if c.model == "DeFineMed-Qwen2.5-7B-SLERP"}  # fmt: skip
    expected = {"Anatomy": 0.062, "Clinical Knowledge": 0.080, "College Medicine": 0.58,
                "MedQA-de": 0.21, "Average": 0.008}  # fmt: skip
    for task, p in expected.items():
        assert merged[task].p == pytest.approx(p, abs=0.005)
    assert merged["Average"].p_holm is None and merged["Average"].standing == "unknown"
    losses = {c.model: c for c in tables["general"].claims
              if c.task == "GSM8k" and c.model.startswith("Mistral-Small")}  # fmt: skip
    assert {c.standing for c in losses.values()} == {"proven"}
    assert losses["Mistral-Small-24B-Instruct-Medical-SLERP"].difference == pytest.approx(-0.0811)


def test_no_claim_for_the_paper_is_proven_on_medical_tasks(tables: dict[str, JudgedTable]) -> None:
    for title in ("medical German", "FR-MEDICAL", "EN-MEDICAL"):
        assert not [c for c in tables[title].claims if c.standing == "proven" and c.difference > 0]


def test_equal_scores_and_scores_at_the_edge(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(
        "paper: p\ntables:\n  - title: t\n    source: s\n    tasks: {x: 50, y: 50, z: null}\n"
        "    models:\n      - {name: a, scores: '0 | 100 | 40 ± 5'}\n"
        "      - {name: b, base: a, scores: '100 | 100 | 60 ± 5'}\n"
    )
    x, y, z = judge(*read_paper(path), alpha=0.05).tables[0].claims
    assert (x.p, x.standing) == (0, "proven") and (y.p, y.standing) == (1, "impossible")
    assert z.pairing is None and z.standing == "unknown" and z.p_holm is not None
    assert not y.flagged

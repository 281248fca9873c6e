"""Small evidence with every kind of part that can be measured today."""

from __future__ import annotations

from typing import Any

import pytest

from bedside_core.kinds.policy import Policy
from bedside_core.kinds.serving import ServedIdentity
from bedside_eval.config import House
from bedside_eval.evidence import Evidence
from bedside_eval.records import (
    AccuracyDifference,
    Finding,
    ModelSummary,
    PairDifference,
)
from bedside_eval.statistics.estimate import Estimate, Interval


def estimate(value: float, half: float) -> Estimate:
    methods = {"t": Interval(estimate=value, low=value - half, high=value + half)}
    return Estimate(estimate=value, clusters=40, confidence=0.95, methods=methods)


def summary(digest: str, bits: float, right: float) -> ModelSummary:
    rates = {"acc": estimate(right, 0.05), "acc_norm": estimate(right, 0.05)}
    return ModelSummary(
        digest=digest * 64, bits_per_byte={"medical": estimate(bits, 0.02)},
        nats_per_token={"medical": 2.0}, accuracy={"questions": rates},
        values={"questions": {"brier": estimate(0.2, 0.02)}},
    )  # fmt: skip


def build(**changes: Any) -> Evidence:
    """Evidence that promotes; `changes` replace fields."""
    policy = Policy.model_validate(
        {
            "name": "house-rules",
            "target": {"of": "medical", "min_gain": 0.01, "max_loss": 0.02},
            "guards": [{"of": "questions", "measure": "accuracy", "max_loss": 0.05}],
            "tail": {"delta": 0.1, "max_share": 0.2},
            "min_clusters": 14,
            "confidence": 0.95,
        }
    )
    change = AccuracyDifference(difference=estimate(0.02, 0.03), gained=3, lost=1, mcnemar_p=0.6)
    pair = PairDifference(
        candidate="candidate", reference="base", heldout={"medical": estimate(-0.05, 0.01)},
        exams={"questions": {"acc": change, "acc_norm": change}},
        gains={"questions": {"brier": estimate(0.01, 0.02)}},
    )  # fmt: skip
    findings = (
        Finding(
            condition="target", measure="likelihood", of="medical", against="base",
            outcome="holds", reason="English", margin=0.01, estimate=estimate(0.05, 0.01),
        ),
        Finding(
            condition="guard", measure="accuracy", of="questions", against="base",
            outcome="open", reason="English", margin=0.05, estimate=estimate(-0.02, 0.08),
            needed=1234,
        ),
    )  # fmt: skip
    fields: dict[str, Any] = {
        "candidate": "c" * 64, "base": "b" * 64, "incumbent": None, "reference": None,
        "verdict": "PROMOTE", "reasons": (), "scope": "house", "plan": "p" * 64, "look": "l" * 64,
        "policy_sha256": policy.sha256,
        "served": ServedIdentity(
            weights="w" * 64, files={}, chat_template=None, dtype="float32", max_model_len=64,
            engine="vllm 0",
        ),
        "policy": policy, "confidence": 0.95, "setting": None,
        "models": {"base": summary("b", 1.2, 0.5), "candidate": summary("c", 1.15, 0.52)},
        "differences": (pair,), "findings": findings, "results": {},
        "house": House(name="Klinik Übersee", responsible="Ärztliche Leitung"),
        "planned_on": "2026-11-30", "looked_on": "2026-12-01",
    }  # fmt: skip
    return Evidence.model_validate(fields | changes)


@pytest.fixture
def evidence() -> Evidence:
    return build()

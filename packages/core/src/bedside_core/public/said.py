"""What the ML-BOM says of every house alike: the system, its data flow, its use and its limits.

Tested in tests/core/public/test_mlbom.py.
"""

from __future__ import annotations

from typing import Any

SIGNATURE = "mlbom.cdx.json.sig beside this file: ECDSA P-256, SHA-256, ASN.1 DER; publisher.pub"
CLASSIFICATION = "confidential"
"""Of every source: Bedside cannot know that one is less."""
SENSITIVE = "may hold personal and health data; Bedside does not look for it"
_DEMO = "a demonstration, not for work with patients"

SERVICES: list[dict[str, Any]] = [
    {
        "bom-ref": "gateway",
        "name": "gateway",
        "description": "OpenAI-compatible API, the only way in",
        "authenticated": True,
        "x-trust-boundary": True,
        "data": [
            {"flow": "inbound", "classification": CLASSIFICATION, "name": "prompts of clinicians"},
            {"flow": "outbound", "classification": CLASSIFICATION, "name": "answers to them"},
        ],
    },
    {
        "bom-ref": "engine",
        "name": "engine",
        "description": "vLLM with the model, without a route out, behind the gateway alone",
        "authenticated": True,
        "x-trust-boundary": False,
        "data": [
            {"flow": "bi-directional", "classification": CLASSIFICATION, "name": "prompts, answers"}
        ],
    },
]


def system(level: str) -> dict[str, str]:
    """Statements about the system, by property."""
    area = "work with texts by clinicians in a hospital, in the language that it was adapted to"
    return {
        "data-usage": "prompts and answers are processed in memory, kept nowhere, never trained "
        "on; the audit has counts, hashes and pseudonyms",
        "input-output": "text to text; the model's limit of tokens is in its model card",
        "application-area": f"{area}; {_DEMO}" if level.endswith("_DEMO") else area,
        "infrastructure": "container images of Linux, Python and vLLM; sbom/ of a bundle lists "
        "every package of each",
        "security-controls": "models load with signed evidence alone; signed log of decisions; "
        "keys, roles, rates and an audit chain at the gateway; engine without a route out; no text "
        "in logs",
        "security-policy": "SECURITY.md of Bedside: private reports, answers within working days",
    }


def considerations(level: str) -> dict[str, Any]:
    """Who the model is for, and what it cannot do."""
    limits = [
        "no answer is medical advice; a clinician checks every one",
        "not a medical device: nothing here is a conformity assessment",
        "the verdict holds for the sets, measures and margins of its policy and for nothing else",
        "answers may be wrong, made up or biased; generation may be unmeasured: see the reasons",
    ]
    return {
        "users": ["clinicians of the house that promoted it"],
        "useCases": ["drafting, summarising and explaining texts of daily work in a hospital"],
        "technicalLimitations": [*limits, _DEMO] if level.endswith("_DEMO") else limits,
    }

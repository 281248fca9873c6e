"""The minimum elements of an SBOM for AI, and where the ML-BOM has each, or why it has none.

Source: G7 Cybersecurity Working Group, published by BSI, "Software Bill of Materials (SBOM) for
Artificial Intelligence - Minimum Elements", 12 May 2026: fifty elements in seven clusters. Their
numbers are those of OpenRegTech's vocabulary of it (https://w3id.org/sbom/req/g7ai/), as the paper
has none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

PREFIX = "bedside:g7ai:"
"""Of the BOM's properties that say where an element is."""
MODEL = "metadata/component"
SYSTEM = "components/Bedside"
DATA = "components/type=data"
_NO_HOUSE = "a registry knows a house by its keys, not by its name"


class Element(NamedTuple):
    """A minimum element."""

    number: str
    name: str
    place: str
    """Where the BOM has it: the steps from its top. A step into a list is an index, a member's
    `name`, `ref` or `bom-ref`, or `type=` for all members of a type, which must each have it."""
    absent: str
    """Why it is not there, if it is not."""


ELEMENTS = tuple(
    Element(*row)
    for row in (
        ("MD-01", "SBOM author", "metadata/authors/0/name", ""),
        ("MD-02", "SBOM version", "version", ""),
        ("MD-03", "SBOM data format name", "bomFormat", ""),
        ("MD-04", "SBOM data format version", "specVersion", ""),
        ("MD-05", "SBOM author signature", "metadata/properties/bedside:signature", ""),
        ("MD-06", "SBOM tool name", "metadata/tools/components/0/name", ""),
        ("MD-07", "SBOM tool version", "metadata/tools/components/0/version", ""),
        ("MD-08", "SBOM generation context", "metadata/lifecycles/0/phase", ""),
        ("MD-09", "SBOM timestamp", "metadata/timestamp", ""),
        ("MD-10", "SBOM dependency relationship", "dependencies", ""),
        ("SLP-01", "System name", f"{SYSTEM}/name", ""),
        ("SLP-02", "System components", "dependencies/Bedside/dependsOn", ""),
        ("SLP-03", "System producer", f"{SYSTEM}/supplier", _NO_HOUSE),
        ("SLP-04", "System version", f"{SYSTEM}/version", ""),
        ("SLP-05", "System timestamp", f"{SYSTEM}/properties/bedside:promoted", ""),
        ("SLP-06", "System data flow", "services/gateway/data", ""),
        ("SLP-07", "System data usage", f"{SYSTEM}/properties/bedside:data-usage", ""),
        ("SLP-08", "System input/output properties",
         f"{SYSTEM}/properties/bedside:input-output", ""),
        ("SLP-09", "Intended application area",
         f"{SYSTEM}/properties/bedside:application-area", ""),
        ("MDL-01", "Model name", f"{MODEL}/name", ""),
        ("MDL-02", "Model identifier", f"{MODEL}/bom-ref", ""),
        ("MDL-03", "Model version", f"{MODEL}/version", ""),
        ("MDL-04", "Model timestamp", f"{MODEL}/properties/bedside:created", ""),
        ("MDL-05", "Model producer", f"{MODEL}/supplier",
         f"{_NO_HOUSE}; the program that made it is in bedside:producer"),
        ("MDL-06", "Model description", f"{MODEL}/description", ""),
        ("MDL-07", "Model hash value", f"{MODEL}/components/type=file/hashes/0/content", ""),
        ("MDL-08", "Model hash algorithm", f"{MODEL}/components/type=file/hashes/0/alg", ""),
        ("MDL-09", "Model properties", f"{MODEL}/modelCard/modelParameters/modelArchitecture",
         "the manifest names no architecture"),
        ("MDL-10", "Model input/output properties",
         f"{MODEL}/modelCard/modelParameters/inputs", ""),
        ("MDL-11", "Model training properties",
         "components/bedside-checkpoint/properties/bedside:trained-by",
         "no training of this house is in the model's lineage"),
        ("MDL-12", "Model license", f"{MODEL}/licenses", "nothing in the lineage names a licence"),
        ("MDL-13", "Model external references", f"{MODEL}/externalReferences", ""),
        ("DP-01", "Dataset name", f"{DATA}/name", "no dataset is in the model's lineage"),
        ("DP-02", "Dataset description", f"{DATA}/description", "no dataset is in the lineage"),
        ("DP-03", "Dataset content", f"{DATA}/data/0/contents", "no source is named"),
        ("DP-04", "Dataset identifier", f"{DATA}/bom-ref", "no dataset is in the lineage"),
        ("DP-05", "Dataset hash", f"{DATA}/hashes", "no dataset is in the lineage"),
        ("DP-06", "Dataset provenance", f"{DATA}/properties/bedside:producer",
         "no dataset is in the lineage"),
        ("DP-07", "Dataset statistical properties", f"{DATA}/properties/bedside:documents",
         "the manifest counts no documents"),
        ("DP-08", "Dataset sensitivity", f"{DATA}/data/0/classification", "no source is named"),
        ("DP-09", "Dataset dependency relationship", f"{MODEL}/modelCard/modelParameters/datasets",
         "no training of this house is in the lineage"),
        ("DP-10", "Dataset license", f"{DATA}/licenses", "no source names a licence"),
        ("INF-01", "Infrastructure software", f"{SYSTEM}/properties/bedside:infrastructure", ""),
        ("INF-02", "Infrastructure hardware", f"{SYSTEM}/properties/bedside:hardware",
         "it is the house's and may change without another promotion"),
        ("SP-01", "Security controls", f"{SYSTEM}/properties/bedside:security-controls", ""),
        ("SP-02", "Security compliance", f"{SYSTEM}/properties/bedside:compliance",
         "assessed against no standard; docs/data-protection.md says what is promised"),
        ("SP-03", "Cybersecurity policy information",
         f"{SYSTEM}/properties/bedside:security-policy", ""),
        ("SP-04", "Vulnerability referencing", "vulnerabilities",
         "no scanner runs here; sbom/ of a bundle lists every package of every image for one"),
        ("KPI-01", "Security metrics", f"{MODEL}/properties/bedside:security-metrics",
         "not measured: no test of adversarial robustness is part of a verdict"),
        ("KPI-02", "Operational performance KPIs",
         f"{MODEL}/modelCard/quantitativeAnalysis/performanceMetrics",
         "the evidence holds no differences"),
    )
)  # fmt: skip


def says(bom: dict[str, Any]) -> list[dict[str, str]]:
    """For each element a property of the BOM: where it is, or that it is absent and why."""
    return [
        {
            "name": f"{PREFIX}{element.number}",
            "value": f"{element.name}: {element.place}"
            if has(bom, element.place.split("/"))
            else f"{element.name}: absent, {element.absent}",
        }
        for element in ELEMENTS
    ]


def has(node: Any, steps: list[str]) -> bool:
    """Whether something that is not empty stands at a place."""
    if not steps:
        return bool(node)
    step, rest = steps[0], steps[1:]
    if isinstance(node, dict):
        return step in node and has(node[step], rest)
    if not isinstance(node, list):
        return False
    if step.startswith("type="):
        chosen = [member for member in node if member.get("type") == step[5:]]
        return bool(chosen) and all(has(member, rest) for member in chosen)
    if step.isdecimal():
        return int(step) < len(node) and has(node[int(step)], rest)
    return any(step in _names(member) and has(member, rest) for member in node)


def _names(member: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(member.get(key) for key in ("name", "ref", "bom-ref"))

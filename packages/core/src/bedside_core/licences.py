"""Licences that flow through the pipeline: what they permit, and what they oblige a hospital to.

What each is read as permitting, with the words of the licences: docs/decisions/0023.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

Use = Literal["commercial", "research", "internal"]
"""`commercial`: whatever is lawful, also sold or passed on; `research`: research that is not
directed towards gain, published or not; `internal`: the house's own work, patient care included,
of which nothing is given to anybody outside."""
USES: frozenset[Use] = frozenset(get_args(Use))
COVERED: dict[Use, frozenset[Use]] = {
    "commercial": USES, "research": frozenset({"research"}), "internal": frozenset({"internal"}),
}  # fmt: skip
"""What a corpus that was built for a purpose may be used for."""

# What each element of a Creative Commons licence obliges to, by its name.
_ELEMENTS = {
    "BY": "attribution", "NC": "non-commercial", "ND": "no-derivatives", "SA": "share-alike",
}  # fmt: skip
_COMMONS = {
    f"CC-{name}-{version}": tuple(sorted(_ELEMENTS[part] for part in name.split("-")))
    for name in ("BY", "BY-SA", "BY-ND", "BY-NC", "BY-NC-SA", "BY-NC-ND")
    for version in ("2.0", "2.5", "3.0", "4.0")
}
# Obligations in one word each, from the licences' own summaries; SPDX identifiers.
OBLIGATIONS: dict[str, tuple[str, ...]] = {
    "CC0-1.0": (),
    "PDDL-1.0": (),
    "DL-DE-ZERO-2.0": (),
    "Apache-2.0": ("notice",),
    "MIT": ("notice",),
    "BSD-3-Clause": ("notice",),
    "ODC-By-1.0": ("attribution",),
    "ODbL-1.0": ("attribution", "share-alike"),
    "DL-DE-BY-2.0": ("attribution",),
    "etalab-2.0": ("attribution",),
    **{
        f"GFDL-{version}-{which}": ("attribution", "share-alike")
        for version in ("1.1", "1.2", "1.3")
        for which in ("only", "or-later")
    },
    **_COMMONS,
}
_SPELT = {identifier.lower(): identifier for identifier in OBLIGATIONS}


class Licence(NamedTuple):
    """An SPDX identifier (or `LicenseRef-...`) and its obligations."""

    id: str
    obligations: tuple[str, ...]


def licence(identifier: str) -> Licence:
    """Look a licence up, in any case; one that is not known obliges to a review by the house."""
    spelt = _SPELT.get(identifier.lower(), identifier)
    return Licence(spelt, OBLIGATIONS.get(spelt, ("review",)))


def uses(identifier: str) -> frozenset[Use] | None:
    """What a licence permits texts and models made from them to be used for; None: not known."""
    known = licence(identifier)
    if known.id not in OBLIGATIONS:
        return None
    permitted = USES
    if "non-commercial" in known.obligations:  # patient care is paid for
        permitted &= COVERED["research"]
    if "no-derivatives" in known.obligations:  # before 4.0 not even for oneself
        permitted &= COVERED["internal"] if known.id.endswith("-4.0") else frozenset()
    return permitted


def union(*groups: Iterable[Licence]) -> tuple[Licence, ...]:
    """The licences of several inputs together, each once, by name."""
    return tuple(sorted({item.id: item for group in groups for item in group}.values()))

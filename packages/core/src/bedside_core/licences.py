"""Licences that flow through the pipeline, with what they oblige a hospital to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

# Obligations in one word each, from the licences' own summaries; SPDX identifiers.
OBLIGATIONS: dict[str, tuple[str, ...]] = {
    "CC0-1.0": (),
    "Apache-2.0": ("notice",),
    "MIT": ("notice",),
    "BSD-3-Clause": ("notice",),
    "ODC-By-1.0": ("attribution",),
    "CC-BY-4.0": ("attribution",),
    "CC-BY-SA-4.0": ("attribution", "share-alike"),
    "CC-BY-NC-4.0": ("attribution", "non-commercial"),
    "CC-BY-NC-SA-4.0": ("attribution", "non-commercial", "share-alike"),
}


class Licence(NamedTuple):
    """An SPDX identifier (or `LicenseRef-...`) and its obligations."""

    id: str
    obligations: tuple[str, ...]


def licence(identifier: str) -> Licence:
    """Look a licence up; one that is not in the table obliges to a review by the house."""
    return Licence(identifier, OBLIGATIONS.get(identifier, ("review",)))


def union(*groups: Iterable[Licence]) -> tuple[Licence, ...]:
    """The licences of several inputs together, each once, by name."""
    return tuple(sorted({item.id: item for group in groups for item in group}.values()))

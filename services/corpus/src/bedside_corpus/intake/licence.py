"""Licences of sources and records: spelt as SPDX does, and never loosened by a record."""

from __future__ import annotations

import re
from difflib import get_close_matches

from bedside_core.licences import OBLIGATIONS, licence

CUSTOM = "LicenseRef-"
MAX_LENGTH = 60
_AND = " AND "


def named(identifier: str) -> str:
    """The licence of a source in SPDX's own spelling, or a named custom one.

    Raises:
        ValueError: neither an SPDX identifier in any case nor `LicenseRef-...`; with the nearest.
    """
    found = _spdx(identifier)
    if found is not None:
        return found
    near = get_close_matches(_hyphened(identifier), list(OBLIGATIONS), n=1, cutoff=0.7)
    meant = f"did you mean {near[0]}? If not, " if near else ""
    raise ValueError(
        f"{identifier!r} is no SPDX licence identifier - {meant}a licence of your own is named "
        f"{CUSTOM}..., for example {CUSTOM}hospital-internal for texts of the house"
    )


def of_record(value: str) -> str:
    """What a record says, as SPDX spells it; what SPDX does not know becomes a custom name."""
    found = _spdx(value) or _spdx(_hyphened(value))
    if found is not None:
        return found
    return CUSTOM + re.sub(r"[^A-Za-z0-9.]+", "-", value).strip("-")[:MAX_LENGTH]


def tighten(source: str | None, own: str | None) -> str | None:
    """The licence of a document: of its source and its own the stricter one.

    Where neither has all obligations of the other, both hold: `A AND B`, as SPDX writes it.
    """
    if source is None or own is None or source == own:
        return own or source
    ours, theirs = set(licence(own).obligations), set(licence(source).obligations)
    if ours == theirs and "review" in ours:  # of two unknown ones neither is the stricter
        return f"{source}{_AND}{own}"
    if ours >= theirs:
        return own
    return source if theirs >= ours else f"{source}{_AND}{own}"


def each(identifier: str) -> list[str]:
    """The licences that hold together."""
    return identifier.split(_AND)


def _hyphened(identifier: str) -> str:
    return "-".join(identifier.split())


def _spdx(identifier: str) -> str | None:
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    if " " in identifier.strip():  # an expression is a record's to make, by `tighten`
        return None
    try:
        return str(canonicalize_license_expression(identifier.strip()))
    except InvalidLicenseExpression:
        return None

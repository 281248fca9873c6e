"""All layouts by name.

Tested in tests/eval/importing/test_layouts.py.
"""

from __future__ import annotations

from bedside_eval.importing import casimedicos, clinical, general, knowledge, medicine
from bedside_eval.importing.layout import Layout

LAYOUTS: dict[str, Layout] = {
    **knowledge.LAYOUTS, **medicine.LAYOUTS, **casimedicos.LAYOUTS, **general.LAYOUTS,
    **clinical.LAYOUTS,
}  # fmt: skip

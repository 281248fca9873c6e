"""Names of people and departments: any letters, one form, nothing invisible, bounded."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from bedside_inference.names import DEPARTMENT_CHARS, Department, Holder

department, holder = TypeAdapter(Department), TypeAdapter(Holder)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Innere Medizin", "Innere Medizin"),
        ("Gynäkologie & Geburtshilfe (Haus 3)", "Gynäkologie & Geburtshilfe (Haus 3)"),
        ("Gyna\u0308kologie", "Gynäkologie"),
        ("  HNO \u00a0 Ambulanz ", "HNO Ambulanz"),
        ("心臓内科", "心臓内科"),
        ("icu", "icu"),
    ],
)
def test_what_a_house_calls_its_departments(given: str, kept: str) -> None:
    assert department.validate_python(given) == kept


@pytest.mark.parametrize(
    "wrong",
    ["", " ", "a\nb", "a\tb", "a\x00", "a\x7f", "a\u200bb", "a\u202eb", "a\u2028b", "\ue000",
     "\ud800", "x" * (DEPARTMENT_CHARS + 1), "\u0958" * DEPARTMENT_CHARS],
)  # fmt: skip
def test_what_is_no_name(wrong: str) -> None:
    with pytest.raises(ValidationError) as error:
        department.validate_python(wrong)
    assert "\u202e" not in str(error.value.errors(include_input=False))


@given(st.text(max_size=140))
def test_a_name_is_kept_in_one_form(text: str) -> None:
    try:
        kept = holder.validate_python(text)
    except ValidationError:
        return
    assert holder.validate_python(kept) == kept
    assert holder.validate_python(unicodedata.normalize("NFD", kept)) == kept
    assert kept == kept.strip() and "  " not in kept and kept.isprintable()

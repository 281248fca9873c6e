import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.licences import OBLIGATIONS, licence
from bedside_corpus.intake.licence import each, named, of_record, tighten


@pytest.mark.parametrize(
    ("said", "spelt"),
    [("cc-by-4.0", "CC-BY-4.0"), ("mit", "MIT"), ("LicenseRef-house", "LicenseRef-house"),
     ("etalab-2.0", "etalab-2.0"), ("cc0-1.0", "CC0-1.0")],
)  # fmt: skip
def test_spdx_in_any_case_or_a_named_one(said, spelt):
    assert named(said) == spelt


@pytest.mark.parametrize(
    ("said", "meant"),
    [("CC BY 4.O", "CC-BY-4.0"), ("CC-BY-SA4.0", "CC-BY-SA-4.0"), ("intern", "LicenseRef-"),
     ("CC-BY-4.0 AND MIT", "LicenseRef-")],
)  # fmt: skip
def test_a_misspelling_is_asked_back_with_the_nearest(said, meant):
    with pytest.raises(ValueError, match=meant):
        named(said)


def test_what_a_record_says():
    assert of_record("cc by-sa 3.0") == "CC-BY-SA-3.0"
    assert of_record("Nur für uns!") == "LicenseRef-Nur-f-r-uns"


def test_a_record_tightens_and_never_loosens():
    assert tighten("CC-BY-4.0", "CC0-1.0") == "CC-BY-4.0"
    assert tighten("CC-BY-4.0", "CC-BY-NC-4.0") == "CC-BY-NC-4.0"
    assert tighten("CC-BY-NC-4.0", "CC-BY-SA-4.0") == "CC-BY-NC-4.0 AND CC-BY-SA-4.0"
    assert tighten("LicenseRef-a", "LicenseRef-b") == "LicenseRef-a AND LicenseRef-b"
    assert tighten(None, "MIT") == tighten("MIT", None) == "MIT"
    assert tighten(None, None) is None


ids = st.sampled_from([*OBLIGATIONS, "LicenseRef-a", "LicenseRef-b"])


@given(ids, ids)
def test_no_obligation_of_either_is_lost(source, own):
    kept = {o for name in each(tighten(source, own)) for o in licence(name).obligations}
    assert kept >= {*licence(source).obligations, *licence(own).obligations}

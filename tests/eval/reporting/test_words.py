"""Every language says the same, with the same fields."""

from __future__ import annotations

import re

import pytest

from bedside_eval.reporting.numerals import LANGUAGES, Language, number, percent
from bedside_eval.reporting.words import WORDS


@pytest.mark.parametrize("language", LANGUAGES)
def test_keys_and_fields_are_those_of_english(language: Language) -> None:
    def fields(words: dict[str, str]) -> dict[str, set[str]]:
        return {key: set(re.findall(r"{(\w+)}", text)) for key, text in words.items()}

    assert fields(WORDS[language]) == fields(WORDS["en"])
    assert all(text.strip() for text in WORDS[language].values())


def test_numbers_as_a_reader_writes_them() -> None:
    assert number(1234.5, 1, "de") == "1.234,5"
    assert number(1234.5, 1, "fr") == "1\u00a0234,5"
    assert number(-1234.5, 1, "en", signed=True) == "\u22121,234.5"
    assert number(-0.0001, 1, "de", signed=True) == "+0,0"
    assert (percent(0.123, "de"), percent(0.123, "en")) == ("12,3\u00a0%", "12.3%")

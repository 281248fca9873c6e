"""Items that ask the same."""

from __future__ import annotations

import pytest

from bedside_core.errors import InputError
from bedside_core.kinds.exam import ChoiceItem
from bedside_eval.importing.equals import resolve


def item(name: str, answer: int, *options: str) -> ChoiceItem:
    return ChoiceItem(
        id=name, language="fr", question="Quel est l'antidote ?",
        options=list(options or ("un", "deux", "trois")), answer=answer,
    )  # fmt: skip


def test_equal_items_stay_unless_a_rule_says_first() -> None:
    items = [item("a", 0), item("b", 1, "deux", "un", "trois"), item("c", 0, "quatre", "cinq")]
    assert resolve(items) == (items, 1, 0, 0)
    found = resolve(items, equal="first")
    assert [one.id for one in found.items] == ["a", "c"]
    assert (found.equal, found.dropped) == (1, 1)


def test_contradicting_keys_are_refused_until_a_rule_drops_all_of_them() -> None:
    items = [item("a", 0), item("b", 1), item("c", 0), item("d", 0, "quatre", "cinq")]
    with pytest.raises(InputError, match=r"3 item.* a, b, c .*--contradicting drop"):
        resolve(items)
    found = resolve(items, contradicting="drop")
    assert [one.id for one in found.items] == ["d"]
    assert (found.contradicting, found.dropped) == (3, 3)


def test_an_id_that_may_be_a_text_is_not_shown() -> None:
    items = [item("Herr Kanarienvogel", 0), item("b", 1)]
    with pytest.raises(InputError) as refused:
        resolve(items)
    assert "Kanarienvogel" not in str(refused.value)

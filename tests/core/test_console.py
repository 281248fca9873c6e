"""What a command tells its user."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.console import say, table

cells = st.text(st.characters(categories=("L", "N")), max_size=9)


def test_a_line_is_there_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    say("eins")
    assert capfd.readouterr().out == "eins\n"
    say()
    assert capfd.readouterr().out == "\n"


def test_a_table() -> None:
    rows = [["source", "documents"], ["letters", "7"]]
    assert table(rows) == "source   documents\n-------  ---------\nletters  7"


@given(st.lists(st.tuples(cells, cells, st.text("x", min_size=1)), min_size=1, max_size=6))
def test_columns_begin_at_the_same_place(rows: list[tuple[str, str, str]]) -> None:
    header, rule, *lines = table(rows).split("\n")
    last = len(rule) - len(rule.rpartition("  ")[2])
    for line, row in zip([header, *lines], rows, strict=True):
        assert line[last:] == row[2]

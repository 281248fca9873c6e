from itertools import pairwise
from pathlib import Path

import pytest

from bedside_eval.compare.judge import judge
from bedside_eval.compare.log import Wanted
from bedside_eval.compare.sources import read_models
from bedside_eval.compare.tables import markdown, terminal

CANARY = "Herr Kanarienvogel"


@pytest.fixture
def result(lm_eval_logs):
    for task, changes in (("visite", {}), ("befund", {"prompt_hash": "other"})):
        lm_eval_logs.write("basis", [0.0] * 12 + [1.0] * 12, task=task)
        lm_eval_logs.write("neu|e", [1.0] * 22 + [None] * 2, task=task, **changes)
    paths = [lm_eval_logs.root / name for name in ("basis", "neu|e")]
    return judge(read_models(paths, Wanted(), ()), confidence=0.95)


def test_both_tables_say_what_counts(result):
    for text in (terminal(result), markdown(result)):
        assert "2 of 2 difference(s) hold by every method after Holm at 5 %." in text
        assert "befund: 24 of 24 items were put in other words to some models" in text
        assert "befund: answers that nobody measured count as wrong." in text
        assert "+41.7" in text
        assert "average rank" in text
        assert "item-weighted average" in text
        assert "neu?e" in text
        assert CANARY not in text


def test_markdown_tables_are_whole(result):
    for block in markdown(result).split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1


def test_what_has_no_interval_says_so(lm_eval_logs):
    paths = [lm_eval_logs.write(name, [1.0] * 5) for name in ("basis", "neu")]
    text = terminal(judge(read_models(paths, Wanted(), ()), confidence=0.95))
    assert "no information" in text
    assert "visite: no interval where clusters are fewer than 8" in text
    assert "Averages" not in text


def test_the_page_shows_the_tables_as_they_are(result):
    page = (Path(__file__).parents[3] / "docs/compare.md").read_text(encoding="utf-8")
    example = page[page.index("```text") :]
    lines = terminal(result).splitlines()
    heads = [line.split() for line, below in pairwise(lines) if "---" in below]
    assert len(heads) == 5
    shown = [line.split() for line in example.splitlines()]
    assert [head for head in heads if head not in shown] == []

"""The form hides whose answer is whose, shows texts as texts, and needs nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.kinds.exam import OpenItem
from bedside_eval.answering.answers import Answer
from bedside_eval.judging.blind import WORDS, Blinding, Shown, form
from bedside_eval.reporting.numerals import LANGUAGES

SECRET = b"s" * 32
BLINDING = Blinding.of(SECRET, "e" * 64, "base")
DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)
CHROMIUM = shutil.which("chromium")


def shown(ours: Sequence[str], theirs: Sequence[str]) -> list[Shown]:
    items = [
        OpenItem(id=f"q{n}", type="open", language="de", question=f"Frage {n}?", reference="x")
        for n in range(len(ours))
    ]
    both = [
        [Answer(id=f"q{n}", text=text, finish="stop") for n, text in enumerate(texts)]
        for texts in (ours, theirs)
    ]
    return [Shown("open", items, *both)]


def data(page: str) -> dict[str, object]:
    found = DATA.search(page)
    assert found is not None
    return json.loads(found[1])  # type: ignore[no-any-return]


def test_both_sides_are_shown_and_nobody_is_named() -> None:
    ours, theirs = [f"unsere {n}" for n in range(40)], [f"andere {n}" for n in range(40)]
    page = form(BLINDING, shown(ours, theirs), "de")
    pairs = data(page)["pairs"]
    assert isinstance(pairs, list) and len(pairs) == 40
    left = sum(pair["left"].startswith("unsere") for pair in pairs)
    assert 8 < left < 32, "each side about as often"
    for pair in pairs:
        number = pair["question"].split()[1].rstrip("?")
        assert {pair["left"], pair["right"]} == {f"unsere {number}", f"andere {number}"}
        assert pair["id"] == BLINDING.pair("open", f"q{number}")
        ours_left = pair["left"].startswith("unsere")
        assert BLINDING.candidate_left("open", f"q{number}") is ours_left
    assert not re.search("candidate|base\\b|" + "e" * 64, page)
    assert page == form(BLINDING, shown(ours, theirs), "de"), "the same secret, the same form"


def test_another_house_or_another_rival_has_other_sides() -> None:
    names = [f"q{n}" for n in range(64)]

    def sides(blinding: Blinding) -> list[bool]:
        return [blinding.candidate_left("open", name) for name in names]

    others = [Blinding.of(b"t" * 32, "e" * 64, "base"), Blinding.of(SECRET, "e" * 64, "incumbent")]
    assert all(sides(other) != sides(BLINDING) for other in others)
    assert len({BLINDING.form, *(other.form for other in others)}) == 3


def test_equal_answers_are_no_pair_and_thoughts_are_not_shown() -> None:
    page = form(BLINDING, shown(["gleich", "<think>Hm</think>Ja"], ["gleich", "Nein"]), "fr")
    pairs = data(page)["pairs"]
    assert isinstance(pairs, list) and len(pairs) == 1
    assert {pairs[0]["left"], pairs[0]["right"]} == {"Ja", "Nein"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_comes_from_elsewhere_and_only_our_script_runs(language: str) -> None:
    page = form(BLINDING, shown(["Ja"], ["Nein"]), language)  # type: ignore[arg-type]
    assert not re.search(r"(?:https?:)?//[a-z]|\bsrc=|<link|@import|url\(", page)
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page
    assert "@" not in page.replace("@media", "")
    assert WORDS[language].keys() == WORDS["en"].keys()  # type: ignore[index]


@given(st.text(max_size=40))
def test_no_answer_leaves_its_place(text: str) -> None:
    page = form(BLINDING, shown([f"</script><script>alert(1)</script>{text}"], ["Nein"]), "en")
    assert page.count("<script") == 2 and page.count("</script>") == 2
    pairs = data(page)["pairs"]
    assert isinstance(pairs, list) and "alert(1)" in pairs[0]["left"] + pairs[0]["right"]


@pytest.mark.skipif(CHROMIUM is None, reason="no browser")
def test_in_a_browser_every_pair_can_be_answered_by_keyboard(tmp_path: Path) -> None:
    page = tmp_path / "form.html"
    page.write_text(form(BLINDING, shown(["<b>Ja</b>", "a"], ["Nein", "b"]), "de"), "utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
               f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip("the browser does not start here")
    shown_ = done.stdout.partition("<main>")[2].partition("</main>")[0]
    assert shown_.count('type="radio"') == 8 and shown_.count("<fieldset>") == 2
    assert "&lt;b&gt;Ja&lt;/b&gt;" in shown_ and "0 / 2 beantwortet" in shown_
    assert shown_.count("<label") == 9 and "tabindex" not in shown_

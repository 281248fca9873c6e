"""Printed tables: what is read and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedside_core.errors import ConfigError, InputError
from bedside_eval.reanalysis.printed import Scores, read_paper


def read(folder: Path, base: str, new: str, *, items: str = "200", more: str = "",
         unit: str = "percent", of: str = "a") -> Scores:  # fmt: skip
    path = folder / "t.yaml"
    path.write_text(
        f"paper: p\nunit: {unit}\ntables:\n  - title: t\n    source: s\n"
        f"    tasks: {{x: {items}}}\n{more}    models:\n      - {{name: a, scores: '{base}'}}\n"
        f"      - {{name: b, base: {of}, scores: '{new}'}}\n"
    )
    return read_paper(path)[1][0]


def test_a_cell_is_its_share_its_error_and_its_counts(tmp_path: Path) -> None:
    found = read(tmp_path, "50.0 ± 3.5", "55.5")
    assert found["a", "x"][:4] == (0.5, 0.035, 200, (100,))
    assert found["b", "x"].counts == (111,)
    assert found["b", "x"].error == pytest.approx(0.0352, abs=1e-4)
    assert read(tmp_path, "0.500±0.035", "0.555", unit="share")["a", "x"].counts == (100,)
    assert read(tmp_path, "50 ± 4", "55 ± 4", items="null")["a", "x"].counts == ()
    assert ("a", "x") not in read(tmp_path, "-", "55.5")


def test_a_value_that_was_rounded_twice(tmp_path: Path) -> None:
    assert read(tmp_path, "55.8 ± 1.9", "49.9", items="687")["a", "x"].counts == (383,)


@pytest.mark.parametrize(
    ("base", "new", "options", "message"),
    [
        ("50.0 ± 1.0", "55.0", {}, "standard error of 200 right and wrong answers is 3.5"),
        ("50.3", "55.0", {}, "no number of right answers of 200"),
        ("0.500", "0.550", {}, "are they shares"),
        ("50.0", "55.0", {"unit": "share"}, "is `unit: share` right"),
        ("50.0", "55.0 ± 3", {"items": "null"}, "neither a standard error nor n"),
        ("50.0 ± 0.0", "55.0 ± 3", {"items": "null"}, "neither a standard error nor n"),
        ("50.0 | 3", "55.0", {}, "2 cell(s) for 1 column(s)"),
        ("fifty", "55.0", {}, "not `54.07 ± 4.30`"),
        ("50.0", "55.0", {"of": "c"}, "base is no other row"),
        ("50.0", "55.0", {"of": "b"}, "base is no other row"),
        ("50.0", "55.0", {"more": "    averages: [x]\n"}, "both in tasks and in averages"),
        ("50.0", "55.0", {"more": "    doubtful: [{name: a, task: y, why: z}]\n"}, "1 cell(s)"),
        ("50.0±3.5|50±3", "50.0±3.5|50±3", {"more": "    averages: [y]\n"}, "was a row copied"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(
    tmp_path: Path, base: str, new: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, base, new, **options)
    assert message in str(caught.value)


def test_a_doubtful_cell_may_be_inconsistent(tmp_path: Path) -> None:
    doubt = "    doubtful: [{name: a, task: x, why: a digit is missing}]\n"
    assert read(tmp_path, "5.3 ± 3.5", "55.0", more=doubt)["a", "x"].doubtful


def test_what_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_paper(tmp_path / "none.yaml")
    with pytest.raises(ConfigError):
        read(tmp_path, "50.0", "55.0", items="0")

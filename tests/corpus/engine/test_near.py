"""Of near-copies the first stays, and nothing that only looks like one is lost."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_core.matching import canonical
from bedside_core.registry.registry import Registry
from bedside_corpus.config import CorpusConfig
from bedside_corpus.engine import build as engine
from bedside_corpus.engine import comparing, keys, near, progress
from bedside_corpus.engine.build import run_stages
from bedside_corpus.engine.minhash import minima, similarity
from bedside_corpus.engine.near import values_of
from bedside_corpus.engine.shards import divide
from bedside_corpus.sources import find_files
from bedside_corpus.tally import Tally

ROOT = Path(__file__).parents[3]
LETTERS = [p.read_text("utf-8") for p in sorted((ROOT / "tests/letters").glob("*.txt"))]
GRASCCO = ROOT.parent / "shared/data/grascco/letters.jsonl"
TEMPLATE = (ROOT / "tests/corpus/engine/template.txt").read_text("utf-8")
PATIENTS = [
    {"name": "Muster", "born": "03.04.1951", "crp": "48", "dose": "5"},
    {"name": "Beispiel", "born": "17.11.1948", "crp": "112", "dose": "2,5"},
    {"name": "Probe", "born": "29.01.1960", "crp": "8", "dose": "10"},
]
Sources = dict[str, list[str]]


@pytest.fixture
def run(tmp_path: Path, registry: Registry) -> Callable[..., tuple[list[str], Tally, list[Any]]]:
    """Build from texts by source; returns the ids of what stays, the tally and what is out."""
    rooms: list[Path] = []

    def run(sources: Sources, **near: Any) -> tuple[list[str], Tally, list[Any]]:
        room = tmp_path / f"{len(rooms)}"
        rooms.append(room)
        room.mkdir()
        for name, texts in sources.items():
            lines = [json.dumps({"text": text}) for text in texts]
            (room / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
        config = CorpusConfig.model_validate(
            {
                "language": "de",
                "sources": [
                    {
                        "name": name,
                        "path": room / f"{name}.jsonl",
                        "format": "jsonl",
                        "licence": "CC0-1.0",
                        "personal_data": "none",
                    }
                    for name in sources
                ],
                "language_threshold": None,
                "executor": {"workers": 1},
                **near,
            }
        )
        files = [file for source in config.sources for file in find_files(source)]
        tally, _ = run_stages(config, files, room)
        rows, out = (
            [
                row
                for file in sorted((room / "write" / kind).iterdir())
                for row in pq.read_table(file).to_pylist()
            ]
            for kind in ("data", "decisions")
        )
        copies = [
            (f"{row['file']}:{row['line']}", row["reason"], row["by"])
            for row in out
            if row["reason"]
        ]
        return [row["id"] for row in rows], tally, copies

    return run


def place(name: str, line: int) -> str:
    return f"{name}/{name}.jsonl:{line}"


def words(number: int, seed: int) -> list[str]:
    drawn = random.Random(seed)
    return ["".join(drawn.choices("abcdefghiklmnoprstuvwz", k=7)) for _ in range(number)]


def edited(text: list[str], *places: int) -> list[str]:
    return [f"{word}anders" if n in places else word for n, word in enumerate(text)]


def alike(one: str, other: str) -> float:
    signed, others = minima(canonical(one)), minima(canonical(other))
    assert signed is not None and others is not None
    return float(similarity(signed[None], others[None])[0])


def test_a_dirty_copy_in_another_source_goes_and_the_first_stays(run: Any) -> None:
    text = " ".join(LETTERS[:3])
    copy = unicodedata.normalize("NFD", text).replace(" ", "\u00a0").replace("\n", "\r\n")
    page = f"Wir freuen uns über Ihren Besuch. {copy} Zurück zum Anfang der Seite."
    other = " ".join(LETTERS[3:6])
    kept, tally, out = run({"a": [other, text], "b": [page, " ".join(LETTERS[6:9])]})
    assert kept == [place("a", 1), place("a", 2), place("b", 2)]
    assert out == [(place("b", 1), "duplicate_near", place("a", 2))]
    assert tally.dropped == {"duplicate_near": 1}
    assert tally.notes == {"texts with 1 near-copies": 1}
    kept, tally, _ = run({"a": [other, text], "b": [page]}, near_duplicates=None)
    assert len(kept) == 3
    assert not tally.dropped


def test_letters_of_one_template_are_not_copies(run: Any) -> None:
    letters = [TEMPLATE.format(**patient) for patient in PATIENTS]
    # Alike enough, and yet three patients.
    assert all(alike(letters[0], letter) >= 0.8 for letter in letters[1:])
    kept, tally, _ = run({"a": letters})
    assert len(kept) == 3
    assert not tally.dropped
    # A comparator alone is a value, too.
    kept, _, _ = run({"a": [letters[0], letters[0].replace("CRP 48", "CRP < 48")]})
    assert len(kept) == 2
    kept, tally, _ = run({"a": letters}, near_duplicates={"same_values": False})
    assert len(kept) == 1
    assert tally.notes == {"texts with 2 to 3 near-copies": 1}


def test_no_real_letter_is_lost(run: Any) -> None:
    if not GRASCCO.is_file():
        pytest.skip("no shared data")
    letters = [json.loads(line)["text"] for line in GRASCCO.read_text("utf-8").splitlines()]
    kept, tally, _ = run({"a": letters})
    assert len(kept) == len(letters) == 63
    assert not tally.dropped


def test_short_texts_are_only_ever_exact_copies(run: Any) -> None:
    finding = " ".join(words(99, 1))
    other = f"{finding[:-7]}anders"
    kept, _, out = run({"a": [finding, other, f"{finding} "]})
    assert kept == [place("a", 1), place("a", 2)]
    assert out == [(place("a", 3), "duplicate_text", place("a", 1))]
    kept, _, _ = run({"a": [finding, other]}, near_duplicates={"min_words": 50})
    assert len(kept) == 1


def test_what_goes_is_alike_something_that_stays(run: Any) -> None:
    first = words(300, 3)
    second = edited(first, 20, 80, 140, 200, 260)
    third = edited(second, 50, 110, 170, 230, 290)
    texts = [" ".join(one) for one in (first, second, third, second)]
    kept, _, out = run({"a": texts})
    assert kept == [place("a", 1), place("a", 3)]
    assert out == [
        (place("a", 2), "duplicate_near", place("a", 1)),
        (place("a", 4), "duplicate_text", place("a", 1)),
    ]


def test_one_that_shares_a_band_with_the_first_is_compared_with_the_next(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All texts fall into one band, so that only the comparison tells them apart.
    one = lambda self, found: np.full((len(found), self.number), 7, np.uint64)  # noqa: E731
    monkeypatch.setattr(near.Bands, "keys", one)
    monkeypatch.setattr(near, "_COMPARED", 2)
    texts = [" ".join(words(120, seed)) for seed in range(4)]
    copies = [" ".join([*text.split(), "ende"]) for text in texts]
    kept, _, out = run({"a": texts, "b": copies})
    assert kept == [place("a", n) for n in range(1, 5)]
    assert out == [(place("b", n), "duplicate_near", place("a", n)) for n in range(1, 5)]
    monkeypatch.setattr(near, "LEADERS", 2)
    kept, _, _ = run({"a": texts, "b": copies})
    assert len(kept) == 6


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    drawn=st.lists(
        st.tuples(st.integers(0, 3), st.sets(st.integers(0, 119), max_size=4)),
        min_size=1,
        max_size=14,
    ),
    shard=st.sampled_from([1, 3000, 1 << 20]),
    of=st.sampled_from([50, 10_000]),
    together=st.sampled_from([2, 64]),
)
def test_the_same_stay_however_the_work_is_divided(
    run: Any, drawn: list[tuple[int, set[int]]], shard: int, of: int, together: int
) -> None:
    texts = [" ".join(edited(words(120, seed), *places)) for seed, places in drawn]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "divide", lambda files: divide(files, shard))
        patch.setattr(keys, "RANGE_KEYS", of)
        patch.setattr(comparing, "GROUP_SHARDS", together)
        patch.setattr(keys, "NEIGHBOURS", together)
        kept, _, out = run({f"s{n}": [text] for n, text in enumerate(texts)})
    expected: list[int] = []
    for n, text in enumerate(texts):
        if all(alike(text, texts[stays]) < 0.8 for stays in expected):
            expected.append(n)
    assert kept == [place(f"s{n}", 1) for n in expected]
    assert {by for _, _, by in out} <= set(kept)
    assert len(kept) + len(out) == len(texts)


def test_deciding_shows_how_far_it_is(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "divide", lambda files: divide(files, 1))
    monkeypatch.setattr(progress, "SECONDS", 1e-4)
    kept, _, _ = run({f"s{n}": [" ".join(words(120, n))] for n in range(5)})
    assert len(kept) == 5
    assert (tmp_path / "0/resolve/beats/00000").read_text() == "5"


def test_values_are_numbers_comparators_and_raised_digits() -> None:
    assert values_of("Kalium < 3,5 mmol/l (10²), 1–2 Tbl.; SpO₂ ≥ 90 %") == (
        "< 3 5 10 ² 1 2 ₂ ≥ 90 %"
    )
    assert values_of("kein Befund.") == ""

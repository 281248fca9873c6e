"""What is asked of models stays out of the corpus, and the evaluation finds the same.

Through both services, on the same dirty documents: what `bedside corpus build` lets through counts
as clean, and what it left out would have been counted. Letters and items are invented.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bedside_core.artifacts import Artifact
from bedside_core.config import Config
from bedside_core.heldout import read_heldout
from bedside_core.inspection import Inspection
from bedside_core.kinds.corpus import listed_documents
from bedside_core.kinds.exam import read_exam
from bedside_core.kinds.removed import REMOVED, read_removed
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_corpus.check import check
from bedside_corpus.config import CorpusConfig
from bedside_corpus.engine import spread
from bedside_eval.contamination import contamination
from bedside_eval.exam import Paper
from bedside_eval.records import Contamination
from bedside_eval.report import contaminated

LETTERS = {
    path.stem: path.read_text("utf-8")
    for path in sorted((Path(__file__).parents[1] / "letters").glob("*.txt"))
}
NAMES = list(LETTERS)
ITEMS = [
    {
        "id": "long",
        "question": "Eine 67-jährige Patientin hat seit vier Tagen Fieber, Husten und Luftnot; "
        "rechts basal hört man feuchte Rasselgeräusche. Was ist am ehesten die Ursache?",
        "options": ["Pneumonie", "Lungenembolie", "Asthma bronchiale", "Herzinsuffizienz"],
        "answer": 0,
        "language": "de",
    },
    {
        "id": "short",
        "question": "Welches Mittel wird zuerst gegeben?",
        "options": ["Adrenalin intramuskulär", "Cortison", "ein Antihistaminikum", "Volumen"],
        "answer": 0,
        "language": "de",
    },
    {
        "id": "lettered",
        "question": "Welcher Wert spricht für eine Niereninsuffizienz?",
        "options": ["Kreatinin 4,1 mg/dl", "Kalium 4,1 mmol/l", "CRP < 5 mg/l", "TSH 1,2 mU/l"],
        "answer": 0,
        "language": "de",
    },
    {
        "id": "unasked",
        "question": "Welche Farbe hat der Harn bei Rhabdomyolyse am ehesten?",
        "options": ["braun", "grün", "farblos", "blau"],
        "answer": 0,
        "language": "de",
    },
]
PAGE = (
    "Auf dieser Seite stehen Hinweise zum Ablauf der Fortbildung, zu den Räumen und zur Anfahrt. "
    "Die Teilnahme ist kostenfrei, eine Anmeldung über das Sekretariat ist erbeten; Getränke gibt "
    "es im Foyer. Nach der Pause folgen die Vorträge der Arbeitsgruppen mit Gelegenheit zur "
    "Aussprache, danach ein gemeinsamer Rundgang durch das Haus und seine Werkstätten. "
)


def mojibake(text: str) -> str:
    return "".join(
        bytes([byte]).decode("windows-1252", errors="ignore") or chr(byte) for byte in text.encode()
    )


def pieces(text: str, size: int = 15) -> list[str]:
    """A text in pages that hold a little of it each, the next overlapping the one before."""
    words = text.split()
    return [
        f"Seite {n}. {PAGE} {' '.join(words[n : n + size])} {PAGE}"
        for n in range(0, len(words), size - 7)
    ]


def documents() -> dict[str, str]:
    """By name: what holds something that is asked, and what does not."""
    short, lettered = ITEMS[1], ITEMS[2]
    options = [f"{letter}) {x}" for letter, x in zip("ABCD", lettered["options"], strict=True)]
    found = {
        "mojibake": mojibake(LETTERS[NAMES[0]]),
        "decomposed": unicodedata.normalize("NFD", LETTERS[NAMES[1]]).replace(" ", "\u00a0"),
        "inside": f"{PAGE}\n{LETTERS[NAMES[2]]}\n{PAGE}",
        "part": f"{' '.join(LETTERS[NAMES[3]].split()[:45])} {PAGE * 3}",
        "question": f"{PAGE} Frage 17. {ITEMS[0]['question']} Antwort auf Seite 3. {PAGE}",
        "order": "\n".join([PAGE, short["question"], *reversed(short["options"]), PAGE]),
        "lettered": mojibake("\n".join([PAGE, lettered["question"], *options])),
        "other": f"{PAGE} {short['question']} Das hängt vom Befund ab. Cortison wirkt später.",
        "page": PAGE,
        "letter": LETTERS[NAMES[11]],
    }
    return found | {f"spread{n}": text for n, text in enumerate(pieces(LETTERS[NAMES[4]]))}


def source(folder: Path, texts: Mapping[str, str]) -> dict[str, Any]:
    path = folder / "source.jsonl"
    lines = [json.dumps({"id": name, "text": text}) for name, text in texts.items()]
    path.write_text("\n".join(lines) + "\n")
    return {"name": "d", "path": str(path), "format": "jsonl", "licence": "CC0-1.0",
            "personal_data": "none"}  # fmt: skip


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, list[str]]:
    """The settings that keep eleven letters and four items out."""
    held, exam = tmp_path / "held", tmp_path / "exam.jsonl"
    held.mkdir()
    for name in NAMES[:11]:
        (held / f"{name}.txt").write_text(LETTERS[name], encoding="utf-8")
    exam.write_text("".join(json.dumps(item) + "\n" for item in ITEMS))
    return {"heldout": [str(held)], "exams": [str(exam)]}


class Step(Config):
    number: int = 0


def evaluated(registry: Registry, asked: Mapping[str, list[str]]) -> Contamination:
    """The count that the evidence holds, of a model that was trained on the corpus."""
    run = Run("test", "eval", "test", registry)
    parents = {"corpus": registry.get("test/corpus")}
    with run.write("checkpoint", run.recipe(Step(), parents=parents)) as artifact:
        (artifact.path / "x").write_text("")
    [held], [exam] = asked["heldout"], asked["exams"]
    paper = Paper({"set": read_heldout(Path(held))}, {"exam": read_exam(Path(exam))})
    return contamination(registry, [artifact.result], paper)


def ids(corpus: Artifact) -> list[str]:
    return [document["id"].rpartition("#")[2] for document in listed_documents(corpus)]


def test_what_the_build_lets_through_the_evaluation_counts_as_clean_and_vice_versa(
    build: Any, registry: Registry, tmp_path: Path, asked: dict[str, list[str]]
) -> None:
    texts = documents()
    dirty = source(tmp_path, texts)
    assert build(dirty, language_threshold=None) == 0
    assert ids(registry.get("test/corpus")) == list(texts)
    without = evaluated(registry, asked)
    assert without.heldout["set"].ids == tuple(NAMES[:5])
    assert without.exams["exam"].ids == ("long", "short", "lettered")
    assert without.removed_heldout["set"].looked_for == 0

    assert build(dirty, language_threshold=None, **asked) == 0
    corpus = registry.get("test/corpus")
    found = evaluated(registry, asked)
    assert found.heldout["set"].ids == found.exams["exam"].ids == ()
    assert found.heldout["set"].of == 11
    # Everything that was counted is gone, and nothing else.
    kept = ids(corpus)
    assert kept[:3] == ["other", "page", "letter"]
    assert set(texts) - set(kept) - {name for name in texts if name.startswith("spread")} == {
        "mojibake", "decomposed", "inside", "part", "question", "order", "lettered",
    }  # fmt: skip
    # Of the pages that hold a little each, the first may stay.
    assert "spread0" in kept
    removed = {one.id: one for one in read_removed(corpus)}
    assert list(removed) == [*NAMES[:11], *(str(item["id"]) for item in ITEMS)]
    gone = {name for name, one in removed.items() if one.documents}
    assert gone == {*without.heldout["set"].ids, *without.exams["exam"].ids}

    def ways(name: str) -> tuple[int, ...]:
        one = removed[name]
        return one.exact, one.near, one.ngram, one.spread

    assert [ways(name) for name in NAMES[:4]] == [
        (1, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0),
    ]  # fmt: skip
    spreads = sum(name.startswith("spread") for name in texts) - len(kept[3:])
    assert ways(NAMES[4]) == (0, 0, 0, spreads)
    assert 0 < spreads < len(pieces(LETTERS[NAMES[4]]))
    assert [ways(n) for n in ("long", "short", "lettered", "unasked")] == [
        (0, 1, 0, 0), (0, 1, 0, 0), (0, 1, 0, 0), (0, 0, 0, 0),
    ]  # fmt: skip
    # The evaluation tells both: what was removed, and that nothing was left.
    told = found.removed_heldout["set"]
    assert (told.looked_for, told.found, told.let_in) == (11, 5, 0)
    assert told.documents == {"exact": 2, "near": 1, "ngram": 1, "spread": spreads}
    assert found.removed_exams["exam"].documents == {
        "exact": 0, "near": 3, "ngram": 0, "spread": 0,
    }  # fmt: skip
    report = "\n".join(contaminated(found))
    row = f"| set | 5 (exact 2, near 1, ngram 1, spread {spreads}) | 0 | 0 | 0 | 11 |  |"
    assert row in report
    assert "| exam exam | 3 (near 3) | 0 | 0 | 0 | 4 |  |" in report
    assert "| set | not looked for | 2 | 3 | 5 | 11 |" in "\n".join(contaminated(without))
    facts = corpus.manifest.facts
    assert facts["removed"][asked["exams"][0]] == {
        "asked": 4, "found": 3, "exact": 0, "near": 3, "ngram": 0, "spread": 0, "let_in": 0,
    }  # fmt: skip
    assert facts["dropped"] == {
        "heldout": 2, "heldout_near": 4, "heldout_ngram": 1, "heldout_spread": spreads,
    }  # fmt: skip
    # Ids and hashes, and no text.
    content = corpus.file(REMOVED).read_text()
    assert not any(word in content for word in ("Pneumonie\n", "Fieber", "Kreatinin", "Adrenalin"))


def test_a_text_that_would_cost_too_much_is_let_in_and_counted(
    build: Any,
    registry: Registry,
    tmp_path: Path,
    asked: dict[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = {f"p{n}": text for n, text in enumerate(pieces(LETTERS[NAMES[4]]))}
    texts |= {f"q{n}": text for n, text in enumerate(pieces(LETTERS[NAMES[5]]))}
    texts["copy"] = LETTERS[NAMES[4]]
    monkeypatch.setattr(spread, "MOST_DOCUMENTS", 1)
    assert build(source(tmp_path, texts), language_threshold=None, **asked) == 0
    corpus = registry.get("test/corpus")
    assert ids(corpus) == list(texts)[:-1]
    removed = {one.id: one for one in read_removed(corpus)}
    assert [name for name, one in removed.items() if one.let_in] == NAMES[4:6]
    assert removed[NAMES[4]].exact == 1
    assert removed[NAMES[4]].spread == 0
    found = evaluated(registry, asked)
    assert found.heldout["set"].ids == tuple(NAMES[4:6])
    assert found.removed_heldout["set"].let_in == 2


def test_a_copy_of_what_was_left_out_is_left_out_for_the_same(
    build: Any, registry: Registry, tmp_path: Path, asked: dict[str, list[str]]
) -> None:
    texts = dict(enumerate(pieces(LETTERS[NAMES[4]])))
    copies = {str(n): text for n, text in texts.items()}
    copies |= {f"again{n}": f"{text} Ende." for n, text in texts.items()}
    settings = {"near_duplicates": {"same_values": False}}
    assert build(source(tmp_path, copies), language_threshold=None, **asked, **settings) == 0
    corpus = registry.get("test/corpus")
    kept = ids(corpus)
    assert not any(name.startswith("again") for name in kept)
    dropped = corpus.manifest.facts["dropped"]
    assert dropped.keys() == {"heldout_spread", "duplicate_near"}
    assert dropped["duplicate_near"] == len(kept)
    assert evaluated(registry, asked).heldout["set"].ids == ()


def test_a_broken_or_missing_exam_ends_the_build(
    build: Any, registry: Registry, tmp_path: Path, letters: dict[str, Any], capsys: Any
) -> None:
    assert build(letters, exams=[str(tmp_path / "none.jsonl")]) == 3
    assert "no such file - correct corpus.exams" in capsys.readouterr().err
    (tmp_path / "broken.jsonl").write_text('{"id": "a"}\n')
    assert build(letters, exams=[str(tmp_path / "broken.jsonl")]) == 3
    assert "line 1" in capsys.readouterr().err
    assert registry.slot("test", "corpus") is None


def test_the_check_says_what_is_asked_and_not_kept_out(
    tmp_path: Path, letters: dict[str, Any], asked: dict[str, list[str]]
) -> None:
    [held], [exam] = asked["heldout"], asked["exams"]
    document = {"eval": {"heldout": {"set": held}, "exams": {"exam": f"{tmp_path}/./exam.jsonl"}}}

    def unsure(**settings: Any) -> list[str]:
        config = CorpusConfig.model_validate({"language": "de", "sources": [letters], **settings})
        inspection = Inspection(document)
        check(config, inspection)
        assert not [one for one in inspection.findings if one.kind == "fault"]
        return [one.text.partition(":")[0] for one in inspection.findings if one.kind == "unsure"]

    assert unsure(**asked) == []
    assert unsure(exams=[exam]) == ["eval.heldout.set"]
    assert unsure() == ["eval.heldout.set", "eval.exams.exam"]
    drawn = {"folder": str(tmp_path / "drawn"), "sets": {"a": {"size": 1}}}
    document["eval"]["heldout"] = {"set": f"{tmp_path}/drawn/a.jsonl"}
    assert unsure(exams=[exam], split=drawn) == ["corpus.split"]  # nothing is drawn yet

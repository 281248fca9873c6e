"""Held-out texts and exam items that stand in the corpus are counted, whatever their dirt.

Through both services: `bedside corpus build` on real files, then the count that the evidence holds.
The letters in `tests/letters` are invented; the real ones of `../shared/data` are not in the
repository.
"""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedside_core.artifacts import Artifact
from bedside_core.cli import main
from bedside_core.config import Config
from bedside_core.errors import ArtifactError
from bedside_core.heldout import read_heldout
from bedside_core.kinds.corpus import listing_name
from bedside_core.kinds.exam import ChoiceItem
from bedside_core.matching import canonical
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_corpus.cleaning.clean import clean
from bedside_eval.contamination import contamination
from bedside_eval.exam import Paper
from bedside_eval.records import Found

ROOT = Path(__file__).parents[2]
LETTERS = {
    path.stem: path.read_text("utf-8") for path in sorted((ROOT / "tests/letters").glob("*.txt"))
}
GRASCCO = ROOT.parent / "shared/data/grascco/letters.jsonl"

DIRT: Mapping[str, Callable[[str], str]] = {
    "no-break spaces": lambda text: text.replace(" ", "\u00a0"),
    "narrow spaces": lambda text: text.replace(" m", "\u202fm").replace(" %", "\u2009%"),
    "soft hyphens": lambda text: text.replace("ein", "e\u00adin").replace("lung", "\u00adlung"),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "compatibility": lambda text: unicodedata.normalize("NFKC", text),
    "Windows line ends": lambda text: text.replace("\n", "\r\n"),
    "line separators": lambda text: text.replace("\n", "\u2028"),
    "blanks at line ends": lambda text: text.replace("\n", "  \t\n"),
    "more blank lines": lambda text: text.replace("\n\n", "\n \n\n\n\n"),
    "one line": lambda text: " ".join(text.split()),
    "upper case": str.upper,
    "zero-width and byte-order mark": lambda text: "\ufeff" + text.replace("e", "e\u200b"),
    "dashes and quotes": lambda text: "\u201e" + text.replace("-", "\u2013") + "\u201c",
    "divided words": lambda text: text.replace("behandel", "behan-\ndel"),
}  # fmt: skip
"""What happens to a text on its way through a hospital's systems."""


class Step(Config):
    number: int = 0


def build(registry: Registry, folder: Path, texts: list[str], **settings: Any) -> int:
    """The real verb, on one JSON Lines file."""
    source = folder / "source.jsonl"
    lines = [json.dumps({"id": f"d{n}", "text": text}) for n, text in enumerate(texts)]
    source.write_text("\n".join(lines) + "\n")
    documents = {"name": "d", "path": str(source), "format": "jsonl", "licence": "CC0-1.0",
                 "personal_data": "none"}  # fmt: skip
    corpus = {"language": "de", "sources": [documents], **settings}
    config = folder / "corpus.yaml"
    config.write_text(yaml.safe_dump({"name": "tiny", "corpus": corpus}))
    return main(["corpus", "build", "--config", str(config)])


def model_of(registry: Registry, kind: Any, **parents: Artifact) -> Artifact:
    run = Run("tiny", "eval", f"test-{kind}", registry)
    with run.write(kind, run.recipe(Step(), parents=parents)) as artifact:
        (artifact.path / "x").write_text("")
    return artifact.result


def checkpoint(registry: Registry, **parents: Artifact) -> Artifact:
    return model_of(registry, "checkpoint", **parents)


def write_texts(folder: Path, texts: Mapping[str, str]) -> Path:
    folder.mkdir()
    for name, text in texts.items():
        (folder / f"{name}.txt").write_bytes(text.encode())
    return folder


def count(registry: Registry, heldout: Path, exam: list[ChoiceItem] | None = None) -> Found:
    paper = Paper({"set": read_heldout(heldout)}, {"exam": exam} if exam else {})
    model = checkpoint(registry, corpus=registry.get("tiny/corpus"))
    found = contamination(registry, [model], paper)
    return found.exams["exam"] if exam else found.heldout["set"]


def counts(found: Found) -> tuple[int, int, int, int]:
    return found.exact, found.near, found.ngram, found.of


def dirty(texts: Mapping[str, str]) -> dict[str, str]:
    """Each text with a dirt of its own."""
    kinds = list(DIRT.values())
    return {name: kinds[n % len(kinds)](text) for n, (name, text) in enumerate(texts.items())}


@pytest.mark.parametrize("kind", DIRT)
def test_every_kind_of_dirt_is_seen_through_before_and_after_cleaning(kind: str) -> None:
    assert len(LETTERS) == 12
    for text in LETTERS.values():
        spoilt = DIRT[kind](text)
        assert canonical(spoilt) == canonical(text) == canonical(clean(spoilt).text)


def test_twelve_of_twelve_dirty_letters_are_found(registry: Registry, tmp_path: Path) -> None:
    # The corpus has one dirt, the held-out set another; nothing was kept out when it was built.
    assert build(registry, tmp_path, list(dirty(LETTERS).values())) == 0
    backwards = dict(reversed(LETTERS.items()))
    for number, texts in enumerate((LETTERS, dirty(LETTERS), dirty(backwards))):
        found = count(registry, write_texts(tmp_path / f"held{number}", texts))
        assert counts(found) == (12, 12, 12, 12)
        assert set(found.ids) == set(LETTERS)


def test_the_guard_keeps_out_what_the_evaluation_would_count(
    registry: Registry, tmp_path: Path
) -> None:
    held = write_texts(tmp_path / "held", LETTERS)
    pneumonia, stroke, *others = dirty(LETTERS).values()
    words = LETTERS["12-sepsis"].split()
    documents = [
        *others,
        f"Sehr geehrte Kollegin,\n{pneumonia}\nMit freundlichen Grüßen",
        " ".join(f"{w}, anders" if n % 12 == 6 else w for n, w in enumerate(stroke.split())),
        " ".join(words[: len(words) * 2 // 3]),
        " ".join(words[20:45]),
        "Ein anderer Brief: Der Patient klagt über Kopfschmerzen, sonst war er gesund.",
    ]
    assert build(registry, tmp_path, documents, heldout=[str(held)]) == 0
    facts = registry.get("tiny/corpus").manifest.facts
    assert facts["documents"] == 1
    assert facts["dropped"] == {"heldout": 10, "heldout_near": 2, "heldout_ngram": 2}
    assert counts(count(registry, held)) == (0, 0, 0, 12)


def test_near_copies_and_spread_texts_are_counted_apart(registry: Registry, tmp_path: Path) -> None:
    names = list(LETTERS)
    copy, inside, spread, other = (LETTERS[name] for name in names[:4])
    pieces = spread.split()
    documents = [
        copy,
        f"Vorspann. {inside} Nachsatz.",
        *(" ".join(pieces[n : n + 20]) for n in range(0, len(pieces), 20)),
        "Ganz anderes.",
    ]
    assert build(registry, tmp_path, documents) == 0
    held = write_texts(
        tmp_path / "held", dict(zip(names, (copy, inside, spread, other), strict=False))
    )
    found = count(registry, held)
    assert counts(found) == (1, 2, 3, 4)
    assert found.ids == tuple(names[:3])


ITEMS = [
    ChoiceItem(
        id="long",
        question="Eine 67-jährige Patientin hat seit vier Tagen Fieber, Husten und Luftnot; rechts "
        "basal hört man feuchte Rasselgeräusche. Was ist am ehesten die Ursache?",
        options=["Pneumonie", "Lungenembolie", "Asthma bronchiale", "Herzinsuffizienz"],
        answer=0,
        language="de",
    ),
    ChoiceItem(
        id="short",
        question="Welches Mittel wird zuerst gegeben?",
        options=["Adrenalin intramuskulär", "Cortison", "ein Antihistaminikum", "Volumen"],
        answer=0,
        language="de",
    ),
]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("{0.question}\n- {0.options[0]}\n- {0.options[1]}\n- {0.options[2]}\n- {0.options[3]}", 2),
        ("{0.question} A: {0.options[0]} B: {0.options[1]} C: {0.options[2]} D: {0.options[3]}", 2),
        ("Frage 17. {0.question} Antwort: siehe Seite 3", 1),  # the short question says little
        ("{0.options[0]}, {0.options[1]}, {0.options[2]}", 0),
    ],
)
def test_exam_items_are_counted(
    registry: Registry, tmp_path: Path, document: str, expected: int
) -> None:
    texts = [DIRT["no-break spaces"](document.format(item)) for item in ITEMS]
    assert build(registry, tmp_path, texts) == 0
    held = write_texts(tmp_path / "held", {"x": "Etwas, das sonst nirgends zu lesen ist."})
    assert count(registry, held, ITEMS).ngram == expected


def test_other_texts_are_not_found(registry: Registry, tmp_path: Path) -> None:
    names = sorted(LETTERS)
    assert build(registry, tmp_path, [LETTERS[name] for name in names[:6]]) == 0
    held = write_texts(tmp_path / "held", {name: LETTERS[name] for name in names[6:]})
    assert counts(count(registry, held)) == (0, 0, 0, 6)


def test_a_corpus_without_hashes_for_matching_is_refused(
    registry: Registry, tmp_path: Path
) -> None:
    run = Run("old", "eval", "test-corpus", registry)
    with run.write("corpus", run.recipe(Step())) as artifact:
        path = artifact.path / listing_name(0)
        path.parent.mkdir()
        path.write_text("{}\n")
    model = checkpoint(registry, corpus=artifact.result)
    with pytest.raises(ArtifactError, match=r"version 0 .* build the corpus again") as error:
        contamination(registry, [model], Paper({}, {}))
    assert error.value.exit_code == 4


def test_a_changed_corpus_is_refused(registry: Registry, tmp_path: Path) -> None:
    assert build(registry, tmp_path, list(LETTERS.values())) == 0
    corpus = registry.get("tiny/corpus")
    model = checkpoint(registry, corpus=corpus)
    path = corpus.file("data/00000.parquet")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match=r"data/00000\.parquet was changed"):
        contamination(registry, [model], Paper({}, {}))


def test_a_checkpoint_of_unknown_corpus_is_refused(registry: Registry) -> None:
    with pytest.raises(ArtifactError, match="does not name the corpus"):
        contamination(registry, [checkpoint(registry)], Paper({}, {}))


def two_generations(registry: Registry, folder: Path) -> tuple[list[Artifact], list[Artifact]]:
    """A base that was adapted here, and what was made from it: corpora and models."""
    letters = list(LETTERS.values())
    words = letters[4].split()
    halves = " ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])
    assert build(registry, folder, [*letters[:2], halves[0]]) == 0
    first = registry.get("tiny/corpus")
    parent = model_of(
        registry,
        "merged",
        base=model_of(registry, "base"),
        checkpoint=checkpoint(registry, corpus=first),
    )
    assert build(registry, folder, [*letters[1:4], halves[1]]) == 0
    second = registry.get("tiny/corpus")
    adapted = checkpoint(registry, base=parent, corpus=second)
    candidate = model_of(registry, "merged", base=parent, checkpoint=adapted)
    return [first, second], [candidate, parent]


def test_every_ancestors_corpus_is_looked_at(registry: Registry, tmp_path: Path) -> None:
    corpora, models = two_generations(registry, tmp_path)
    paper = Paper({"set": read_heldout(write_texts(tmp_path / "held", LETTERS))}, {"exam": ITEMS})
    found = contamination(registry, models, paper)
    # Of the fifth letter each corpus has a half: near in neither, all of it in both together.
    names = list(LETTERS)
    assert counts(found.heldout["set"]) == (4, 4, 5, 12)
    assert found.heldout["set"].ids == tuple(names[:5])
    assert counts(found.exams["exam"]) == (0, 0, 0, 2)
    each = {corpus.digest: set(corpus.heldout["set"].ids) for corpus in found.corpora}
    assert each.keys() == {corpus.digest for corpus in corpora}
    assert each[corpora[0].digest] - {names[4]} == set(names[:2])
    assert each[corpora[1].digest] - {names[4]} == set(names[1:4])
    assert list(each) == sorted(each)
    assert found.unknown == ()
    # The base alone knows the first generation, of which it is itself.
    assert contamination(registry, models[1:], paper).heldout["set"].exact == 2
    assert contamination(registry, models[:1], paper) == found


@pytest.mark.parametrize("gone", ["corpus", "checkpoint"])
def test_with_an_ancestor_that_was_deleted_nothing_is_clean(
    registry: Registry, tmp_path: Path, gone: str
) -> None:
    corpora, models = two_generations(registry, tmp_path)
    lost = (
        corpora[0] if gone == "corpus" else registry.get(models[1].manifest.parents["checkpoint"])
    )
    shutil.rmtree(lost.path)
    paper = Paper({"set": read_heldout(write_texts(tmp_path / "held", LETTERS))}, {"exam": ITEMS})
    found = contamination(registry, models, paper)
    assert found.unknown == (lost.digest,)
    assert [corpus.digest for corpus in found.corpora] == [corpora[1].digest]
    assert counts(found.heldout["set"])[0] == 3
    assert set(found.heldout["set"].ids) == set(LETTERS)
    assert found.exams["exam"].ids == ("long", "short")


def test_a_base_from_outside_has_no_corpus(registry: Registry, tmp_path: Path) -> None:
    paper = Paper({"set": read_heldout(write_texts(tmp_path / "held", LETTERS))}, {})
    found = contamination(registry, [model_of(registry, "base")], paper)
    assert (found.corpora, found.unknown) == ((), ())
    assert counts(found.heldout["set"]) == (0, 0, 0, 12)


def test_the_real_letters_are_all_found(registry: Registry, tmp_path: Path) -> None:
    if not GRASCCO.is_file():
        pytest.skip("no shared data")
    lines = GRASCCO.read_text("utf-8").splitlines()
    letters = {f"letter{n}": json.loads(line)["text"] for n, line in enumerate(lines)}
    assert build(registry, tmp_path, list(letters.values())) == 0
    assert counts(count(registry, write_texts(tmp_path / "held", letters))) == (63, 63, 63, 63)

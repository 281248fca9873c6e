"""Guard and count look at the same: what one lets in, the other does not find."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from bedside_core.asked import AskedIndex
from bedside_core.heldout import HeldoutText
from bedside_core.kinds.exam import ChoiceItem
from bedside_core.matching import canonical
from bedside_core.overlap import NGRAM

LONG = ChoiceItem(
    id="long",
    question="Eine 67-jährige Patientin hat seit vier Tagen Fieber, Husten und Luftnot; rechts "
    "basal hört man feuchte Rasselgeräusche. Was ist am ehesten die Ursache?",
    options=["Pneumonie", "Lungenembolie", "Asthma bronchiale", "Herzinsuffizienz"],
    answer=0,
    language="de",
)
SHORT = ChoiceItem(
    id="short",
    question="Welches Mittel wird zuerst gegeben?",
    options=["Adrenalin intramuskulär", "Cortison", "ein Antihistaminikum", "Volumen"],
    answer=0,
    language="de",
)
WORDS = [f"wort{chr(97 + n % 23)}{chr(97 + n % 26)}" for n in range(60)]
TEXT = HeldoutText("text", " ".join(WORDS))
ASKED = [TEXT, LONG, SHORT]
INDEX = AskedIndex(ASKED)


def found(*texts: str) -> dict[int, str]:
    return dict(INDEX.look_up(map(canonical, texts)).found)


def test_the_least_measure_that_finds_a_question() -> None:
    assert found(f" {TEXT.text.upper()}!") == {0: "exact"}
    assert found(f"Davor {TEXT.text} danach") == {0: "near"}
    assert found(" ".join([*WORDS[:35], *["anders"] * 200])) == {0: "ngram"}
    assert found(LONG.question) == {1: "exact"}
    shuffled = "\n".join([SHORT.question, *SHORT.options[::-1]])
    assert found(f"{'anderes ' * 50}{shuffled}") == {2: "near"}
    assert found(SHORT.question, "nichts davon") == {}


def test_either_form_of_a_document_is_enough() -> None:
    assert found("etwas anderes", TEXT.text) == found(TEXT.text, "etwas anderes") == {0: "exact"}
    look = INDEX.look_up(map(canonical, (" ".join(WORDS[:10]) + " x" * 90, " ".join(WORDS[5:20]))))
    assert look.places == {0: [(0, 10), (5, 15)]}


def test_a_fragment_counts_for_the_question_that_it_is_of() -> None:
    assert found(" ".join(WORDS[20:32])) == {0: "ngram"}
    assert found(" ".join([*WORDS[20:32], *["anders"] * 20])) == {}


def test_where_the_measures_begin() -> None:
    def measure(words: int, more: int) -> str | None:
        return found(" ".join([*WORDS[:words], *["anders"] * more])).get(0)

    assert [measure(words, 500) for words in (48, 47, 30, 29)] == ["near", "ngram", "ngram", None]
    assert [measure(12, more) for more in (12, 13)] == ["ngram", None]  # half of the document


def test_a_question_counts_once_whatever_its_spellings() -> None:
    lettered = LONG.spellings[-1]
    counted = INDEX.count(map(canonical, [lettered, "Cortison"]))
    assert [one.exact for one in counted] == [False, True, False]
    assert len(INDEX) == 3
    assert INDEX.owners == [0, 1, 1, 1, 2, 2]


@given(st.lists(st.tuples(st.sampled_from(ASKED), st.integers(0, 2**16)), max_size=5))
def test_what_the_guard_lets_in_one_document_of_is_not_counted(
    drawn: list[tuple[HeldoutText | ChoiceItem, int]],
) -> None:
    documents = []
    for asked, seed in drawn:
        chance = random.Random(seed)
        words = chance.choice(asked.spellings).split()
        begin = chance.randrange(len(words))
        end = chance.randrange(begin, len(words)) + 1
        documents.append(" ".join([*["davor"] * chance.randrange(40), *words[begin:end], "danach"]))
    for document in documents:
        look = INDEX.look_up([canonical(document)])
        counted = INDEX.count([canonical(document)])
        # The guard is stricter with fragments alone.
        assert {n for n, one in enumerate(counted) if one.is_found} <= set(look.found)
        for n, measure in look.found.items():
            if counted[n].ngram >= NGRAM:
                assert (measure == "exact") == counted[n].exact
                assert (measure != "ngram") == counted[n].is_near

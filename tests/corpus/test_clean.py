import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_corpus.clean import clean
from bedside_corpus.config import CorpusConfig
from bedside_corpus.counts import MAX_PLACES
from bedside_corpus.sources import find_files
from bedside_corpus.tally import Tally

MEDICAL = "Der Patient erhält Ramipril bei Hypertonie."
OTHER = "Der Garten liegt hinter dem Haus und ist im Mai am schönsten."


@pytest.fixture
def run(tmp_path):
    """Clean lines of one JSONL source; returns the documents and the tally."""

    def run(*lines, licence="CC0-1.0", heldout=(), medical=False):
        path = tmp_path / "a.jsonl"
        raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        path.write_bytes(b"\n".join(raw))
        config = CorpusConfig.model_validate(
            {
                "language": "de",
                "sources": [
                    {
                        "name": "s",
                        "path": path,
                        "format": "jsonl",
                        "licence": licence,
                        "personal_data": "none",
                    }
                ],
                "heldout": heldout,
                "medical_filter": {"min_density": 0.03} if medical else None,
            }
        )
        tally = Tally()
        files = [file for source in config.sources for file in find_files(source)]
        return list(clean(config, files, tally)), tally

    return run


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"id": "x"}, "no_text"),
        ({"text": 7}, "no_text"),
        ({"text": None}, "no_text"),
        ({"text": " \u200b\n\x00"}, "empty"),
        ({"text": "a", "licence": ["CC0-1.0"]}, "bad_field"),
        (b'{"text": "half a pair \\ud800"}', "not_utf8"),
        (b'{"text": "a", "id": "\\udfff"}', "not_utf8"),
        (b'{"text": ', "malformed"),
        (b'{"text": "\xff"}', "not_utf8"),
        ({"text": MEDICAL}, "duplicate_text"),
        ({"text": f"\ufeff{MEDICAL} \r\n"}, "duplicate_text"),
        ({"text": "anders", "id": "first"}, "duplicate_id"),
        ({"text": MEDICAL, "id": "first"}, "duplicate_text"),
    ],
)
def test_every_reason_is_counted_with_its_place(run, line, reason):
    documents, tally = run({"text": MEDICAL, "id": "first"}, line, {"text": "Das Letzte."})
    assert [d.id for d in documents] == ["first", "s/a.jsonl:3"]
    assert (tally.read, tally.kept, dict(tally.dropped)) == (3, 2, {reason: 1})
    assert tally.places[reason] == ["s/a.jsonl:2"]


def test_a_document_without_any_licence_is_dropped_and_its_own_overrides(run):
    lines = [{"text": "a"}, {"text": "b", "licence": "CC-BY-4.0"}, {"text": "c", "licence": " "}]
    documents, tally = run(*lines, licence=None)
    assert [(d.text, d.licence) for d in documents] == [("b", "CC-BY-4.0")]
    assert tally.dropped == {"no_licence": 2}
    documents, tally = run(*lines)
    assert [d.licence for d in documents] == ["CC0-1.0", "CC-BY-4.0", "CC0-1.0"]
    assert tally.licence_ids() == ["CC-BY-4.0", "CC0-1.0"]


def test_a_heldout_text_is_dropped_however_it_is_spelt(run, tmp_path):
    held = tmp_path / "held"
    held.mkdir()
    (held / "h.txt").write_text("Fieber \u00fcber 39\u00a0°C\n", encoding="utf-8")
    documents, tally = run({"text": "Fieber u\u0308ber 39 °C"}, {"text": "a"}, heldout=[held])
    assert [d.text for d in documents] == ["a"]
    assert tally.dropped == {"heldout": 1}


def test_a_document_that_holds_or_is_part_of_a_heldout_text_is_dropped(run, tmp_path):
    held = tmp_path / "held"
    held.mkdir()
    words = [f"wort{chr(97 + n % 7)}{chr(97 + n % 26)}" for n in range(60)]
    (held / "h.txt").write_text(" ".join(words))
    documents, tally = run(
        {"text": f"Kopf {' '.join(words)} Fuß"},
        {"text": " ".join([*words[:35], "anders"])},
        {"text": " ".join(words[20:32])},
        {"text": " ".join(["Nur", "dies", *words[20:26], "steht", "in", "beiden"])},
        heldout=[held],
    )
    assert [d.id for d in documents] == ["s/a.jsonl:4"]
    assert tally.dropped == {"heldout_near": 1, "heldout_ngram": 2}


def test_only_medical_texts_pass_the_filter(run):
    documents, tally = run({"text": OTHER}, {"text": MEDICAL}, medical=True)
    assert [d.text for d in documents] == [MEDICAL]
    assert tally.dropped == {"not_medical": 1}


def test_fields_of_a_record_are_kept(run):
    (document,), tally = run({"text": "eins zwei\ndrei", "id": 12, "language": "fr", "more": {}})
    assert (document.id, document.language, document.source) == ("12", "fr", "s")
    assert document.words == tally.words == 3


def test_places_are_bounded_and_counts_are_not(run):
    _, tally = run(*[b"{"] * 50, {"text": "a"})
    assert tally.dropped["malformed"] == 50
    assert tally.places["malformed"] == [f"s/a.jsonl:{n}" for n in range(1, MAX_PLACES + 1)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["a", "b", "a ", "\u200bb", "", "c"]), max_size=12))
def test_every_record_is_kept_or_counted_and_texts_are_unique(run, texts):
    documents, tally = run(*({"text": text} for text in texts))
    assert tally.read == len(texts) == len(documents) + tally.dropped.total()
    assert len({d.text for d in documents}) == len(documents)
    assert {d.text for d in documents} == {t.strip(" \u200b") for t in texts} - {""}

"""What is known of a corpus without its texts: hashes, and which version of the form made them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError
from bedside_core.kinds.corpus import (
    data_name,
    listed_documents,
    listing_name,
    matching_documents,
    shards,
    text_sha256,
)
from bedside_core.matching import VERSION, canonical, digest

Put = Callable[..., Artifact]
TEXT = "Fieber über 39 °C"


def corpus(put: Put, **facts: object) -> Artifact:
    document = {"id": "d", "source": "s", "licence": "CC0-1.0", "sha256": text_sha256(TEXT)}
    line = json.dumps(document | {"matching_sha256": digest(canonical(TEXT))})
    return put("corpus", files={"documents/00000.jsonl": f"{line}\n".encode()}, facts=facts)


def test_the_hash_of_a_text_is_of_its_bytes_and_the_other_of_its_words(put: Put) -> None:
    (listed,) = listed_documents(corpus(put))
    assert listed["sha256"] != text_sha256(TEXT + "\n")
    assert listed["matching_sha256"] == digest(canonical("FIEBER u\u0308ber 39\u00a0°C\r\n"))


def test_looks_digests_up(put: Put) -> None:
    known, other = (digest(canonical(text)) for text in (TEXT, "anders"))
    assert matching_documents(corpus(put, matching_version=VERSION), {known, other}) == {known}


@pytest.mark.parametrize("facts", [{}, {"matching_version": VERSION + 1}])
def test_a_corpus_of_another_version_is_refused(put: Put, facts: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match="build the corpus again and train on it"):
        matching_documents(corpus(put, **facts), set())


def test_shards_and_their_listings_come_in_the_order_of_their_numbers(put: Put) -> None:
    numbers = (9, 100_000, 20)
    files = {data_name(number): str(number).encode() for number in numbers}
    files |= {listing_name(n): f'{{"id": "{n}"}}\n'.encode() for n in numbers}
    made = put("corpus", files={**files, "stats.json": b"{}", "data/other": b""})
    assert [shard.path.read_bytes() for shard in shards(made)] == [b"9", b"20", b"100000"]
    assert [document["id"] for document in listed_documents(made)] == ["9", "20", "100000"]


def test_a_corpus_of_an_earlier_version_has_no_shards(put: Put) -> None:
    with pytest.raises(ArtifactError, match="build it again"):
        shards(put("corpus", files={"corpus.parquet": b"x"}))
    with pytest.raises(ArtifactError, match="has no listing"):
        list(listed_documents(put("corpus", files={"corpus.parquet": b"x"})))

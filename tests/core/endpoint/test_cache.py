"""Answers on disk: what finds them, and what a fault leaves of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.endpoint.cache import AnswerCache
from bedside_core.errors import ArtifactError

DIGEST, OTHER_DIGEST = "ab" * 32, "cd" * 32
asked = st.tuples(st.sampled_from(["/v1/a", "/v1/b"]), st.binary(max_size=8))


@given(asked, asked)
def test_only_the_same_question_finds_an_answer(tmp_path_factory, one, other) -> None:
    root = tmp_path_factory.getbasetemp() / "answers"
    with AnswerCache(root, DIGEST) as cache, AnswerCache(root, OTHER_DIGEST) as apart:
        assert (cache.key(*one) == cache.key(*other)) == (one == other)
        assert cache.key(*one) != apart.key(*one)


def test_an_answer_belongs_to_its_model(tmp_path) -> None:
    with AnswerCache(tmp_path, DIGEST) as cache, AnswerCache(tmp_path, OTHER_DIGEST) as apart:
        key = cache.key("/v1/a", b"question")
        cache.put(key, {"choices": ["ä \ud83d"]})
        assert cache.get(key) == {"choices": ["ä \ud83d"]}
        assert apart.get(key) is None


@pytest.mark.parametrize("left", [b"", b'{"choices": ["a', b"\xff\xff", b"[1]", b"[" * 100_000])
def test_what_a_failing_disk_left_is_no_answer(tmp_path, left) -> None:
    with AnswerCache(tmp_path, DIGEST) as cache:
        key = cache.key("/v1/a", b"question")
        cache.put(key, {"choices": ["a"]})
        next(tmp_path.rglob("*.json")).write_bytes(left)
        assert cache.get(key) is None
        cache.put(key, {"choices": ["b"]})
        assert cache.get(key) == {"choices": ["b"]}


def test_a_place_that_cannot_be_written() -> None:
    with pytest.raises(ArtifactError, match="no right to write answers"):
        AnswerCache(Path("/sys/answers"), DIGEST)  # not even by root


async def test_one_claim_at_a_time(tmp_path) -> None:
    inside = most = 0

    async def claim(cache: AnswerCache) -> None:
        nonlocal inside, most
        async with cache.claimed("0" * 64):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.02)
            inside -= 1

    with AnswerCache(tmp_path, DIGEST) as cache, AnswerCache(tmp_path, DIGEST) as other:
        await asyncio.gather(*map(claim, [cache, other, cache, other]))
        async with cache.claimed("0" * 64), other.claimed("1" * 64):
            pass
    assert most == 1

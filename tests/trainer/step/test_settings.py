from __future__ import annotations

import pytest
from pydantic import ValidationError

from bedside_trainer.step.settings import Parallel, Step


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("micro_batch_tokens", 0), ("compute", "float16"), ("activation_checkpointing", "some"),
        ("loss_chunk_tokens", 0), ("moments", "int4"), ("unknown", 1),
    ],
)  # fmt: skip
def test_wrong_settings_are_accepted(key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=key):
        Step.model_validate({key: value})


def test_a_shard_of_no_process_is_accepted() -> None:
    assert Parallel(shard=4).shard == 4
    with pytest.raises(ValidationError):
        Parallel(shard=0)

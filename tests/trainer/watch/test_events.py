"""The format is read here by its description, not by TensorBoard itself."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_trainer.watch import events
from bedside_trainer.watch.metrics import ScoreLine, StepLine

STEP = StepLine(
    step=300, time=1.5e9, loss=2.5, grad_norm=1.0, learning_rate=1e-5, tokens=640, seconds=2.0,
    tokens_per_second=128.0, mfu=0.5, mfu_with_attention=None, memory_bytes=2**30,
    energy_joules=7.2e6, eta_seconds=3.0,
)  # fmt: skip
SCORE = ScoreLine(step=0, time=1.25e9, heldout={"ward": 3.5})


def records(data: bytes) -> Iterator[bytes]:
    while data:
        head, (length,) = data[:8], struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12]) == (events.checksum(head),)
        content = data[12 : 12 + length]
        assert struct.unpack("<I", data[12 + length : 16 + length]) == (events.checksum(content),)
        yield content
        data = data[16 + length :]


def fields(data: bytes) -> list[tuple[int, Any]]:
    """Numbers and values of a protobuf message."""
    found: list[tuple[int, Any]] = []
    while data:
        field, kind = data[0] >> 3, data[0] & 7
        data = data[1:]
        if kind in (1, 5):
            form = "<d" if kind == 1 else "<f"
            found.append((field, struct.unpack_from(form, data)[0]))
            data = data[struct.calcsize(form) :]
            continue
        number = shift = 0
        while True:
            byte, data = data[0], data[1:]
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        value: Any = number
        if kind == 2:
            value, data = data[:number], data[number:]
        found.append((field, value))
    return found


def test_the_checksum_is_crc_32c() -> None:
    """Of nine digits it is e3069283 (RFC 3720, appendix B.4), here rotated and shifted."""
    crc = 0xE3069283
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    assert events.checksum(b"123456789") == masked


def test_a_file_holds_what_is_known_and_grows(tmp_path: Path) -> None:
    path = events.begin(tmp_path / "board", [SCORE])
    events.append(path, STEP)
    first, *messages = [fields(record) for record in records(path.read_bytes())]
    assert first == [(1, 0.0), (3, b"brain.Event:2")]
    found = []
    for time, step, (_, summary) in messages:
        values = [dict(fields(value)) for _, value in fields(summary)]
        found.append((time[1], step[1], {v[1].decode(): v[2] for v in values}))
    tags = {
        "train/loss": 2.5, "train/grad_norm": 1.0, "train/learning_rate": pytest.approx(1e-5),
        "speed/tokens_per_second": 128.0, "speed/mfu": 0.5, "cost/memory_gib": 1.0,
        "cost/energy_kwh": 2.0,
    }  # fmt: skip
    assert found == [(1.25e9, 0, {"heldout/ward": 3.5}), (1.5e9, 300, tags)]
    grown = path.read_bytes()
    assert events.begin(tmp_path / "board", [SCORE, STEP]).read_bytes() == grown


@given(number=st.integers(0, 2**63 - 1))
def test_steps_of_any_size(number: int) -> None:
    [message] = records(events.encoded(SCORE.model_copy(update={"step": number})))
    assert (2, number) in fields(message)

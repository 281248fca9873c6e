"""TensorBoard's event file, scalars alone: no TensorBoard, TensorFlow or protobuf is needed.

The file is a sequence of TFRecords (length, checksum, data, checksum), each holding one `Event`
message of tensorflow/core/util/event.proto in protobuf's wire format. The same lines always give
the same bytes, so a file is made anew from `metrics.jsonl` when a run goes on.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from bedside_trainer.watch.metrics import Line, StepLine

FOLDER = "tensorboard"
NAME = "events.out.tfevents.0.bedside"
"""TensorBoard reads every file whose name contains `tfevents`."""
VERSION = b"brain.Event:2"
"""The first event of a file says in which format it is."""
_POLYNOMIAL = 0x82F63B78  # Castagnoli, reflected
_MASK = 0xA282EAD8


def begin(folder: Path, known: Iterable[Line]) -> Path:
    """Write the folder's event file with what is known so far; lines are appended to it."""
    folder.mkdir(parents=True, exist_ok=True)
    first = struct.pack("<Bd", 0x09, 0.0) + _bytes(3, VERSION)
    path = folder / NAME
    path.write_bytes(b"".join((_record(first), *map(encoded, known))))
    return path


def append(path: Path, line: Line) -> None:
    """Add one line's scalars."""
    with path.open("ab") as file:
        file.write(encoded(line))


def encoded(line: Line) -> bytes:
    """The record of one line's scalars."""
    values = b"".join(
        _bytes(1, _bytes(1, tag.encode()) + struct.pack("<Bf", 0x15, value))
        for tag, value in scalars(line).items()
    )
    head = struct.pack("<Bd", 0x09, line.time) + b"\x10" + _varint(line.step)
    return _record(head + _bytes(5, values))


def scalars(line: Line) -> Mapping[str, float]:
    """What is drawn, by tag; what is not known is left out."""
    if not isinstance(line, StepLine):
        return {f"heldout/{name}": nll for name, nll in line.heldout.items()}
    energy = None if line.energy_joules is None else line.energy_joules / 3.6e6
    known = {
        "train/loss": line.loss,
        "train/grad_norm": line.grad_norm,
        "train/learning_rate": line.learning_rate,
        "speed/tokens_per_second": line.tokens_per_second,
        "speed/mfu": line.mfu,
        "speed/mfu_with_attention": line.mfu_with_attention,
        "cost/memory_gib": line.memory_bytes / 2**30,
        "cost/energy_kwh": energy,
    }
    return {tag: value for tag, value in known.items() if value is not None}


def checksum(data: bytes) -> int:
    """CRC-32C, rotated and shifted as TFRecords want it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF


def _row(index: int) -> int:
    for _ in range(8):
        index = (index >> 1) ^ (_POLYNOMIAL if index & 1 else 0)
    return index


_TABLE = [_row(index) for index in range(256)]


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return b"".join(
        (length, struct.pack("<I", checksum(length)), data, struct.pack("<I", checksum(data)))
    )


def _bytes(field: int, data: bytes) -> bytes:
    return bytes((field << 3 | 2,)) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)

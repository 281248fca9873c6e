"""Members of a zip file, those too that are compressed with Zstandard as Inspect does.

Python reads method 93 of the zip format (APPNOTE 6.3.8, section 4.4.5) from version 3.14 on.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from types import TracebackType
from typing import Self

import zstandard

from bedside_core.errors import InputError

MAX_BYTES = 256 * 2**20
"""Of one member when it is unpacked; a larger one is not a log's sample."""
_ZSTANDARD = 93
_LOCAL_HEADER = 30
# What zipfile and the unpackers raise on damaged files, OSError for a place outside of them.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, zstandard.ZstdError, struct.error, NotImplementedError,
    RuntimeError, OSError, EOFError, ValueError,
)  # fmt: skip


class ZipReader:
    """An open zip file."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            InputError: it is no zip file.
        """
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except _DAMAGE:
            raise InputError(
                f"{path}: is no zip file that can be read - check its rights, or copy it again"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._zip.close()

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(self._zip.namelist()))

    def read(self, name: str) -> bytes:
        """A member's bytes, compared with its checksum.

        Raises:
            InputError: it is damaged, too large, or compressed in another way.
        """
        info = self._zip.getinfo(name)
        if info.file_size > MAX_BYTES:
            raise InputError(f"{self.path}: {name} is larger than {MAX_BYTES >> 20} MiB unpacked")
        data: bytes | None
        try:
            if info.compress_type != _ZSTANDARD:
                data = self._zip.read(info)
            else:
                data = _unpacked(self._packed(info), info.file_size)
        except _DAMAGE:
            data = None
        if data is None or zlib.crc32(data) != info.CRC:
            raise InputError(f"{self.path}: {name} cannot be unpacked - copy the log again")
        return data

    def _packed(self, info: zipfile.ZipInfo) -> bytes:
        with self.path.open("rb") as file:
            file.seek(info.header_offset)
            header = file.read(_LOCAL_HEADER)
            lengths = (header[26:28], header[28:30])
            file.seek(sum(int.from_bytes(length, "little") for length in lengths), 1)
            return file.read(info.compress_size)


def _unpacked(packed: bytes, size: int) -> bytes:
    reader = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
    return reader.read(size + 1)

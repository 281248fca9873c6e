import struct
import zipfile
import zlib

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_eval.compare import zipped
from bedside_eval.compare.zipped import ZipReader

quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def zstd_zip(name: str, data: bytes, *, frames: int = 1, crc: int | None = None) -> bytes:
    """A zip file with one member in method 93, built by hand from APPNOTE's layout."""
    size = max(1, -(-len(data) // frames))
    parts = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
    packed = b"".join(zstandard.compress(part) for part in parts)
    encoded = name.encode()
    common = struct.pack(
        "<HHHHHIIIHH", 63, 0, 93, 0, 0x21, zlib.crc32(data) if crc is None else crc,
        len(packed), len(data), len(encoded), 0,
    )  # fmt: skip
    local = b"PK\3\4" + common + encoded + packed
    central = b"PK\1\2" + struct.pack("<H", 63) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0)
    central += encoded
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + end


def read(path, name):
    with ZipReader(path) as archive:
        return archive.read(name)


@quick
@given(st.binary(max_size=3000), st.integers(1, 3))
def test_zstandard_in_several_frames(tmp_path, data, frames):
    path = tmp_path / "a.eval"
    path.write_bytes(zstd_zip("header.json", data, frames=frames))
    assert read(path, "header.json") == data


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_other_methods(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.eval", "w", method) as archive:
        archive.writestr("header.json", b"{}" * 100)
    assert read(tmp_path / "a.eval", "header.json") == b"{}" * 100


def test_a_wrong_checksum_is_refused(tmp_path):
    (tmp_path / "a.eval").write_bytes(zstd_zip("header.json", b"{}", crc=1))
    with pytest.raises(InputError, match=r"header\.json cannot be unpacked"):
        read(tmp_path / "a.eval", "header.json")


def test_a_huge_member_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(zipped, "MAX_BYTES", 2**20)
    (tmp_path / "a.eval").write_bytes(zstd_zip("header.json", b"0" * (2**20 + 1)))
    with pytest.raises(InputError, match="larger than 1 MiB"):
        read(tmp_path / "a.eval", "header.json")


@quick
@given(st.data())
def test_any_changed_byte_is_refused_or_harmless(tmp_path, data):
    content = b'{"version": 2}' * 20
    whole = bytearray(zstd_zip("header.json", content))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "a.eval"
    path.write_bytes(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    try:
        with ZipReader(path) as archive:
            found = [archive.read(name) for name in archive.names]
    except InputError:
        return
    assert found in ([], [content])

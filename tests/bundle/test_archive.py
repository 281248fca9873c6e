"""The archive: one canonical form, in which every change of a byte is seen and named."""

from __future__ import annotations

import base64
import io
import json
import tarfile

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given
from hypothesis import strategies as st

from bedside_bundle.archive import BLOCK, CHUNK, END, header, padding, source, verify, write_archive
from bedside_bundle.keys import DOMAIN
from bedside_bundle.manifest import Bundle, Image, in_order, sums
from bedside_core.errors import ArtifactError, InputError
from bedside_core.signing import read_public_key

KEY = Ed25519PrivateKey.generate()
LONG = f"models/artifacts/{'0' * 64}/{'w' * 90}.safetensors"
FILES = {
    "README.txt": b"read me\n",
    "deploy/compose.yaml": b"name: x\n",
    "deploy/empty": b"",
    "deploy/größe 1.txt": b"g" * 512,
    LONG: b"w" * 700,
    "images.tar": b"i" * (2 * CHUNK + 1),
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The pieces of a small archive: name -> (header, content with padding)."""
    root = tmp_path_factory.mktemp("files")
    found = []
    for number, (name, content) in enumerate(FILES.items()):
        path = root / str(number)
        path.write_bytes(content)
        found.append(source(name, path))
    path = root / "sums"
    path.write_bytes(sums(item.member for item in found))
    found.append(source("SHA256SUMS", path))
    by_path = {item.member.path: item for item in found}
    ordered = [by_path[member.path] for member in in_order(item.member for item in found)]
    bundle = Bundle(
        version="1", created="2026-01-01T00:00:00Z", git_revision=None, anchor=None,
        images=(Image(reference="a:1", platform="linux/amd64", ids=("sha256:1",)),),
        files=tuple(item.member for item in ordered),
    )  # fmt: skip
    out = io.BytesIO()
    raw = bundle.to_bytes()
    write_archive(out, raw, signed(raw), ordered)
    pieces = {
        "bundle.json": piece("bundle.json", raw),
        "sig": piece("bundle.json.sig", signed(raw)),
    }
    for item in ordered:
        pieces[item.member.path] = piece(item.member.path, item.path.read_bytes())
    assert out.getvalue() == b"".join(pieces.values()) + END
    return pieces


def signed(raw: bytes) -> bytes:
    return base64.b64encode(KEY.sign(DOMAIN + raw)) + b"\n"


def piece(name: str, content: bytes) -> bytes:
    return header(name, len(content)) + content + padding(len(content))


def check(content: bytes) -> Bundle:
    return verify(io.BytesIO(content), KEY.public_key()).bundle


def refusal(content: bytes) -> str:
    with pytest.raises(ArtifactError) as error:
        check(content)
    assert error.value.exit_code == 4
    return str(error.value).split(" - ")[0]


def test_whole_archive_is_accepted(parts):
    bundle = check(b"".join(parts.values()) + END)
    assert [member.path for member in bundle.files] == [
        "README.txt", "SHA256SUMS", "deploy/compose.yaml", "deploy/empty", "deploy/größe 1.txt",
        LONG, "images.tar",
    ]  # fmt: skip


def test_ordinary_tar_reads_it(parts, members):
    found = members(b"".join(parts.values()) + END)
    assert {name: found[name] for name in FILES} == FILES


@pytest.mark.parametrize("name", FILES)
def test_changed_byte_names_the_file(parts, name):
    if not FILES[name]:
        return
    content = b"".join(parts.values()) + END
    at = content.index(FILES[name], content.index(parts[name]))
    changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    assert refusal(changed) == f"{name}: its content was changed"


def test_changed_last_byte_of_the_last_file(parts):
    content = bytearray(b"".join(parts.values()) + END)
    content[-len(END) - len(padding(2 * CHUNK + 1)) - 1] ^= 1
    assert refusal(bytes(content)) == "images.tar: its content was changed"


def link(kind: bytes, name: str = "deploy/compose.yaml") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info.tobuf(tarfile.GNU_FORMAT)


FORGED = {
    "missing": (lambda p: {**p, "deploy/compose.yaml": b""},
                "deploy/compose.yaml is missing or not in its place"),
    "missing at the end": (lambda p: {**p, "images.tar": b""}, "images.tar is missing"),
    "swapped": (lambda p: {**p, "README.txt": p["SHA256SUMS"], "SHA256SUMS": p["README.txt"]},
                "README.txt is missing or not in its place"),
    "added": (lambda p: {**p, "README.txt": piece("deploy/x", b"x") + p["README.txt"]},
              "'deploy/x' is not listed in bundle.json"),
    "added at the end": (lambda p: {**p, "x": piece("models/keys/evidence.pem", b"x")},
                         "'models/keys/evidence.pem' is not listed in bundle.json"),
    "twice": (lambda p: {**p, "SHA256SUMS": p["README.txt"] + p["SHA256SUMS"]},
              "'README.txt' is there twice"),
    "twice at the end": (lambda p: {**p, "x": p["images.tar"]}, "'images.tar' is there twice"),
    "another bundle.json": (lambda p: {**p, "x": p["bundle.json"]}, "'bundle.json' is there twice"),
    "absolute": (lambda p: {**p, "README.txt": piece("/etc/passwd", b"")},
                 "'/etc/passwd' is not listed in bundle.json"),
    "parent": (lambda p: {**p, "README.txt": piece("../x", b"")},
               "'../x' is not listed in bundle.json"),
    "symbolic link": (lambda p: {**p, "deploy/compose.yaml": link(tarfile.SYMTYPE)},
                      "'deploy/compose.yaml' is a link, a device or a folder, which no bundle has"),
    "hard link": (lambda p: {**p, "deploy/compose.yaml": link(tarfile.LNKTYPE)},
                  "'deploy/compose.yaml' is a link, a device or a folder, which no bundle has"),
    "device": (lambda p: {**p, "deploy/compose.yaml": link(tarfile.CHRTYPE)},
               "'deploy/compose.yaml' is a link, a device or a folder, which no bundle has"),
    "folder": (lambda p: {**p, "deploy/compose.yaml": link(tarfile.DIRTYPE)},
               "'deploy/compose.yaml' is a link, a device or a folder, which no bundle has"),
    "too large": (lambda p: {**p, "deploy/empty": header("deploy/empty", 1 << 40)},
                  "deploy/empty has 1099511627776 bytes instead of 0"),
    "executable": (lambda p: {**p, "deploy/empty": header("deploy/empty", 0, executable=True)},
                   "deploy/empty: its tar header was changed"),
    "not a header": (lambda p: {**p, "deploy/empty": b"x" * BLOCK},
                     "deploy/empty: its tar header was changed"),
    "signature is missing": (lambda p: {**p, "sig": b""},
                             "bundle.json.sig: the tar archive was changed around it"),
    "not first": (lambda p: {"README.txt": p["README.txt"], **p},
                  "not a bundle: it does not begin with bundle.json"),
    "huge bundle.json": (lambda p: {**p, "bundle.json": header("bundle.json", 1 << 40)},
                         "bundle.json: its tar header was changed"),
}  # fmt: skip


@pytest.mark.parametrize("case", FORGED)
def test_forged_archive(parts, case):
    change, message = FORGED[case]
    pieces = change(parts)
    if case == "not first":
        pieces = {"README.txt": parts["README.txt"], **pieces}
    assert refusal(b"".join(pieces.values()) + END) == message


def test_bytes_behind_the_end(parts):
    content = b"".join(parts.values()) + END
    for extra in (b"\0", b"x", END, piece("deploy/x", b"x")):
        assert refusal(content + extra) == "something was added behind the archive's end"


def test_another_key_is_refused_before_anything_is_looked_at(parts):
    other = Ed25519PrivateKey.generate().public_key()
    damaged = parts["bundle.json"] + parts["sig"]
    with pytest.raises(ArtifactError, match="does not fit the public key"):
        verify(io.BytesIO(damaged), other)


def test_unsigned_content_of_bundle_json_is_never_parsed(parts):
    raw = b"not json at all" * 10
    with pytest.raises(ArtifactError, match="does not fit the public key"):
        check(piece("bundle.json", raw) + parts["sig"])


def test_second_spelling_of_the_signature_is_refused(parts):
    """The last letter of the base64 has four bits that decode to nothing."""
    content = b"".join(parts.values()) + END
    at = content.index(b"==\n", len(parts["bundle.json"])) - 1
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = letters[letters.index(content[at]) ^ 1]
    changed = content[:at] + bytes([other]) + content[at + 1 :]
    assert base64.b64decode(changed[at - 85 : at + 3]) == base64.b64decode(
        content[at - 85 : at + 3]
    )
    assert "signature does not fit" in refusal(changed)


@given(data=st.data())
def test_any_flipped_bit_is_refused(made, data):
    at = data.draw(st.integers(0, len(made.content) - 1))
    changed = bytearray(made.content)
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ArtifactError):
        verify(io.BytesIO(changed), read_public_key(made.public_key))


def test_flipping_any_byte_of_the_small_parts_is_refused(parts):
    """Every byte in turn: headers, padding, end, and what is signed."""
    small = b"".join(content for name, content in parts.items() if name != "images.tar")
    for at in range(0, len(small), 7):
        changed = bytearray(small + parts["images.tar"][: 3 * BLOCK])
        changed[at] ^= 0x20
        message = refusal(bytes(changed))
        assert message != "the archive is cut off at images.tar"


@given(data=st.data())
@example(data=None)
def test_truncation_anywhere_is_refused(made, data):
    at = data.draw(st.integers(0, len(made.content) - 1)) if data else len(made.content) - 1
    with pytest.raises(ArtifactError, match="is cut off at"):
        verify(io.BytesIO(made.content[:at]), read_public_key(made.public_key))


@given(content=st.binary(max_size=1100))
def test_garbage_is_no_bundle(content):
    with pytest.raises(ArtifactError):
        check(content)


@given(st.binary(min_size=BLOCK, max_size=BLOCK))
def test_garbage_behind_a_good_bundle_json(parts, block):
    with pytest.raises(ArtifactError):
        check(parts["bundle.json"] + parts["sig"] + block + END)


def test_disk_that_cannot_be_read(parts):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > len(parts["bundle.json"]) + len(parts["sig"]):
                raise OSError(5, "Input/output error")
            return super().read(size)

    with pytest.raises(ArtifactError, match=r"cannot be read at .* \(Input/output error\)"):
        verify(Broken(b"".join(parts.values()) + END), KEY.public_key())


def test_source_that_changed_since_it_was_hashed(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"before")
    item = source("deploy/a", path)
    for content in (b"behind", b"before and more", b"bef"):
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match="was changed while it was bundled"):
            write_archive(io.BytesIO(), b"{}", b"", [item])
    path.unlink()
    with pytest.raises(ArtifactError, match="cannot be read"):
        write_archive(io.BytesIO(), b"{}", b"", [item])


def test_links_and_folders_are_no_sources(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for name in ("link", ".", "missing"):
        with pytest.raises(InputError, match="not a plain file"):
            source("deploy/a", tmp_path / name)


def test_size_beyond_eight_gigabytes_has_a_header():
    info = tarfile.TarInfo.frombuf(header("images.tar", 1 << 40), "utf-8", "strict")
    assert (info.name, info.size, info.mtime, info.uid, info.uname) == (
        "images.tar", 1 << 40, 0, 0, "",
    )  # fmt: skip


def test_another_version_of_bundle_json(parts):
    raw = json.dumps({"schema_version": 2}).encode()
    with pytest.raises(ArtifactError, match="was made by another version of Bedside"):
        check(piece("bundle.json", raw) + piece("bundle.json.sig", signed(raw)))

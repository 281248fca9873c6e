"""`bundle.json`: what a path may be, and that one set of files has one form."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bedside_bundle.manifest import Bundle, Image, Member, in_order, is_safe
from bedside_core.errors import ArtifactError

HASH = "0" * 64


def member(path: str, **options) -> Member:
    return Member(path=path, size=1, sha256=HASH, **options)


def bundle(*paths: str, ordered: bool = True) -> Bundle:
    files = [member(path) for path in ("README.txt", "SHA256SUMS", *paths, "images.tar")]
    return Bundle(
        version="1", created="2026-01-01T00:00:00Z", git_revision="abc", anchor=None,
        images=(Image(reference="a:1", platform="linux/amd64", ids=("sha256:1",)),),
        files=tuple(in_order(files) if ordered else files),
    )  # fmt: skip


@pytest.mark.parametrize(
    "path",
    ["", "/", "/etc/passwd", "../x", "deploy/../x", "deploy/..", "deploy/.", "deploy//x", "deploy/",
     "deploy", "other/x", "x", "deploy/a\\b", "deploy/a\nb", "deploy/a\0b", "deploy/\u202etxt",
     "deploy/" + "x" * 256, "deploy/\udcff", "bundle.json", "bundle.json.sig", "images.tar/x",
     "C:/x", "~/x"],
)  # fmt: skip
def test_unsafe_path(path):
    assert not is_safe(path)
    with pytest.raises(ValidationError):
        member(path)


@pytest.mark.parametrize(
    "path", ["README.txt", "images.tar", "deploy/.env.example", "deploy/größe 1.txt", "models/a/b"]
)
def test_safe_path(path):
    assert member(path).path == path


@given(st.text())
def test_no_safe_path_leaves_its_folder(tmp_path_factory, path):
    root = tmp_path_factory.getbasetemp()
    if is_safe(path):
        assert (root / path).resolve().is_relative_to(root)


@pytest.mark.parametrize(
    ("paths", "ordered", "problem"),
    [
        (("deploy/b", "deploy/a"), False, "not in the order"),
        (("deploy/a", "deploy/a"), True, "listed twice"),
        (("deploy/a", "deploy/a-b", "deploy/a/b"), True, "as the folder of another"),
    ],
)
def test_list_that_no_archive_could_have(paths, ordered, problem):
    with pytest.raises(ValidationError, match=problem):
        bundle(*paths, ordered=ordered)


def test_list_without_images():
    with pytest.raises(ValidationError, match="is not listed"):
        Bundle(
            version="1", created="2026-01-01T00:00:00Z", git_revision=None, anchor=None,
            images=(), files=(),
        )  # fmt: skip


def test_bytes_come_back(tmp_path):
    made = bundle("deploy/a", "models/x")
    assert Bundle.from_bytes(made.to_bytes()) == made


@pytest.mark.parametrize(
    "change",
    [{"schema_version": 2}, {"more": 1}, {"files": []}, {"images": [{}]}, {"version": None}],
)
def test_foreign_document(change):
    document = json.loads(bundle().to_bytes()) | change
    with pytest.raises(ArtifactError, match=r"bundle\.json: .* another version"):
        Bundle.from_bytes(json.dumps(document).encode())


@pytest.mark.parametrize("change", [{"size": -1}, {"sha256": "x" * 64}, {"sha256": ""}])
def test_impossible_entry(change):
    with pytest.raises(ValidationError):
        Member.model_validate({"path": "deploy/a", "size": 1, "sha256": HASH} | change)

"""What Docker's own archive says of an image's digests."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from bedside_bundle import docker
from bedside_bundle.manifest import Image
from bedside_core.errors import ArtifactError


def image(identity: str) -> Image:
    return Image(reference="a:1", platform="linux/amd64", ids=(identity,))


def saved(path, documents):
    with tarfile.open(path, "w") as out:
        for name, document in documents.items():
            data = json.dumps(document).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return path


def test_digests_of_a_nested_index(tmp_path):
    """The containerd store names an image by its index; ours hangs two levels below."""
    attestation = {"digest": "sha256:e", "annotations": {"vnd.docker.reference.type": "x"}}
    path = saved(
        tmp_path / "a.tar",
        {
            "index.json": {"manifests": [{"digest": "sha256:a"}, {"digest": "sha256:f"}]},
            "blobs/sha256/a": {
                "manifests": [{"digest": "sha256:b"}, {"digest": "sha256:absent"}, attestation]
            },
            "blobs/sha256/b": {"config": {"digest": "sha256:c"}},
            "blobs/sha256/f": {"config": {"digest": "sha256:d"}},
        },
    )
    (first, other, foreign) = docker.all_ids(
        path, [image("sha256:a"), image("sha256:d"), image("sha256:0")]
    )
    assert first.ids == ("sha256:a", "sha256:absent", "sha256:b", "sha256:c")
    assert other.ids == ("sha256:d", "sha256:f")
    assert foreign.ids == ("sha256:0",)


def test_archive_without_an_index(tmp_path):
    path = saved(tmp_path / "a.tar", {"manifest.json": []})
    assert docker.all_ids(path, [image("sha256:a")]) == (image("sha256:a"),)


def test_archive_that_is_none(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"x" * 2000)
    with pytest.raises(ArtifactError, match="cannot be read"):
        docker.all_ids(tmp_path / "a.tar", [image("sha256:a")])


def test_last_line_of_the_error_counts(site):
    site.docker.behave("down")
    with pytest.raises(ArtifactError, match="docker version failed: Cannot connect"):
        docker.platform()


def test_images_are_listed_once(site):
    assert docker.compose_images() == ["bedside/engine:0.2.0", "bedside/gateway:0.2.0"]


def test_content_that_fails_stops_docker_before_the_end(site):
    def content():
        yield b"x"
        raise ArtifactError("changed")

    with pytest.raises(ArtifactError, match="changed"):
        docker.load(content())
    assert site.docker.images == ["bedside/engine:0.2.0", "bedside/gateway:0.2.0"]

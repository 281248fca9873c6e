"""The hidden working directory."""

from __future__ import annotations

import pytest

from bedside_bundle.scratch import ROOT, scratch
from bedside_core.errors import ArtifactError


def test_nothing_is_left(tmp_path):
    with scratch(tmp_path / "new") as room:
        (room / "file").write_text("x")
        assert room.parent == tmp_path / "new" / ROOT
    assert list((tmp_path / "new").iterdir()) == []


def test_nothing_is_left_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), scratch(tmp_path) as room:
        (room / "file").write_text("x")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_two_at_once_leave_each_other_alone(tmp_path):
    with scratch(tmp_path) as one:
        (one / "file").write_text("x")
        with scratch(tmp_path):
            pass
        assert (one / "file").read_text() == "x"
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_swept(tmp_path):
    (tmp_path / ROOT / "dead").mkdir(parents=True)
    with scratch(tmp_path) as room:
        assert list((tmp_path / ROOT).iterdir()) == [room]


def test_folder_that_must_not_be_written(tmp_path, monkeypatch):
    def refuse(*words, **options):
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr("bedside_bundle.scratch.tempfile.mkdtemp", refuse)
    with pytest.raises(ArtifactError, match="no right to write"), scratch(tmp_path):
        pass

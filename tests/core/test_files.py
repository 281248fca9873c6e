"""Files of several processes: one holds a lock, nobody reads half a file, a full disk says so."""

from __future__ import annotations

import stat
from hashlib import sha256
from pathlib import Path

import pytest

from bedside_core.errors import ArtifactError
from bedside_core.files import Hashed, appearing, disk_errors, locked, sweep, write_atomic

HOLDER = """
import sys
from pathlib import Path
from bedside_core.files import lock_directory, locked
if sys.argv[2] == "file":
    with locked(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.readline()
else:
    lock_directory(Path(sys.argv[1]))
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_lock_holds_against_other_processes_until_they_die(start, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = start(HOLDER, path, "file")
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(BlockingIOError), locked(path, wait=False):
        pass
    holder.kill()
    holder.wait()
    with locked(path, wait=False):
        pass


def test_a_small_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_atomic(path, b"old", mode=0o600)
    write_atomic(path, b"new", mode=0o600)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_content_and_says_what_to_do(small_disk: Path) -> None:
    path = small_disk / "file"
    write_atomic(path, b"old")
    with pytest.raises(ArtifactError, match="disk full while writing file"):
        write_atomic(path, b"x" * (2 << 20))
    assert path.read_bytes() == b"old"
    assert list(small_disk.iterdir()) == [path]


def test_other_errors_of_the_disk_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), disk_errors("the test"):
        (tmp_path / "nowhere" / "file").read_bytes()


def test_what_killed_processes_left_is_swept_and_what_runs_stays(start, tmp_path: Path) -> None:
    left, used = tmp_path / "left", tmp_path / "used"
    for folder in (left, used):
        folder.mkdir()
        (folder / "half").touch()
    holder = start(HOLDER, used, "directory")
    assert holder.stdout.readline() == "held\n"
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == [used]
    holder.kill()
    holder.wait()
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with pytest.raises(RuntimeError), appearing(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert list(path.parent.iterdir()) == []
    with appearing(path) as file:
        hashed = Hashed(file)
        for piece in (b"a", memoryview(b"bc")):
            hashed.write(piece)
        assert not path.exists()
    assert path.read_bytes() == b"abc"
    assert (hashed.size, hashed.sha256) == (3, sha256(b"abc").hexdigest())

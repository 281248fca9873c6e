"""scripts/backup.sh while a gateway writes: what runs in the container is run here instead."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bedside_inference.audit.journal import AuditLog
from bedside_inference.audit.record import RequestRecord
from bedside_inference.audit.verify import verify
from bedside_inference.config import AuditConfig, StateConfig
from bedside_inference.keys import create
from bedside_inference.state.records import Scope
from bedside_inference.state.store import Store

BUSY = AuditConfig(
    segment_bytes=8192, checkpoint_records=5, sync_seconds=0.01, checkpoint_seconds=0.02
)
DOCKER = """#!/bin/sh
while [ "$1" != archive ]; do shift; done
shift
cd "$VOLUMES" && exec sh "$@"
"""


def backup(root: Path, tmp_path: Path, name: str = "backup.tar") -> subprocess.CompletedProcess:
    """Run the script; `docker compose run ... archive` runs its command in `tmp_path/volumes`."""
    docker = tmp_path / "bin" / "docker"
    if not docker.exists():
        docker.parent.mkdir()
        docker.write_text(DOCKER)
        docker.chmod(0o755)
        (tmp_path / "scratch").mkdir()
        (tmp_path / "volumes").mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "PATH": f"{docker.parent}{os.pathsep}{os.environ['PATH']}",
        "TMPDIR": str(tmp_path / "scratch"),
        "VOLUMES": str(tmp_path / "volumes"),
    }
    return subprocess.run(
        ["bash", "scripts/backup.sh", str(tmp_path / name)],
        cwd=root, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def restored(tmp_path: Path, name: str = "backup.tar") -> Path:
    target = tmp_path / f"{name}-restored"
    target.mkdir()
    subprocess.run(["tar", "-xpf", str(tmp_path / name), "-C", str(target)], check=True)
    return target


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """BEDSIDE_HOME of the gateway, as the archive sees its volume."""
    return tmp_path / "volumes" / "bedside-gateway"


@contextmanager
def repeating(action: Callable[[], object]) -> Iterator[None]:
    """Do something again and again meanwhile; that it fails, pytest notices itself."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.is_set():
            action()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_backup_of_a_busy_gateway_cannot_be_restored(root: Path, tmp_path: Path, home) -> None:
    """On the same machine without a restart of it, where the audit log is strictest."""
    numbers = iter(range(10**9))
    with (
        AuditLog(home / "gateway" / "audit", BUSY) as audit,
        closing(Store.open(StateConfig(), home)) as store,
    ):

        def request() -> RequestRecord:
            return RequestRecord(
                request_id=f"r{next(numbers)}", started=0, client_address="192.0.2.7",
                client_app="other", method="POST", route="/v1/chat/completions",
            )  # fmt: skip

        def ask() -> None:
            entry = request()
            audit.begin(entry)
            audit.finish(entry)

        def change() -> None:
            create(store, Scope(), days=1, audit=audit.admin)

        def overlap() -> None:
            """A request that lasts while segments come and go."""
            entry = request()
            audit.begin(entry)
            for _ in range(20):
                ask()
            audit.finish(entry)

        ask()
        change()
        with repeating(overlap), repeating(overlap), repeating(change):
            for number in range(5):
                done = backup(root, tmp_path, f"{number}.tar")
                assert done.returncode == 0, done.stderr
    for number in range(5):
        copy = restored(tmp_path, f"{number}.tar") / "bedside-gateway"
        directory = copy / "gateway" / "audit"
        with AuditLog(directory, BUSY) as audit, closing(Store.open(StateConfig(), copy)) as store:
            keys = len(store.snapshot().keys)
            audit.admin("restored")
        entries = verify(directory).entries
        # A change is recorded before it is made, so there may be one record more than keys.
        assert entries["admin"] - 1 >= keys > 0
        # What was under way has a record too.
        assert entries["request"] == entries["begin"] > 0
        modes = {path.stat().st_mode & 0o077 for path in (copy / "gateway").rglob("*")}
        assert modes <= {0, 0o044}  # what others may read is public: checkpoint and public key


def test_what_refers_is_saved_before_what_is_referred_to(root, tmp_path: Path, home) -> None:
    """A note of where open requests begin must not be newer than the segments beside it."""
    audit = home / "gateway" / "audit"
    with AuditLog(audit, BUSY) as log:
        log.admin("changed")
        [worker] = (audit / "workers").iterdir()
        assert backup(root, tmp_path).returncode == 0
    listed = subprocess.run(
        ["tar", "--list", "--file", str(tmp_path / "backup.tar")],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    places = {Path(name).name: place for place, name in enumerate(listed)}
    assert sum(Path(name).name == worker.name for name in listed) == 1
    [segment] = (place for name, place in places.items() if name.startswith("segment-"))
    assert max(places["head"], places[worker.name]) < segment


def test_a_checkpoint_that_is_replaced_meanwhile_is_saved(root, tmp_path: Path, home: Path) -> None:
    """As often as can be, because only some instants of the copying are of interest."""
    checkpoint, new = home / "gateway" / "checkpoint.json", tmp_path / "new"
    checkpoint.parent.mkdir(parents=True)

    def sign() -> None:
        new.write_text("signed")
        new.replace(checkpoint)

    sign()
    with repeating(sign):
        for number in range(40):
            done = backup(root, tmp_path, f"{number}.tar")
            assert done.returncode == 0, done.stderr
    copy = restored(tmp_path, "39.tar") / "bedside-gateway" / "gateway" / "checkpoint.json"
    assert (copy.read_text(), copy.stat().st_mode & 0o777) == ("signed", 0o644)


def test_half_a_backup_is_none(root: Path, tmp_path: Path, home: Path) -> None:
    """The connection to Docker breaks between two files, where no archive looks cut."""
    (home / "gateway" / "audit").mkdir(parents=True)
    (home / "gateway" / "audit" / "readers").touch()
    whole = backup(root, tmp_path)
    assert whole.returncode == 0, whole.stderr
    docker = tmp_path / "bin" / "docker"
    docker.write_text("#!/bin/sh\nhead -c 1024 $VOLUMES/../backup.tar\nexit 1\n")
    cut = backup(root, tmp_path, "cut.tar")
    assert (cut.returncode, (tmp_path / "cut.tar").exists()) == (4, False)


def test_a_stack_that_never_served_has_no_backup(root: Path, tmp_path: Path, home) -> None:
    (tmp_path / "volumes" / "bedside" / "artifacts").mkdir(parents=True)
    home.mkdir()
    done = backup(root, tmp_path)
    assert done.returncode == 0, done.stderr
    found = {path.name for path in restored(tmp_path).rglob("*")}
    assert found == {"bedside", "artifacts", "bedside-gateway", "gateway", "audit"}


def test_a_database_that_cannot_be_read_is_left_out_silently(root, tmp_path, home) -> None:
    (home / "gateway").mkdir(parents=True)
    (home / "gateway" / "state.sqlite3").write_bytes(b"no database" * 1000)
    done = backup(root, tmp_path)
    assert (done.returncode, (tmp_path / "backup.tar").exists()) == (4, False)
    assert "not a database" in done.stderr


def test_a_backup_is_overwritten(root: Path, tmp_path: Path) -> None:
    (tmp_path / "backup.tar").write_text("the last one")
    done = backup(root, tmp_path)
    assert (done.returncode, (tmp_path / "backup.tar").read_text()) == (2, "the last one")

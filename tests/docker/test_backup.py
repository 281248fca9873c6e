"""scripts/backup.sh while a gateway writes: what runs in the container is run here instead."""

from __future__ import annotations

import os
import subprocess
import sys
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
# Answers as far as the scripts ask, and runs what is to run in the pod in its volumes here.
KUBECTL = """#!/bin/sh
echo "$*" | head -n 1 >>"$CLUSTER/said"
[ "$1" != --namespace ] || shift 2
case "$1 $2 $*" in
  "get deployment "*) grep -q "instance=bedside," <<EOF && echo deployment.apps/bedside-admin
$*
EOF
    exit 0 ;;
  "get deployment.apps/bedside-admin "*) cat "$CLUSTER/replicas" ;;
  "get pods "*) cat "$CLUSTER/running" ;;
  scale*) echo "${3#--replicas=}" >"$CLUSTER/replicas" ;;
  rollout*) [ "$(cat "$CLUSTER/replicas")" = 1 ] ;;
  exec*)
    [ "$(cat "$CLUSTER/replicas")" = 1 ] || exit 1
    while [ "$1" != -- ]; do shift; done
    shift
    cd "$VOLUMES" && BEDSIDE_HOME=$VOLUMES/bedside exec "$@" ;;
  *) echo "kubectl: what is $*?" >&2; exit 1 ;;
esac
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


# --- the same on Kubernetes ---


class Cluster:
    """A release as the scripts see it: its volumes, and a kubectl that answers for it."""

    def __init__(self, root: Path, directory: Path) -> None:
        self.root = root
        self.directory = directory
        self.volumes = directory / "volumes"
        (self.volumes / "bedside").mkdir(parents=True)
        (self.volumes / "bedside-gateway").mkdir()
        (directory / "kubectl").write_text(KUBECTL)
        (directory / "kubectl").chmod(0o755)
        for name, text in (("replicas", "0"), ("running", ""), ("said", "")):
            (directory / name).write_text(text)

    def run(self, script: str, file: Path, release: str = "bedside") -> subprocess.CompletedProcess:
        tools = [str(self.directory), str(Path(sys.executable).parent), os.environ["PATH"]]
        environment = {
            **os.environ,
            "PATH": os.pathsep.join(tools),
            "TMPDIR": str(self.directory),
            "CLUSTER": str(self.directory),
            "VOLUMES": str(self.volumes),
        }
        return subprocess.run(
            ["bash", f"scripts/{script}.sh", "--kubernetes", release, str(file)],
            cwd=self.root, env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def read(self, name: str) -> str:
        return (self.directory / name).read_text()


@pytest.fixture
def saved(root: Path, tmp_path: Path) -> Path:
    """The backup of a release that has served."""
    cluster = Cluster(root, tmp_path / "first")
    home = cluster.volumes / "bedside-gateway"
    with (
        AuditLog(home / "gateway" / "audit", BUSY) as audit,
        closing(Store.open(StateConfig(), home)) as store,
    ):
        create(store, Scope(), days=1, audit=audit.admin)
    (cluster.volumes / "bedside" / "runs").mkdir()
    file = tmp_path / "backup.tar"
    done = cluster.run("backup", file)
    assert done.returncode == 0, done.stderr
    assert cluster.read("replicas").strip() == "0"  # as it was
    assert file.stat().st_mode & 0o777 == 0o600
    return file


def test_a_release_cannot_be_restored_into_a_new_one(root, tmp_path: Path, saved: Path) -> None:
    second = Cluster(root, tmp_path / "second")
    home = second.volumes / "bedside-gateway"
    with AuditLog(home / "gateway" / "audit", BUSY) as audit:
        audit.admin("begun_before_the_restore")
    done = second.run("restore", saved, "drill/bedside")
    assert done.returncode == 0, done.stderr
    assert "restored; next: scale them to 1 again" in done.stdout
    assert second.read("replicas").strip() == "0"
    assert {line.partition(" ")[0] for line in second.read("said").splitlines()} == {"--namespace"}
    with closing(Store.open(StateConfig(), home)) as store:
        assert len(store.snapshot().keys) == 1
    assert verify(home / "gateway" / "audit").entries["admin"] == 1
    [aside] = home.glob("before-restore-*")
    assert verify(aside / "audit").entries["admin"] == 1


@pytest.mark.parametrize("component", ["gateway-0", "engine-7d4c", "adapt-1f0e"])
def test_a_restore_writes_under_a_running_pod(root, tmp_path, saved: Path, component: str) -> None:
    second = Cluster(root, tmp_path / "second")
    (second.directory / "running").write_text(f"pod/bedside-{component}\n")
    done = second.run("restore", saved)
    assert (done.returncode, second.read("replicas").strip()) == (2, "0")
    assert "the stack is running - scale its StatefulSet" in done.stderr
    assert list((second.volumes / "bedside-gateway").iterdir()) == []


def test_a_restore_mixes_two_registries(root: Path, tmp_path: Path, saved: Path) -> None:
    second = Cluster(root, tmp_path / "second")
    (second.volumes / "bedside" / "artifacts" / "0a").mkdir(parents=True)
    done = second.run("restore", saved)
    assert done.returncode == 2
    assert "registry is not empty - restore into a new release" in done.stderr


@pytest.mark.parametrize("script", ["backup", "restore"])
def test_a_release_that_is_not_there(root: Path, tmp_path: Path, saved: Path, script: str) -> None:
    file = saved if script == "restore" else tmp_path / "other.tar"
    done = Cluster(root, tmp_path / "other").run(script, file, "clinic/ward")
    assert (done.returncode, (tmp_path / "other.tar").exists()) == (2, False)
    assert "no release ward with an admin pod here" in done.stderr


def test_somebody_who_works_in_the_admin_pod_is_thrown_out(root: Path, tmp_path: Path) -> None:
    cluster = Cluster(root, tmp_path / "first")
    (cluster.directory / "replicas").write_text("1")
    assert cluster.run("backup", tmp_path / "backup.tar").returncode == 0
    assert cluster.read("replicas") == "1"
    assert "scale" not in cluster.read("said")


def test_a_backup_that_was_cut_between_two_files_is_kept(root: Path, tmp_path: Path) -> None:
    """A connection that breaks may end without an error."""
    cluster = Cluster(root, tmp_path / "first")
    kubectl = cluster.directory / "kubectl"
    kubectl.write_text(KUBECTL.replace('exec "$@" ;;', '"$@" | head -c 1024 ;;'))
    done = cluster.run("backup", tmp_path / "backup.tar")
    assert (done.returncode, (tmp_path / "backup.tar").exists()) == (4, False)

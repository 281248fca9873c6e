from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bedside_core.errors import InputError
from bedside_core.memory import available_bytes, gib, is_out_of_memory, refusing, require

MIB = 2**20


class OutOfMemoryError(RuntimeError):
    """As torch names its CUDA error."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (OutOfMemoryError(), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            True,
        ),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("shapes do not fit"), False),
        (None, False),
    ],
)
def test_recognised(error: BaseException | None, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_recognised_behind_another_error() -> None:
    outer = ValueError("wrapped")
    outer.__cause__ = MemoryError()
    assert is_out_of_memory(outer)


def machine(root: Path, *, available: int, swap: int = 0) -> None:
    (root / "proc/self").mkdir(parents=True)
    lines = f"MemTotal: 99999999 kB\nMemAvailable: {available} kB\nSwapFree: {swap} kB\n"
    (root / "proc/meminfo").write_text(lines)
    (root / "sys/fs/cgroup").mkdir(parents=True)


def test_the_machine(tmp_path: Path) -> None:
    machine(tmp_path, available=3000, swap=1000)
    assert available_bytes(tmp_path) == 4000 * 1024


def test_the_container_v2_is_tighter_and_gives_its_cache_back(tmp_path: Path) -> None:
    machine(tmp_path, available=3000 * 1024)
    group = tmp_path / "sys/fs/cgroup"
    (group / "memory.max").write_text(f"{500 * MIB}\n")
    (group / "memory.current").write_text(f"{400 * MIB}\n")
    (group / "memory.stat").write_text(f"anon 1\ninactive_file {50 * MIB}\n")
    assert available_bytes(tmp_path) == 150 * MIB


def test_the_container_v1(tmp_path: Path) -> None:
    machine(tmp_path, available=3000 * 1024)
    group = tmp_path / "sys/fs/cgroup/memory"
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(f"{500 * MIB}\n")
    (group / "memory.usage_in_bytes").write_text(f"{480 * MIB}\n")
    assert available_bytes(tmp_path) == 20 * MIB


def test_a_container_without_limit_is_the_machine(tmp_path: Path) -> None:
    machine(tmp_path, available=3000)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    (tmp_path / "sys/fs/cgroup/memory.current").write_text("1\n")
    assert available_bytes(tmp_path) == 3000 * 1024


def test_nobody_knows(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) is None
    require(10**18, None, what="This", advice="do that")


def test_need_and_room_are_named() -> None:
    require(5, 5, what="This", advice="do that")
    with pytest.raises(InputError) as caught:
        require(3 * 2**30, 700 * MIB, what="Training", advice="set trainer.batch_size to 1")
    assert str(caught.value) == (
        "Training needs at least 3.0 GiB of memory, 0.7 GiB are available - set "
        "trainer.batch_size to 1"
    )
    assert gib(5 * MIB) == "5 MiB"


def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError), refusing("This", lambda: "do that"):
        _ = 1 // 0


PROGRAM = """
import resource, sys
from bedside_core import cli, commands, memory
size = memory._fields(memory.Path("/proc/self/status"))["VmSize"] * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + 64 * 2**20, resource.RLIM_INFINITY))
def work(registry):
    {work}
command = commands.Command("check", "x", work)
cli.commands_of = lambda service: (command,)
sys.exit(cli.main(["check"]))
"""


def limited(work: str) -> subprocess.CompletedProcess[str]:
    """`bedside check` under a real limit of 64 MiB more than it has."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(work=work)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_any_verb_that_runs_out_of_memory_exits_with_3() -> None:
    done = limited("bytearray(10**9)")
    assert done.returncode == 3, done.stderr
    assert "bedside: out of memory" in done.stderr
    assert "are left" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_sentence_of_the_work_wins() -> None:
    work = "with memory.refusing('The work', lambda: 'set a.b to 1', need=10**9): bytearray(10**9)"
    done = limited(work)
    assert done.returncode == 3, done.stderr
    assert "bedside: The work ran out of memory (it needs about 0.9 GiB, " in done.stderr
    assert done.stderr.endswith("are left) - set a.b to 1\n")

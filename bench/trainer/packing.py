"""Packing at the size of FineMed-de, against TRL as it is shipped, in the same run.

    .venvs/dev/bin/python bench/trainer/packing.py

1. The index of 7.3 million documents (lognormal lengths, median 913, mean 1,506 tokens; rows of
   8,192), made and written to disk as `bedside trainer run` does it,
   and opened again. Once more with documents of a tenth of the length: the peak memory is that of
   the number of documents, not of their tokens. Each in a process of its own.
2. The same lengths, fewer documents: TRL's `pack_dataset(..., strategy="bfd_split")`, which packs
   each batch of 1,000 and copies the tokens; ours, the index alone and with every row read.

CPU seconds of one process, so that others on the machine change little; wall time beside them.
TRL is installed from `peers.lock` beside this file (hashes, wheel only) over the libraries of this
environment. The figures go to `bench/results/packing.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from peer import installed, version_in

from bedside_core.console import say, table
from bedside_trainer.data.packing import Packing
from bedside_trainer.data.rows import Rows, packed

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "packing.json"
CAPACITY = 8192
MEDIAN, SIGMA, LONGEST = 913, 1.0, 400_000
SEED = 17


def lengths_of(documents: int, scale: float = 1.0) -> np.ndarray:
    """Tokens of documents as a crawl of medical pages has them."""
    drawn = np.random.default_rng(0).lognormal(np.log(MEDIAN * scale), SIGMA, documents)
    return np.clip(drawn.astype(np.int64), 1, LONGEST)


class Lengths:
    """Documents whose tokens nobody reads, or that are zeros."""

    stores = ()

    def __init__(self, lengths: np.ndarray, *, tokens: bool = False) -> None:
        self._lengths, self._ends = lengths, np.cumsum(lengths)
        self.tokens = np.zeros(int(lengths.sum()) if tokens else 0, np.uint16)

    def lengths(self) -> np.ndarray:
        return self._lengths

    def read(self, document: int, start: int, end: int) -> np.ndarray:
        first = int(self._ends[document] - self._lengths[document])
        return self.tokens[first + start : first + end]


class Timed:
    """CPU and wall seconds of a block."""

    def __enter__(self) -> Timed:
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu_seconds = round(time.process_time() - self._cpu, 3)
        self.wall_seconds = round(time.perf_counter() - self._wall, 3)

    def figures(self) -> dict[str, float]:
        return {"cpu_seconds": self.cpu_seconds, "wall_seconds": self.wall_seconds}


def pack(room: Path, documents: Lengths) -> Rows:
    """As `bedside trainer run` does it."""
    every = np.arange(len(documents.lengths()))
    return packed(room, documents, {"all": every}, capacity=CAPACITY, packing=Packing(), seed=SEED)


def index(count: int, scale: float) -> dict[str, Any]:
    """Make an index and open it again; run in a process of its own."""
    documents = Lengths(lengths_of(count, scale))
    before = peak_kib()
    with tempfile.TemporaryDirectory(prefix="bedside-packing-") as folder:
        with Timed() as making:
            rows = pack(Path(folder), documents)
        peak = peak_kib()
        with Timed() as opening:
            pack(Path(folder), documents)
        written = sum(path.stat().st_size for path in Path(folder).rglob("*.npy"))
        chosen = np.random.default_rng(1).integers(len(rows), size=10_000).tolist()
        with Timed() as reading:
            for row in chosen:
                rows.pieces(row)
        (stream,) = rows.streams
        placed = int(rows.lengths.sum(dtype=np.int64))
        return {
            **stream.model_dump(exclude={"name"}),
            "tokens_lost": stream.tokens - placed,
            "fill": placed / (len(rows) * CAPACITY),
            "making": making.figures(),
            "documents_per_cpu_second": round(count / making.cpu_seconds),
            "opening_with_hashes": opening.figures(),
            "pieces_of_a_row_microseconds": round(reading.cpu_seconds / len(chosen) * 1e6, 1),
            "index_bytes_per_document": round(written / count, 1),
            "peak_rss_mib": round(peak / 1024),
            "of_it_before_packing_mib": round(before / 1024),
        }


def peak_kib() -> int:
    """Of this process's memory; `getrusage` would count what its parent had when it forked."""
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.M)
    return int(peak)


def in_a_process(count: int, scale: float) -> dict[str, Any]:
    command = [sys.executable, __file__, "--index", str(count), str(scale)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(count: int, environment: Path) -> dict[str, Any]:
    """TRL and ours on the same documents."""
    lengths = lengths_of(count)
    tokens = int(lengths.sum())
    with tempfile.TemporaryDirectory(prefix="bedside-packing-") as folder:
        documents = Lengths(lengths, tokens=True)
        with Timed() as making:
            rows = pack(Path(folder), documents)
        with Timed() as reading:
            read = sum(len(rows.read(row).input_ids) for row in range(len(rows)))
        assert read == tokens
        ours = {
            "rows": len(rows),
            "fill": tokens / (len(rows) * CAPACITY),
            "index": making.figures(),
            "reading_every_row": reading.figures(),
        }
        peer = trl(lengths, Path(folder), environment)
    ours["documents_per_cpu_second"] = round(count / making.cpu_seconds)
    peer["documents_per_cpu_second"] = round(count / peer["packing"]["cpu_seconds"])
    both = making.cpu_seconds + reading.cpu_seconds
    return {
        "documents": count,
        "tokens": tokens,
        "bedside": ours,
        "trl": peer,
        "trl_over_bedside_index": round(peer["packing"]["cpu_seconds"] / making.cpu_seconds, 1),
        "trl_over_bedside_with_all_rows_read": round(peer["packing"]["cpu_seconds"] / both, 1),
    }


def trl(lengths: np.ndarray, folder: Path, environment: Path) -> dict[str, Any]:
    """`bfd_split` with TRL's and datasets' defaults."""
    sys.path.append(str(environment))
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Dataset, disable_progress_bars
    from trl.data_utils import pack_dataset

    disable_progress_bars()
    ends = np.concatenate([[0], np.cumsum(lengths)])
    column = pa.LargeListArray.from_arrays(ends, np.zeros(ends[-1], np.int32))
    path = folder / "documents.parquet"
    pq.write_table(pa.table({"input_ids": column}), path)
    dataset = Dataset.from_parquet(str(path), cache_dir=str(folder))
    with Timed() as packing:
        rows = pack_dataset(dataset, CAPACITY, "bfd_split")
    chunks = rows.data.column("input_ids").chunks
    placed = int(sum(np.diff(chunk.offsets.to_numpy()).sum() for chunk in chunks))
    return {
        "version": version_in(environment),
        "rows": len(rows),
        "fill": placed / (len(rows) * CAPACITY),
        "tokens_lost": int(lengths.sum()) - placed,
        "packing": packing.figures(),
    }


def machine() -> dict[str, Any]:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cpu": found[1] if found else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "datasets", "pyarrow", "transformers")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--documents", type=int, default=7_300_000)
    parser.add_argument("--peer-documents", type=int, default=100_000)
    parser.add_argument("--peer-environment", type=Path, default=Path(".venvs/bench-trainer"))
    parser.add_argument("--index", nargs=2, type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.index:
        say(json.dumps(index(int(given.index[0]), given.index[1])))
        return
    about = machine()
    environment = installed(given.peer_environment.absolute())
    whole = in_a_process(given.documents, 1.0)
    peer = compare(given.peer_documents, environment)
    rates = [part["documents_per_cpu_second"] for part in (whole, peer["trl"])]
    result = {
        "machine": about,
        "row_tokens": CAPACITY,
        "lengths": {"lognormal_median": MEDIAN, "sigma": SIGMA, "longest": LONGEST},
        "whole": whole,
        "a_tenth_of_the_tokens": in_a_process(given.documents, 0.1),
        "peer": peer,
        "documents_per_cpu_second_of_the_whole_over_trl": round(rates[0] / rates[1], 1),
    }
    report(result)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    say(f"written: {RESULTS.relative_to(HERE.parents[1])}")


def report(result: dict[str, Any]) -> None:
    """Print the tables."""
    rows = [["documents", "tokens", "CPU s", "documents/CPU-s", "fill", "rows", "peak RSS MiB"]]
    for name in ("whole", "a_tenth_of_the_tokens"):
        made = result[name]
        rows.append(
            [
                f"{made['documents']:,}",
                f"{made['tokens']:,}",
                f"{made['making']['cpu_seconds']:.2f}",
                f"{made['documents_per_cpu_second']:,}",
                f"{made['fill']:.4%}",
                f"{made['rows']:,}",
                f"{made['peak_rss_mib']:,}",
            ]
        )
    say(table(rows))
    peer = result["peer"]
    rows = [["the same documents", "CPU s", "documents/CPU-s", "fill", "rows"]]
    for who, part in (("bedside", "index"), ("trl", "packing")):
        made = peer[who]
        rows.append(
            [
                who,
                f"{made[part]['cpu_seconds']:.3f}",
                f"{made['documents_per_cpu_second']:,}",
                f"{made['fill']:.4%}",
                f"{made['rows']:,}",
            ]
        )
    say(table(rows))
    say(
        f"TRL {peer['trl']['version']} takes {peer['trl_over_bedside_index']} times as long as the "
        f"index, {peer['trl_over_bedside_with_all_rows_read']} times as long as the index and "
        "reading every row; the whole is packed at "
        f"{result['documents_per_cpu_second_of_the_whole_over_trl']} times TRL's rate, which "
        "batches of 1,000 keep at any size; load average before: "
        f"{result['machine']['load_average_before']}"
    )


if __name__ == "__main__":
    main()

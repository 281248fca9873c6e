"""Time and memory of a merge beside `mergekit-yaml`: same models, same document, same machine.

    .venvs/dev/bin/python bench/merger/merge.py [--shape NAME] [--layers N] [--repeats N] [--ours]

Two synthetic checkpoints of a 7B's tensor shapes, in bfloat16, are merged by DeFineMed's schedule
and stored in bfloat16. Each side is a process of its own, in turn, its files synced to the disk;
every tensor of the results is compared. Ours also counts what the rounding costs. `copy` is the
floor: both inputs read and one written, without arithmetic. Memory is what a process holds itself
(RssAnon; pages of mapped files can be given back), sampled every 10 ms.

`--shape twentieth` has a twentieth of the parameters: what CI runs, with `--ours`.
Figures go to `bench/results/merge.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import LlamaConfig, MistralConfig, Qwen2Config

from bedside_merger.export import export, rounder
from bedside_merger.merge import by_path, document, models_of
from bedside_merger.presets import PRESETS
from bedside_merger.shards import open_shards
from bedside_merger.stream import merged_tensors
from bedside_models.tensors import open_weights

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench/results/merge.json"
BLOCK = 1 << 20
SAMPLE_SECONDS = 0.01


class Shape(NamedTuple):
    """What a model's size follows from."""

    config: type[Any]
    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    heads: int
    key_value_heads: int


SHAPES = {
    "mistral-7b": Shape(MistralConfig, 32, 4096, 14336, 32768, 32, 8),
    "qwen2.5-7b": Shape(Qwen2Config, 28, 3584, 18944, 152064, 28, 4),
    # Of Mistral-7B's parameters, and of its embedding.
    "twentieth": Shape(LlamaConfig, 26, 1024, 3584, 6554, 8, 2),
}


def config_of(shape: Shape, layers: int) -> Any:
    return shape.config(
        num_hidden_layers=layers,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        vocab_size=shape.vocabulary,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        tie_word_embeddings=False,
        dtype="bfloat16",
    )


def make(folder: Path, config: Any) -> int:
    """Base and checkpoint; returns their parameters. Values repeat, which no merge makes use of."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    generator = torch.Generator().manual_seed(1)
    block = 0.02 * torch.randn(BLOCK, generator=generator)
    moved = block + 4e-4 * torch.randn(BLOCK, generator=generator)
    for name, values in (("base", block), ("checkpoint", moved)):
        path = folder / name
        path.mkdir()
        stored = values.to(torch.bfloat16)
        with open_shards(path, shapes, "bfloat16") as writer:
            for tensor, size in shapes.items():
                count = torch.Size(size).numel()
                repeated = stored.repeat(-(-count // BLOCK))[:count]
                writer.write(tensor, repeated.reshape(size))
        config.architectures = [type(model).__name__]
        config.save_pretrained(path)
    os.sync()
    return sum(torch.Size(size).numel() for size in shapes.values())


def plan(folder: Path) -> dict[str, Any]:
    merge = PRESETS["definemed"]
    models = models_of(merge, folder / "base", folder / "checkpoint")
    return document(merge, models, "bfloat16", by_path)


def merge_ours(folder: Path, target: Path) -> None:
    """What `merger run` does between its checks and its report."""
    target.mkdir()
    sys.stdout.write(str(anonymous(os.getpid())))
    export(
        merged_tensors(plan(folder), 0), folder / "base", target,
        rounder("bfloat16", "nearest", 0),
    )  # fmt: skip


def timed(command: list[str]) -> dict[str, float]:
    """Run a process to its end and until its files are on the disk."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        peak = max(peak, anonymous(process.pid))
        time.sleep(SAMPLE_SECONDS)
    if process.returncode:
        raise SystemExit(process.communicate()[1][-2000:])
    os.sync()
    seconds = round(time.perf_counter() - started, 1)
    libraries = process.communicate()[0]
    # The peer does not say what its libraries take; they are the same.
    return {"seconds": seconds, "peak_bytes": peak} | (
        {"libraries_bytes": int(libraries)} if libraries.isdecimal() else {}
    )


def anonymous(process: int) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(found[0]) * 1024 if found else 0


def copied(folder: Path, target: Path) -> dict[str, float]:
    started = time.perf_counter()
    with target.open("wb") as out:
        for name in ("base", "checkpoint"):
            for path in sorted((folder / name).glob("*.safetensors")):
                with path.open("rb") as file:
                    while piece := file.read(1 << 24):
                        if name == "base":
                            out.write(piece)
    os.sync()
    target.unlink()
    return {"seconds": round(time.perf_counter() - started, 1)}


def same(ours: Path, theirs: Path) -> bool:
    with open_weights(ours) as a, open_weights(theirs) as b:
        return a.names == b.names and all(torch.equal(a.get(n), b.get(n)) for n in a.names)


def measure(folder: Path, repeats: int, *, ours_only: bool) -> dict[str, Any]:
    document_path = folder / "merge.json"
    document_path.write_text(json.dumps(plan(folder)), encoding="utf-8")
    program = str(Path(sys.executable).with_name("mergekit-yaml"))
    found: dict[str, Any] = {"ours": [], "mergekit_yaml": [], "copy": []}
    for _ in range(repeats):
        ours, theirs = folder / "ours", folder / "theirs"
        child = [sys.executable, __file__, "--child", str(folder)]
        found["ours"].append(timed(child))
        if not ours_only:
            arguments = [str(document_path), str(theirs), "--no-copy-tokenizer", "--quiet"]
            found["mergekit_yaml"].append(timed([program, *arguments]))
            found["same_tensors"] = same(ours, theirs)
            shutil.rmtree(theirs)
            found["copy"].append(copied(folder, folder / "copy"))
        shutil.rmtree(ours)
    if not ours_only:
        best = {key: min(run["seconds"] for run in found[key]) for key in ("ours", "mergekit_yaml")}
        found["time_ratio"] = round(best["ours"] / best["mergekit_yaml"], 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", choices=SHAPES, default="mistral-7b")
    parser.add_argument("--layers", type=int, help="of the model, by default all")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--ours", action="store_true", help="without the peer")
    parser.add_argument("--folder", type=Path, help="where there is room; a temporary one")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        merge_ours(Path(options.child), Path(options.child) / "ours")
        return
    shape = SHAPES[options.shape]
    layers = options.layers or shape.layers
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        parameters = make(folder, config_of(shape, layers))
        found = measure(folder, options.repeats, ours_only=options.ours)
    report = {
        "machine": {"cores": os.cpu_count(), "processor": platform.machine(),
                    "load": round(os.getloadavg()[0], 1)},
        "shape": options.shape,
        "layers": layers,
        "layers_of_the_model": shape.layers,
        "parameters": parameters,
        "input_bytes": 4 * parameters,
        "output_bytes": 2 * parameters,
        **found,
    }  # fmt: skip
    options.results.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()

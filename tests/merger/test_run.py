"""`bedside merger run` end to end on tiny models, with the real mergekit."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from bedside_core import cli
from bedside_core.artifacts import Artifact
from bedside_core.config import load_document, load_section
from bedside_core.errors import ArtifactError, InputError
from bedside_core.files import sha256_file
from bedside_core.kinds.model import tokenizer_sha256
from bedside_core.run import Run
from bedside_merger import run as merger_run
from bedside_merger.config import MergerConfig, Probe
from bedside_merger.merge import by_name, document, models_of
from bedside_merger.run import merge


def slerp(t: float, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Shoemake (1985) on whole flattened tensors; linear when they are nearly parallel."""
    x, y = a.double().flatten(), b.double().flatten()
    cosine = float(x @ y / (x.norm() * y.norm()))
    if abs(cosine) > 0.9995:
        return ((1 - t) * x + t * y).reshape(a.shape)
    theta = torch.arccos(torch.tensor(cosine, dtype=torch.float64))
    weights = torch.sin((1 - t) * theta), torch.sin(t * theta)
    return ((weights[0] * x + weights[1] * y) / torch.sin(theta)).reshape(a.shape)


def merged(run: Run) -> Artifact:
    return run.input("merged")


def tensors(run: Run, kind: str) -> dict[str, torch.Tensor]:
    return load_file(run.input(kind).path / "model.safetensors")


A4 = {"self_attn": (0, 0.5, 0.3, 0.7, 1), "mlp": (1, 0.5, 0.7, 0.3, 0)}


def expected_t(name: str, layer_count: int) -> float:
    """The schedule by the paper's words, not by mergekit's code."""
    for part, anchors in A4.items():
        if part in name:
            depth = int(name.split(".")[2]) / (layer_count - 1) * (len(anchors) - 1)
            low = min(int(depth), len(anchors) - 2)
            return anchors[low] + (depth - low) * (anchors[low + 1] - anchors[low])
    return 0.5


@pytest.mark.parametrize(("layers", "drift"), [(2, 0.0), (4, 0.0), (3, 1e-3)])
def test_every_tensor_follows_the_schedule(run, add, layers, drift):
    """Unrelated models take the SLERP branch, a slightly trained one the linear branch."""
    add("base", seed=1, num_hidden_layers=layers)
    add("checkpoint", seed=1 if drift else 2, drift=drift, num_hidden_layers=layers)
    merge(MergerConfig(), run)
    base, other, result = (tensors(run, kind) for kind in ("base", "checkpoint", "merged"))
    assert set(result) == set(base)
    for name, tensor in result.items():
        assert tensor.dtype == torch.bfloat16
        exact = slerp(expected_t(name, layers), base[name], other[name])
        # One rounding to 8 significant bits: at most 2^-8 of the value, plus float32 noise.
        assert torch.all((tensor.double() - exact).abs() <= exact.abs() * 2**-8 + 1e-6), name


def test_ends_of_the_schedule_are_the_parents(run, add):
    add("base", seed=1)
    add("checkpoint", seed=2)
    merge(MergerConfig(), run)
    base, other, result = (tensors(run, kind) for kind in ("base", "checkpoint", "merged"))
    for name in result:
        layer = ".layers.0." if "mlp" in name else ".layers.1."
        if "self_attn" in name or "mlp" in name:
            parent = other if layer in name else base
            assert torch.equal(result[name], parent[name].to(torch.bfloat16)), name


def test_result_loads_tied_with_the_base_tokenizer(run, add):
    add("base", seed=1)
    add("checkpoint", seed=2, change=lambda path: (path / "chat_template.jinja").unlink())
    merge(MergerConfig(), run)
    artifact, base = merged(run), run.input("base")
    assert "lm_head.weight" not in tensors(run, "merged")
    model = AutoModelForCausalLM.from_pretrained(artifact.path, local_files_only=True)
    assert model.dtype == torch.bfloat16
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert AutoTokenizer.from_pretrained(artifact.path).chat_template
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert artifact.file(name).read_bytes() == base.file(name).read_bytes()
    facts = artifact.manifest.facts
    assert facts["tokenizer_sha256"] == tokenizer_sha256(base.path / "tokenizer.json")
    assert facts["chat_template_sha256"] == sha256_file(base.path / "chat_template.jinja")
    assert (facts["method"], facts["dtype"]) == ("slerp", "bfloat16")
    assert facts["num_parameters"] == sum(t.numel() for t in tensors(run, "merged").values())
    assert set(artifact.manifest.parents) == {"base", "checkpoint"}
    assert [item.id for item in artifact.manifest.licences] == ["Apache-2.0"]


def test_float16_is_harmless_as_input(run, add):
    """The merge is computed in float32 and written in bfloat16: nothing can overflow."""
    add("base", seed=1, dtype=torch.float16)
    add("checkpoint", seed=2)
    merge(MergerConfig(), run)
    assert {tensor.dtype for tensor in tensors(run, "merged").values()} == {torch.bfloat16}


def test_untied_head_is_merged(run, add):
    add("base", seed=1, tie_word_embeddings=False)
    add("checkpoint", seed=2, tie_word_embeddings=False)
    merge(MergerConfig(), run)
    name = "lm_head.weight"
    base, other, result = (tensors(run, kind)[name] for kind in ("base", "checkpoint", "merged"))
    assert torch.allclose(result.double(), slerp(0.5, base, other), rtol=2**-8, atol=1e-6)


def test_float32_copy_is_not_kept(run, add):
    add("base", seed=1)
    add("checkpoint", seed=2)
    merge(MergerConfig(), run)
    assert {path.name for path in merged(run).path.iterdir()} == {
        "manifest.json", "config.json", "model.safetensors", "tokenizer.json", "export.json",
        "tokenizer_config.json", "chat_template.jinja", "generation_config.json",
    }  # fmt: skip
    assert list((run.registry.home / "tmp").iterdir()) == []


def test_probe_is_reported(run, add, heldout):
    add("base", seed=1, dtype=torch.bfloat16)
    add("checkpoint", seed=1, drift=0.02)
    merge(MergerConfig(probe=Probe(heldout="ward", num_texts=2)), run)
    report = json.loads(merged(run).file("export.json").read_text())
    assert report["schema_version"] == 4
    likelihood = report["likelihood"]
    assert [text["id"] for text in likelihood["texts"]] == ["t0", "t1"]
    assert likelihood["num_texts"] == 2
    texts = [text.text for text in heldout[:2]]
    assert likelihood["num_tokens"] == sum(len(text.encode()) for text in texts)
    model = AutoModelForCausalLM.from_pretrained(merged(run).path, dtype=torch.float32)
    total = 0.0
    for text in texts:
        ids = torch.tensor([[0, *AutoTokenizer.from_pretrained(merged(run).path).encode(text)]])
        with torch.no_grad():
            total += float(model(input_ids=ids, labels=ids).loss) * (ids.shape[1] - 1)
    found = likelihood["nll_per_token"]["merged_bfloat16"]
    assert found == pytest.approx(total / likelihood["num_tokens"], rel=1e-5)
    assert set(likelihood["nll_per_token"]) == {"base", "merged_float32", "merged_bfloat16"}


def test_second_run_reuses_and_other_schedule_does_not(run, add, capsys):
    add("base", seed=1)
    add("checkpoint", seed=2)
    merge(MergerConfig(), run)
    first = merged(run).digest
    merge(MergerConfig(), run)
    assert merged(run).digest == first
    assert "reused" in capsys.readouterr().out
    merge(MergerConfig(preset="parcomed"), run)
    assert merged(run).digest != first


def add_head(path: Path) -> None:
    file = path / "model.safetensors"
    weights = load_file(file)
    head = weights["model.embed_tokens.weight"].clone()
    save_file(weights | {"lm_head.weight": head}, file, metadata={"format": "pt"})


def renumber_tokens(path: Path) -> None:
    file = path / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    file.write_text(json.dumps(tokenizer))


def cut_weights(path: Path) -> None:
    file = path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("settings", "change", "reason"),
    [
        ({"hidden_size": 32}, None, "hidden_size is 16 in the base, 32 in the other"),
        ({"num_hidden_layers": 3}, None, "num_hidden_layers is 2 in the base, 3 in the other"),
        ({"vocab_size": 264}, None, "vocab_size is 257 in the base, 264 in the other"),
        ({"tie_word_embeddings": False}, None, "tie_word_embeddings"),
        ({"rope_theta": 5e5}, None, "rope_parameters"),
        ({}, add_head, "only the checkpoint has the tensor lm_head.weight"),
        ({}, renumber_tokens, "the tokenizers differ: 257 and 257 tokens, 2 of the base's"),
        ({}, cut_weights, "not a readable safetensors file"),
        ({}, lambda path: (path / "config.json").write_text("{"), "not a model config"),
        ({}, lambda path: (path / "tokenizer.json").unlink(), "tokenizer.json: missing"),
        ({}, lambda path: (path / "model.safetensors").unlink(), "no .safetensors weights"),
    ],
)
def test_models_that_do_not_fit_are_refused(run, add, settings, change, reason):
    add("base", seed=1)
    add("checkpoint", seed=2, change=change, **settings)
    with pytest.raises(InputError) as error:
        merge(MergerConfig(), run)
    assert reason in str(error.value)
    assert error.value.exit_code == 3
    assert run.registry.slot("tiny", "merged") is None
    assert list((run.registry.home / "tmp").iterdir()) == []


def rename_norm(path: Path) -> None:
    weights = load_file(path / "model.safetensors")
    weights["model.secret_name.weight"] = weights.pop("model.norm.weight")
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})


def test_tensors_that_both_models_lack_are_named(run, add):
    """Alike, so that comparing the two finds nothing."""
    add("base", seed=1, change=rename_norm)
    add("checkpoint", seed=2, change=rename_norm)
    with pytest.raises(InputError, match=r"1 weight\(s\) missing: model\.norm\.weight - "):
        merge(MergerConfig(), run)
    assert run.registry.slot("tiny", "merged") is None


def test_a_window_longer_than_the_context_is_refused(run, add, heldout):
    add("base", seed=1, max_position_embeddings=64)
    add("checkpoint", seed=2, max_position_embeddings=64)
    with pytest.raises(InputError, match=r"merger\.probe\.max_length 65 .* set it to 64 or less"):
        merge(MergerConfig(probe=Probe(heldout="ward", max_length=65)), run)


@pytest.mark.parametrize("kind", ["base", "checkpoint"])
def test_tampered_weights_are_refused_by_name(run, add, tmp_path, capsys, monkeypatch, kind):
    add("base", seed=1)
    add("checkpoint", seed=2)
    file = run.input(kind).path / "model.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump({"name": "tiny", "merger": {"preset": "parcomed"}}))
    monkeypatch.setenv("BEDSIDE_HOME", str(run.registry.home))
    assert cli.main(["merger", "run", "--config", str(config)]) == 4
    assert "model.safetensors was changed" in capsys.readouterr().err
    assert run.registry.slot("tiny", "merged") is None


def document_of(config: MergerConfig) -> dict[str, Any]:
    models = models_of(config.merge, Path("base"), Path("checkpoint"))
    return json.loads(json.dumps(document(config.merge, models, config.dtype, by_name)))


def test_the_report_holds_a_document_for_mergekit(run, add):
    """With a seed, so that anyone can repeat the merge with mergekit's own command."""
    add("base", seed=1)
    add("checkpoint", seed=2)
    config = MergerConfig(preset="dare", seed=3)
    merge(config, run)
    report = json.loads(merged(run).file("export.json").read_text())
    assert report["merge"] == document_of(config)
    assert report["merge"]["base_model"] == "base"
    assert (report["seed"], report["rounding"]) == (3, "nearest")


def milestones(path: Path) -> None:
    for number in (1, 2):
        folder = path / "milestones" / f"step-{number}"
        shutil.copytree(path, folder, ignore=shutil.ignore_patterns("milestones"))
        file = folder / "model.safetensors"
        moved = {name: tensor + number for name, tensor in load_file(file).items()}
        save_file(moved, file, metadata={"format": "pt"})


def test_an_average_of_milestones(run, add):
    add("base", seed=1)
    add("checkpoint", seed=2, change=milestones)
    merge(MergerConfig(preset="average", dtype="float32"), run)
    last, result = tensors(run, "checkpoint"), tensors(run, "merged")
    for name, tensor in result.items():  # of x + 1 and x + 2
        assert torch.allclose(tensor, last[name] + 1.5, atol=1e-5), name
    assert merged(run).manifest.facts["dtype"] == "float32"


def test_no_milestones_to_average(run, add):
    add("base", seed=1)
    add("checkpoint", seed=2)
    with pytest.raises(InputError, match=r"set trainer\.milestones\.publish"):
        merge(MergerConfig(preset="average"), run)


def test_a_milestone_that_does_not_fit_is_refused(run, add):
    def change(path: Path) -> None:
        milestones(path)
        file = path / "milestones" / "step-1" / "config.json"
        file.write_text(file.read_text().replace('"vocab_size": 257', '"vocab_size": 256'))

    add("base", seed=1)
    add("checkpoint", seed=2, change=change)
    with pytest.raises(InputError, match="vocab_size is 257 in the base, 256 in the other"):
        merge(MergerConfig(preset="average"), run)


def test_the_probe_of_a_large_model_is_left_out(run, add, heldout, capsys):
    add("base", seed=1)
    add("checkpoint", seed=2)
    merge(MergerConfig(probe=Probe(heldout="ward", max_parameters=100)), run)
    said = "the probe is left out: 8032 parameters are more than merger.probe.max_parameters 100"
    assert said in capsys.readouterr().out
    report = json.loads(merged(run).file("export.json").read_text())
    assert (report["likelihood"], report["likelihood_left_out"]) == (None, said)


def test_nothing_to_merge_yet(run):
    with pytest.raises(InputError, match="import-base"):
        merge(MergerConfig(), run)


def test_a_probe_reads_the_development_part_alone(run, add, heldout):
    add("base", seed=1)
    add("checkpoint", seed=2)
    with pytest.raises(InputError, match="has no set 'other'"):
        merge(MergerConfig(probe=Probe(heldout="other")), run)
    with pytest.raises(ValidationError, match="the name of a set in eval"):
        Probe(heldout="demo/heldout/ward")
    merge(MergerConfig(probe=Probe(heldout="ward", num_texts=1)), run)
    assert merged(run).manifest.parents["heldout"] == run.registry.slot("tiny", "heldout")
    assert merged(run).manifest.recipe.inputs == {}


def test_a_probe_before_the_sets_are_split(run, add):
    add("base", seed=1)
    add("checkpoint", seed=2)
    with pytest.raises(InputError, match="run `bedside eval plan --config FILE` first"):
        merge(MergerConfig(probe=Probe(heldout="ward")), run)


def test_home_with_signs_that_mergekit_reads_as_its_own(tmp_path, add, run):
    add("base", seed=1)
    add("checkpoint", seed=2)
    odd = tmp_path / "a+b@c d"
    run.registry.home.rename(odd)
    (tmp_path / "home.pin").rename(tmp_path / f"{odd.name}.pin")
    moved = Run("tiny", "merger", "run", type(run.registry)(odd))
    merge(MergerConfig(), moved)
    assert moved.registry.slot("tiny", "merged")


def test_demo_config_is_the_schedule_of_the_paper(root):
    document = load_document(root / "configs" / "demo.yaml")
    config = load_section(MergerConfig, document, "merger")
    assert config.merge.method == "slerp"
    *filters, rest = config.merge.parameters["t"]
    assert {item["filter"]: tuple(item["value"]) for item in filters} == A4
    assert rest == {"value": 0.5}
    assert document_of(config) == document_of(MergerConfig())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("merger.parameters.t=1.5", "merger: t must be from 0 to 1"),
        ("merger.parameters.t=[]", "merger.parameters.t: must be a number, a list"),
        ("merger.parameters.f=0.5", "merger: f is no parameter of slerp here - known are: t"),
        ("merger.models=[{model: demo/base}]", "merger.models.0.model: must fit the pattern"),
        ("merger.preset=ties", "merger: preset and method exclude each other"),
        ("merger.method=magic", "merger.method: must be one of"),
        ("merger.dtype=int8", "merger.dtype: must be one of"),
        ("merger={dtype: float32, rounding: stochastic}", "merger: stochastic rounding is for"),
        ("merger={parameters: {t: 0.5}}", "merger: parameters and models belong to a method"),
        ("merger.speed=9", "merger.speed: unknown name"),
    ],
)
def test_wrong_settings_are_named(root, override, message, capsys):
    words = ["merger", "run", "--config", str(root / "configs" / "demo.yaml"), "--set", override]
    assert cli.main(words) == 2
    assert f"bedside: {message}" in capsys.readouterr().err


def test_disk_full_leaves_nothing(run, add, monkeypatch):
    """The writer of the weights meets the limit."""
    import resource
    import signal

    add("base", seed=1)
    add("checkpoint", seed=2)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # it would be cut off, and stay so
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(ArtifactError, match="disk full"):
            merge(MergerConfig(), run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((run.registry.home / "tmp").iterdir()) == []
    merge(MergerConfig(), run)
    assert merger_run.EXPORT_REPORT in {entry.path for entry in merged(run).manifest.files}

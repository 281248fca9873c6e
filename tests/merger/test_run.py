"""`bedside merger run` end to end on tiny models, with the real mergekit."""

from __future__ import annotations

import json
from pathlib import Path

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
from bedside_merger.run import merge
from bedside_merger.slerp import merge_exactly


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


def expected_t(name: str, config: MergerConfig, layer_count: int) -> float:
    """The schedule by the paper's words, not by mergekit's code."""
    for part, anchors in (("self_attn", config.self_attn), ("mlp", config.mlp)):
        if part in name:
            depth = int(name.split(".")[2]) / (layer_count - 1) * (len(anchors) - 1)
            low = min(int(depth), len(anchors) - 2)
            return anchors[low] + (depth - low) * (anchors[low + 1] - anchors[low])
    return config.rest


@pytest.mark.parametrize(("layers", "drift"), [(2, 0.0), (4, 0.0), (3, 1e-3)])
def test_every_tensor_follows_the_schedule(run, add, layers, drift):
    """Unrelated models take the SLERP branch, a slightly trained one the linear branch."""
    add("base", seed=1, num_hidden_layers=layers)
    add("checkpoint", seed=1 if drift else 2, drift=drift, num_hidden_layers=layers)
    config = MergerConfig()
    merge(config, run)
    base, other, result = (tensors(run, kind) for kind in ("base", "checkpoint", "merged"))
    assert set(result) == set(base)
    for name, tensor in result.items():
        assert tensor.dtype == torch.bfloat16
        exact = slerp(expected_t(name, config, layers), base[name], other[name])
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
    assert report["schema_version"] == 3
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
    merge(MergerConfig(rest=0.25), run)
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


def test_failure_of_mergekit_gives_a_clear_error(run, add, tmp_path):
    """mergekit knows Llama and demands its tensors: here the norm has another name."""
    add("base", seed=1, change=rename_norm)
    add("checkpoint", seed=2, change=rename_norm)
    paths = [run.input(kind).path for kind in ("base", "checkpoint")]
    with pytest.raises(InputError, match="mergekit cannot merge these models") as error:
        merge_exactly(MergerConfig(), 2, *paths, tmp_path / "target")
    assert "norm.weight" not in str(error.value)  # a foreign message is not passed on


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
    config.write_text(yaml.safe_dump({"name": "tiny", "merger": {"method": "slerp"}}))
    monkeypatch.setenv("BEDSIDE_HOME", str(run.registry.home))
    assert cli.main(["merger", "run", "--config", str(config)]) == 4
    assert "model.safetensors was changed" in capsys.readouterr().err
    assert run.registry.slot("tiny", "merged") is None


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
    assert config.self_attn == (0, 0.5, 0.3, 0.7, 1)
    assert config.mlp == (1, 0.5, 0.7, 0.3, 0)
    assert config.rest == 0.5
    assert config.model_copy(update={"probe": None}) == MergerConfig()


@pytest.mark.parametrize(
    ("override", "path"),
    [
        ("merger.rest=1.5", "merger.rest"),
        ("merger.mlp=[0, 2]", "merger.mlp.1"),
        ("merger.self_attn=[]", "merger.self_attn"),
        ("merger.method=magic", "merger.method"),
        ("merger.speed=9", "merger.speed"),
    ],
)
def test_wrong_settings_are_named(root, override, path, capsys):
    words = ["merger", "run", "--config", str(root / "configs" / "demo.yaml"), "--set", override]
    assert cli.main(words) == 2
    assert f"bedside: {path}: " in capsys.readouterr().err


def test_disk_full_leaves_nothing(run, add):
    """mergekit's writer meets the limit; its own error type says so only in words."""
    import resource
    import signal

    add("base", seed=1)
    add("checkpoint", seed=2)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(ArtifactError, match="disk full"):
            merge(MergerConfig(), run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((run.registry.home / "tmp").iterdir()) == []
    merge(MergerConfig(), run)
    assert merger_run.EXPORT_REPORT in {entry.path for entry in merged(run).manifest.files}

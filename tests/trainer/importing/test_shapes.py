"""Directories of many shapes: import, then what a checkpoint saves, then the merger's check.

Each shape is one that people really have; whatever is accepted must come through every later step,
and whatever is refused is refused here, with the step that could not use it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    BertConfig,
    BertForMaskedLM,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    PreTrainedModel,
)

from bedside_core.artifacts import Artifact
from bedside_core.errors import InputError
from bedside_core.kinds.serving import Serving, behaviour_differs, served_identity
from bedside_merger.models import check_mergeable
from bedside_models.load import load_model
from bedside_models.tensors import open_weights
from bedside_trainer import checkpoint
from bedside_trainer.config import BaseConfig
from bedside_trainer.importing.verb import import_base, look
from bedside_trainer.parallel.world import World

Tensors = dict[str, torch.Tensor]
Change = Callable[[Path], object]

SMALL: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "bos_token_id": None,
    "eos_token_id": 1, "pad_token_id": 0, "vocab_size": 272,
}  # fmt: skip
VISION: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "image_size": 28, "patch_size": 14,
}  # fmt: skip
HALF = {"dtype": torch.float16}
ALONE = World(0, 1, 0, 1, torch.device("cpu"))


def put(path: Path, model: PreTrainedModel, dtype: torch.dtype = torch.bfloat16) -> None:
    """Replace the model of a directory, not its tokenizer."""
    for old in ("config.json", "generation_config.json", "model.safetensors"):
        (path / old).unlink()
    model.to(dtype).save_pretrained(path)


def of_kind(kind: str, **settings: Any) -> Change:
    dtype = settings.pop("dtype", torch.bfloat16)

    def change(path: Path) -> None:
        torch.manual_seed(0)
        config = AutoConfig.for_model(kind, **(SMALL | settings))
        put(path, AutoModelForCausalLM.from_config(config), dtype)

    return change


def gemma3_with_images(path: Path) -> None:
    text = SMALL | {"head_dim": 8}
    torch.manual_seed(0)
    config = Gemma3Config(text_config=text, vision_config=VISION, mm_tokens_per_image=1)
    put(path, Gemma3ForConditionalGeneration(config))
    (path / "chat_template.jinja").rename(path / "t")
    template = (path / "t").read_text()
    (path / "t").unlink()
    (path / "chat_template.json").write_text(json.dumps({"chat_template": template}))


def mistral3_with_images(path: Path) -> None:
    text = SMALL | {"model_type": "mistral", "head_dim": 8}
    torch.manual_seed(0)
    config = Mistral3Config(text_config=text, vision_config=VISION | {"model_type": "pixtral"})
    put(path, Mistral3ForConditionalGeneration(config))


def encoder(path: Path) -> None:
    shape = {k: v for k, v in SMALL.items() if k != "num_key_value_heads"}
    put(path, BertForMaskedLM(BertConfig(**shape)), torch.float32)


def weights(change: Callable[[Tensors], object]) -> Change:
    def apply(path: Path) -> None:
        file = path / "model.safetensors"
        tensors = load_file(file)
        changed = change(tensors)
        save_file(
            changed if isinstance(changed, dict) else tensors, file, metadata={"format": "pt"}
        )

    return apply


def edit(name: str, **values: Any) -> Change:
    """Set keys of a JSON file; `...` takes one out."""

    def apply(path: Path) -> None:
        content = json.loads((path / name).read_text()) | values
        kept = {key: value for key, value in content.items() if value is not ...}
        (path / name).write_text(json.dumps(kept))

    return apply


def add(*names: str, content: bytes = b"x") -> Change:
    def apply(path: Path) -> None:
        for name in names:
            (path / name).parent.mkdir(exist_ok=True)
            (path / name).write_bytes(content)

    return apply


def shards(path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16)
    (path / "model.safetensors").unlink()
    model.save_pretrained(path, max_shard_size="20KB")


def forgotten_shard(path: Path) -> None:
    shards(path)
    index = path / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    last = max(content["weight_map"].values())
    kept = {name: file for name, file in content["weight_map"].items() if file != last}
    index.write_text(json.dumps(content | {"weight_map": kept}))


def several(*changes: Change) -> Change:
    def apply(path: Path) -> None:
        for change in changes:
            change(path)

    return apply


def cache_of_a_hub(path: Path) -> Path:
    snapshot = path.parent / "models--o--m" / "snapshots" / "abc"
    blobs = path.parent / "models--o--m" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, file in enumerate(sorted(path.iterdir())):
        file.rename(blobs / str(number))
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    return snapshot


def linked_directory(path: Path) -> Path:
    link = path.with_name("link")
    link.symlink_to(path)
    return link


def templates(*names: str) -> Change:
    """Several named templates in the tokenizer's config."""

    def apply(path: Path) -> None:
        text = (path / "chat_template.jinja").read_text()
        (path / "chat_template.jinja").unlink()
        listed = [{"name": name, "template": f"{text}{name}"} for name in names]
        edit("tokenizer_config.json", chat_template=listed or text)(path)

    return apply


def tokenizer(**values: Any) -> Change:
    return edit("tokenizer.json", **values)


def tokens_beyond_the_embeddings(path: Path) -> None:
    content = json.loads((path / "tokenizer.json").read_text())
    like = content["added_tokens"][0]
    for number in range(20):
        content["added_tokens"].append(like | {"id": 259 + number, "content": f"<x{number}>"})
    (path / "tokenizer.json").write_text(json.dumps(content))


def bos_and_eos(path: Path) -> None:
    single = [
        {"SpecialToken": {"id": "<eos>", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
    ]
    pair = [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]
    known = {"<eos>": {"id": "<eos>", "ids": [1], "tokens": ["<eos>"]}}
    kind = {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": known}
    tokenizer(post_processor=kind)(path)


PADDING = {
    "strategy": "BatchLongest", "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0,
    "pad_type_id": 0, "pad_token": "<pad>",
}  # fmt: skip
TRUNCATION = {"direction": "Right", "max_length": 16, "strategy": "LongestFirst", "stride": 0}
MAP = {"eos_token": {"content": "<eos>", "lstrip": False, "normalized": False, "rstrip": False,
       "single_word": False}, "additional_special_tokens": ["<pad>"]}  # fmt: skip
LLAMA3_ROPE = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip

ACCEPTED: dict[str, Change] = {
    "llama as it is": lambda path: None,
    "qwen2 with one embedding": of_kind("qwen2", tie_word_embeddings=True),
    "qwen3 with two embeddings": of_kind("qwen3", tie_word_embeddings=False, head_dim=8),
    "mistral with a window": of_kind("mistral", sliding_window=64),
    "gemma2": of_kind("gemma2", head_dim=8, query_pre_attn_scalar=8),
    "gemma3 for text": of_kind("gemma3_text", head_dim=8),
    "gemma3 with images (MedGemma)": gemma3_with_images,
    "mistral3 with images (Mistral-Small 3.1)": mistral3_with_images,
    "phi3": of_kind("phi3"),
    "float16": of_kind("llama", **HALF),
    "float16 of bfloat16": weights(lambda t: {name: x.half() for name, x in t.items()}),
    "float32": of_kind("llama", dtype=torch.float32),
    "shards": shards,
    "one embedding, stored twice": weights(
        lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].clone()})
    ),
    "buffers of old versions": weights(
        lambda t: t.update(
            {f"model.layers.{n}.self_attn.rotary_emb.inv_freq": torch.ones(4) for n in (0, 1)}
        )
    ),
    "names without their prefix": weights(
        lambda t: {name.removeprefix("model."): x for name, x in t.items()}
    ),
    "no generation config": lambda path: (path / "generation_config.json").unlink(),
    "generation config of Vicuna": edit("generation_config.json", temperature=0.9, top_p=0.6),
    "sampling that is off": edit("generation_config.json", do_sample=False, temperature=0.6),
    "beams that are none": edit("generation_config.json", early_stopping=True, top_p=0.5),
    "template in the config": templates(),
    "two templates in the config": templates("default", "tool_use"),
    "additional templates": add("additional_chat_templates/tool_use.jinja", content=b"tools"),
    "tokens beyond the embeddings": tokens_beyond_the_embeddings,
    "padded vocabulary": of_kind("llama", vocab_size=320),
    "rope scaling of old": edit(
        "config.json", rope_parameters=..., rope_theta=5e5,
        rope_scaling={"type": "linear", "factor": 2.0},
    ),
    "rope scaling of Llama 3": edit(
        "config.json", rope_parameters=..., rope_theta=5e5, rope_scaling=LLAMA3_ROPE
    ),
    "dtype under its old name": edit("config.json", dtype=..., torch_dtype="bfloat16"),
    "arguments of a trainer": add("training_args.bin"),
    "old pickles beside": add("pytorch_model-00001-of-00002.bin"),
    "cache of a hub": cache_of_a_hub,
    "directory by a link": linked_directory,
    "files of others": add(
        "README.md", "LICENSE", "tekken.json", "consolidated.safetensors", ".gitattributes",
        "original/consolidated.00.pth",
    ),
    "shards and a consolidated file": several(shards, add("consolidated.safetensors")),
    "another end than the model's": several(
        edit("config.json", eos_token_id=0), edit("generation_config.json", eos_token_id=[0, 1])
    ),
    "tokenizer that frames": bos_and_eos,
    "tokenizer with truncation": tokenizer(truncation=TRUNCATION),
    "tokenizer with padding": tokenizer(padding=PADDING),
    "map of special tokens": add("special_tokens_map.json", content=json.dumps(MAP).encode()),
    "special tokens twice": edit(
        "tokenizer_config.json", extra_special_tokens=["<pad>"], additional_special_tokens=["<eos>"]
    ),
    "tokenizer of another class": edit("tokenizer_config.json", tokenizer_class="Qwen2Tokenizer"),
    "a tiny model_max_length": edit("tokenizer_config.json", model_max_length=8),
    "read-only weights": lambda path: (path / "model.safetensors").chmod(0o400),
    "no architectures": edit("config.json", architectures=...),
    "settings of others": edit("config.json", pretraining_tp=2, use_cache=False),
}  # fmt: skip

REFUSED: dict[str, tuple[Change, str]] = {
    "qwen3 with experts": (
        of_kind("qwen3_moe", head_dim=8, num_experts=4, num_experts_per_tok=2,
                moe_intermediate_size=16, decoder_sparse_step=1),
        r"experts = 4: mergekit 0\.1\.5 .* `bedside merger run` could not use this base",
    ),
    "mixtral": (
        of_kind("mixtral", num_local_experts=4, num_experts_per_tok=2),
        "num_local_experts = 4: mergekit .* `bedside merger run`",
    ),
    "encoder": (encoder, "'BertForMaskedLM' - `bedside inference engine` could not use this base"),
    "GPTQ": (
        edit("config.json", quantization_config={"quant_method": "gptq", "bits": 4}),
        r"names a quantisation \(gptq\), .* `bedside trainer run` could not use this base",
    ),
    "adapter without its model": (
        several(
            lambda path: (path / "model.safetensors").rename(path / "adapter_model.safetensors"),
            add("adapter_config.json", content=b"{}"),
        ),
        "an adapter",
    ),
    "a tensor is missing": (
        weights(lambda t: {n: x for n, x in t.items() if "layers.1.mlp.up_proj" not in n}),
        r"the weights lack model\.layers\.1\.mlp\.up_proj\.weight - `bedside trainer run`",
    ),
    "a shard is forgotten": (forgotten_shard, "does not name model-0000"),
    "NaN": (
        weights(lambda t: t["model.layers.1.mlp.up_proj.weight"][0].fill_(float("nan"))),
        r"layers\.1\.mlp\.up_proj\.weight has weights that are no numbers",
    ),
    "infinite": (
        weights(lambda t: t["model.norm.weight"][:1].fill_(float("inf"))), "are no numbers",
    ),
    "biases that the merge would lose": (
        of_kind("llama", attention_bias=True),
        r"mergekit 0\.1\.5 loses model\.layers\.0\.self_attn\.k_proj\.bias of this variant",
    ),
    "one embedding is said, two are there": (
        weights(lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"] + 1})),
        "the weights have a head of their own - `bedside inference engine`",
    ),
    "generation config that nobody repairs": (
        edit("generation_config.json", max_new_tokens=-1), "generation_config.json is invalid",
    ),
    "template that fails": (
        add("chat_template.jinja", content=b"{{ raise_exception('no') }}"),
        "the chat template fails",
    ),
}  # fmt: skip
SHOWN_BY_HEADERS = {"qwen3 with experts", "mixtral", "encoder", "GPTQ", "adapter without its model",
                    "a tensor is missing", "a shard is forgotten"}  # fmt: skip


@pytest.fixture
def directory(tmp_path: Path, model_directory: Path) -> Callable[[Change], Path]:
    """A copy of the plain model, changed."""

    def make(change: Change) -> Path:
        path = tmp_path / "model"
        shutil.copytree(model_directory, path)
        changed = change(path)
        return changed if isinstance(changed, Path) and changed.is_dir() else path

    return make


@pytest.fixture
def imported(
    directory: Callable[[Change], Path], new_house: Callable[[], Any]
) -> Callable[[Change], Artifact]:
    def do(change: Change) -> Artifact:
        house = new_house()
        source = BaseConfig(directory=directory(change), licence="MIT")
        look(source)
        import_base(source, house.run("trainer", "import-base"))
        base: Artifact = house.registry.get("test/base")
        return base

    return do


def stored(path: Path) -> dict[str, torch.Tensor]:
    with open_weights(path) as held:
        return {name: held.get(name) for name in held.names}


@pytest.mark.parametrize("name", ACCEPTED)
def test_whatever_is_imported_comes_through_every_later_step(
    name: str, imported: Callable[[Change], Artifact], tmp_path: Path
) -> None:
    base = imported(ACCEPTED[name])
    assert base.manifest.facts["import"]["proof"]["largest_difference"] < 1e-6
    saved = tmp_path / "checkpoint"
    checkpoint.save(load_model(base.path), base, saved, ALONE)
    assert stored(saved).keys() == stored(base.path).keys()
    assert check_mergeable(base.path, saved) == 2
    assert served_identity(base, Serving(max_model_len=64)).dtype in ("bfloat16", "float32")
    assert behaviour_differs(base, base) == []


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_later_step_cannot_use_is_refused_at_once(
    name: str, directory: Callable[[Change], Path], new_house: Callable[[], Any]
) -> None:
    change, reason = REFUSED[name]
    source = BaseConfig(directory=directory(change), licence="MIT")
    house = new_house()
    with pytest.raises(InputError, match=reason):
        import_base(source, house.run("trainer", "import-base"))
    assert house.registry.artifacts() == house.leftovers() == []
    if name in SHOWN_BY_HEADERS:
        with pytest.raises(InputError, match=reason):
            look(source)

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from bedside_core import memory
from bedside_core.cli import main
from bedside_core.config import validate
from bedside_core.errors import ArtifactError, ConfigError, InputError
from bedside_models.load import load_model
from bedside_trainer.config import BaseConfig
from bedside_trainer.importing import gguf_package, verb
from bedside_trainer.importing.verb import bootstrap, import_base


def edit_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def shard(path: Path, *, keep: bool) -> None:
    """Turn one weight file into an index and a shard, which is there or not."""
    weights = path / "model.safetensors"
    names = list(load_file(weights))
    weight_map = dict.fromkeys(names, "model-00001-of-00001.safetensors")
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    if keep:
        weights.rename(path / "model-00001-of-00001.safetensors")
    else:
        weights.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def index_outside(path: Path) -> None:
    (path / "model.safetensors").unlink()
    index = {"weight_map": {"a": "../elsewhere.safetensors"}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))


def link_outside(path: Path) -> None:
    outside = path.parent / "outside.safetensors"
    (path / "model.safetensors").rename(outside)
    (path / "model.safetensors").symlink_to(outside)


def quantise(path: Path) -> None:
    weights = path / "model.safetensors"
    integers = {
        name: torch.zeros(tensor.shape, dtype=torch.int8)
        for name, tensor in load_file(weights).items()
    }
    save_file(integers, weights)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda p: (p / "config.json").unlink(), "config.json is missing"),
    "no tokenizer": (lambda p: (p / "tokenizer.json").unlink(), "tokenizer.json is missing"),
    "no tokenizer config": (
        lambda p: (p / "tokenizer_config.json").unlink(),
        "tokenizer_config.json is missing",
    ),
    "pickle": (
        lambda p: (p / "model.safetensors").rename(p / "pytorch_model.bin"),
        "pytorch_model.bin is a pickle file",
    ),
    "no weights": (lambda p: (p / "model.safetensors").unlink(), "no safetensors weights"),
    "code": (lambda p: (p / "modeling.py").write_text(""), "modeling.py brings code of its own"),
    "remote code": (
        lambda p: edit_json(p / "config.json", auto_map={"AutoConfig": "x.Y"}),
        "config.json brings code of its own",
    ),
    "remote tokenizer": (
        lambda p: edit_json(p / "tokenizer_config.json", auto_map={"AutoTokenizer": "x.Y"}),
        "tokenizer_config.json brings code of its own",
    ),
    "torn weights": (lambda p: truncate(p / "model.safetensors"), "not a complete safetensors"),
    "torn config": (lambda p: truncate(p / "config.json"), "not readable JSON"),
    "config is a list": (lambda p: (p / "config.json").write_text("[]"), "must be a JSON object"),
    "missing shard": (lambda p: shard(p, keep=False), "which is missing"),
    "index leads outside": (index_outside, "not a safetensors file of this directory"),
    "index without map": (
        lambda p: (
            (p / "model.safetensors").unlink(),
            (p / "model.safetensors.index.json").write_text("{}"),
        ),
        "has no weight_map",
    ),
    "link leads outside": (link_outside, "is a link that leaves the directory"),
    "unknown architecture": (
        lambda p: edit_json(p / "config.json", model_type="nobody-knows"),
        "no causal language model for this config.json",
    ),
    "torn tokenizer": (lambda p: truncate(p / "tokenizer.json"), "the tokenizer cannot be read"),
    "no end of sequence": (
        lambda p: edit_json(p / "tokenizer_config.json", eos_token=None),
        "has no eos_token",
    ),
    "quantised": (quantise, "is stored as I8, and quantised weights cannot be trained"),
    "foreign tokenizer": (
        lambda p: edit_json(p / "config.json", vocab_size=200),
        "tokenizer and its weights do not belong together",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_unusable_directories_are_refused_and_leave_nothing(
    name: str, tmp_path: Path, model_directory: Path, new_house: Callable[[], Any]
) -> None:
    spoil, reason = BAD[name]
    directory = tmp_path / "model"
    shutil.copytree(model_directory, directory)
    spoil(directory)
    house = new_house()
    with pytest.raises(InputError) as caught:
        import_base(
            BaseConfig(directory=directory, licence="MIT"), house.run("trainer", "import-base")
        )
    assert reason in str(caught.value)
    assert house.registry.artifacts() == []
    assert house.leftovers() == []


def test_what_is_not_the_model_stays_and_the_rest_comes_along(
    tmp_path: Path, model_directory: Path, new_house: Callable[[], Any]
) -> None:
    source = tmp_path / "model"
    shutil.copytree(model_directory, source)
    (source / "README.md").write_text("not needed")
    (source / "training_args.bin").write_bytes(b"never read")
    (source / "LICENSE.txt").write_text("as it says")
    (source / "additional_chat_templates").mkdir()
    (source / "additional_chat_templates" / "tool_use.jinja").write_text("with tools")
    house = new_house()
    config = BaseConfig(directory=source, licence="CC-BY-4.0")
    import_base(config, house.run("trainer", "import-base"))
    base = house.registry.get("test/base")
    names = {entry.path for entry in base.manifest.files}
    assert names == {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json", "chat_template.jinja", "LICENSE.txt",
        "additional_chat_templates/tool_use.jinja",
    }  # fmt: skip
    for name in names - {"config.json", "model.safetensors"}:
        assert (base.path / name).read_bytes() == (source / name).read_bytes()
    stored, expected = (load_file(p / "model.safetensors") for p in (base.path, source))
    assert stored.keys() == expected.keys()
    assert all(torch.equal(stored[name], expected[name]) for name in expected)
    facts = base.manifest.facts
    assert facts["architecture"] == "LlamaForCausalLM"
    assert facts["dtype"] == "bfloat16"
    assert facts["num_parameters"] == load_model(source).num_parameters()
    assert facts["import"]["left_out"] == ["README.md", "training_args.bin"]
    assert facts["import"]["cast"] == "bfloat16, as it came"
    assert facts["import"]["proof"] == {"tensors": 20, "tokens": 16, "largest_difference": 0.0}
    assert [item.id for item in base.manifest.licences] == ["CC-BY-4.0"]


def test_what_can_end_a_document_is_said(
    tmp_path: Path,
    model_directory: Path,
    new_house: Callable[[], Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = tmp_path / "model"
    shutil.copytree(model_directory, source)
    edit_json(source / "generation_config.json", eos_token_id=[1, 0])
    house = new_house()
    import_base(BaseConfig(directory=source, licence="MIT"), house.run("trainer", "import-base"))
    assert house.registry.get("test/base").manifest.facts["separators"] == [
        {"token": "<eos>", "id": 1, "from": "the tokenizer's eos_token"},
        {"token": "<pad>", "id": 0, "from": "eos_token_id in generation_config.json"},
    ]
    assert (
        "a document can be ended with: <eos> (the tokenizer's eos_token), <pad> (eos_token_id"
        in (capsys.readouterr().out)
    )


def digits(path: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    weights = path / "model.safetensors"
    changed = {name: change(tensor) for name, tensor in load_file(weights).items()}
    save_file(changed, weights, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "dtype", "said"),
    [
        (lambda x: x.half(), "bfloat16", "to bfloat16, which holds every weight exactly"),
        (lambda x: (x.float() * 1.001).half(), "float32", "as bfloat16 would lose digits"),
        (lambda x: x.float() * 1.001, "float32", "as bfloat16 would lose digits"),
        (lambda x: x.float(), "bfloat16", "to bfloat16, which holds every weight exactly"),
    ],
)
def test_no_digit_is_lost(
    change: Callable[[torch.Tensor], torch.Tensor],
    dtype: str,
    said: str,
    tmp_path: Path,
    model_directory: Path,
    new_house: Callable[[], Any],
) -> None:
    source = tmp_path / "model"
    shutil.copytree(model_directory, source)
    digits(source, change)
    house = new_house()
    import_base(BaseConfig(directory=source, licence="MIT"), house.run("trainer", "import-base"))
    base = house.registry.get("test/base")
    assert base.manifest.facts["dtype"] == dtype
    assert said in base.manifest.facts["import"]["cast"]
    stored, expected = (load_file(p / "model.safetensors") for p in (base.path, source))
    assert all(torch.equal(stored[name].float(), expected[name].float()) for name in expected)


def test_a_second_import_reuses_the_first_until_a_file_changes(
    tmp_path: Path, model_directory: Path, new_house: Callable[[], Any]
) -> None:
    source = tmp_path / "model"
    shutil.copytree(model_directory, source)
    house = new_house()
    config, run = BaseConfig(directory=source, licence="MIT"), house.run("trainer", "import-base")
    import_base(config, run)
    import_base(config, run)
    assert len(house.registry.artifacts()) == 1
    edit_json(source / "generation_config.json", max_length=64)
    import_base(config, run)
    assert len(house.registry.artifacts()) == 2


def test_a_house_that_may_not_be_written_is_said(
    model_directory: Path, new_house: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comparing makes the base again, so a second import writes, too."""
    house = new_house()
    config = BaseConfig(directory=model_directory, licence="MIT")
    import_base(config, house.run("trainer", "import-base"))

    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EACCES, "no", "tmp")

    monkeypatch.setattr(verb, "new_directory", forbidden)
    with pytest.raises(ArtifactError, match="no right to write base"):
        import_base(config, house.run("trainer", "import-base"))


@pytest.mark.parametrize("what", ["generation defaults", "weights", "facts"])
def test_a_planted_base_of_the_same_recipe_is_not_reused(
    what: str, model_directory: Path, new_house: Callable[[], Any]
) -> None:
    """A recipe's hash is public: another step could leave a weak base for the next comparison."""
    house = new_house()
    config = BaseConfig(directory=model_directory, licence="MIT")
    run = house.run("trainer", "import-base")
    import_base(config, run)
    honest = house.registry.get("test/base")
    recipe = honest.manifest.recipe
    with run.write("base", recipe) as planted:
        shutil.copytree(honest.path, planted.path, dirs_exist_ok=True)
        (planted.path / "manifest.json").unlink()
        planted.facts.update(honest.manifest.facts)
        planted.licences = honest.manifest.licences
        if what == "weights":
            digits(planted.path, lambda tensor: tensor + 1)
        elif what == "facts":
            planted.facts["context_length"] = 1 << 20
        else:
            edit_json(planted.path / "generation_config.json", temperature=2.0)
    assert house.registry.find(recipe.sha256).digest == planted.result.digest
    import_base(config, run)
    base = house.registry.get("test/base")
    assert base.digest != planted.result.digest
    assert base.manifest.files == honest.manifest.files


def test_bootstrap_of_an_empty_house_imports_what_import_base_would(
    model_directory: Path, new_house: Callable[[], Any]
) -> None:
    house = new_house()
    config = BaseConfig(directory=model_directory, licence="MIT")
    bootstrap(config, house.run("trainer", "bootstrap"))
    base = house.registry.get("test/base")
    assert base.manifest.recipe.verb == "trainer import-base"
    import_base(config, house.run("trainer", "import-base"))
    assert [artifact.digest for artifact in house.registry.artifacts()] == [base.digest]


def test_bootstrap_serves_each_run_that_has_no_base_yet(model_directory: Path, house: Any) -> None:
    """A second run on the same base gets its slot, not another copy of the weights."""
    before = house.registry.artifacts()
    config = BaseConfig(directory=model_directory, licence="Apache-2.0")
    bootstrap(config, replace(house.run("trainer", "bootstrap"), name="other"))
    assert house.registry.slot("other", "base") == house.registry.slot("test", "base")
    assert len(house.registry.artifacts()) == len(before)


NOWHERE = BaseConfig(directory=Path("/no/such/model"), licence="MIT")


def test_bootstrap_leaves_a_base_alone_even_if_its_source_is_gone(
    house: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = house.registry.slot("test", "base")
    bootstrap(NOWHERE, house.run("trainer", "bootstrap"))
    assert capsys.readouterr().out == "run 'test' has its base model\n"
    assert house.registry.slot("test", "base") == before


def test_bootstrap_adds_nothing_beside_a_promoted_model(
    new_house: Callable[[], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    house = new_house()
    with house.registry.log.writing() as log:
        log.add("promote", {"model": "a" * 64, "evidence": "b" * 64, "by": "somebody"})
    bootstrap(NOWHERE, house.run("trainer", "bootstrap"))
    assert capsys.readouterr().out == "a model is promoted; no base model is needed to start\n"
    assert house.registry.artifacts() == []
    assert house.registry.slot("test", "base") is None


def test_bootstrap_on_the_command_line_says_what_is_wrong_with_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    config = tmp_path / "run.yaml"
    config.write_text("name: x\nbase: {directory: /no/such/model, licence: MIT}\n")
    assert main(["trainer", "bootstrap", "--config", str(config)]) == 3
    assert "/no/such/model: no such directory" in capsys.readouterr().err


def test_sharded_weights_are_imported(
    tmp_path: Path, model_directory: Path, new_house: Callable[[], Any]
) -> None:
    source = tmp_path / "model"
    shutil.copytree(model_directory, source)
    shard(source, keep=True)
    house = new_house()
    import_base(BaseConfig(directory=source, licence="MIT"), house.run("trainer", "import-base"))
    base = house.registry.get("test/base").path
    assert torch.equal(load_model(base).lm_head.weight, load_model(model_directory).lm_head.weight)


@pytest.mark.parametrize(
    "values",
    [
        {"licence": "MIT"},
        {"licence": "MIT", "directory": "x", "gguf_package": "y"},
        {"licence": "MIT", "gguf_package": "../y"},
        {"licence": "", "directory": "x"},
        {"directory": "x"},
    ],
)
def test_config_wants_exactly_one_source_and_a_licence(values: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="base"):
        validate(BaseConfig, values, "base")


@pytest.mark.parametrize(
    ("package", "reason"),
    [("no_such_package_here", "is not installed here"), ("json", "has 0 GGUF files")],
)
def test_packages_without_one_gguf_are_refused(package: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        gguf_package.find(package)


def test_the_command_line_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    config = tmp_path / "run.yaml"
    config.write_text("name: x\nbase: {directory: /no/such/model, licence: MIT}\n")
    assert main(["trainer", "import-base", "--config", str(config)]) == 3
    assert "/no/such/model: no such directory" in capsys.readouterr().err


def test_the_verbs_are_known_without_torch() -> None:
    code = (
        "import sys, bedside_trainer.cli; "
        "sys.exit(bool({'torch', 'transformers', 'pyarrow', 'matplotlib'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def write_gguf(path: Path, model_directory: Path) -> None:
    """The tiny model as llama.cpp's converter would write it (q and k rows interleaved)."""
    gguf = pytest.importorskip("gguf")
    model = AutoModelForCausalLM.from_pretrained(model_directory, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(model_directory)
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types([3, 3] + [1] * (len(vocabulary) - 2))
    writer.add_token_merges(["e r"])
    writer.add_eos_token_id(1)
    writer.add_bos_token_id(1)
    writer.add_pad_token_id(0)
    writer.add_chat_template(tokenizer.chat_template)
    names = {
        "model.embed_tokens": "token_embd", "model.norm": "output_norm",
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm", "model.layers": "blk",
    }  # fmt: skip
    for name, parameter in model.named_parameters():
        tensor = parameter.detach()
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        for part, count in heads.items():
            if part in name:
                halves = tensor.view(count, 2, tensor.shape[0] // count // 2, tensor.shape[1])
                tensor = halves.transpose(1, 2).reshape(tensor.shape)
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_package_becomes_safetensors_without_being_imported(
    tmp_path: Path,
    model_directory: Path,
    new_house: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = tmp_path / "site" / "tiny_gguf_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    write_gguf(package / "tiny.gguf", model_directory)
    monkeypatch.syspath_prepend(str(package.parent))
    house = new_house()
    config = BaseConfig(gguf_package="tiny_gguf_package", licence="MIT")
    import_base(config, house.run("trainer", "import-base"))

    base = house.registry.get("test/base")
    stored = load_file(base.path / "model.safetensors")
    expected = load_file(model_directory / "model.safetensors")
    assert stored.keys() == expected.keys()
    assert all(torch.equal(stored[name], expected[name]) for name in expected)
    assert base.manifest.facts["dtype"] == "bfloat16"
    ours = AutoTokenizer.from_pretrained(base.path)
    theirs = AutoTokenizer.from_pretrained(model_directory)
    assert ours.chat_template == theirs.chat_template
    assert (ours.eos_token_id, ours("5 µg")["input_ids"]) == (1, theirs("5 µg")["input_ids"])
    assert (base.path / "generation_config.json").is_file()
    assert (base.path / "chat_template.jinja").is_file()
    import_base(config, house.run("trainer", "import-base"))
    assert [artifact.digest for artifact in house.registry.artifacts()] == [base.digest]
    edit_json(base.path / "generation_config.json", temperature=2.0)
    with house.run("trainer", "import-base").write("base", base.manifest.recipe) as planted:
        shutil.copytree(base.path, planted.path, dirs_exist_ok=True)
        (planted.path / "manifest.json").unlink()
    import_base(config, house.run("trainer", "import-base"))
    assert house.registry.get("test/base").manifest.files == base.manifest.files


def test_a_torn_gguf_is_refused(
    tmp_path: Path, new_house: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "torn_gguf_package"
    package.mkdir(parents=True)
    (package / "torn.gguf").write_bytes(b"GGUF\x03\x00\x00\x00 and nothing else")
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(package.parent))
    house = new_house()
    config = BaseConfig(gguf_package="torn_gguf_package", licence="MIT")
    with pytest.raises(InputError, match=r"torn\.gguf: transformers cannot read this GGUF"):
        import_base(config, house.run("trainer", "import-base"))
    assert house.registry.artifacts() == house.leftovers() == []


def test_too_little_memory_is_said_before_anything_is_loaded(
    model_directory: Path, new_house: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    house = new_house()
    config = BaseConfig(directory=model_directory, licence="MIT")
    with pytest.raises(InputError, match="importing the base needs at least 0 MiB of memory"):
        import_base(config, house.run("trainer", "import-base"))
    assert house.registry.artifacts() == house.leftovers() == []

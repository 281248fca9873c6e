"""What makes a model's answers is one record; what the two sides could read differently is none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.artifacts import Artifact
from bedside_core.config import sha256_of
from bedside_core.errors import ConfigError, InputError
from bedside_core.kinds.milestones import folder_of
from bedside_core.kinds.model import TOKENIZER_FILES
from bedside_core.kinds.serving import (
    ENGINE_VERSION,
    ServedIdentity,
    Serving,
    behaviour_differs,
    differences,
    served_identity,
)

Put = Callable[..., Artifact]
Files = dict[str, bytes]


def tensors(*names: str, value: int = 0) -> bytes:
    """A safetensors file of float32 scalars."""
    places = {
        name: {"dtype": "F32", "shape": [], "data_offsets": [4 * i, 4 * i + 4]}
        for i, name in enumerate(names)
    }
    header = json.dumps(places).encode()
    return len(header).to_bytes(8, "little") + header + bytes([value] * 4 * len(names))


def index(**shards: str) -> bytes:
    return json.dumps({"weight_map": shards}).encode()


MODEL: Files = {
    "config.json": b'{"dtype": "bfloat16", "eos_token_id": 2}',
    "model.safetensors": tensors("a", "b"),
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b'{"chat_template": "{{ messages }}"}',
    "generation_config.json": b'{"temperature": 0.5, "transformers_version": "5"}',
    "heldout.json": b"{}",
}


def without(*names: str, **more: bytes) -> Files:
    return {name: content for name, content in MODEL.items() if name not in names} | more


def test_the_record_names_everything(put: Put) -> None:
    identity = served_identity(put(files=MODEL), Serving(max_model_len=512))
    hashes = {name: sha256(content).hexdigest() for name, content in MODEL.items()}
    assert identity == ServedIdentity(
        weights=sha256_of({"model.safetensors": hashes["model.safetensors"]}),
        files={
            name: hashes[name]
            for name in ("config.json", "tokenizer.json", "tokenizer_config.json",
                         "generation_config.json")
        },
        chat_template=sha256(b"{{ messages }}").hexdigest(),
        dtype="bfloat16",
        max_model_len=512,
        engine=f"vllm {ENGINE_VERSION}",
    )  # fmt: skip
    assert ServedIdentity.model_validate_json(identity.model_dump_json()) == identity
    assert differences(identity, identity) == []


def test_what_is_served_of_a_checkpoint_is_not_its_milestones(put: Put) -> None:
    folder = {f"{folder_of(720)}/{name}": content for name, content in MODEL.items()}
    assert served_identity(put(files=MODEL | folder), Serving()) == served_identity(
        put(files=MODEL), Serving()
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model.safetensors": tensors("a", "b", value=1)}, ["the weights: "]),
        ({"chat_template.jinja": b"{{ x }}"}, ["the chat template: ", "chat_template.jinja: "]),
        ({"tokenizer_config.json": b"{}"},
         ["the chat template: none, examined was ", "tokenizer_config.json: "]),
        ({"generation_config.json": b'{"temperature": 2}'}, ["generation_config.json: "]),
        ({"vocab.json": b"{}"}, ["vocab.json: "]),
        ({"config.json": b'{"dtype": "float32"}'},
         ["inference.engine.dtype: float32, examined was bfloat16", "config.json: "]),
    ],
)  # fmt: skip
def test_each_file_that_changes_an_answer_is_named(
    put: Put, change: Files, words: list[str]
) -> None:
    examined = served_identity(put(files=MODEL), Serving())
    found = differences(served_identity(put(files=MODEL | change), Serving()), examined)
    assert len(found) == len(words)
    assert all(line.startswith(begin) for line, begin in zip(found, words, strict=True))


def test_each_setting_and_the_engine_are_named_with_both_values(put: Put) -> None:
    model = put(files=MODEL)
    examined = served_identity(model, Serving())
    other = Serving(dtype="float32", max_model_len=1024)
    assert differences(served_identity(model, other, engine_version="0.33.1"), examined) == [
        "inference.engine.dtype: float32, examined was bfloat16",
        "inference.engine.max_model_len: 1024, examined was 4096",
        f"the engine: vllm 0.33.1, examined was vllm {ENGINE_VERSION}",
    ]


def test_a_build_of_the_engine_is_not_another_version(put: Put) -> None:
    model = put(files=MODEL)
    cuda = served_identity(model, Serving(), engine_version=f"{ENGINE_VERSION}+cu130")
    assert cuda == served_identity(model, Serving())


@given(a=st.sampled_from(sorted(MODEL)), b=st.binary(max_size=8))
def test_any_byte_of_any_file_counts(a: str, b: bytes) -> None:
    one = {name: sha256(content).hexdigest() for name, content in MODEL.items()}
    other = one | {a: sha256(b).hexdigest()}
    identity = ServedIdentity(
        weights="w", files=one, chat_template=None, dtype="float32", max_model_len=16, engine="e"
    )
    changed = identity.model_copy(update={"files": other})
    assert bool(differences(identity, changed)) == (one != other)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        # transformers takes the first, vLLM all: examined a, served b.
        (MODEL | {"z.safetensors": tensors("a")}, "its weight files are not model.safetensors al"),
        # transformers takes model.safetensors, vLLM what the index names.
        (MODEL | {"x.safetensors": tensors("a", "b"),
                  "model.safetensors.index.json": index(a="x.safetensors", b="x.safetensors")},
         "its weight files are not"),
        (MODEL | {"model.safetensors.index.json": index(a="model.safetensors")},
         "its weight files are not"),
        (without("model.safetensors"), "its weight files are not"),
        # vLLM takes the mistral tokenizer where such weights lie.
        (MODEL | {"consolidated.safetensors": tensors("a")}, "its weight files are not"),
        (MODEL | {"tekken.json": b"{}"}, "tekken.json is no file of a model's"),
        (MODEL | {"params.json": b"{}"}, "params.json is no file of a model's"),
        (MODEL | {"hf_quant_config.json": b"{}"}, "hf_quant_config.json is no file of a model's"),
        (MODEL | {"modeling.py": b""}, "modeling.py is no file of a model's"),
        (MODEL | {"additional_chat_templates/a.py": b""}, "additional_chat_templates/a.py"),
        (MODEL | {"config.json": b"[]"}, "config.json is not a JSON object"),
        (MODEL | {"config.json": b'{"quantization_config": {"quant_method": "awq"}}'},
         "config.json names a quantisation"),
        (MODEL | {"config.json": b'{"text_config": {"compression_config": {}}}'},
         "config.json names a quantisation"),
        (MODEL | {"config.json": b'{"dtype": "float8_e4m3fn"}'}, "names no type of numbers that"),
        (MODEL | {"config.json": b"{}"}, "names no type of numbers that is served"),
    ],
)  # fmt: skip
def test_what_need_not_be_read_alike_is_refused(put: Put, files: Files, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        served_identity(put(files=files), Serving())


def test_a_tensor_in_two_shards_is_refused(put: Put) -> None:
    """An index names one of them; vLLM takes whichever file it reads last."""
    shards = {"x.safetensors": tensors("a"), "y.safetensors": tensors("b")}
    named = {"model.safetensors.index.json": index(a="x.safetensors", b="y.safetensors")}
    whole = without("model.safetensors") | shards | named
    served_identity(put(files=whole), Serving())
    twice = whole | {"y.safetensors": tensors("a", "b")}
    with pytest.raises(InputError, match="tensor a is in another file, too"):
        served_identity(put(files=twice), Serving())


def test_a_longer_window_than_the_models_is_refused(put: Put) -> None:
    model = put(files=MODEL, facts={"context_length": 512})
    assert served_identity(model, Serving(max_model_len=512)).max_model_len == 512
    with pytest.raises(InputError, match="max_model_len 513 is longer than the 512 tokens"):
        served_identity(model, Serving(max_model_len=513))


@pytest.mark.parametrize(
    ("config", "facts", "dtype"),
    [
        (b'{"torch_dtype": "float16"}', {}, "float16"),
        (b'{"text_config": {"dtype": "bfloat16"}}', {}, "bfloat16"),
        (b"{}", {"dtype": "float32"}, "float32"),
    ],
)
def test_auto_is_resolved(put: Put, config: bytes, facts: dict[str, Any], dtype: str) -> None:
    model = put(files=MODEL | {"config.json": config}, facts=facts)
    assert served_identity(model, Serving()).dtype == dtype
    assert served_identity(model, Serving(dtype="float32")).dtype == "float32"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"model.safetensors": tensors("a", "b", value=1)}, []),
        ({"config.json": b'{"dtype": "float32"}'}, []),
        ({"chat_template.jinja": b"All is well."}, ["chat template", "chat_template.jinja"]),
        ({"tokenizer_config.json": b"{}"}, ["chat template", "tokenizer_config.json"]),
        ({"tokenizer.json": b'{"a": 1}'}, ["tokenizer.json"]),
        ({"generation_config.json": b'{"temperature": 2.0}'}, ["generation_config.json"]),
        ({"generation_config.json": b'{"temperature": 0.5, "eos_token_id": [5, 6]}'},
         ["generation_config.json"]),
        ({"generation_config.json": b'{"temperature": 0.5}'}, []),
    ],
)  # fmt: skip
def test_what_lets_a_model_answer_otherwise_than_its_base(
    put: Put, change: Files, found: list[str]
) -> None:
    assert behaviour_differs(put(files=MODEL | change), put(files=MODEL)) == found


def test_generation_defaults_may_stand_in_the_config(put: Put) -> None:
    """A checkpoint is saved with a file for them, whether or not its base has one."""
    base = put(files=without("generation_config.json"))
    saved = {"generation_config.json": b'{"eos_token_id": 2, "_from_model_config": true}'}
    assert behaviour_differs(put(files=MODEL | saved), base) == []
    other = {"config.json": b'{"dtype": "bfloat16", "eos_token_id": 3}'}
    changed = without("generation_config.json") | other
    assert behaviour_differs(put(files=changed), base) == ["generation_config.json"]


@pytest.mark.parametrize(
    ("document", "serving"),
    [
        ({}, Serving()),
        ({"inference": None}, Serving()),
        ({"inference": {"model_name": "x"}}, Serving()),
        ({"inference": {"engine": None}}, Serving()),
        ({"inference": {"engine": {"kv_cache_gib": 1, "dtype": "float32"}}},
         Serving(dtype="float32")),
    ],
)  # fmt: skip
def test_the_settings_have_one_source(document: dict[str, Any], serving: Serving) -> None:
    assert Serving.of(document) == serving


@pytest.mark.parametrize("inference", [3, {"engine": 3}, {"engine": {"dtype": "int4"}}])
def test_a_wrong_setting_is_named(inference: object) -> None:
    with pytest.raises(ConfigError, match=r"inference\.engine"):
        Serving.of({"inference": inference})


def test_the_engine_is_the_one_that_this_release_ships(root: Path) -> None:
    images = ["compose.gpu.yaml", "docker/engine-cuda.Dockerfile", "docker/README.md"]
    for name in images:
        found = re.findall(r"vllm/vllm-openai:v([\w.]+)", (root / name).read_text())
        assert set(found) == {ENGINE_VERSION}, name
    for name in ("pyproject.toml", "engine.lock"):
        text = (root / "services/inference" / name).read_text()
        assert re.findall(r"^.*\bvllm-cpu==([\w.]+)", text, re.M) == [ENGINE_VERSION], name


def test_every_file_of_a_tokenizer_counts(put: Put) -> None:
    plain = put(files=MODEL)
    for name in TOKENIZER_FILES:
        changed = put(files=MODEL | {name: b'{"min_p": 0.1}'})
        assert name in behaviour_differs(changed, plain), name

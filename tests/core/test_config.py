"""Run configs: what is read, what is refused, and with which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bedside_core.config import (
    Config,
    canonical_json,
    load_document,
    load_file,
    load_section,
    sha256_of,
    validate,
)
from bedside_core.errors import ConfigError


class Inner(Config):
    depth: int = 1


class Outer(Config):
    rate: float = 0.5
    inner: Inner = Inner()
    layers: tuple[Inner, ...] = ()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text("name: demo\ntrainer:\n  rate: 0.25\n")
    return path


def test_section_with_override(file: Path) -> None:
    document = load_document(file, ["trainer.inner.depth=7", "trainer.rate=1e-3"])
    config = load_section(Outer, document, "trainer")
    assert config.inner.depth == 7
    assert config.rate == 0.001  # YAML reads 1e-3 as a word; pydantic makes it a number


def test_missing_and_empty_sections_are_the_defaults(file: Path) -> None:
    file.write_text("name: demo\ntrainer:\n")
    assert load_section(Outer, load_document(file), "trainer") == Outer()
    assert load_section(Outer, load_document(file), "merger") == Outer()


def test_override_into_an_empty_section(file: Path) -> None:
    file.write_text("name: demo\ntrainer:\n")
    document = load_document(file, ["trainer.rate=2"])
    assert load_section(Outer, document, "trainer").rate == 2


@pytest.mark.parametrize("value", ["[]", "0", "false", "''"])
def test_section_that_is_no_mapping_is_not_taken_for_empty(file: Path, value: str) -> None:
    file.write_text(f"name: demo\ntrainer: {value}\n")
    with pytest.raises(ConfigError, match="trainer: "):
        load_section(Outer, load_document(file), "trainer")


@pytest.mark.parametrize(
    ("value", "dotted"),
    [
        ({"speed": 1}, "trainer.speed: unknown name - known are: "),
        (
            {"inner": {"deep": 1}},
            "trainer.inner.deep: unknown name - did you mean depth? known are: depth",
        ),
        ({"layers": [{}, {"depth": "x"}]}, "trainer.layers.1.depth: must be a whole number"),
        ({"rate": None}, "trainer.rate: must be a number"),
        ({3: 4}, "trainer.3: must have a name that is text"),
    ],
)
def test_dotted_path_and_reason(value: dict[Any, Any], dotted: str) -> None:
    with pytest.raises(ConfigError) as error:
        validate(Outer, value, "trainer")
    assert dotted in str(error.value)
    assert error.value.exit_code == 2


def test_every_problem_is_told_and_no_value_quoted() -> None:
    with pytest.raises(ConfigError) as error:
        validate(Outer, {"rate": "CANARY", "inner": {"depth": "CANARY"}}, "trainer")
    assert len(str(error.value).splitlines()) == 2
    assert "CANARY" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: [", "line 1: not valid YAML"),
        (b"name: demo\n\ttrainer: 1\n", "line 2: not valid YAML"),
        (b"name: a\x00b\n", "not valid YAML"),
        (b"name: demo\ntrainer: {when: 2026-13-45}\n", "not valid YAML"),
        (b"name: !!python/object:os.system x\n", "not valid YAML"),
        (b"name: &a [*a, {*a : 1}]\n", "not valid YAML"),
        (b"[" * 1500, "not valid YAML"),
        (b"name: \xff\xfe\n", "cannot be read (UnicodeDecodeError)"),
        (b"- a\n- b\n", "must be a mapping of sections"),
        (b"", "must be a mapping of sections"),
        (b"name: demo\n1: x\nfoo: y\n", "unknown section 1"),
        (b"name: demo\ntrainier: {}\n", "unknown section 'trainier'"),
        (b"trainer: {}\n", "name: must be a word"),
        (b"name: ../../etc\n", "name: must be a word"),
        (b"name: " + b"a" * 61, "name: must be a word of at most 60"),
        (b"name: 5\n", "name: must be a word"),
    ],
)
def test_bad_files(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        load_document(file)
    assert message in str(error.value)
    assert str(file) in str(error.value)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_document(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_document(tmp_path)


@pytest.mark.parametrize(
    "override",
    ["trainer", "=1", ".a=1", "trainer..rate=1", "trainer.=1", "name.first=x", "trainer.rate.x=1",
     "trainer.rate=[", "trainer.rate=2026-99-99", "trainer.rate=\x00"],
)  # fmt: skip
def test_bad_overrides(file: Path, override: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        load_document(file, [override])


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    path = tmp_path / "list.yaml"
    path.write_text("name: demo\ncorpus:\n  sources: [{path: a}, null, {path: b}]\n  ids: [1]\n")
    return path


def test_override_of_a_list_element(listing: Path) -> None:
    overrides = ["corpus.sources.0.path=x", "corpus.sources.1.path=y", "corpus.ids.0=7"]
    corpus = load_document(listing, overrides)["corpus"]
    assert corpus == {"sources": [{"path": "x"}, {"path": "y"}, {"path": "b"}], "ids": [7]}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("corpus.sources.3.path=x", "'3' is no entry of this list, which has 3, counted from 0"),
        ("corpus.ids.1=x", "'1' is no entry of this list, which has 1"),
        ("corpus.ids.-1=x", "'-1' is no entry of this list"),
        ("corpus.sources.path=x", "'path' is no entry of this list"),
        ("corpus.ids.0.path=x", "'0' is a single value and has nothing below it"),
    ],
)
def test_override_beyond_a_list(listing: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_document(listing, [override])


def test_override_of_an_unknown_section(file: Path) -> None:
    with pytest.raises(ConfigError, match="unknown section 'training'"):
        load_document(file, ["training.rate=1"])


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars, lambda s: st.lists(s, max_size=3) | st.dictionaries(st.text(), s, max_size=3),
    max_leaves=8,
)  # fmt: skip
keys = st.text("abcdefgh_0123", min_size=1, max_size=6)


@given(st.lists(keys, min_size=1, max_size=4), values)
def test_any_yaml_value_arrives(tmp_path_factory: Any, path: list[str], value: object) -> None:
    file = tmp_path_factory.getbasetemp() / "arrives.yaml"
    file.write_text("name: demo\n")
    text = yaml.safe_dump(value)  # ASCII with escapes: PyYAML's own raw U+0085 does not come back
    node: Any = load_document(file, [f"{'.'.join(['trainer', *path])}={text}"])["trainer"]
    for key in path:
        node = node[key]
    assert node == value


@settings(deadline=None)
@given(st.text())
@example("trainer.a=1:30:99")
@example("trainer.a=<<")
@example("trainer.a=!!binary x")
@example("trainer.a=" + "{" * 1000)
def test_any_override_is_read_or_refused(tmp_path_factory: Any, override: str) -> None:
    file = tmp_path_factory.getbasetemp() / "refused.yaml"
    file.write_text("name: demo\n")
    try:
        document = load_document(file, [override])
    except ConfigError:
        return
    assert isinstance(document["name"], str)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory: Any, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "bytes.yaml"
    file.write_bytes(content)
    try:
        document = load_document(file)
    except ConfigError:
        return
    assert isinstance(document["name"], str)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("aäµ≥\n\""),
    lambda s: st.lists(s, max_size=4) | st.dictionaries(st.text("abcä"), s, max_size=5),
    max_leaves=20,
)  # fmt: skip


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: reordered(v) for k, v in reversed(value.items())}
    return [reordered(v) for v in value] if isinstance(value, list) else value


@given(json_values)
def test_canonical_json_does_not_know_order(value: Any) -> None:
    assert canonical_json(value) == canonical_json(reordered(value))
    assert sha256_of(value) == sha256_of(reordered(value))
    assert json.loads(canonical_json(value)) == value


@given(json_values, json_values)
def test_different_values_differ(a: Any, b: Any) -> None:
    if json.dumps(a, sort_keys=True) != json.dumps(b, sort_keys=True):
        assert sha256_of(a) != sha256_of(b)


def test_whole_file_as_one_object(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("rate: 2\n")
    assert load_file(Outer, file).rate == 2
    file.write_text("rates: 2\n")
    with pytest.raises(
        ConfigError, match=r"policy\.yaml\.rates: unknown name - did you mean rate\?"
    ):
        load_file(Outer, file)


def test_config_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Outer().rate = 2

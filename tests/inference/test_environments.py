"""The engine's environment has no gateway packages, the gateway's no vLLM; neither needs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ENGINE_SIDE = ("cli", "engine.launch", "engine.fit", "engine.vllm_server", "engine.door",
               "engine.out_of_memory", "served",
               "secret", "children", "selftest", "health")  # fmt: skip
GATEWAY_SIDE = (
    "cli",
    "gateway.server",
    "run",
    "chat",
    "keys",
    "aliases",
    "operators",
    "audit.manage",
)
GATEWAY_PACKAGES = ("fastapi", "starlette", "uvicorn", "aiohttp", "prometheus_client", "openai",
                    "sqlalchemy", "alembic", "psycopg", "jwt")  # fmt: skip
ENGINE_PACKAGES = ("vllm", "torch", "transformers")


def imports_without(missing: tuple[str, ...], modules: tuple[str, ...]) -> None:
    program = f"import sys\nfor name in {missing}: sys.modules[name] = None\n"
    program += "".join(f"import bedside_inference.{module}\n" for module in modules)
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_engine_side_needs_no_gateway_package() -> None:
    imports_without(GATEWAY_PACKAGES, ENGINE_SIDE)


def test_the_gateway_side_needs_no_engine_package() -> None:
    imports_without(ENGINE_PACKAGES, GATEWAY_SIDE)


def test_the_engine_verb_goes_to_the_environment_that_has_vllm(tmp_path: Path) -> None:
    program = tmp_path / "envs" / "engine" / "bin" / "bedside"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "engine: $*"\n')
    program.chmod(0o755)
    config = tmp_path / "run.yaml"
    config.write_text("name: test\n")
    words = ["inference", "--config", str(config), "engine"]
    done = subprocess.run(
        [sys.executable, "-m", "bedside_core.cli", *words],
        env=os.environ | {"BEDSIDE_ENVS": str(tmp_path / "envs"), "BEDSIDE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"engine: {' '.join(words)}\n"

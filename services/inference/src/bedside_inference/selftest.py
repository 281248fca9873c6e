"""`bedside inference selftest engine | gateway | client`: prove what serving promises.

engine    within its container: confinement, and that what vLLM serves is what was verified
gateway   within its container: rights, the way to the listener outside, and the API with a key of
          its own, which it revokes
client    from anywhere: the API at BEDSIDE_URL, with the key in BEDSIDE_API_KEY_FILE if named
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from bedside_core.confinement import LISTENER, Check, connect, listener, no_proxy, report, rights
from bedside_core.confinement import ways_out as confinement
from bedside_core.errors import ArtifactError, ConfigError
from bedside_core.run import Run
from bedside_inference.config import InferenceConfig, base_url, socket_path
from bedside_inference.keys import KeyStore
from bedside_inference.probe import ask
from bedside_inference.served import HEADER, ServedModel

URL = "BEDSIDE_URL"
KEY_FILE = "BEDSIDE_API_KEY_FILE"
CHAT = "/v1/chat/completions"
CLOSED = ("/docs", "/openapi.json", "/tokenize", "/invocations", "/v1/load_lora_adapter", "/pause")
"""What vLLM or FastAPI would offer, and no gateway should."""

ANSWER_SECONDS = 120


def selftest(config: InferenceConfig, run: Run, what: str) -> None:
    """Check one place and print the report.

    Raises:
        ConfigError: `what` is none of the three.
        PolicyError: a check failed.
    """
    match what:
        case "engine":
            checks = engine(config, run)
        case "gateway":
            checks = gateway(config, run)
        case "client":
            checks = client(config)
        case _:
            raise ConfigError(f"self-test of what? {what!r} is not engine, gateway or client")
    report(what, checks)


def engine(config: InferenceConfig, run: Run) -> Iterator[Check]:
    """The engine, from within its container."""
    yield from confinement()
    yield from rights()
    where = config.engine.url or socket_path(config, run.registry.home)
    with ask(where, "/health") as answer:
        served = ServedModel.model_validate_json(answer.headers.get(HEADER, ""))
    yield _weights(run, served)
    if config.engine.url:
        body = json.dumps({"model": config.model_name, "messages": []}).encode()
        with ask(where, CHAT, body=body) as answer:
            yield Check("401 without the engine's token", answer.status == 401, str(answer.status))


def gateway(config: InferenceConfig, run: Run) -> Iterator[Check]:
    """The gateway, from within its container; it is the one that may be reached from outside."""
    yield no_proxy()
    yield from rights()
    if LISTENER in os.environ:
        how = connect(listener())
        yield Check("the listener outside is there", how is None, how or "connected")
    keys = KeyStore(run.registry.home)
    key_id, key = keys.create()
    try:
        yield from api(base_url(config.gateway), config.model_name, key)
    finally:
        keys.revoke(key_id)


def client(config: InferenceConfig) -> Iterator[Check]:
    """The API from outside both containers.

    Raises:
        ConfigError: no address is set, or the key file cannot be read.
    """
    url = os.environ.get(URL)
    if not url:
        raise ConfigError(f"{URL} is not set - name the gateway, for example http://gateway:8080")
    path = os.environ.get(KEY_FILE)
    try:
        key = Path(path).read_text(encoding="ascii").strip() if path else None
    except (OSError, ValueError):
        raise ConfigError(f"{KEY_FILE}: {path} is not readable") from None
    yield from api(url, config.model_name, key)


def api(url: str, model: str, key: str | None) -> Iterator[Check]:
    """What a client sees; without a key only what needs none."""
    with ask(url, "/readyz", timeout=10) as answer:
        said = answer.read(1000).decode(errors="replace")
        yield Check("ready", answer.status == 200, said)
    body = json.dumps({"model": model, "messages": []}).encode()
    for name, headers in (
        ("401 without a key", {}),
        ("401 with a wrong key", {"Authorization": "Bearer bsk-wrong"}),
    ):
        with ask(url, CHAT, body=body, headers=headers) as answer:
            yield Check(name, answer.status == 401, str(answer.status))
    statuses = {}
    for path in CLOSED:
        with ask(url, path) as answer:
            statuses[path] = answer.status
    unwanted = [path for path, status in statuses.items() if status != 404]
    yield Check("404 where nothing is offered", not unwanted, ", ".join(unwanted) or "all closed")
    if key is not None:
        yield from _with_key(url, model, {"Authorization": f"Bearer {key}"})


def _with_key(url: str, model: str, headers: dict[str, str]) -> Iterator[Check]:
    with ask(url, "/v1/models", headers=headers) as answer:
        names = [m["id"] for m in json.loads(answer.read())["data"]] if answer.status == 200 else []
        yield Check("the model is listed", names == [model], f"{answer.status}, {names}")
    body = json.dumps(
        {
            "model": model,
            "messages": [{"role": "user", "content": "Hello"}],
            "max_tokens": 8,
            "stream": True,
        }
    ).encode()
    with ask(url, CHAT, body=body, headers=headers, timeout=ANSWER_SECONDS) as answer:
        verdict = answer.headers.get("X-Bedside-Verdict", "none")
        yield Check("answers name their verdict", verdict in ("PROMOTE", "UNPROVEN"), verdict)
        events = [line for line in answer.read().splitlines() if line.startswith(b"data: ")]
        whole = len(events) > 2 and events[-1] == b"data: [DONE]"
        yield Check("streaming works", whole, f"{answer.status}, {len(events)} events")


def _weights(run: Run, served: ServedModel) -> Check:
    """That the directory vLLM was started on has the digest it reports, with every hash right."""
    name = "served weights equal the manifest"
    model = run.registry.get(served.model)
    try:
        model.verify()
    except ArtifactError as error:
        return Check(name, False, str(error))
    loaded = [path for path in _model_arguments() if path == str(model.path)]
    return Check(name, bool(loaded), f"{served.model[:12]}, {served.verdict}")


def _model_arguments() -> Iterator[str]:
    """The `--model` of every process of this container."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended
        if "--model" in words[:-1]:
            yield words[words.index("--model") + 1]

"""`bedside inference selftest engine | gateway | client`: prove what serving promises.

engine    within its container: confinement, and that what vLLM serves is what was verified
gateway   within its container: rights, the way to the listener outside, and the API with a key of
          its own, which it revokes
client    from anywhere: the API at BEDSIDE_URL, with the key in BEDSIDE_API_KEY_FILE if named
"""

from __future__ import annotations

import errno
import http.client
import json
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError

from bedside_core.confinement import (
    LISTENER,
    Check,
    connect,
    listener,
    no_proxy,
    refuse_elsewhere,
    report,
    rights,
)
from bedside_core.confinement import ways_out as confinement
from bedside_core.errors import ArtifactError, ConfigError
from bedside_core.run import Run
from bedside_inference.config import InferenceConfig
from bedside_inference.paths import base_url, socket_path
from bedside_inference.probe import ask
from bedside_inference.served import HEADER, ServedModel

URL = "BEDSIDE_URL"
KEY_FILE = "BEDSIDE_API_KEY_FILE"
CHAT = "/v1/chat/completions"
CLOSED = ("/docs", "/openapi.json", "/tokenize", "/invocations", "/v1/load_lora_adapter", "/pause")
"""What vLLM or FastAPI would offer, and no gateway should."""

ANSWER_SECONDS = 120
PATIENCE_SECONDS = 30
"""How long a client's test waits for a first answer."""
SEEN_SECONDS = 1.0
"""After which a running gateway knows of a new key; it looks several times a second."""


def selftest(config: InferenceConfig, run: Run, what: str) -> None:
    """Check one place and print the report.

    Raises:
        ConfigError: `what` is none of the three, or not where it could be tested.
        PolicyError: a check failed.
    """
    if what in ("engine", "gateway"):
        refuse_elsewhere()
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
    yield from _reachable(_serving(config, run))


def _serving(config: InferenceConfig, run: Run) -> Iterator[Check]:
    where = config.engine.url or socket_path(config, run.registry.home)
    with ask(where, "/health") as answer:
        yield Check("healthy", answer.status == 200, str(answer.status))
        named = answer.headers.get(HEADER, "")
    yield _weights(run, named)
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
    # The engine's environment has none of the packages of keys and audit.
    from bedside_inference.audit.journal import audited
    from bedside_inference.keys import temporary
    from bedside_inference.state.records import Scope
    from bedside_inference.state.store import Store

    home = run.registry.home
    audit = audited(config.audit, home)
    with (
        closing(Store.open(config.state, home)) as store,
        temporary(store, Scope(department="selftest", purpose="SYSDEV"), audit=audit) as key,
    ):
        time.sleep(SEEN_SECONDS)
        yield from _reachable(api(base_url(config.gateway), config.model_name, key.secret))


def client(config: InferenceConfig) -> Iterator[Check]:
    """The API from outside both containers.

    Raises:
        ConfigError: no usable address is set, or the key file holds no key.
    """
    url, key = _address(), _given_key()
    _wait_for(url)
    yield from _reachable(api(url, config.model_name, key))


def _wait_for(url: str) -> None:
    """Give a gateway that just starts, or a network that just learns of this pod, some time.

    Whoever does not answer then fails the first check.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            with ask(url, "/livez", timeout=10):
                return
        except (OSError, http.client.HTTPException):
            time.sleep(1)


def _address() -> str:
    url = os.environ.get(URL, "")
    try:
        parts = urlsplit(url)
        whole = parts.scheme == "http" and parts.hostname and parts.path in ("", "/")
        usable = whole and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        problem = "is not http://HOST:PORT" if url else "is not set"
        raise ConfigError(f"{URL} {problem} - name the gateway, for example http://gateway:8080")
    return url


def _given_key() -> str | None:
    path = os.environ.get(KEY_FILE)
    if not path:
        return None
    try:
        (key,) = Path(path).read_text(encoding="ascii").split()
    except (OSError, ValueError):
        raise ConfigError(f"{KEY_FILE}: {path} is not a readable file with one key") from None
    return key


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
        try:
            names = [m["id"] for m in json.loads(answer.read())["data"]]
        except (ValueError, KeyError, TypeError):
            names = []  # an error, or no gateway's answer
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


def _reachable(checks: Iterator[Check]) -> Iterator[Check]:
    """The checks, ended by one that fails where there is no connection or it breaks."""
    try:
        yield from checks
    except (OSError, http.client.HTTPException) as error:
        # Not the error's own words: they may quote what was answered.
        number = getattr(error, "errno", None)
        yield Check("reachable", False, errno.errorcode.get(number or 0, type(error).__name__))


def _weights(run: Run, named: str) -> Check:
    """That the directory vLLM was started on has the digest it reports, with every hash right.

    Args:
        run: whose registry holds the model.
        named: what the engine says that it serves.
    """
    name = "served weights equal the manifest"
    try:
        served = ServedModel.model_validate_json(named)
        model = run.registry.get(served.model)
        model.verify()
    except ValidationError:
        return Check(name, False, "the engine names no model")
    except ArtifactError as error:
        return Check(name, False, str(error))
    if str(model.path) not in _model_arguments():
        return Check(name, False, f"no process here was started on {model.path}")
    return Check(name, True, f"{served.model[:12]}, {served.verdict}")


def _model_arguments() -> Iterator[str]:
    """The `--model` of every process of this container."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended
        if "--model" in words[:-1]:
            yield words[words.index("--model") + 1]

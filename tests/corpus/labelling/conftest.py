"""A server on loopback that labels by a rule, and a verb that asks it."""

from __future__ import annotations

import json
import math
import socketserver
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedside_core.artifacts import Artifact
from bedside_core.cli import main
from bedside_core.endpoint import client
from bedside_core.registry.registry import Registry

DIGEST = "ab" * 32
MEDICAL = [
    "Der Patient {n} erhält Ramipril {n} mg bei arterieller Hypertonie und klagt über Husten.",
    "Die Koloskopie von Fall {n} zeigt eine Kolitis; Therapie mit Budesonid {n} mg am Tag.",
    "Nach der Appendektomie am Tag {n} war der Verlauf ohne Fieber, die Wunde heilte primär.",
]
OTHER = [
    "Den Teig {n} Minuten ruhen lassen und danach bei mittlerer Hitze goldbraun backen lassen.",
    "Der Verein gewann Spiel {n} der Saison mit drei Toren Vorsprung vor vollen Rängen.",
    "Die Bahnlinie {n} wird im Herbst erneuert, Reisende fahren solange mit Bussen weiter.",
]


def text(n: int) -> str:
    """Document number n; each has words of its own, so that no two are near copies."""
    kind = (MEDICAL if is_medical(n) else OTHER)[n % 3].format(n=n)
    own = " ".join(f"wort{n}x{i}" for i in range(12))
    return f"{kind} {own}"


def is_medical(n: int) -> bool:
    return n % 4 == 0


def completion(yes: float, token: str | None = None) -> dict[str, Any]:
    """A completion of one token, as vLLM gives it: spellings share the probability."""
    top = {"yes": 0.6 * yes, "Yes": 0.3 * yes, "no": 0.9 * (1 - yes), " I": 0.1}
    tops = [{"token": t, "logprob": math.log(p) if p else -9999.0} for t, p in top.items()]
    said = token or ("yes" if yes >= 0.5 else "no")
    first = next((one for one in tops if one["token"] == said), {"token": said, "logprob": -1.0})
    content = [{**first, "top_logprobs": tops}]
    message = {"role": "assistant", "content": said}
    choice = {"index": 0, "message": message, "finish_reason": "length"}
    return {"choices": [{**choice, "logprobs": {"content": content}}]}


def by_rule(body: dict[str, Any]) -> dict[str, Any]:
    """Medical words mean yes; every document has a probability of its own."""
    content = body["messages"][0]["content"]
    about = content.rpartition("Content:")[2]
    medical = any(word in about for word in ("Ramipril", "Koloskopie", "Appendektomie"))
    shade = sum(about.encode()) % 97 / 1000
    return completion(0.85 + shade if medical else 0.05 + shade)


class Labeller(ThreadingHTTPServer):
    """Answers by `rule`, and remembers what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        self.digest: str | None = DIGEST
        self.rule: Callable[[dict[str, Any]], Any] = by_rule
        """From a body to a completion, to the status of a refusal, or to None: it hangs up."""
        self.bodies: list[dict[str, Any]] = []
        self.over = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    def server_bind(self) -> None:  # the standard library's looks up a host's name
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are part of the tests."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Labeller

    def do_GET(self) -> None:
        self._send(404, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        found = self.server.rule(body)
        if found is None:
            self.close_connection = True
            return
        try:
            self._send(found, {}) if isinstance(found, int) else self._send(200, found)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _send(self, status: int, value: dict[str, Any]) -> None:
        content = json.dumps(value).encode()
        self.send_response_only(status)
        if self.server.digest:
            self.send_header("X-Bedside-Model", self.server.digest)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Tests read what the verb says."""


@pytest.fixture
def labeller(monkeypatch: pytest.MonkeyPatch) -> Iterator[Labeller]:
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.delenv("BEDSIDE_API_KEY", raising=False)
    server = Labeller()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def crawl(tmp_path: Path) -> dict[str, Any]:
    """A source of 48 documents in three files, a quarter of them medical, some twice."""
    folder = tmp_path / "crawl"
    folder.mkdir()
    for part in range(3):
        rows = [{"id": f"urn:{n}", "text": text(n)} for n in range(48) if n % 3 == part]
        rows += [{"id": f"urn:copy-{n}", "text": text(n)} for n in range(0, 48, 9)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{part}.jsonl").write_text(lines + "{broken\n")
    return {"name": "crawl", "path": str(folder), "format": "jsonl", "licence": "ODC-By-1.0",
            "personal_data": "none"}  # fmt: skip


Annotate = Callable[..., int]


@pytest.fixture
def annotate(tmp_path: Path, registry: Registry, crawl: dict[str, Any]) -> Annotate:
    """Run the verb over the crawl; `corpus` changes the section, the rest `corpus.annotate`."""

    def run(corpus: dict[str, Any] | None = None, **settings: object) -> int:
        section = {"language": "de", "language_threshold": None, "sources": [crawl]}
        section |= {"annotate": settings} | (corpus or {})
        config = tmp_path / "run.yaml"
        config.write_text(yaml.safe_dump({"name": "test", "corpus": section}))
        return main(["corpus", "annotate", "--config", str(config)])

    return run


@pytest.fixture
def labels(registry: Registry) -> Callable[[], Artifact]:
    """The labelled set that the run has."""
    return lambda: registry.get("test/labels")

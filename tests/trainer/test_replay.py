"""The base writes through a real socket, and what it wrote becomes a corpus that can be traced.

The engine here is a small server of our own that speaks the engine's protocol; how the real one is
guarded is tested in tests/inference/engine/test_rehearsal.py.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import yaml

from bedside_core.cli import main
from bedside_core.errors import InputError
from bedside_core.kinds.corpus import listed_documents, matching_documents
from bedside_core.matching import canonical, digest
from bedside_trainer.mixture import Replay
from bedside_trainer.replay import select

ENGINE = """\
import json, os, socketserver, sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

words, place = sys.argv[1:], Path(sys.argv[3])
home = Path(os.environ["BEDSIDE_HOME"])
(home / "asked.jsonl").touch()
if words[:2] != ["inference", "rehearse"] or "BEDSIDE_PARENT_PID" not in os.environ:
    sys.exit("bedside: not asked by a replay")
if place.stat().st_mode & 0o77 or any(place.iterdir()):
    sys.exit("bedside: not a private place")
if (home / "broken").exists():
    sys.stderr.write("bedside: no room for the weights\\n")
    sys.exit(3)
digest = (home / "runs/test/base").read_text().strip()
served = json.dumps({"model": digest, "verdict": "UNPROVEN"})

class Handler(BaseHTTPRequestHandler):
    def address_string(self): return "-"
    def log_message(self, *_): pass
    def do_GET(self): self.answer(404, {})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with (home / "asked.jsonl").open("a") as file:
            file.write(json.dumps(body) + "\\n")
        text = (home / "texts" / str(body["seed"])).read_text()
        self.answer(200, {"choices": [{"text": text}]})
    def answer(self, status, content):
        raw = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("X-Bedside-Served", served)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
Server(str(place / "engine.sock"), Handler).serve_forever()
"""
HELDOUT = "Der Patient klagt seit drei Tagen ueber Fieber und Husten ohne Auswurf und Atemnot"
TEXTS = {
    17: "The heart is a muscle that pumps blood through the body day and night without rest.",
    18: "too short",
    19: "yes it is so " * 30,
    20: f"A letter said: {HELDOUT}. The end of it.",
    21: " The heart is a muscle, that pumps blood through the body day and night without rest. ",
    22: "Die Leber speichert Zucker und gibt ihn ab, wenn der Koerper ihn zwischendurch braucht.",
}


@pytest.fixture
def replay(house: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the verb, with an engine's environment that is there."""
    program = tmp_path / "envs" / "engine" / "bin" / "bedside"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable}\n{ENGINE}")
    program.chmod(0o755)
    home = house.registry.home
    (home / "texts").mkdir()
    for seed, text in TEXTS.items():
        (home / "texts" / str(seed)).write_text(text, encoding="utf-8")
    house.add_heldout([HELDOUT, "Ein zweiter Text"])
    monkeypatch.setenv("BEDSIDE_ENVS", str(tmp_path / "envs"))
    monkeypatch.setenv("BEDSIDE_HOME", str(home))
    config = tmp_path / "run.yaml"
    section = house.config().model_dump(mode="json")
    generate = {"documents": len(TEXTS), "max_tokens": 64}
    section["replay"] = {"share": 0.2, "generate": generate}
    config.write_text(yaml.safe_dump({"name": "test", "trainer": section}))
    return lambda *more: main(["trainer", "replay", "--config", str(config), *more])


def asked(house: Any) -> list[dict[str, Any]]:
    lines = (house.registry.home / "asked.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_what_the_base_writes_becomes_a_corpus_of_its_own(
    house: Any, replay: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = house.registry.slot("test", "corpus")
    assert replay() == 0
    assert house.registry.slot("test", "corpus") == corpus
    found = house.registry.get("test/replay")
    base = house.registry.get("test/base")
    found.verify()
    assert found.kind == "corpus"
    assert found.manifest.parents["base"] == base.digest
    assert found.manifest.licences == base.manifest.licences
    rows = pyarrow.parquet.read_table(found.file("data/00000.parquet")).to_pylist()
    assert [row["text"] for row in rows] == [TEXTS[17], TEXTS[22]]
    assert [row["id"] for row in rows] == ["replay/17", "replay/22"]
    facts = found.manifest.facts
    assert facts["dropped"] == {"duplicate_text": 1, "heldout": 1, "repetitive": 1, "short": 1}
    assert facts["written_by"] == base.digest
    # As the evaluation looks for held-out texts in everything that a model comes from.
    assert [line["id"] for line in listed_documents(found)] == ["replay/17", "replay/22"]
    form = digest(canonical(TEXTS[17]))
    assert matching_documents(found, {form}) == {form}
    bodies = sorted(asked(house), key=lambda body: body["seed"])
    assert [body["seed"] for body in bodies] == list(TEXTS)
    assert {json.dumps(body["prompt"]) for body in bodies} == {"[1]"}
    assert not [line for line in capsys.readouterr() if HELDOUT in line]
    assert list((house.registry.home / "work").iterdir()) == []


def test_what_the_base_wrote_is_trained_on_and_can_be_traced(
    house: Any, replay: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = {"share": 0.2, "generate": {"documents": len(TEXTS), "max_tokens": 64}}
    with pytest.raises(InputError, match=r"no replay yet - run `bedside trainer replay"):
        house.train(replay=wanted)
    assert replay() == 0
    house.train(replay=wanted)
    parents = house.registry.get("test/checkpoint").manifest.parents
    assert parents["replay"] == house.registry.slot("test", "replay")
    assert parents["corpus"] == house.registry.slot("test", "corpus")
    capsys.readouterr()
    config = Path(house.registry.home.parent / "run.yaml")
    assert main(["trainer", "seen", "replay/17", "--config", str(config)]) == 0
    assert "step" in capsys.readouterr().out


def test_it_is_written_once(house: Any, replay: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay() == 0
    assert replay("--set", "trainer.replay.share=0.5") == 0
    assert "is unchanged, reused" in capsys.readouterr().out
    assert len(asked(house)) == len(TEXTS)
    assert replay("--set", "trainer.replay.generate.temperature=0.7") == 0
    assert len(asked(house)) == 2 * len(TEXTS)


def test_an_engine_that_does_not_start_says_why(
    house: Any, replay: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (house.registry.home / "broken").touch()
    assert replay() == 3
    assert "the engine ended: no room for the weights" in capsys.readouterr().err
    assert house.registry.slot("test", "replay") is None


def test_without_the_engine_s_environment_it_is_named(
    replay: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BEDSIDE_ENVS", str(tmp_path))
    assert replay() == 2
    assert "setup.sh engine" in capsys.readouterr().err


def test_nothing_fit_is_no_corpus(
    house: Any, replay: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (house.registry.home / "texts").iterdir():
        path.write_text("ja")
    assert replay() == 3
    assert "none is fit to be trained on (short 6)" in capsys.readouterr().err
    assert house.leftovers() == []


def test_a_replay_that_is_not_asked_for_is_refused(
    replay: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay("--set", "trainer.replay=null") == 2
    assert "trainer.replay.share" in capsys.readouterr().err


def test_ids_follow_the_seeds(house: Any) -> None:
    kept, dropped = select(["x", TEXTS[22]], house.registry.get("test/heldout"), seed=5)
    assert [one.id for one in kept] == ["replay/6"]
    assert dropped == Counter(short=1)


@pytest.mark.parametrize("values", [{"share": 0}, {"share": 1}, {}])
def test_a_share_is_a_part_of_the_whole(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="share"):
        Replay.model_validate(values)

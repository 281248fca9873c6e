"""Judges and people through the verbs, on answers that an engine of the test's writes."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from bedside_core.cli import main
from bedside_eval.judging import battery, card

ITEMS = 24
SECRET = "Zyanose"
GOOD = f"{SECRET} gut"
ENGINE = """
import json, socketserver, sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

place, model = (Path(word) for word in sys.argv[sys.argv.index("rehearse") + 1:][:2])
good = json.loads((Path(__file__).parents[3] / "good.json").read_text())[str(model)]

class Handler(BaseHTTPRequestHandler):
    def address_string(self): return "-"
    def log_message(self, *_): pass
    def do_GET(self): self.answer({}, 404)
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = body.get("prompt") or body["messages"][0]["content"]
        if body.get("echo"):
            numbers = {"token_logprobs": [None, *(-0.5 * n for n in range(1, 9))]}
            self.answer({"choices": [{"text": asked, "logprobs": numbers}]})
        elif asked.startswith("A B C D"):
            self.answer({"choices": [{"text": "B"}]})
        else:
            number = int(asked.partition("Frage ")[2][:2])
            text = f"Zyanose {'gut' if number % 8 < good else 'schlecht'} {number}"
            self.answer({"choices": [{"text": text, "finish_reason": "stop"}]})
    def answer(self, content, status=200):
        raw = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("X-Bedside-Served", json.dumps({"model": str(model)}))
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
Server(str(place / "engine.sock"), Handler).serve_forever()
"""


@pytest.fixture
def judged(world: Any, standin: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run with an open exam and a judge who knows the good answers."""
    program = world.folder / "envs/engine/bin/bedside"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable}\n{ENGINE}")
    program.chmod(0o755)
    monkeypatch.setenv("BEDSIDE_ENVS", str(world.folder / "envs"))
    for module in (battery, card):
        monkeypatch.setattr(module, "PAIRS", 14)
    right = standin.decide

    def decide(a: str, b: str) -> str:
        good = GOOD in a, GOOD in b
        return right(a, b) if good[0] == good[1] else "AB"[good[1]]

    standin.decide = decide
    world.write_exam(
        [
            {"type": "open", "id": f"q{n}", "language": "de", "question": f"Frage {n:02d}?",
             "reference": "Ja."}
            for n in range(ITEMS)
        ]
    )  # fmt: skip
    world.settings |= {
        "generation": {"max_tokens": 8, "concurrency": 2},
        "judges": {"first": {"address": str(standin.path), "model": "judge", "retries": 0}},
        "keep_answers": True,
    }
    guard = {"measure": "win_rate", "of": "medical", "max_loss": 0.3}
    world.write_policy(guards=[{"of": "general", "max_loss": 0.1}, guard])
    world.add_models()
    good = {"base": 3, "checkpoint": 5, "merged": 7}
    by_digest = {world.registry.slot("tiny", slot): count for slot, count in good.items()}
    (world.folder / "good.json").write_text(json.dumps(by_digest))
    return world


def run(world: Any, verb: str, *words: str) -> int:
    config = Path(world.config())
    config.write_text(config.read_text().replace("max_model_len: 64", "max_model_len: 128"))
    return main(["eval", verb, "--config", str(config), *words])


def evidence(world: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        world.registry.get("tiny/evidence").file("evidence.json").read_bytes()
    )
    return found


def guarded(found: dict[str, Any]) -> dict[str, Any]:
    return next(f for f in found["findings"] if f["measure"] == "win_rate")


def test_judges_and_people_say_who_is_better(
    judged: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(judged, "plan") == 0 and run(judged, "run") == 0
    found = evidence(judged)
    assert guarded(found)["outcome"] == "holds"
    rate = found["judging"]["win_rates"][0]
    assert rate["wins"] > 4 and rate["losses"] == 0 and not found["judging"]["advisory"]
    rungs = [rung["role"] for rung in found["judging"]["ladders"][0]["rungs"]]
    assert rungs == ["candidate", "checkpoint", "base"]

    capfd.readouterr()
    assert run(judged, "blind-form", "--out", str(tmp_path / "forms")) == 0
    told = "".join(capfd.readouterr())
    assert "in plain text, because you asked for them" in told and SECRET not in told
    (page,) = (tmp_path / "forms").glob("*.html")
    assert page.stat().st_mode & 0o777 == 0o600 and SECRET in page.read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)[1])  # type: ignore[index]
    choices = {p["id"]: "left" if GOOD in p["left"] else "right" for p in data["pairs"]}
    files = []
    for code in ("A1", "B2"):
        files.append(str(tmp_path / f"{code}.json"))
        filled = {"form": data["form"], "rater": code, "choices": choices}
        Path(files[-1]).write_text(json.dumps(filled))
    assert run(judged, "read-forms", *files) == 0
    told = "".join(capfd.readouterr())
    assert "win-rate of the candidate against the base, by people: 100.0 %" in told
    assert "A1 and B2" in told and "people and judges" in told

    assert run(judged, "read-forms", "--against", "reference", *files) == 3
    assert run(judged, "read-forms", "--against", "checkpoint", *files) == 3
    assert "that of this evidence" in capfd.readouterr().err
    (kept,) = (judged.registry.evidence_keys.private_path.parent / "answers").iterdir()
    for file in kept.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
        file.write_bytes(file.read_bytes().replace(b"gut", b"GUT"))
    assert run(judged, "blind-form", "--out", str(tmp_path / "again")) == 3
    assert "was not kept" in capfd.readouterr().err


def test_no_look_is_spent_on_a_judge_that_is_gone_or_failed(
    judged: Any, standin: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    standin.decide = lambda a, b: "A"
    assert run(judged, "plan") == 0
    standin.served = None
    assert run(judged, "run") == 2
    standin.served = "ef" * 32
    assert run(judged, "run") == 5
    told = capfd.readouterr().err
    assert "win_rate on medical would rest on a judge that failed" in told
    assert "first (de)" in told and judged.registry.ledger().looks == {}


def test_a_language_without_an_exam_is_refused_by_the_plan(
    judged: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    item = {"type": "open", "language": "en", "question": "Why?", "reference": "Yes."}
    judged.write_exam([item | {"id": f"q{n}", "question": f"Why {n}?"} for n in range(ITEMS)])
    assert run(judged, "plan") == 2
    assert "no exam in en - only in de, fr" in capfd.readouterr().err


def test_a_judge_that_goes_is_waited_for_and_one_that_fails_decides_nothing(
    judged: Any, standin: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    judged.settings["keep_answers"] = False
    judged.write_policy(guards=[{"of": "general", "max_loss": 0.1}])
    standin.decide = lambda a, b: "A"
    assert run(judged, "plan") == 0
    original = standin.reply

    def gone(body: Any) -> Any:
        raise ConnectionError

    standin.reply = lambda body: original(body) if len(standin.asked) < 200 else gone(body)
    assert run(judged, "run") == 3
    assert "requests in a row have no answer" in capfd.readouterr().err
    assert judged.registry.ledger().looks == {}, "no look is spent"
    del standin.reply
    asked = len(standin.asked)
    assert run(judged, "run") == 0
    assert asked < len(standin.asked) < 700, "what was kept is not asked again"
    found = evidence(judged)
    assert found["judging"]["advisory"] == {"medical": ["first (de)"]}
    text = json.dumps(found) + "".join(capfd.readouterr())
    assert SECRET not in text and "Frage 0" not in text and "Weil" not in text
    assert not list(judged.registry.workrooms[1].glob("*"))
    assert run(judged, "blind-form", "--out", str(judged.folder / "x")) == 3
    assert "set eval.keep_answers" in capfd.readouterr().err

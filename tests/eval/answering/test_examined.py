"""Answers decide, through the verbs: what likelihood cannot see is seen.

The engine here is a program of the test's that speaks the engine's protocol; the real one answers
in tests/e2e/test_demo.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bedside_core.cli import main

ITEMS = 24
ENGINE = """
import json, os, socketserver, sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

words = sys.argv[sys.argv.index("rehearse") + 1:]
place, model = Path(words[0]), words[1]
folder = Path(__file__).parents[3]
right = json.loads((folder / "right.json").read_text())
behaves = json.loads((folder / "behaves.json").read_text()).get(model, "right")
if behaves == "broken":
    sys.exit("bedside: no room for the weights")
served = json.dumps({"model": model if behaves != "other" else "ef" * 32})
answered = 0

class Handler(BaseHTTPRequestHandler):
    def address_string(self): return "-"
    def log_message(self, *_): pass
    def do_GET(self): self.answer(404, {})
    def do_POST(self):
        global answered
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = body.get("prompt") or body["messages"][0]["content"]
        choice = body.get("structured_outputs")
        if body.get("echo"):
            numbers = {"token_logprobs": [None, *(-0.5 * n for n in range(1, 9))]}
            self.answer(200, {"choices": [{"text": asked, "logprobs": numbers}]})
            return
        if asked.startswith("A B C D"):
            self.answer(200, {"choices": [{"text": "B"}]})
            return
        with (folder / "asked.jsonl").open("a") as file:
            file.write(json.dumps({"model": model, "constrained": bool(choice)}) + "\\n")
        answered += 1
        if behaves == "dies" and answered > 5:
            os._exit(1)
        letter = next(letter for question, letter in right.items() if question in asked)
        text = letter if choice else f"Antwort: {letter}"
        if behaves == "deaf":
            text = "A" if choice else "Alles ist gut."
        self.answer(200, {"choices": [{"text": text, "finish_reason": "stop"}]})
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


@pytest.fixture
def asked(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run whose exam is asked, with an engine's environment that is there."""
    program = world.folder / "envs/engine/bin/bedside"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable}\n{ENGINE}")
    program.chmod(0o755)
    monkeypatch.setenv("BEDSIDE_ENVS", str(world.folder / "envs"))
    monkeypatch.setattr("bedside_core.endpoint.client.FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr("bedside_core.endpoint.client.LONGEST_WAIT_SECONDS", 0.01)
    items = [
        {"id": f"q{n}", "language": "de", "question": f"Frage {n:02d}?",
         "options": ["eins", "zwei", "drei"], "answer": n % 3}
        for n in range(ITEMS)
    ]  # fmt: skip
    world.write_exam(items)
    right = {item["question"]: "ABC"[item["answer"]] for item in items}
    (world.folder / "right.json").write_text(json.dumps(right))
    behave(world)
    world.settings |= {"generation": {"max_tokens": 8, "concurrency": 2}, "max_length": 64}
    guard = {"measure": "accuracy_generated", "of": "medical", "max_loss": 0.3}
    world.write_policy(guards=[{"of": "general", "max_loss": 0.1}, guard])
    world.add_models()
    return world


def behave(world: Any, **roles: str) -> None:
    """How the engine behaves with the model of a slot."""
    found = {world.registry.slot("tiny", slot): how for slot, how in roles.items()}
    (world.folder / "behaves.json").write_text(json.dumps(found))


def run(world: Any, *verbs: str) -> int:
    config = world.config()
    text = Path(config).read_text().replace("max_model_len: 64", "max_model_len: 128")
    Path(config).write_text(text)
    return next((code for verb in verbs if (code := main(["eval", verb, "--config", config]))), 0)


def evidence(world: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        world.registry.get("tiny/evidence").file("evidence.json").read_bytes()
    )
    return found


def questions(world: Any) -> list[dict[str, Any]]:
    path = world.folder / "asked.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_candidate_that_does_not_listen_is_rejected_though_its_likelihood_is_better(
    asked: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    behave(asked, merged="deaf")
    assert run(asked, "plan", "run") == 0
    found = evidence(asked)
    assert found["verdict"] == "REJECT"
    assert any("accuracy_generated" in r and "harm is shown" in r for r in found["reasons"])
    candidate, base = found["results"]["candidate"], found["results"]["base"]
    assert set(candidate["values"]["medical"]["accuracy_generated"]) == {0}
    assert set(base["values"]["medical"]["accuracy_generated"]) == {1}
    counts = candidate["answered"]["medical"]
    assert counts["generated"]["unreadable"] == counts["generated"]["of"] == 16
    assert counts["constrained"]["unreadable"] == 0
    content = json.dumps(found)
    assert "Alles ist gut" not in content and "Frage 0" not in content
    assert "Alles ist gut" not in "".join(capfd.readouterr())
    assert not list(asked.registry.workrooms[1].glob("*"))


def test_an_engine_that_dies_leaves_what_was_answered(
    asked: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    behave(asked, merged="dies")
    assert run(asked, "plan", "run") == 3
    assert "nobody answers there" in capfd.readouterr().err
    assert asked.registry.slot("tiny", "evidence") is None
    base = asked.registry.slot("tiny", "base")
    before = sum(one["model"] == base for one in questions(asked))
    behave(asked)
    assert run(asked, "run") == 0
    assert sum(one["model"] == base for one in questions(asked)) == before == 32
    found = evidence(asked)
    assert found["setting"]["task"]["generation"]["max_tokens"] == 8
    assert not any("harm is shown" in reason for reason in found["reasons"])
    assert "has answered the exams before" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [("broken", 1, "no room for the weights"), ("other", 3, "serves model")],
)
def test_an_engine_that_does_not_serve_the_model_is_an_error(
    asked: Any, capfd: pytest.CaptureFixture[str], how: str, code: int, words: str
) -> None:
    behave(asked, base=how)
    assert run(asked, "plan", "run") == code
    assert words in capfd.readouterr().err


def test_a_chat_template_that_fails_is_said_without_the_question(
    asked: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    template = "{{ raise_exception(messages[0]['content']) }}"
    asked.add_models(files={"chat_template.jinja": template})
    assert run(asked, "plan", "run") == 3
    err = capfd.readouterr().err
    assert "its chat template fails" in err and "Frage 0" not in err


def test_answers_that_no_condition_rests_on_excuse_no_other_template(asked: Any) -> None:
    """They are taken and shown, and the candidate's template still lets it answer otherwise."""
    asked.write_policy(guards=[{"of": "general", "max_loss": 0.1}])
    asked.add_models(files={"chat_template.jinja": "{{ messages[0]['content'] }}"})
    behave(asked, merged="deaf")
    assert run(asked, "plan", "run") == 0
    found = evidence(asked)
    assert found["verdict"] == "NOT_ENOUGH_EVIDENCE"
    assert any("no condition of the policy is of answers" in r for r in found["reasons"])
    assert set(found["results"]["candidate"]["values"]["medical"]["accuracy_generated"]) == {0}


def test_answers_that_nobody_asks_for_cannot_be_a_condition(
    asked: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    del asked.settings["generation"]
    assert run(asked, "plan") == 2
    assert "set eval.generation" in capfd.readouterr().err


def test_an_item_that_does_not_fit_is_named_before_anything_is_asked(
    asked: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    asked.settings["generation"]["max_tokens"] = 120
    assert run(asked, "plan", "run") == 3
    assert "longer than the 128 tokens" in capfd.readouterr().err
    assert not questions(asked)

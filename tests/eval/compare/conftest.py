"""Logs as lm-eval 0.4.13 and Inspect (log version 2) write them, with made-up items."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

CANARY = "Herr Kanarienvogel"
TIME = "2026-01-31T08-00-00.000001"


def sha(text: str) -> str:
    return sha256(text.encode()).hexdigest()


class LmEval:
    """Writes one model's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def line(self, number: int, score: Any, **changes: Any) -> dict[str, Any]:
        doc = {"id": number, "question": f"{CANARY} {number}?"} | changes.pop("doc", {})
        return {
            "doc_id": number,
            "doc": doc,
            "target": CANARY,
            "resps": [[CANARY]],
            "filtered_resps": [CANARY],
            "filter": "none",
            "metrics": ["acc"],
            "doc_hash": sha(json.dumps(doc)),
            "prompt_hash": sha(f"prompt {number}"),
            "target_hash": sha("target"),
            "acc": score,
        } | changes

    def write(
        self, model: str, scores: Sequence[Any], *, task: str = "visite", results: Any = None,
        **changes: Any,
    ) -> Path:  # fmt: skip
        return self.write_lines(
            model,
            [self.line(number, score, **changes) for number, score in enumerate(scores)],
            task=task,
            results=results,
        )

    def write_lines(
        self, model: str, lines: Sequence[Any], *, task: str = "visite", results: Any = None
    ) -> Path:
        folder = self.root / model / "run"
        folder.mkdir(parents=True, exist_ok=True)
        text = "\n".join(json.dumps(line) for line in lines)
        (folder / f"samples_{task}_{TIME}.jsonl").write_text(text + "\n")
        count = len({line["doc_id"] for line in lines})
        made = {
            "model_name": model,
            "n-samples": {task: {"original": count, "effective": count}},
            "higher_is_better": {task: {"acc": True}},
        }
        path = folder / f"results_{TIME}.json"
        before = json.loads(path.read_text()) if path.exists() else {}
        for name in ("n-samples", "higher_is_better"):
            made[name] = before.get(name, {}) | made[name]
        path.write_text(json.dumps(made | (results or {})))
        return self.root / model


class InspectLogs:
    """Writes one model's log."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def sample(self, number: int, value: Any, epoch: int = 1, **changes: Any) -> dict[str, Any]:
        return {
            "id": f"q{number}",
            "epoch": epoch,
            "input": f"{CANARY} {number}?",
            "choices": ["a", "b"],
            "target": "A",
            "messages": [
                {"id": str(id(changes)), "role": "user", "content": f"{CANARY} {number}"},
                {"id": "x", "role": "assistant", "content": CANARY},
            ],
            "scores": {"choice": {"value": value, "answer": "A"}},
            "metadata": {},
        } | changes

    def log(self, model: str, samples: list[dict[str, Any]], /, **changes: Any) -> dict[str, Any]:
        ids = list(dict.fromkeys(s["id"] for s in samples))
        head = {
            "task": "visite",
            "model": model,
            "dataset": {"samples": len(ids), "sample_ids": ids},
            "config": {"epochs": max((s["epoch"] for s in samples), default=1)},
            "scorers": [{"name": "choice"}],
        } | changes.pop("eval", {})
        return {"version": 2, "status": "success", "eval": head, "samples": samples} | changes

    def write(self, model: str, values: Sequence[Any], **changes: Any) -> Path:
        samples = [self.sample(number, value) for number, value in enumerate(values)]
        return self.write_log(f"{model}.json", self.log(model, samples, **changes))

    def write_log(self, name: str, log: dict[str, Any]) -> Path:
        path = self.root / name
        if path.suffix == ".json":
            path.write_text(json.dumps(log))
            return path
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for sample in log["samples"]:
                member = f"samples/{sample['id']}_epoch_{sample['epoch']}.json"
                archive.writestr(member, json.dumps(sample))
            header = {k: v for k, v in log.items() if k != "samples"}
            archive.writestr("header.json", json.dumps(header))
        return path


@pytest.fixture
def lm_eval_logs(tmp_path: Path) -> LmEval:
    return LmEval(tmp_path)


@pytest.fixture
def inspect_logs(tmp_path: Path) -> InspectLogs:
    return InspectLogs(tmp_path)

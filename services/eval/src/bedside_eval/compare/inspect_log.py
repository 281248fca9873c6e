"""Logs of Inspect (inspect_ai, log version 2): `.eval` archives and `.json` files.

An item is a sample's id, input, choices and target; its epochs are repeats of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bedside_core.errors import InputError
from bedside_eval.compare.log import (
    Answer,
    Log,
    Wanted,
    chosen,
    cluster,
    digest,
    parse,
    score,
    text,
)
from bedside_eval.compare.zipped import ZipReader

PATTERNS = ("*.eval", "*.json")
VERSION = 2
_SAMPLES = "samples/"
_HEADER = "header.json"
_LETTERS = {
    "C": 1.0,
    "P": 0.5,
    "I": 0.0,
    "N": 0.0,
    "yes": 1.0,
    "true": 1.0,
    "no": 0.0,
    "false": 0.0,
}
"""Inspect's own values, as its `value_to_float` reads them."""
_NO_ANSWER = "N"

Json = dict[str, Any]


def read(files: Sequence[Path], wanted: Wanted) -> list[Log]:
    """One log per file.

    Raises:
        InputError: a file is damaged, incomplete or of another format.
    """
    return [_read(path, wanted) for path in files]


def _read(path: Path, wanted: Wanted) -> Log:
    header, samples = _archive(path) if path.suffix == ".eval" else _single(path)
    head = header.get("eval")
    if header.get("version") != VERSION or not isinstance(head, dict):
        raise InputError(
            f"{path}: is no log of Inspect in version {VERSION} - `inspect log convert` makes one"
        )
    if header.get("invalidated") is True:
        raise InputError(f"{path}: Inspect marks the log as invalidated - evaluate again")
    task = text(head, "task", str(path))
    _check_complete(path, head, samples)
    metric = _scorer(path, head, samples, wanted)
    answers = tuple(_answer(s, metric, wanted, f"{path}: sample {n}") for n, s in samples)
    return Log(text(head, "model", str(path)), task, metric, path, answers)


def _single(path: Path) -> tuple[Json, list[tuple[int, Json]]]:
    header = parse(path.read_bytes(), str(path))
    samples = header.get("samples")
    if not isinstance(samples, list) or not all(isinstance(s, dict) for s in samples):
        raise InputError(
            f"{path}: holds no list of samples - name a log of Inspect, or the folder of lm-eval's "
            "samples_*.jsonl"
        )
    return header, list(enumerate(samples, start=1))


def _archive(path: Path) -> tuple[Json, list[tuple[int, Json]]]:
    with ZipReader(path) as archive:
        if _HEADER not in archive.names:
            raise InputError(
                f"{path}: has no {_HEADER}, the run did not end - `inspect eval-retry`"
            )
        header = parse(archive.read(_HEADER), f"{path}: {_HEADER}")
        names = [n for n in archive.names if n.startswith(_SAMPLES) and n.endswith(".json")]
        samples = [
            (n, parse(archive.read(name), f"{path}: sample {n}")) for n, name in enumerate(names, 1)
        ]
    return header, samples


def _check_complete(path: Path, head: Json, samples: list[tuple[int, Json]]) -> None:
    """Refuse logs from which samples are missing: Inspect leaves them out of its mean."""
    dataset, config = head.get("dataset"), head.get("config")
    ids = dataset.get("sample_ids") if isinstance(dataset, dict) else None
    epochs = config.get("epochs") if isinstance(config, dict) else None
    if not isinstance(ids, list):
        raise InputError(f"{path}: does not list its sample_ids - evaluate with inspect_ai 0.3.285")
    expected = len(ids) * (epochs if isinstance(epochs, int) else 1)
    if len(samples) != expected or not samples:
        raise InputError(
            f"{path}: {len(samples)} of {expected} samples were evaluated - finish the run with "
            "`inspect eval-retry`"
        )


def _scorer(path: Path, head: Json, samples: list[tuple[int, Json]], wanted: Wanted) -> str:
    """The wanted scorer, else the first."""
    given = {name: None for _, sample in samples for name in _scores(sample)}
    listed = head.get("scorers")
    names = (
        [s.get("name") for s in listed if isinstance(s, dict)] if isinstance(listed, list) else []
    )
    # The log lists its scorers in their order; who scored again later may be missing there.
    found = list(dict.fromkeys([*(name for name in names if name in given), *given]))
    if not found:
        raise InputError(f"{path}: no sample has a score - `inspect score` adds them")
    return chosen(found, wanted.metric, "scorer", str(path))


def _scores(sample: Json) -> Json:
    scores = sample.get("scores")
    return scores if isinstance(scores, dict) else {}


def _answer(sample: Json, metric: str, wanted: Wanted, where: str) -> Answer:
    found = _scores(sample).get(metric)
    given = found if isinstance(found, dict) else {}
    value = given.get("value")
    asked = [
        sample.get("id"),
        _plain(sample.get("input")),
        sample.get("choices"),
        sample.get("target"),
    ]
    return Answer(
        item=digest(asked),
        prompt=digest(_plain(list(_before_answer(sample.get("messages"))))),
        score=score(_number(value), where),
        unread=value == _NO_ANSWER or given.get("answer") == "",
        cluster=cluster(sample.get("metadata"), wanted, where),
    )


def _number(value: Any) -> Any:
    """A letter or word as its number; other words are no measurement."""
    if not isinstance(value, str):
        return value
    if value in _LETTERS or value.lower() in ("yes", "no", "true", "false"):
        return _LETTERS.get(value, _LETTERS.get(value.lower()))
    try:
        return float(value)
    except ValueError:
        return None


def _before_answer(messages: Any) -> Iterator[Any]:
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict) and message.get("role") == "assistant":
            return
        yield message


def _plain(value: Any) -> Any:
    """Messages without their random ids."""
    if not isinstance(value, list):
        return value
    return [
        [message.get("role"), message.get("content")] if isinstance(message, dict) else message
        for message in value
    ]

"""The examination itself: lm-eval 0.4.13 in this process, on texts that never leave memory.

Tasks are built from Python objects, so `datasets` writes no copy of a text to disk, and lm-eval's
answer cache stays off: it does not know one model from another. Nothing that lm-eval logs or prints
gets out, because its messages quote prompts.
"""

from __future__ import annotations

import io
import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset  # type: ignore[import-untyped]
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM
from transformers import PreTrainedModel

from bedside_core.errors import InputError, PolicyError
from bedside_core.kinds.exam import ExamItem
from bedside_core.progress import Progress
from bedside_eval.exam import Paper
from bedside_eval.records import METRICS, ItemScore, Metric, ModelScores
from bedside_models.likelihood import (
    EncodedSet,
    EncodedText,
    encode,
    finite,
    score,
    windows,
)
from bedside_models.load import load_model
from bedside_models.options import likeliest, log_likelihoods
from bedside_models.scores import TextScore

AGREEMENT = 1e-4
"""How far lm-eval's likelihoods may be from ours, relative and in nats: float32 and padding cost
about a millionth."""
_NOISY = ("lm_eval", "transformers", "datasets")


class Examinee(HFLM):  # type: ignore[misc]
    """lm-eval's Hugging Face model, with our windows and our progress."""

    def __init__(self, advance: Callable[[int], None], **options: Any) -> None:
        super().__init__(**options)
        self.advance = advance

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:
        """Score whole texts, in the windows of our estimand: a prefix token before every one.

        lm-eval has it before the first alone.
        """
        owners, rows = [], []
        for number, request in enumerate(requests):
            ids = self.tok_encode(request.args[0], add_special_tokens=False)
            for window in windows(ids, self.prefix_token_id, self.max_length):
                owners.append(number)
                start = len(window.ids) - window.scored
                rows.append((None, list(window.ids[:start]), list(window.ids[start:])))
        totals = [0.0] * len(requests)
        found = self._loglikelihood_tokens(rows, disable_tqdm=disable_tqdm)
        for owner, (value, _) in zip(owners, found, strict=True):
            totals[owner] += value
        return totals

    def _model_call(self, inps: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        logits: torch.Tensor = super()._model_call(inps, *args, **kwargs)
        self.advance(len(inps))
        return logits


def check_lengths(paper: Paper, tokenizer: Any, max_length: int) -> None:
    """Refuse items that lm-eval would cut on the left without saying so.

    Raises:
        InputError: names the exam and the ids of the items that are too long.
    """
    for name, items in paper.exams.items():
        too_long = [
            item.id
            for item in items
            if any(len(tokenizer.encode(f"{item.prompt} {o}")) > max_length for o in item.options)
        ]
        if too_long:
            raise InputError(
                f"exam {name}: {len(too_long)} item(s) are longer than eval.max_length = "
                f"{max_length} tokens ({', '.join(too_long[:5])}) - raise it or shorten them"
            )


def encode_all(paper: Paper, tokenizer: Any) -> dict[str, EncodedSet]:
    """Every held-out set as token ids.

    Raises:
        InputError: a text has no token.
    """
    return {name: encode(texts, tokenizer) for name, texts in paper.heldout.items()}


def num_sequences(paper: Paper, encoded: Mapping[str, EncodedSet], max_length: int) -> int:
    """How many sequences a model sees: every window of every text, every option of every item."""
    options = sum(len(item.options) for items in paper.exams.values() for item in items)
    return options + sum(
        1
        for part in encoded.values()
        for text in part.texts
        for _ in windows(text.ids, part.prefix_id, max_length)
    )


def longest_sequence(paper: Paper, tokenizer: Any) -> int:
    """Tokens of the longest text or question of the paper."""
    questions = [
        f"{i.prompt} {o}" for items in paper.exams.values() for i in items for o in i.options
    ]
    texts = [text.text for text in paper.texts]
    return max(len(ids) for ids in tokenizer([*texts, *questions], verbose=False)["input_ids"])


def examine(
    path: Path,
    paper: Paper,
    encoded: Mapping[str, EncodedSet],
    tokenizer: Any,
    *,
    max_length: int,
    batch_size: int,
    progress: Progress,
) -> ModelScores:
    """Let one model sit the whole paper, in float32.

    Raises:
        InputError: the model cannot be loaded whole, or a likelihood is no number.
        PolicyError: lm-eval and our own computation disagree.
    """
    terminal = sys.stderr
    start = progress.done

    def advance(count: int) -> None:
        with redirect_stderr(terminal):
            progress.update(count)

    with _silence():
        model: Any = load_model(path)
        model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        examinee = Examinee(
            advance,
            pretrained=model,
            tokenizer=tokenizer,
            batch_size=batch_size,
            max_length=max_length,
        )
        answers = evaluate(lm=examinee, task_dict=_tasks(paper), bootstrap_iters=0)["samples"]
    # Options that differ in their last token only share a forward pass.
    sequences = num_sequences(paper, encoded, max_length)
    progress.update(max(0, sequences - (progress.done - start)))
    scores = _scores(paper, answers, encoded)
    check_sample(model, tokenizer, paper, encoded, scores, max_length)
    return scores


def check_sample(
    model: PreTrainedModel,
    tokenizer: Any,
    paper: Paper,
    encoded: Mapping[str, EncodedSet],
    scores: ModelScores,
    max_length: int,
) -> None:
    """Compare lm-eval with our own computation: the longest text, each exam's first item.

    Raises:
        PolicyError: they disagree, so the numbers are not what the evidence says they are.
    """
    texts = [
        (text, found, part.prefix_id)
        for name, part in encoded.items()
        for text, found in zip(part.texts, scores.heldout[name], strict=True)
    ]
    text, found, prefix_id = max(texts, key=lambda item: len(item[0].ids))
    _agree(text.id, found.nll, score(model, text, prefix_id, max_length).nll)
    for name, (item, *_) in paper.exams.items():
        expected = log_likelihoods(model, tokenizer, item.prompt, item.options)
        for theirs, ours in zip(scores.exams[name][0].loglikelihoods, expected, strict=True):
            _agree(item.id, theirs, ours)


def _agree(identifier: str, found: float, expected: float) -> None:
    if not math.isclose(found, expected, rel_tol=AGREEMENT, abs_tol=AGREEMENT):
        raise PolicyError(
            f"lm-eval gives {identifier} a likelihood of {found:.6f} nats, our own computation "
            f"{expected:.6f} - no evidence is written; make the eval environment anew from its lock"
        )


def _scores(
    paper: Paper, answers: Mapping[str, Any], encoded: Mapping[str, EncodedSet]
) -> ModelScores:
    return ModelScores(
        heldout={
            name: tuple(
                _text_score(text, sample)
                for text, sample in zip(texts.texts, answers[f"heldout_{name}"], strict=True)
            )
            for name, texts in encoded.items()
        },
        exams={
            name: tuple(
                _item_score(item, sample)
                for item, sample in zip(items, answers[f"exam_{name}"], strict=True)
            )
            for name, items in paper.exams.items()
        },
    )


def task_description() -> dict[str, Any]:
    """How the tasks are put, and by which versions, for the record."""
    return {
        "num_fewshot": 0,
        "chat_template": False,
        "dtype": "float32",
        "versions": {
            name: version(name) for name in ("lm_eval", "torch", "transformers", "scipy", "numpy")
        },
    }


def _tasks(paper: Paper) -> dict[str, ConfigurableTask]:
    # New ones for every model: a task holds the answers. They name the field to read rather than
    # a template, because a text may contain what Jinja would evaluate.
    tasks = {}
    rows: list[dict[str, Any]]
    for name, texts in paper.heldout.items():
        rows = [{"text": item.text} for item in texts]
        tasks[f"heldout_{name}"] = _task(
            f"heldout_{name}", rows, output_type="loglikelihood_rolling", doc_to_target="text"
        )
    for name, items in paper.exams.items():
        rows = [{"prompt": i.prompt, "options": i.options, "answer": i.answer} for i in items]
        tasks[f"exam_{name}"] = _task(
            f"exam_{name}",
            rows,
            output_type="multiple_choice",
            doc_to_text="prompt",
            doc_to_choice="options",
            doc_to_target="answer",
            metric_list=[{"metric": metric} for metric in METRICS],
        )
    return tasks


def _task(name: str, rows: list[dict[str, Any]], **config: Any) -> ConfigurableTask:
    def dataset(**_: Any) -> dict[str, Dataset]:
        return {"test": Dataset.from_list(rows)}

    return ConfigurableTask(
        config={
            "task": name,
            "custom_dataset": dataset,
            "test_split": "test",
            "doc_to_text": "",
            "num_fewshot": 0,
            **config,
        }
    )


def _text_score(text: EncodedText, sample: Mapping[str, Any]) -> TextScore:
    nll = -finite(sample["filtered_resps"][0], text.id)
    return TextScore(id=text.id, tokens=len(text.ids), bytes=text.bytes, nll=nll)


def _item_score(item: ExamItem, sample: Mapping[str, Any]) -> ItemScore:
    scores = [finite(score, item.id) for score, _ in sample["filtered_resps"]]
    choice: dict[Metric, int] = {
        "acc": likeliest(scores, item.options, per_character=False),
        "acc_norm": likeliest(scores, item.options, per_character=True),
    }
    return ItemScore(
        id=item.id,
        answer=item.answer,
        loglikelihoods=tuple(scores),
        choice=choice,
        correct={metric: bool(sample[metric]) for metric in METRICS},
    )


@contextmanager
def _silence() -> Iterator[None]:
    """Keep foreign bars, prints and log lines from the terminal."""
    loggers = [logging.getLogger(name) for name in _NOISY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

"""The examination itself: lm-eval 0.4.13 in this process, on texts that never leave memory.

Tasks are built from Python objects, so `datasets` writes no copy of a text to disk, and lm-eval's
answer cache stays off: it does not know one model from another. Nothing that lm-eval logs or prints
gets out, because its messages quote prompts.
"""

from __future__ import annotations

import gc
import io
import logging
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from datasets import Dataset  # type: ignore[import-untyped]
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate

from bedside_core.heldout import HeldoutText
from bedside_core.kinds.exam import ChoiceItem
from bedside_core.progress import Progress
from bedside_eval.examinee import Examinee
from bedside_eval.records import METRICS, Answers, ItemScore, Metric
from bedside_models.likelihood import EncodedText
from bedside_models.load import load_model
from bedside_models.options import likeliest
from bedside_models.scores import Dtype, TextScore

_NOISY = ("lm_eval", "transformers", "datasets", "accelerate")
_TASK = "asked"


class Sitting:
    """One model, loaded, answering part after part."""

    def __init__(
        self,
        path: Path,
        tokenizer: Any,
        dtype: Dtype,
        *,
        max_length: int,
        batch_size: int,
        progress: Progress | None = None,
    ) -> None:
        """Load the model, over all visible GPUs.

        Raises:
            InputError: it cannot be loaded whole.
        """
        self._terminal, self._progress = sys.stderr, progress
        with silence():
            self.model = load_model(path, dtype, spread=True).train(mode=False)
            self._examinee = Examinee(
                self._advance,
                pretrained=self.model,
                tokenizer=tokenizer,
                batch_size=batch_size,
                max_length=max_length,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the model before the next is loaded: hooks and callbacks hold it in rings."""
        del self.model, self._examinee
        gc.collect()

    def read(self, texts: Sequence[HeldoutText], encoded: Sequence[EncodedText]) -> Answers:
        """Score held-out texts."""
        samples = self._answer(reading_task(_TASK, texts))
        scores = [_text_score(*pair) for pair in zip(encoded, samples, strict=True)]
        whole = tuple(score for score in scores if score is not None)
        return Answers(texts=whole, of=len(scores))

    def answer(self, items: Sequence[ChoiceItem]) -> Answers:
        """Choose an option of each item."""
        samples = self._answer(answering_task(_TASK, items))
        scores = [_item_score(*pair) for pair in zip(items, samples, strict=True)]
        whole = tuple(score for score in scores if score is not None)
        return Answers(items=whole, of=len(scores))

    def _answer(self, task: ConfigurableTask) -> list[Mapping[str, Any]]:
        with silence():
            found = evaluate(lm=self._examinee, task_dict={_TASK: task}, bootstrap_iters=0)
        samples: list[Mapping[str, Any]] = found["samples"][_TASK]
        return samples

    def _advance(self, count: int) -> None:
        if self._progress is not None:
            with redirect_stderr(self._terminal):
                self._progress.update(count)


def task_description() -> dict[str, Any]:
    """How the tasks are put, and by which versions, for the record."""
    return {
        "num_fewshot": 0,
        "chat_template": False,
        "versions": {
            name: version(name) for name in ("lm_eval", "torch", "transformers", "scipy", "numpy")
        },
    }


def reading_task(name: str, texts: Sequence[HeldoutText]) -> ConfigurableTask:
    """lm-eval's likelihood of whole texts."""
    return _task(
        name,
        [{"text": text.text} for text in texts],
        output_type="loglikelihood_rolling",
        doc_to_target="text",
        # Its other metrics are exponentials, which a long text without a space makes overflow.
        metric_list=[{"metric": "bits_per_byte"}],
    )


def answering_task(name: str, items: Sequence[ChoiceItem]) -> ConfigurableTask:
    """lm-eval's multiple choice."""
    return _task(
        name,
        [{"prompt": i.prompt, "options": i.options, "answers": list(i.answers)} for i in items],
        output_type="multiple_choice",
        doc_to_text="prompt",
        doc_to_choice="options",
        doc_to_target="answers",
        metric_list=[{"metric": metric} for metric in METRICS],
    )


def _task(name: str, rows: list[dict[str, Any]], **config: Any) -> ConfigurableTask:
    # A new one for every model: a task holds the answers. It names the field to read rather than a
    # template, because a text may contain what Jinja would evaluate.
    def dataset(**_: Any) -> dict[str, Dataset]:
        return {"test": Dataset.from_list(rows)}

    with silence():
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


def _text_score(text: EncodedText, sample: Mapping[str, Any]) -> TextScore | None:
    nll = -sample["filtered_resps"][0]
    if not math.isfinite(nll):
        return None
    return TextScore(id=text.id, tokens=len(text.ids), bytes=text.bytes, nll=nll)


def _item_score(item: ChoiceItem, sample: Mapping[str, Any]) -> ItemScore | None:
    scores = [score for score, _ in sample["filtered_resps"]]
    if not all(map(math.isfinite, scores)):
        return None
    choice: dict[Metric, int] = {
        "acc": likeliest(scores, item.options, per_character=False),
        "acc_norm": likeliest(scores, item.options, per_character=True),
    }
    return ItemScore(
        id=item.id,
        answers=item.answers,
        loglikelihoods=tuple(scores),
        choice=choice,
        correct={metric: bool(sample[metric]) for metric in METRICS},
    )


@contextmanager
def silence() -> Iterator[None]:
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

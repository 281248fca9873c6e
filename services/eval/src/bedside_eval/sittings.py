"""Models sit one paper, one after the other, part after part.

The dtype is the served one, except that models of up to 3B parameters are measured in float32,
where neither batch nor order changes a number; a short pass then shows that they give numbers as
served, too. A model that gives none is reported, for the verdict to reject: no fault of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from pydantic import ValidationError

from bedside_core.artifacts import Artifact
from bedside_core.console import say
from bedside_core.kinds.model import TOKENIZER, tokenizer_sha256
from bedside_core.memory import gib
from bedside_core.progress import Progress
from bedside_eval import preflight
from bedside_eval.agreement import check_agreement, compute_sample
from bedside_eval.config import EvalConfig
from bedside_eval.exam import Paper, Part
from bedside_eval.harness import Sitting
from bedside_eval.records import Answers, AsServed, ModelScores, Unusable
from bedside_eval.state import State
from bedside_models import footprint
from bedside_models.likelihood import first_token
from bedside_models.load import check_context, check_weights, load_tokenizer
from bedside_models.scores import Dtype

ANCHORED = 3_500_000_000
"""Parameters up to which a model is measured in float32: those called 3B have up to 3.3."""
AS_SERVED = "as-served"
"""The part beside those of the paper: the first text and item of each."""


class Desk(NamedTuple):
    """What models with the same tokenizer share."""

    tokenizer: Any
    encoded: preflight.Encoded
    size: preflight.Size


class Outcome(NamedTuple):
    """What was found, by the models' digests."""

    dtype: Dtype
    prefix_tokens: dict[str, str]
    scores: dict[str, ModelScores]


def examine(
    config: EvalConfig,
    models: Mapping[str, Artifact],
    paper: Paper,
    state: State,
    served: Dtype,
) -> Outcome:
    """Let each model, by its digest, answer what `state` does not have yet.

    Everything that can be wrong is looked at before the first question: this takes hours.

    Raises:
        InputError: a model, a text or an item cannot be used, or there is too little memory.
        PolicyError: lm-eval and our own computation disagree.
    """
    desks = _desks(config, models, paper)
    shapes = [footprint.read_shape(model.path) for model in models.values()]
    largest = max(shapes, key=lambda shape: shape.parameters)
    dtype: Dtype = "float32" if largest.parameters <= ANCHORED else served
    sittings = [
        _Examinee(config, model, paper, desks[digest], state, dtype)
        for digest, model in models.items()
    ]
    numbers = [sum(desk.size.sequences.values()) for desk in desks.values()]
    demand = footprint.Demand(
        "examining",
        lambda tokens: largest.scoring(tokens, dtype),
        batch=("eval.batch_size", min(config.batch_size, max(numbers))),
        length=("eval.max_length", max(desk.size.longest for desk in desks.values())),
        spread=True,
    )
    total = sum(numbers)
    done = sum(sitting.sequences for sitting in sittings)
    say(_announcement(len(models), dtype, demand.amount))
    with demand.granted(), Progress("examine", total=total, unit="sequence", done=done) as progress:
        for sitting in sittings:
            sitting.sit(progress)
            if served != dtype:
                sitting.try_as_served(served)
    return Outcome(
        dtype,
        {digest: first_token(desk.tokenizer)[0] for digest, desk in desks.items()},
        {sitting.digest: sitting.scores() for sitting in sittings},
    )


def _announcement(models: int, dtype: Dtype, need: int) -> str:
    gpus = len(footprint.gpus())
    where = f"{gpus} GPU(s), {gib(need // gpus)} of each" if gpus else f"the CPU, {gib(need)}"
    return f"examining {models} model(s) in {dtype} on {where} of memory at least"


def _desks(config: EvalConfig, models: Mapping[str, Artifact], paper: Paper) -> dict[str, Desk]:
    desks: dict[str, Desk] = {}
    found: dict[str, Desk] = {}
    for digest, model in models.items():
        check_context(model.path, eval__max_length=config.max_length)
        check_weights(model.path)
        sha256 = tokenizer_sha256(model.file(TOKENIZER))
        if sha256 not in found:
            tokenizer = load_tokenizer(model.path)
            encoded = preflight.encode_paper(paper, tokenizer, config.max_length)
            size = preflight.measure_size(encoded, config.max_length)
            found[sha256] = Desk(tokenizer, encoded, size)
            for remark in preflight.remarks(paper, encoded, size, tokenizer):
                say(remark)
        desks[digest] = found[sha256]
    return desks


class _Examinee:
    """One model, with what it has answered."""

    def __init__(
        self,
        config: EvalConfig,
        model: Artifact,
        paper: Paper,
        desk: Desk,
        state: State,
        dtype: Dtype,
    ) -> None:
        self._config, self._model, self._paper, self._desk = config, model, paper, desk
        self._state, self._dtype = state, dtype
        self._as_served: AsServed | None = None
        self._answers: dict[Part, Answers] = {}
        for part in paper.parts:
            raw = state.load(model.digest, str(part), dtype)
            found = None if raw is None else _read(raw)
            if found is not None and desk.encoded.fits(paper, part, found):
                self._answers[part] = found
        if self._answers:
            parts = ", ".join(map(str, self._answers))
            say(f"resumed: model {self.digest[:12]} has answered {parts} before")

    @property
    def digest(self) -> str:
        return self._model.digest

    @property
    def sequences(self) -> int:
        """How many of the paper's sequences are done."""
        return sum(self._desk.size.sequences[part] for part in self._answers)

    def sit(self, progress: Progress) -> None:
        """Answer the parts that are left, and keep each."""
        left = [part for part in self._paper.parts if part not in self._answers]
        if not left:
            return
        with self._sitting(self._dtype, progress) as sitting:
            length = self._config.max_length
            sample = compute_sample(sitting.model, self._desk.encoded, left, length)
            say(self._estimate(left, sample.seconds_per_token))
            for part in left:
                answers = self._ask(sitting, part)
                check_agreement(sample, part, answers, self._dtype)
                self._keep(str(part), self._dtype, answers)
                self._answers[part] = answers

    def try_as_served(self, served: Dtype) -> None:
        """Read the first text and item of each part in the dtype that is served."""
        raw = self._state.load(self.digest, AS_SERVED, served)
        if raw is not None:
            self._as_served = AsServed.model_validate_json(raw)
            return
        with self._sitting(served, None) as sitting:
            found = [self._ask(sitting, part, 1) for part in self._paper.parts]
        self._as_served = AsServed(
            dtype=served, of=len(found), without=sum(answers.without for answers in found)
        )
        self._keep(AS_SERVED, served, self._as_served)

    def scores(self) -> ModelScores:
        """All answers; a set with a text or an item that has no number is only counted."""
        whole = {part: found for part, found in self._answers.items() if not found.without}
        return ModelScores(
            heldout={p.name: found.texts for p, found in whole.items() if p.kind == "heldout"},
            exams={p.name: found.items for p, found in whole.items() if p.kind == "exam"},
            unusable={
                str(part): Unusable(without=found.without, of=found.of)
                for part, found in self._answers.items()
                if found.without
            },
            as_served=self._as_served,
        )

    def _sitting(self, dtype: Dtype, progress: Progress | None) -> Sitting:
        return Sitting(
            self._model.path,
            self._desk.tokenizer,
            dtype,
            max_length=self._config.max_length,
            batch_size=self._config.batch_size,
            progress=progress,
        )

    def _ask(self, sitting: Sitting, part: Part, first: int | None = None) -> Answers:
        if part.kind == "exam":
            return sitting.answer(self._paper.choices[part.name][:first])
        encoded = self._desk.encoded.heldout[part.name]
        return sitting.read(self._paper.heldout[part.name][:first], encoded.texts[:first])

    def _keep(self, part: str, dtype: Dtype, found: Answers | AsServed) -> None:
        self._state.save(self.digest, part, dtype, found.model_dump_json().encode())

    def _estimate(self, left: list[Part], seconds_per_token: float) -> str:
        tokens = sum(self._desk.size.tokens[part] for part in left)
        return (
            f"model {self.digest[:12]}: {tokens} tokens to read, in {self._dtype}, about "
            f"{preflight.duration(tokens * seconds_per_token)}"
        )


def _read(raw: bytes) -> Answers | None:
    with suppress(ValidationError):
        return Answers.model_validate_json(raw)
    return None

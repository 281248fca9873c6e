"""Every model answers the exams, one engine after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jinja2 import TemplateError

from bedside_core.artifacts import Artifact
from bedside_core.console import say
from bedside_core.errors import InputError
from bedside_core.kinds.exam import ExamItem, InstructionItem
from bedside_core.kinds.model import chat_template_sha256
from bedside_core.kinds.serving import ServedIdentity
from bedside_core.rehearsal import rehearsed
from bedside_eval.answering.answers import Answered, Mode
from bedside_eval.answering.asking import Kept, ask, questions_of
from bedside_eval.answering.config import Generation
from bedside_eval.answering.instructions import check_known
from bedside_eval.answering.scoring import Values, score
from bedside_eval.records import AnswerCounts
from bedside_eval.state import State
from bedside_models.load import load_tokenizer

NAMED = 5


class Engine(NamedTuple):
    """How the engine is started."""

    options: Sequence[str]
    """`--config` and `--set` of this verb."""
    model_name: str
    """What the engine calls the model."""


class Scored(NamedTuple):
    """What one model's answers are worth."""

    values: dict[str, Values]
    counts: dict[str, dict[Mode, AnswerCounts]]
    answers: Answered
    """What they were made of, for judges."""


def check_exams(
    config: Generation,
    exams: Mapping[str, Sequence[ExamItem]],
    models: Mapping[str, Artifact],
    window: int,
) -> None:
    """See, before anything is asked, that everything can be asked whole and read.

    Args:
        config: how long answers may be.
        exams: that are asked.
        models: by digest.
        window: of the engine, in tokens.

    Raises:
        InputError: names exam and items.
    """
    for name, items in exams.items():
        check_known(name, [item for item in items if isinstance(item, InstructionItem)])
    for digest, model in models.items():
        tokenizer = load_tokenizer(model.path)
        chat = chat_template_sha256(model.path) is not None
        for name, items in exams.items():
            long = [
                item.id
                for item in items
                if _tokens(tokenizer, item, digest, chat=chat) + config.max_tokens > window
            ]
            if long:
                more = f" and {len(long) - NAMED} more" if len(long) > NAMED else ""
                raise InputError(
                    f"exam {name}: with eval.generation.max_tokens {config.max_tokens}, "
                    f"{len(long)} item(s) are longer than the {window} tokens of "
                    f"inference.engine.max_model_len for model {digest[:12]} "
                    f"({', '.join(long[:NAMED])}{more}) - raise it or lower max_tokens"
                )


def _tokens(tokenizer: Any, item: ExamItem, digest: str, *, chat: bool) -> int:
    """How long a question is for a model."""
    if not chat:
        return len(tokenizer.encode(item.asked))
    messages = [{"role": "user", "content": item.asked}]
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except (TemplateError, TypeError, ValueError):
        # Its own words may quote the question.
        raise InputError(
            f"model {digest[:12]}: its chat template fails on a message of a user - mend it and "
            "make the model again"
        ) from None
    return len(tokenizer.encode(text))


def answer_exams(
    config: Generation,
    exams: Mapping[str, Sequence[ExamItem]],
    models: Mapping[str, Artifact],
    state: State,
    served: ServedIdentity,
    engine: Engine,
) -> dict[str, Scored]:
    """By digest, what each model's answers are worth; an interrupted run goes on.

    Args:
        config: how they are asked.
        exams: that are asked.
        models: by digest.
        state: keeps the answers.
        served: how the candidate is served: the others are asked in the same way.
        engine: how it is started.

    Raises:
        ConfigError: there is no engine here.
        InputError: an item cannot be asked, or an engine is gone, serves another model or is none
            whose answers mean anything.
        EngineError: an engine ended, or did not start.
    """
    check_exams(config, exams, models, served.max_model_len)
    questions = questions_of(exams, rotations=config.rotations)
    found = {}
    for digest, model in models.items():
        kept = Kept(model, questions, state, served.dtype)
        if any(True for _ in kept.missing):
            with rehearsed(engine.options, digest) as socket:
                chat = chat_template_sha256(model.path) is not None
                ask(config, kept, engine.model_name, socket, chat=chat)
        else:
            say(f"resumed: model {digest[:12]} has answered the exams before")
        answers = kept.answers
        found[digest] = Scored(*score(exams, answers), answers)
    return found

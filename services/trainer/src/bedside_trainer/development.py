"""The development parts, by which a training is looked at while it runs; no sealed text is here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bedside_core.kinds.exam import ChoiceItem
from bedside_models.likelihood import EncodedSet, measure
from bedside_models.options import answer
from bedside_models.scores import Scores
from bedside_trainer.milestones import Candidate, Sitting


@dataclass(frozen=True, slots=True)
class Development:
    """Texts and exam items, ready to be scored."""

    texts: EncodedSet
    max_length: int
    """Tokens that the model sees at once."""
    tokenizer: PreTrainedTokenizerBase
    exams: Mapping[str, Sequence[ChoiceItem]]

    def measure(self, model: PreTrainedModel, name: str) -> Scores:
        """Likelihood of the texts; leaves the model in evaluation mode.

        Raises:
            InputError: the model gives a likelihood that is no number.
        """
        return measure(model, self.texts, length=self.max_length, name=name)

    def candidate(
        self, model: PreTrainedModel, step: int, mean_of: tuple[int, ...] = ()
    ) -> Candidate:
        """Score a model that stands after `step` steps; leaves it in evaluation mode.

        Raises:
            InputError: the model gives a likelihood that is no number.
        """
        name = f"mean of {len(mean_of)}" if mean_of else f"milestone {step}"
        return Candidate(
            step=step,
            mean_of=mean_of,
            nll_per_token=self.measure(model, name).nll_per_token,
            exams={exam: self._sit(model, items) for exam, items in self.exams.items()},
        )

    def _sit(self, model: PreTrainedModel, items: Sequence[ChoiceItem]) -> Sitting:
        right = sum(answer(model, self.tokenizer, item) in item.answers for item in items)
        return Sitting(items=len(items), right=right)

"""What a training decides on its way: which updates count, what is scored, when it ends.

The loop asks; everything here follows from numbers that all processes have, so that all of them and
a resumed training decide alike. What must survive a kill is in `extras`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from bedside_core.console import say
from bedside_core.errors import InputError
from bedside_models.scores import Scores
from bedside_trainer import milestones
from bedside_trainer.average import average
from bedside_trainer.config import TrainerConfig
from bedside_trainer.development import Development
from bedside_trainer.milestones import Candidate
from bedside_trainer.spikes import SpikeMonitor

REPORT = "spikes.json"
SCHEMA_VERSION = 1


class Course:
    """The decisions of one training."""

    def __init__(
        self,
        config: TrainerConfig,
        steps: int,
        development: Development,
        documents: Callable[[Sequence[int]], list[str]],
    ) -> None:
        """Begin at the first step.

        Args:
            config: its settings.
            steps: of the whole training.
            development: what milestones are scored on.
            documents: ids of the documents in rows.
        """
        self.config, self.steps, self.development = config, steps, development
        self.monitor = SpikeMonitor(config.spikes)
        self.candidates: list[Candidate] = []
        self.chosen: Candidate | None = None
        self._documents = documents

    def admits(self, step: int, loss: float, grad_norm: float, rows: Sequence[int]) -> bool:
        """Whether the update of step `step` (from 1) is made; asked when its gradient is known.

        Raises:
            InputError: one spike too many.
        """
        if not self.monitor.observe(step, loss, grad_norm):
            return True
        say(str(self.monitor.name(rows, self._documents(rows))))
        if self.monitor.is_over:
            raise self.lost(step)
        return False

    @property
    def goes_back(self) -> bool:
        """Whether the steps that were left out last mean that the weights are damaged."""
        return self.monitor.is_damaged

    def go_back(self, step: int, extras: Mapping[str, Any]) -> None:
        """Take on what was known when a state was saved after `step`, but for the spikes."""
        self.monitor.go_back(step, extras["spikes"])
        self.candidates = [Candidate.model_validate(one) for one in extras["milestones"]]
        last = self.monitor.spikes[-1]
        say(
            f"{self.config.spikes.in_a_row} steps in a row: back to the state after step {step}, "
            f"and what came between it and step {last.step} is left out"
        )

    def lost(self, step: int) -> InputError:
        """What to say where no going on helps."""
        return InputError(
            f"the loss or its gradient is not finite or far above those before at step {step}, "
            f"{len(self.monitor.spikes)} times in all, nothing was published - lower "
            f"trainer.learning_rate (now {self.config.learning_rate:g}) or lengthen the warm-up in "
            "trainer.schedule; at step 1, look for damaged weights in the base model; where single "
            "documents are the cause, take those that were named out of the corpus or raise "
            "trainer.spikes.limit"
        )

    def is_milestone(self, step: int) -> bool:
        """Whether the state after this step is kept and scored."""
        found = self.config.milestones
        return found is not None and found.at(step, self.steps)

    def score(self, model: PreTrainedModel, step: int) -> None:
        """Score a milestone; leaves the model in evaluation mode."""
        self.candidates.append(self.development.candidate(model, step))

    def has_stalled(self, before: Scores) -> bool:
        """Whether the training learns nothing more; says so."""
        if self.config.milestones is None:
            return False
        course = [before.nll_per_token, *(one.nll_per_token for one in self.candidates)]
        stalled = milestones.has_stalled(course, self.config.milestones.early_stop)
        if stalled:
            say(f"ends at step {self.candidates[-1].step}: no gain on the development part")
        return stalled

    def settle(
        self,
        model: PreTrainedModel,
        load: Callable[[int], None],
        publish: Callable[[int], None],
    ) -> None:
        """Publish milestones as configured, and put the candidate that is chosen into the model.

        Args:
            model: is changed.
            load: puts the weights of a milestone into it.
            publish: writes what it holds as the milestone of that step.
        """
        found = self.config.milestones
        if found is None or not self.candidates:
            return
        for step in found.published(self.candidates):
            load(step)
            publish(step)
        steps = tuple(one.step for one in self.candidates[-(found.average or 1) :])
        if len(steps) > 1:
            average(model, steps, load)
            self.candidates.append(self.development.candidate(model, steps[-1], mean_of=steps))
        self.chosen = milestones.choose(found, self.candidates)
        if not self.chosen.mean_of:
            load(self.chosen.step)
        say(milestones.table_of(self.candidates, self.chosen))

    @property
    def extras(self) -> dict[str, Any]:
        """What a state must hold of this, as plain JSON."""
        return {
            "spikes": self.monitor.state(),
            "milestones": [one.model_dump(mode="json") for one in self.candidates],
        }

    def restore(self, extras: Mapping[str, Any]) -> None:
        """Go on from what a state held; nothing at the first start."""
        if not extras:
            return
        self.monitor.restore(extras["spikes"])
        self.candidates = [Candidate.model_validate(one) for one in extras["milestones"]]

    def write(self, target: Path, before: Scores) -> None:
        """Write what was left out and what the milestones scored into a checkpoint's folder."""
        if self.monitor.spikes:
            spikes = [spike.model_dump(mode="json") for spike in self.monitor.spikes]
            content = {"schema_version": SCHEMA_VERSION, "spikes": spikes}
            (target / REPORT).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        if self.config.milestones is not None and self.chosen is not None:
            milestones.write_report(
                target, self.config.milestones, self.candidates, self.chosen, before.estimand
            )

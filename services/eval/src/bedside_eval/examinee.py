"""lm-eval's Hugging Face model, with the computation of likelihoods as ours: less of it.

lm-eval runs a question anew for each of its options. Here the options of an item share one pass
over the question, whose keys and values each continues. What is asked and what is done with the
numbers stays lm-eval's; `agreement` compares the numbers with a plain computation.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from lm_eval.models.huggingface import HFLM
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from bedside_models.likelihood import windows
from bedside_models.options import cut
from bedside_models.texts import TextTokenizer


class Row(NamedTuple):
    """Tokens to score after others."""

    context: tuple[int, ...]
    scored: tuple[int, ...]


class Examinee(HFLM):  # type: ignore[misc]
    """A loaded model that answers lm-eval's requests."""

    def __init__(self, advance: Callable[[int], None], **options: Any) -> None:
        """`advance` hears of every request that is done; `options` are HFLM's."""
        super().__init__(**options)
        self.advance = advance
        self._texts = TextTokenizer(self.tokenizer)
        accepted = inspect.signature(self.model.forward).parameters
        # A state-space model's memory is no list of keys and values that options could share.
        stateful = getattr(self.model, "_is_stateful", False)
        self._continues = "past_key_values" in accepted and not stateful
        self._keep_one = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}

    def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Score options after their questions, cut as `options.cut` says.

        lm-eval cuts by the number of the question's tokens alone, and stops where a token spans
        question and option.
        """
        by_item: dict[tuple[Any, Any], list[int]] = {}
        for number, request in enumerate(requests):
            by_item.setdefault((request.task_name, request.doc_id), []).append(number)
        rows: dict[int, tuple[None, list[int], list[int]]] = {}
        for numbers in by_item.values():
            question = requests[numbers[0]].args[0]
            options = [requests[n].args[1] for n in numbers]
            context, endings = cut(self.tokenizer, question, options)
            rows |= {n: (None, context, e) for n, e in zip(numbers, endings, strict=True)}
        ordered = [rows[number] for number in range(len(requests))]
        return self._loglikelihood_tokens(ordered, disable_tqdm=disable_tqdm)

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:
        """Score whole texts, in the windows of our estimand: a prefix token before every one.

        lm-eval has it before the first alone.
        """
        owners, rows = [], []
        for number, request in enumerate(requests):
            (ids,) = self._texts.ids([request.args[0]])
            for window in windows(ids, self.prefix_token_id, self.max_length):
                owners.append(number)
                start = len(window.ids) - window.scored
                rows.append((None, list(window.ids[:start]), list(window.ids[start:])))
        totals = [0.0] * len(requests)
        found = self._loglikelihood_tokens(rows, disable_tqdm=disable_tqdm)
        for owner, (value, _) in zip(owners, found, strict=True):
            totals[owner] += value
        return totals

    @torch.no_grad()
    def _loglikelihood_tokens(
        self, requests: Any, disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        """Log-likelihoods in the order of the requests; no metric of ours asks what is greedy."""
        rows = [Row(tuple(context), tuple(scored)) for _, context, scored in requests]
        shared: dict[tuple[int, ...], list[int]] = {}
        for number, row in enumerate(rows):
            shared.setdefault(row.context if self._continues else (number,), []).append(number)
        values: dict[int, float] = {}
        alone = [numbers[0] for numbers in shared.values() if len(numbers) == 1]
        # The longest first: if memory does not suffice, it shows at once.
        alone.sort(key=lambda number: -len(rows[number].context) - len(rows[number].scored))
        for start in range(0, len(alone), self.batch_size):
            chosen = alone[start : start + self.batch_size]
            values |= zip(chosen, self._whole([rows[n] for n in chosen]), strict=True)
            self.advance(len(chosen))
        for numbers in shared.values():
            if len(numbers) > 1:
                values |= zip(numbers, self._continued([rows[n] for n in numbers]), strict=True)
                self.advance(len(numbers))
        return [(values[number], False) for number in range(len(rows))]

    def _whole(self, rows: Sequence[Row]) -> Iterator[float]:
        """One pass over context and scored tokens of all rows, padded on the right."""
        inputs = [torch.tensor((row.context + row.scored)[:-1]) for row in rows]
        logits = self._call(pad_sequence(inputs, batch_first=True)).logits
        for place, row, ids in zip(logits, rows, inputs, strict=True):
            yield _sum(place[len(ids) - len(row.scored) : len(ids)], row.scored)

    def _continued(self, rows: Sequence[Row]) -> Iterator[float]:
        """One pass over the common context, then one over what follows its keys and values."""
        context = torch.tensor([rows[0].context])
        first = self._call(context, use_cache=True, **self._keep_one)
        for chosen in self._batches(rows, len(context[0])):
            longest = max(len(row.scored) for row in chosen) - 1
            if longest:
                # A pass adds to the keys and values that it is given.
                past = copy.deepcopy(first.past_key_values)
                past.batch_repeat_interleave(len(chosen))
                inputs = [torch.tensor(row.scored[:-1], dtype=torch.long) for row in chosen]
                padded = pad_sequence(inputs, batch_first=True)
                rest = self._call(padded, past_key_values=past, use_cache=True).logits
            for place, row in enumerate(chosen):
                value = _sum(first.logits[0, -1:], row.scored[:1])
                if len(row.scored) > 1:
                    value += _sum(rest[place, : len(row.scored) - 1], row.scored[1:])
                yield value

    def _batches(self, rows: Sequence[Row], before: int) -> Iterator[Sequence[Row]]:
        """As many options at once as take no more tokens than a batch of whole sequences."""
        longest = before + max(len(row.scored) for row in rows)
        size = max(1, self.batch_size * self.max_length // longest)
        for start in range(0, len(rows), size):
            yield rows[start : start + size]

    def _call(self, ids: Tensor, **options: Any) -> Any:
        return self.model(input_ids=ids.to(self.device), **({"use_cache": False} | options))


def _sum(logits: Tensor, targets: Sequence[int]) -> float:
    """Log-likelihood of `targets`, in nats, by logits of shape (targets, vocabulary)."""
    wanted = torch.tensor(targets, device=logits.device)
    return -float(F.cross_entropy(logits.float(), wanted, reduction="sum"))

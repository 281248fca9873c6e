"""What a full training would change, from a ladder of short ones: a law fitted with its doubts.

Each rung is a whole training with a compressed schedule. The change of a set's negative
log-likelihood per token after a training of area a (`ladder.area`) is taken as

    change(a) = shift * (1 - (1 + a / scale) ** -exponent) ** bend + shock * a / (a + rise)

The first bracket is how far the model has moved from the base's distribution to the corpus's, a
power law (Wang et al. 2025, section 3; Kaplan et al. 2020 with an offset for what the base knows,
as Hernandez et al. 2021). A set gains or loses in proportion to the move (bend 1) or with its
square, where the base stands at its best and every way leads up (bend 2); the sign of the shift
says which. The last term is what a warm-up from a trained base costs on every text at once and
takes back slowly (Ibrahim et al. 2024, section 6.1): a share of it, unknown, is left at the end.

Three rungs cannot tell these numbers apart at a hundred times their length. So nothing is fitted to
a point: they are drawn from priors, weighed by how well they explain the rungs, and the interval is
of what they say about the whole training. Texts are resampled with each draw, all rungs alike, so
that the interval is about texts like these and not about these alone.

Bend, shock and noise were settled on eight development worlds of `bench/trainer/pilot.py`; its
twenty others prove the interval.

Covered: gain and forgetting that go on in one direction, slower and slower; the shock at the start.
Not covered: what turns round after the pilot (overfitting in later epochs, a spike that stays), and
stairs, where something is learned all at once that no rung showed.

Tested in tests/trainer/pilot/test_law.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bedside_models.scores import Scores

Floats = NDArray[np.float64]

LEVEL = 0.9
"""Of the interval."""
DRAWS = 10_000
"""From the priors."""
RESAMPLES, KEPT = 100, 200
"""Samples of texts, and draws that are kept for each, by their weights."""
EXPONENTS = (0.05, 1.0)
"""Uniform; language models' power laws in data lie at 0.05 to 0.4 (Kaplan et al. 2020; Hoffmann et
al. 2022), a small shift of domain is learned faster."""
BENDS = (1.0, 2.0)
"""Uniform; at 1 a set's likelihood changes in proportion to the move, at 2 with its square, as it
does where the base stands at its best."""
REACH = 10.0
"""The scale is log-uniform, from the first rung's area over this to the whole training's."""
SHIFT, SHOCK = 0.25, 0.01
"""Standard deviations, as shares of the base's nats per token; the shock is above zero."""
NOISE = (0.02, 0.3)
"""Of a rung and of the end, log-uniform, as a share of the change: seeds, order of rows, and what
the law leaves out."""


class Forecast(NamedTuple):
    """The change of a set's negative log-likelihood by the whole training, in nats per token."""

    low: float
    median: float
    high: float
    """Ends of the interval of `LEVEL`; below zero is a gain, above it is forgetting."""
    rungs: tuple[float, ...]
    """What was measured, rung by rung."""


def forecast(
    areas: Sequence[float], before: Scores, after: Sequence[Scores], whole: float, *, seed: int
) -> Forecast:
    """Say what the whole training would change.

    Args:
        areas: of each rung, from short to long.
        before: the base on a set.
        after: each rung's model on the same texts.
        whole: area of the whole training.
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    tokens = np.array([text.tokens for text in before.texts], dtype=float)
    nll = np.array([[text.nll for text in scores.texts] for scores in (before, *after)])
    changes = nll[1:] - nll[0]  # (rungs, texts)
    rungs = changes.sum(1) / tokens.sum()
    law = _Law(np.append(areas, whole), np.abs(rungs).max(), before.nll_per_token, generator)
    found = []
    for _ in range(RESAMPLES):
        picked = generator.integers(len(tokens), size=len(tokens))
        found.append(law.ends(changes[:, picked].sum(1) / tokens[picked].sum()))
    low, median, high = np.quantile(np.concatenate(found), [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
    return Forecast(float(low), float(median), float(high), tuple(map(float, rungs)))


class _Law:
    """The law's numbers, drawn from their priors; both amplitudes stay normal and are integrated.

    That is a linear regression on two shapes, with a normal prior, for every draw.
    """

    def __init__(
        self, areas: Floats, size: float, base: float, generator: np.random.Generator
    ) -> None:
        """Draw.

        Args:
            areas: of the rungs, and last of the whole training.
            size: the largest change that was measured.
            base: the base's nats per token.
            generator: of all draws.
        """
        self.generator = generator
        at = areas[:, None]

        def spread(low: float, high: float) -> Floats:
            return np.exp(generator.uniform(np.log(low), np.log(high), DRAWS))

        exponent = generator.uniform(*EXPONENTS, DRAWS)
        moved = 1 - (1 + at / spread(areas[0] / REACH, areas[-1])) ** -exponent
        self.shift = moved ** generator.uniform(*BENDS, DRAWS)
        self.shock = at / (at + spread(areas[0] / REACH, areas[-2]))
        self.left = generator.uniform(0, 1, DRAWS)
        self.relative = spread(*NOISE)
        self.variance = (max(size, 1e-4 * base) * self.relative) ** 2
        shift, shock = self.shift[:-1], self.shock[:-1]
        # The precision of the two amplitudes, and its inverse.
        first = (shift**2).sum(0) / self.variance + (SHIFT * base) ** -2
        second = (shock**2).sum(0) / self.variance + (SHOCK * base) ** -2
        both = (shift * shock).sum(0) / self.variance
        self.determinant = first * second - both**2
        self.covariance = np.array([[second, -both], [-both, first]]) / self.determinant

    def ends(self, measured: Floats) -> Floats:
        """Draws of the change by the whole training, given what the rungs measured."""
        pull = np.array(
            [(shape[:-1] * measured[:, None]).sum(0) for shape in (self.shift, self.shock)]
        )
        pull /= self.variance
        mean = np.einsum("ijn,jn->in", self.covariance, pull)
        rest = (measured**2).sum() / self.variance - (pull * mean).sum(0)
        weight = -0.5 * (rest + np.log(self.determinant) + len(measured) * np.log(self.variance))
        weight = np.exp(weight - weight.max())
        chosen = self.generator.choice(DRAWS, size=KEPT, p=weight / weight.sum())
        # Cholesky factors of the 2 x 2 covariances, and normal draws through them.
        (one, both), (_, two) = self.covariance[..., chosen]
        normal = self.generator.standard_normal((3, KEPT))
        shift = mean[0, chosen] + np.sqrt(one) * normal[0]
        shock = mean[1, chosen] + both / np.sqrt(one) * normal[0]
        shock += np.sqrt(np.maximum(two - both**2 / one, 0)) * normal[1]
        end = shift * self.shift[-1, chosen] + shock * self.left[chosen]
        end += self.relative[chosen] * np.abs(end) * normal[2]
        # Half of a normal prior: what is below zero is left out.
        return np.asarray(end[shock >= 0])

"""Merges that have a name: those of the two papers, and what the literature sets against them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from bedside_merger.merge import EVERY_MILESTONE, Merge, Source

PresetName = Literal["definemed", "parcomed", "average", "ties", "dare"]
DEFAULT: PresetName = "definemed"


def schedule(
    self_attn: tuple[float, ...], mlp: tuple[float, ...], rest: float
) -> dict[str, object]:
    """Weights of the checkpoint over the depth: attention, feed-forward part, the rest.

    The rest: embeddings, norms and the output head.
    """
    return {
        "t": (
            {"filter": "self_attn", "value": self_attn},
            {"filter": "mlp", "value": mlp},
            {"value": rest},
        )
    }


PRESETS: Mapping[PresetName, Merge] = {
    # Doll et al. (DeFineMed), appendix A.4; there in float16.
    "definemed": Merge(
        method="slerp",
        parameters=schedule((0, 0.5, 0.3, 0.7, 1), (1, 0.5, 0.7, 0.3, 0), 0.5),
    ),
    # PARCOMED, section 4: SLERP of base and checkpoint. The fraction is not published; this is the
    # middle, as in mergekit's own examples.
    "parcomed": Merge(method="slerp", parameters={"t": 0.5}),
    # Wortsman et al. 2022 ("Model soups"), here of one training: its milestones, of which the last
    # is its end.
    "average": Merge(
        method="linear",
        parameters={"weight": 1},
        models=(Source(model=EVERY_MILESTONE),),
    ),
    # Yadav et al. 2023: the largest 20 % of the update are kept.
    "ties": Merge(method="ties", parameters={"weight": 1, "density": 0.2}),
    # Yu et al. 2024, with half of the update dropped: their 90 % are for updates of fine-tuning,
    # which are far smaller than those of pre-training.
    "dare": Merge(method="dare_linear", parameters={"weight": 1, "density": 0.5}),
}

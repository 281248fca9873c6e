"""What a pilot says: on the terminal, in `pilot.json` and in `pilot.png`.

Tested in tests/trainer/pilot/test_verb.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files only: there is no display on a server

from matplotlib.figure import Figure

from bedside_core.console import table
from bedside_core.files import write_atomic
from bedside_trainer.config import TrainerConfig
from bedside_trainer.pilot.law import LEVEL, Forecast
from bedside_trainer.pilot.verdict import Verdict

REPORT, PLOT = "pilot.json", "pilot.png"
SCHEMA_VERSION = 1


def write(
    room: Path,
    config: TrainerConfig,
    rungs: Sequence[int],
    steps: int,
    forecasts: Mapping[str, Forecast],
    verdict: Verdict,
) -> None:
    """Write report and plot into the folder `room`.

    Args:
        room: the folder.
        config: of the training.
        rungs: steps of each.
        steps: of the whole training.
        forecasts: by set.
        verdict: what they say.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "unit": "nats per token, after - before",
        "level": LEVEL,
        "settings": config.pilot.model_dump(),
        "heldout": config.heldout,
        "rungs": list(rungs),
        "steps": steps,
        "sets": {name: forecast._asdict() for name, forecast in forecasts.items()},
        "verdict": verdict,
    }
    write_atomic(room / REPORT, (json.dumps(content, indent=2) + "\n").encode())
    plot(room / PLOT, rungs, steps, forecasts)


def shown(config: TrainerConfig, forecasts: Mapping[str, Forecast], verdict: Verdict) -> str:
    """The table, and a sentence on what to do."""
    rows = [
        ["set", "measured, nats per token", "at the end", f"{LEVEL:.0%} interval", "perplexity"]
    ]
    for name, found in forecasts.items():
        ends = [f"{100 * math.expm1(end):+.0f} %" for end in (found.low, found.high)]
        rows.append(
            [
                name,
                " ".join(f"{value:+.4f}" for value in found.rungs),
                f"{found.median:+.3f}",
                f"{found.low:+.3f} to {found.high:+.3f}",
                " to ".join(ends),
            ]
        )
    settings = config.pilot
    price = f"a gain of {settings.min_gain:g} or more on {config.heldout}"
    if settings.max_loss is not None:
        price += f" at a loss of {settings.max_loss:g} or less elsewhere"
    sentence = {
        "train": f"train: the intervals allow nothing but {price}",
        "do not train": f"do not train: the intervals do not allow {price}",
        "cannot tell": f"cannot tell: the intervals leave open whether there will be {price} - "
        "raise trainer.pilot.share for narrower ones, or decide by other means",
    }
    return f"{table(rows)}\n{sentence[verdict]}"


def plot(path: Path, rungs: Sequence[int], steps: int, forecasts: Mapping[str, Forecast]) -> None:
    """Each set's rungs and interval over the steps of a training."""
    figure = Figure(figsize=(3.4 * len(forecasts) + 1, 3.4), layout="constrained")
    (panels,) = figure.subplots(1, len(forecasts), squeeze=False)
    for axes, (name, found) in zip(panels, forecasts.items(), strict=True):
        axes.axhline(0, color="black", linewidth=0.8)
        axes.plot(rungs, found.rungs, "o", color="tab:blue", label="measured")
        ends = [[found.median - found.low], [found.high - found.median]]
        axes.errorbar(
            [steps], [found.median], yerr=ends, fmt="o", mfc="white", capsize=4,
            color="tab:gray", label=f"forecast, {LEVEL:.0%}",
        )  # fmt: skip
        axes.set(title=name, xscale="log", xlabel="steps of a whole training")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("nats per token (below 0: learned)")
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=150)

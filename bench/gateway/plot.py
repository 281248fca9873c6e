"""Plots of the figures; text and lines, no numbers that the JSON does not have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator

COLOURS = {
    "direct": "#7f7f7f",
    "passthrough": "#4a6fa5",
    "bedside": "#0b6e4f",
    "litellm": "#c1440e",
}
KINDS = {"whole": "not streaming", "stream": "streaming, 33 chunks"}
MIB = 1 << 20


def peers(result: dict[str, Any], path: Path) -> None:
    """Time to first token and CPU per request over the number of clients."""
    figure, axes = plt.subplots(2, 2, figsize=(11, 7.5), sharex=True, sharey="row")
    for column, (kind, title) in enumerate(KINDS.items()):
        first, cpu = axes[0][column], axes[1][column]
        for peer, colour in COLOURS.items():
            cells = [
                c
                for c in result["cells"]
                if (c["peer"], c["kind"]) == (peer, kind) and "clients" in c and c["requests"]
            ]
            clients = [c["clients"] for c in cells]
            for name, style in (("p50", "-"), ("p99", "--")):
                values = [c["first_token_ms"][name] for c in cells]
                first.plot(clients, values, style, color=colour, marker="o", ms=4,
                           label=f"{peer} {name}")  # fmt: skip
            # Directly asked there is nobody between, so nothing to pay.
            if peer != "direct":
                values = [c["cpu_ms_per_request"] for c in cells]
                cpu.plot(clients, values, color=colour, marker="o", ms=4, label=peer)
                for at, value in zip(clients, values, strict=True):
                    cpu.annotate(f"{value:.2g}", (at, value), xytext=(0, 5), fontsize=7,
                                 textcoords="offset points", ha="center")  # fmt: skip
        first.set_title(title)
        cpu.set_xlabel("clients that ask again at once")
    axes[0][0].set_ylabel("ms to the first byte of the answer")
    axes[1][0].set_ylabel("CPU ms per request")
    for axis in axes.flat:
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("")
        axis.grid(alpha=0.3, which="both", lw=0.5)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8)
    versions, mock = result["versions"], result["mock"]
    against = f", LiteLLM {versions['litellm']}" if "litellm" in versions else ""
    figure.suptitle(
        f"One worker on one core ({result['machine']['cpu']}){against}; mock engine: first token "
        f"{mock['first_token_ms']} ms, then one each {mock['inter_token_ms']} ms",
        fontsize=10,
    )
    save(figure, path)


def soak(
    seconds: Sequence[float], rss: Sequence[int], line: tuple[float, float], warm_up: float,
    path: Path,
) -> None:  # fmt: skip
    """Memory over time, and the line that was fitted after the warm-up."""
    slope, start = line
    figure, axis = plt.subplots(figsize=(9, 4))
    axis.plot(seconds, [value / MIB for value in rss], color=COLOURS["bedside"], lw=1)
    fitted = [s for s in seconds if s >= warm_up]
    axis.plot(fitted, [(start + slope * s) / MIB for s in fitted], "--", color=COLOURS["litellm"],
              label=f"{slope * 3600 / MIB:+.2f} MiB an hour")  # fmt: skip
    axis.set_ylim(0, max(rss) / MIB * 1.15)
    axis.set_xlabel("seconds under load")
    axis.set_ylabel("resident memory of the gateway, MiB")
    axis.grid(alpha=0.3)
    axis.legend()
    save(figure, path)


def save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)

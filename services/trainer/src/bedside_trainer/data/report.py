"""What packing did, as the checkpoint tells it: `packing.json`, `packing.png`, facts, a line.

Tested in tests/trainer/data/test_report.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import matplotlib

matplotlib.use("Agg")  # files only: there is no display on a server

import numpy as np
from matplotlib.figure import Figure
from pydantic import BaseModel, ConfigDict

from bedside_trainer.config import TrainerConfig
from bedside_trainer.data.packing import Mode
from bedside_trainer.data.prepare import Data
from bedside_trainer.data.rows import Packed, Rows

REPORT, PLOT = "packing.json", "packing.png"
BINS = 40


class PackingReport(BaseModel):
    """`packing.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    mode: Mode
    capacity: int
    """Tokens that a row can hold."""
    overlap: int
    separator: str
    """The token at the end of every document."""
    streams: tuple[Packed, ...]
    """What is packed into rows of its own."""
    documents: int
    tokens: int
    rows: int
    fill: float
    """Share of the rows' capacity that holds a token."""
    cut: int
    """Documents that lie in more than one piece."""
    avoidable_cuts: int
    """Of those, the ones that a row could have held."""
    spelling_control_tokens: int
    """Documents with strings that spell control tokens; they are read as text."""
    unknown_tokens: int
    """Tokens that stand for what the tokenizer does not know."""
    squared_lengths: int
    """Sum over all that sees itself: attention's work follows it."""
    batch_size: int
    """Rows of an optimizer step: as set, or all of an epoch if those are fewer."""

    def __str__(self) -> str:
        """A line for the terminal."""
        line = (
            f"{self.documents:,} documents, {self.tokens:,} tokens in {self.rows:,} rows of "
            f"{self.capacity:,} ({self.mode}), {self.fill:.2%} filled; {self.cut:,} documents cut, "
            f"{self.avoidable_cuts:,} of them without need"
        )
        if self.spelling_control_tokens:
            spelling = f"{self.spelling_control_tokens:,} documents spell control tokens"
            line += f"; {spelling}, which are read as text"
        return line

    def write(self, target: Path, rows: Rows) -> None:
        """Write the report, and a plot of lengths and fill, into a directory."""
        (target / REPORT).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        plot(target / PLOT, rows)


def packing_report(data: Data, config: TrainerConfig) -> PackingReport:
    """What packing did to the documents of a training."""
    rows, stores = data.rows, data.rows.documents.stores
    placed = int(rows.lengths.sum(dtype=np.int64))
    return PackingReport(
        mode=config.packing.mode,
        capacity=config.sequence_length,
        overlap=config.packing.overlap,
        separator=data.separator.token,
        streams=rows.streams,
        documents=sum(stream.documents for stream in rows.streams),
        tokens=sum(stream.tokens for stream in rows.streams),
        rows=len(rows),
        fill=placed / (len(rows) * config.sequence_length),
        cut=sum(stream.cut for stream in rows.streams),
        avoidable_cuts=sum(stream.avoidable_cuts for stream in rows.streams),
        spelling_control_tokens=sum(store.record.spelling for store in stores),
        unknown_tokens=sum(store.record.unknown for store in stores),
        squared_lengths=int(rows.cost.sum()),
        batch_size=data.order.batch_size,
    )


def plot(path: Path, rows: Rows) -> None:
    """Documents by length, and rows by what attention in them costs, side by side."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    lengths = np.concatenate([store.lengths() for store in rows.documents.stores])
    edges = np.geomspace(1, max(2, int(lengths.max())), BINS + 1)
    left.hist(lengths, edges, color="tab:blue")
    left.set(title="Documents", xlabel="tokens", ylabel="documents", xscale="log")
    right.hist(rows.cost / rows.lengths, BINS, color="tab:gray")
    right.set(title="Rows", xlabel="tokens that a token's own text has on average", ylabel="rows")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)

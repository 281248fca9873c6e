"""`bedside eval compare A B [C...]`: needs no run config, no registry and no key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from bedside_core.config import Config
from bedside_core.console import say
from bedside_core.errors import ArtifactError
from bedside_core.files import write_atomic

if TYPE_CHECKING:
    from bedside_core.registry.registry import Registry


class CompareOptions(Config):
    """The options of the verb."""

    tasks: tuple[str, ...] | None = None
    """Compare these alone."""
    metric: str | None = None
    """Score of an item: lm-eval's metric or Inspect's scorer; by default the log's first."""
    filter: str | None = None
    """lm-eval's filter, where a task has several."""
    cluster: str | None = None
    """Field of lm-eval's document or of Inspect's sample metadata that names what items share, as a
    patient; by default `cluster` where there is one."""
    confidence: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95
    """Of the intervals."""
    output: Path | None = None
    """Folder for compare.json, compare.md and compare.png."""


def compare(registry: Registry, logs: Sequence[str], options: CompareOptions) -> None:
    """Compare the first log's model with all others.

    Raises:
        ConfigError: fewer than two logs.
        InputError: a log cannot be read, or the models were not asked the same.
        ArtifactError: the folder cannot be written.
    """
    # numpy, scipy and matplotlib: not for the other verbs of this service.
    from bedside_eval.compare.forest import forest_plot
    from bedside_eval.compare.judge import judge
    from bedside_eval.compare.log import Wanted
    from bedside_eval.compare.sources import read_models
    from bedside_eval.compare.tables import markdown, terminal

    wanted = Wanted(options.metric, options.filter, options.cluster)
    models = read_models([Path(log) for log in logs], wanted, options.tasks or ())
    result = judge(models, confidence=options.confidence)
    say(terminal(result))
    if options.output is None:
        return
    files = {
        "compare.json": (result.model_dump_json(indent=2) + "\n").encode(),
        "compare.md": markdown(result).encode(),
        "compare.png": forest_plot(result),
    }
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            write_atomic(options.output / name, data)
    except OSError as error:
        raise ArtifactError(
            f"--output {options.output}: cannot be written ({error.strerror}) - name another folder"
        ) from error
    say(f"\nwritten: {options.output}")

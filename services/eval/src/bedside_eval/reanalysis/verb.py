"""`bedside eval reanalyse TABLE.yaml [...]`: needs no run config, no registry and no key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from bedside_core.config import Config
from bedside_core.console import say
from bedside_core.errors import ArtifactError, ConfigError
from bedside_core.files import write_atomic

if TYPE_CHECKING:
    from bedside_core.registry.registry import Registry


class ReanalyseOptions(Config):
    """The options of the verb."""

    alpha: Annotated[float, Field(ge=0.001, le=0.5)] = 0.05
    """Level of the tests, two-sided."""
    output: Path | None = None
    """Folder for each file's NAME.json and, table by table, NAME-1.png and so on."""


def reanalyse(registry: Registry, files: Sequence[str], options: ReanalyseOptions) -> None:
    """Judge the printed scores of papers.

    Raises:
        ConfigError: a file is none of printed scores, or two have one name.
        InputError: a table contradicts itself.
        ArtifactError: the folder cannot be written.
    """
    # scipy and matplotlib: not for the other verbs of this service.
    from bedside_eval.reanalysis.judge import judge
    from bedside_eval.reanalysis.printed import read_paper
    from bedside_eval.reanalysis.shown import forest_plot, terminal

    paths = [Path(file) for file in files]
    if len({path.stem for path in paths}) < len(paths):
        raise ConfigError("eval reanalyse: two files of one name - their results would be one file")
    written: dict[str, bytes] = {}
    for path in paths:
        result = judge(*read_paper(path), alpha=options.alpha)
        say(terminal(result) + "\n")
        if options.output is not None:
            written[f"{path.stem}.json"] = (result.model_dump_json(indent=2) + "\n").encode()
            for number, found in enumerate(result.tables, 1):
                written[f"{path.stem}-{number}.png"] = forest_plot(found, options.alpha)
    if options.output is None:
        return
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        for name, data in written.items():
            write_atomic(options.output / name, data)
    except OSError as error:
        raise ArtifactError(
            f"--output {options.output}: cannot be written ({error.strerror}) - name another folder"
        ) from error
    say(f"written: {options.output}")

"""The milestones of a checkpoint: models of the same training, as folders of the artifact.

The trainer writes them, the merger reads them; nothing else looks into them.
"""

from __future__ import annotations

import re
from pathlib import Path

from bedside_core.kinds.model import CONFIG

FOLDER = "milestones"
_NAME = re.compile(r"step-(0|[1-9]\d*)")


def folder_of(step: int) -> str:
    """Where the model after so many steps lies, in the checkpoint's directory."""
    return f"{FOLDER}/step-{step}"


def is_of_milestone(file: str) -> bool:
    """Whether a file of a checkpoint, by its path in the artifact, belongs to a milestone."""
    return file.startswith(f"{FOLDER}/")


def milestones(checkpoint: Path) -> dict[int, Path]:
    """Each model of the trajectory by its step, the earliest first."""
    found = {
        int(match[1]): path
        for path in (checkpoint / FOLDER).glob("*")
        if (match := _NAME.fullmatch(path.name)) and (path / CONFIG).is_file()
    }
    return dict(sorted(found.items()))

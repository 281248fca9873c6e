"""The verbs of people who check a labelled set: `bedside corpus review` and `agreement`.

Tested in tests/corpus/labelling/test_people.py.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from bedside_core.config import Config
from bedside_core.console import say
from bedside_core.registry.registry import Registry


class ReviewOptions(Config):
    """Who looks."""

    by: str = Field(min_length=1, max_length=60)
    """Your name or initials, which stand in the file beside each answer."""


def review(registry: Registry, file: str, options: ReviewOptions) -> None:
    """Go through a review file from the first document without an answer.

    Raises:
        InputError: it is no review file, somebody else filled it in, or its labelled set is gone.
        ArtifactError: the labelled set was changed, or the file cannot be written.
    """
    from bedside_corpus.labelling.session import go_through

    go_through(registry, Path(file), options.by)


def agreement(registry: Registry, files: tuple[str, ...]) -> None:
    """Compare what several people said, and write a file of the documents in dispute.

    Raises:
        InputError: a file is none, is of another set or of a person who has one already.
        ArtifactError: the labelled set was changed, or the file cannot be written.
    """
    from bedside_corpus.labelling.checked import check_reviews, tell
    from bedside_corpus.labelling.review import write_rows

    paths = [Path(file) for file in files]
    found = check_reviews(registry, paths)
    tell(found.agreement)
    if found.disputed:
        wrong = found.false_positives
        path = paths[0].with_name(f"disputed-{found.labels.digest[:12]}.csv")
        write_rows(path, found.disputed)
        say(
            f"{wrong} false positives and {len(found.disputed) - wrong} false negatives: "
            f"`bedside corpus review {path} --by NAME` shows them"
        )

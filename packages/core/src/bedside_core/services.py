"""The services, once: what each is called, which sections it reads and which artifacts it makes.

A new service or section is a line here; config, logging, the pipeline and the command line read it.

Tested in tests/core/test_cli.py.
"""

from __future__ import annotations

from typing import NamedTuple


class Service(NamedTuple):
    """One service of the house."""

    name: str
    """Of its environment, its image's project and its verbs: `bedside NAME VERB`."""
    help: str
    """One line for `bedside --help`."""
    sections: tuple[str, ...] = ()
    """Of the run config, in the order in which the service reads them."""
    makes: tuple[tuple[str, str], ...] = ()
    """(slot, verb that fills it), in the order in which a run needs them; a slot is named after the
    kind of its artifact, but for `replay`, which holds a second corpus."""


SERVICES = (
    Service(
        "corpus",
        "documents to a licensed, cleaned corpus",
        ("corpus",),
        (
            ("labels", "annotate"),
            ("classifier", "train-classifier"),
            ("split", "split"),
            ("corpus", "build"),
        ),
    ),
    Service(
        "trainer",
        "import a base model; continue its pre-training",
        ("base", "trainer"),
        (("base", "import-base"), ("replay", "replay"), ("checkpoint", "run")),
    ),
    Service(
        "merger",
        "merge base and checkpoint",
        ("merger",),
        (("inspection", "inspect"), ("search", "search"), ("merged", "run")),
    ),
    Service(
        "eval",
        "plan, then examine the models; evidence and verdict",
        ("eval",),
        (("heldout", "plan"), ("evidence", "run")),
    ),
    Service("inference", "serve the promoted model; keys, audit", ("inference",)),
    Service("bundle", "one signed archive for machines without a network"),
)

VERBS = {
    "adapt": "corpus, training, merge, evaluation and promotion in order",
    "check": "look at everything that a later step of this run will need",
    "promote": "promote what a run has made",
    "registry": "artifacts: list, lineage, promote, roll back, withdraw, delete",
    "selftest": "prove that this container is confined",
    "up": "serve the promoted model",
}
"""The verbs of core itself, which every environment has."""

STEPS = (
    ("trainer", "import-base"),
    ("eval", "plan"),
    ("corpus", "build"),
    ("trainer", "run"),
    ("merger", "run"),
    ("eval", "run"),
)
"""(service, verb) of `bedside adapt`, in order; promotion follows."""

SECTIONS = ("base", *(name for s in SERVICES for name in s.sections if name != "base"))
"""Of a run config."""

MAKERS = {
    kind: f"bedside {service.name} {verb}" for service in SERVICES for kind, verb in service.makes
}
"""The command that fills a slot."""

LOGGERS = tuple(f"bedside_{name}" for name in ("core", "models", *(s.name for s in SERVICES)))
"""The packages whose log lines are ours."""

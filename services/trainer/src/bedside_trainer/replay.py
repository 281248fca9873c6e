"""`bedside trainer replay`: text of the base itself, to be mixed into its further training.

Rehearsing what a model would have written before it is changed keeps it from forgetting (Robins
1995, "Catastrophic forgetting, rehearsal and pseudorehearsal"; Huang et al. 2024, "Mitigating
catastrophic forgetting in large language models with self-synthesized rehearsal"), and needs no
text that the house does not have.

The result is a corpus artifact in the run's slot `replay`: its licence is the base's, its documents
have ids and hashes like any others, so lineage, withdrawal and the evaluation's look for held-out
texts include it. What shares text with the development parts, is short or repeats itself is left
out and counted. Sealed texts are not known here; the evaluation counts them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from bedside_core.artifacts import Artifact
from bedside_core.asked import AskedIndex
from bedside_core.config import Config, load_document, load_section
from bedside_core.console import say
from bedside_core.errors import ConfigError, InputError
from bedside_core.kinds.corpus import (
    MATCHING_VERSION,
    STATS,
    TEXT,
    ListedDocument,
    data_name,
    listing_name,
    text_sha256,
)
from bedside_core.kinds.heldout import all_parts
from bedside_core.kinds.serving import ENGINE_VERSION, Serving
from bedside_core.matching import VERSION, canonical, digest
from bedside_core.overlap import RUN, runs
from bedside_core.registry.registry import Registry
from bedside_core.rehearsal import rehearsed
from bedside_core.run import Run
from bedside_trainer.config import TrainerConfig
from bedside_trainer.mixture import Generate

SLOT = "replay"
SOURCE = "self-generated-replay"
"""What lineage and withdrawal call it."""
MAX_REPEATED = 0.12
"""Share of 8-word runs that stood in the same text before, from which it is a loop: Gopher's limit
for duplicate 8-grams (Rae et al. 2021, table A1), which counts their characters."""
UNKNOWN_LANGUAGE = "und"
"""ISO 639-2."""


class Written(NamedTuple):
    """One text that is kept."""

    id: str
    text: str
    form: str
    """Canonical, for matching."""


class Made(Config):
    """What the texts follow from, beside the base."""

    generate: Generate
    serving: Serving
    engine: str


def replay(path: Path, overrides: list[str], registry: Registry) -> None:
    """Let the run's base write, and keep what is fit to be trained on.

    Raises:
        ConfigError: `trainer.replay` is not set, or the engine's environment is not here.
        InputError: no base or development part yet, or nothing that was written is fit.
        PolicyError: the base was withdrawn.
        EngineError: the engine ended or did not start.
    """
    document = load_document(path, overrides)
    settings = load_section(TrainerConfig, document, "trainer").replay
    if settings is None:
        raise ConfigError(
            "trainer.replay is not set - set its share, for example `--set "
            "trainer.replay.share=0.05`"
        )
    config = settings.generate
    run = Run(document["name"], "trainer", "replay", registry, Serving.of(document))
    base, parts = run.input("base"), run.development()
    made = Made(generate=config, serving=run.serving, engine=ENGINE_VERSION)
    recipe = run.recipe(
        made,
        parents={"base": base, "heldout": parts},
        formats={"matching": VERSION},
        libraries=("pyarrow",),
    )
    if run.reuse("corpus", recipe, SLOT):
        return

    from bedside_models.likelihood import first_token
    from bedside_models.load import load_tokenizer
    from bedside_trainer import generation

    _, prefix_id = first_token(load_tokenizer(base.path))
    options = ["--config", str(path), *(w for o in overrides for w in ("--set", o))]
    name = str((document.get("inference") or {}).get("model_name", "bedside"))
    with run.registry.work(recipe.sha256) as work:
        with rehearsed(options, base.digest) as socket:
            texts = generation.generate(config, prefix_id, name, base.digest, socket, work)
        kept, dropped = select(texts, parts, seed=config.seed)
        if not kept:
            raise InputError(
                f"of {len(texts)} texts that the base wrote none is fit to be trained on "
                f"({_counted(dropped)}) - raise trainer.replay.generate.documents or max_tokens"
            )
        with run.write("corpus", recipe, slot=SLOT) as artifact:
            licence = " AND ".join(item.id for item in base.manifest.licences)
            write(artifact.path, kept, dropped, licence)
            artifact.facts.update(facts(kept, dropped, licence, base))
    say(f"{len(kept)} of {len(texts)} texts are kept ({_counted(dropped) or 'none left out'})")


def select(
    texts: Sequence[str], parts: Artifact, *, seed: int
) -> tuple[list[Written], Counter[str]]:
    """What is fit to be trained on, and how many are not, by reason."""
    heldout = AskedIndex(all_parts(parts))
    kept: list[Written] = []
    dropped: Counter[str] = Counter()
    seen: set[str] = set()
    for number, raw in enumerate(texts):
        text = raw.strip()
        form = canonical(text)
        reason = _reason(form, heldout, seen)
        seen.add(form)
        if reason:
            dropped[reason] += 1
        else:
            kept.append(Written(f"replay/{seed + number}", text, form))
    return kept, dropped


def _reason(form: str, heldout: AskedIndex, seen: set[str]) -> str | None:
    words = form.split()
    hashes = list(runs(words, RUN))
    if not hashes:
        return "short"
    if form in seen:
        return "duplicate_text"
    if 1 - len(set(hashes)) / len(hashes) > MAX_REPEATED:
        return "repetitive"
    return "heldout" if heldout.look_up([form]).found else None


def write(folder: Path, kept: Iterable[Written], dropped: Counter[str], licence: str) -> None:
    """Write the files of a corpus artifact (`bedside_core.kinds.corpus`)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, listing = [], []
    for one in kept:
        rows.append(
            {
                "id": one.id, TEXT: one.text, "source": SOURCE, "licence": licence,
                "language": UNKNOWN_LANGUAGE, "words": len(one.form.split()),
            }
        )  # fmt: skip
        listing.append(
            ListedDocument(
                id=one.id, source=SOURCE, licence=licence, sha256=text_sha256(one.text),
                matching_sha256=digest(one.form),
            )
        )  # fmt: skip
    data, listed = folder / data_name(0), folder / listing_name(0)
    for path in (data, listed):
        path.parent.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), data, compression="zstd")
    lines = "".join(json.dumps(line) + "\n" for line in listing)
    listed.write_text(lines, encoding="ascii")
    stats = {"kept": len(rows), "dropped": dict(sorted(dropped.items()))}
    (folder / STATS).write_text(json.dumps(stats, indent=2) + "\n", encoding="ascii")


def facts(
    kept: Sequence[Written], dropped: Counter[str], licence: str, base: Artifact
) -> dict[str, object]:
    """For the manifest: as a corpus has them, and which model wrote it."""
    return {
        "documents": len(kept),
        "words": sum(len(one.form.split()) for one in kept),
        "sources": [{"name": SOURCE, "documents": len(kept), "licences": licence}],
        "dropped": dict(sorted(dropped.items())),
        "written_by": base.digest,
        MATCHING_VERSION: VERSION,
    }


def _counted(dropped: Counter[str]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in dropped.most_common())

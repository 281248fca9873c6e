"""`bedside corpus split`: held-out sets by patient, sealed before anything is trained.

The sources are read as the build reads them, so that a set has the texts that would be trained on.
A set is written with its clusters: its patients, and over all sets what is a near copy of what.
What of the sources is a near copy of a set, or of one of its patients, the build leaves out.

Killed anywhere, the same command goes on and draws the same sets. Sealed is a set once the
artifact is there; it is drawn anew only where `corpus.split.draw` is counted up.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedside_core import memory
from bedside_core.artifacts import Artifact
from bedside_core.console import say, table
from bedside_core.errors import ConfigError, InputError
from bedside_core.files import sha256_file, write_atomic
from bedside_core.heldout import HeldoutText
from bedside_core.identifiers import Identifiers
from bedside_core.kinds.corpus import IDENTIFIERS
from bedside_core.kinds.split import SLOT, check_seal, sealed_sets
from bedside_core.log import fields
from bedside_core.progress import Progress
from bedside_core.run import Run
from bedside_corpus.config import CorpusConfig
from bedside_corpus.run import SMALLER, check_withdrawn, prepare
from bedside_corpus.splitting.config import Split
from bedside_corpus.splitting.draw import Candidate, Drawn, draw, stratum

if TYPE_CHECKING:
    from bedside_corpus.splitting.sets import Table

log = logging.getLogger(__name__)


def split(config: CorpusConfig, run: Run) -> None:
    """Draw, write and seal the sets; what is sealed already stays.

    Raises:
        ConfigError: the section `corpus.split` is missing or does not fit what was drawn, or its
            folder cannot be used.
        InputError: a source is damaged, there are not enough documents, or a file was changed.
        PolicyError: a source was withdrawn.
        ArtifactError: the disk is full.
    """
    settings = config.split
    if settings is None:
        raise ConfigError("corpus.split is missing - add the section, see docs/corpus.md")
    check_folder(settings.folder, run.registry.home)
    if config.phi is not None and config.phi.on_hit == "quarantine":
        # The build lays documents aside, once.
        dropping = config.phi.model_copy(update={"on_hit": "drop"})
        config = config.model_copy(update={"phi": dropping})
    files, recipe, key, classifiers, withdrawn = prepare(config, run)
    before = _before(run, settings)
    found = run.reuse(SLOT, recipe)
    if found is None and before is not None and before.manifest.facts["draw"] == settings.draw:
        say(
            "sources or settings were changed since the sets were drawn: the sets stay - count "
            "corpus.split.draw up to draw anew"
        )
        found = before
    if found is not None:
        _check_names(settings, found)
    if found is not None and all(path.exists() for path in settings.files().values()):
        for path in settings.files().values():
            check_seal(run.registry, run.name, path)
        return

    from bedside_corpus.engine.build import run_stages
    from bedside_corpus.splitting import sets

    with (
        memory.refusing("splitting the corpus", lambda: SMALLER),
        run.registry.work(recipe.sha256) as room,
    ):
        tally, written = run_stages(
            config, files, room, key, [applied for _, applied in classifiers.values()], withdrawn
        )
        check_withdrawn(run.registry, withdrawn)
        tables = list(sets.tables_of(written, room / "write"))
        candidates = _candidates(tables, config, settings)
        say(
            f"{len(candidates):,} of {tally.kept:,} documents can be drawn; the others have fewer "
            f"than {sets.MIN_WORDS} words"
        )
        drawn = draw(candidates, settings.sets, f"{settings.seed} {settings.draw}")
        texts = sets.texts_of(drawn, tables)
        contents = {
            path: b"".join(sets.lines_of(texts[name], drawn[name]))
            for name, path in settings.files().items()
        }
        if found is None:
            _write(contents, before)
            with run.write(SLOT, recipe) as artifact:
                artifact.facts["sets"] = {
                    path.name: _facts(drawn[name], texts[name], contents[path], settings, name)
                    for name, path in settings.files().items()
                }
                artifact.facts |= {"seed": settings.seed, "draw": settings.draw}
                artifact.facts["dropped"] = dict(sorted(tally.dropped.items()))
                if key is not None:
                    artifact.facts[IDENTIFIERS] = Identifiers.read(key).key_id
            found = artifact.result
        else:
            _restore(contents, found)
    _report(found)
    log.info("sets drawn", extra=fields(sets=len(drawn), documents=sum(map(len, drawn.values()))))


def check_folder(folder: Path, home: Path) -> None:
    """See that the sets can be written there.

    Raises:
        ConfigError: it is in the registry, which training steps read, or cannot be a folder.
    """
    where = f"corpus.split.folder: {folder}"
    if folder.absolute().is_relative_to(home):
        raise ConfigError(
            f"{where} is in BEDSIDE_HOME, where every training step reads - name one outside it"
        )
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise ConfigError(f"{where}: {nearest} is not a directory - name another folder")


def _candidates(tables: Sequence[Table], config: CorpusConfig, settings: Split) -> list[Candidate]:
    from bedside_corpus.splitting.sets import candidates_of

    sizes = [table.data.stat().st_size for table in tables]
    found: list[Candidate] = []
    with Progress("corpus: candidates", total=sum(sizes), unit="byte") as progress:
        for table, size in zip(tables, sizes, strict=True):
            found += candidates_of(table, config.used_sources, settings)
            progress.update(size)
    return found


def _before(run: Run, settings: Split) -> Artifact | None:
    digest = run.registry.slot(run.name, SLOT)
    if digest is None:
        return None
    before = run.registry.get(digest)
    drawn = before.manifest.facts["draw"]
    if drawn > settings.draw:
        raise ConfigError(
            f"corpus.split.draw is {settings.draw}, and the sets were drawn {drawn} times - set it "
            f"to {drawn}, or to {drawn + 1} to draw anew"
        )
    return before


def _check_names(settings: Split, sealed: Artifact) -> None:
    """See that every set is one of those that were drawn.

    Raises:
        ConfigError: one was added since, which no draw has.
    """
    known = sealed_sets(sealed)
    for name, path in settings.files().items():
        if path.name not in known:
            raise ConfigError(
                f"corpus.split.sets.{name} was added after draw {settings.draw}, whose sets stay - "
                f"set corpus.split.draw to {settings.draw + 1} to draw all of them anew"
            )


def _write(contents: Mapping[Path, bytes], before: Artifact | None) -> None:
    """Write the files, over nothing but what the last draw left.

    Raises:
        InputError: a file is there that is something else.
    """
    sealed = {} if before is None else sealed_sets(before)
    for path, content in contents.items():
        if path.exists():
            here = sha256_file(path)
            if here not in (sealed.get(path.name, {}).get("sha256"), sha256(content).hexdigest()):
                raise InputError(
                    f"{path} is there, and not as it was drawn - move it away, or name another "
                    "corpus.split.folder"
                )
    for path, content in contents.items():
        for torn in path.parent.glob(f".{path.name}-*"):  # of a split that was killed here
            torn.unlink()
        write_atomic(path, content, mode=0o600)


def _restore(contents: Mapping[Path, bytes], sealed: Artifact) -> None:
    """Write again what is gone; the draw must be the sealed one.

    Raises:
        InputError: it is not: sources or settings were changed.
    """
    known = sealed_sets(sealed)
    for path, content in contents.items():
        if known.get(path.name, {}).get("sha256") != sha256(content).hexdigest():
            raise InputError(
                f"{path} is gone, and sources and settings as they are now give another - restore "
                "it from a backup, undo the change, or count corpus.split.draw up to draw anew"
            )
        write_atomic(path, content, mode=0o600)


def _facts(
    drawn: Sequence[Drawn],
    texts: Sequence[HeldoutText],
    content: bytes,
    settings: Split,
    name: str,
) -> dict[str, Any]:
    columns = settings.sets[name].stratify_by
    strata = Counter(stratum(one.candidate, columns) for one in drawn)
    return {
        "sha256": sha256(content).hexdigest(),
        "documents": len(texts),
        "clusters": len({text.cluster for text in texts}),
        "patients": len({text.patient for text in texts if text.patient is not None}),
        "strata": dict(sorted(strata.items())),
    }


def _report(artifact: Artifact) -> None:
    rows = [["set", "documents", "clusters", "patients", "strata"]]
    for name, of in sealed_sets(artifact).items():
        strata = ", ".join(f"{value} {count}" for value, count in of["strata"].items())
        counts = (f"{of[what]:,}" for what in ("documents", "clusters", "patients"))
        rows.append([name, *counts, strata])
    say(table(rows))

"""How much of what is asked stands in any corpus that the models come from.

Every corpus in the lineage of every model is looked at: that of the candidate's checkpoint, and
those of a base that was itself adapted. From what the corpus service really wrote: the hashes of
its listings and, for near copies and n-grams, the texts themselves, streamed past an index of
the questions (`bedside_core.asked`, by which that service kept documents out). Beside it stands
what was left out when the corpus was built.

Not covered: what a base from outside was trained on; nobody here has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

import pyarrow.parquet

from bedside_core.artifacts import Artifact
from bedside_core.asked import Asked, AskedIndex
from bedside_core.errors import ArtifactError
from bedside_core.kinds.corpus import TEXT, matching_documents, shards
from bedside_core.kinds.removed import WAYS, read_removed
from bedside_core.matching import VERSION, canonical
from bedside_core.overlap import NEAR, NGRAM, RUN, Overlap
from bedside_core.progress import Progress
from bedside_core.registry.registry import Registry
from bedside_eval.exam import Paper
from bedside_eval.records import Contamination, CorpusFound, Found, Removed

BATCH = 256
T = TypeVar("T")


class Lineage(NamedTuple):
    """The corpora that models come from, by digest."""

    corpora: dict[str, Artifact]
    unknown: tuple[str, ...]
    """Ancestors that the registry does not have any more: corpora, or models that name others."""


def contamination(registry: Registry, models: Iterable[Artifact], paper: Paper) -> Contamination:
    """Look every held-out text and every exam item up in all corpora that the models come from.

    Raises:
        ArtifactError: a checkpoint does not name its corpus, or a corpus was changed or has no
            hashes for matching.
    """
    found = lineage(registry, models)
    asked = _Questions([*paper.heldout.values(), *paper.exams.values()])
    corpora = list(found.corpora.values())
    overlaps = [asked.count([corpus]) for corpus in corpora]
    together = overlaps[0] if len(corpora) == 1 else asked.count(corpora)

    def named(groups: Iterable[T]) -> tuple[dict[str, T], dict[str, T]]:
        each = iter(groups)
        return {name: next(each) for name in paper.heldout}, {n: next(each) for n in paper.exams}

    heldout, exams = named(asked.summaries(together, unclean=bool(found.unknown)))
    removed_heldout, removed_exams = named(asked.removed(corpora))
    return Contamination(
        corpora=tuple(
            CorpusFound(digest=corpus.digest, heldout=of_texts, exams=of_items)
            for corpus, counted in zip(corpora, overlaps, strict=True)
            for of_texts, of_items in [named(asked.summaries(counted))]
        ),
        unknown=found.unknown,
        matching_version=VERSION,
        run=RUN,
        near_share=NEAR,
        ngram_share=NGRAM,
        heldout=heldout,
        exams=exams,
        removed_heldout=removed_heldout,
        removed_exams=removed_exams,
    )


def lineage(registry: Registry, models: Iterable[Artifact]) -> Lineage:
    """Every corpus that the models come from, over any number of generations.

    Raises:
        ArtifactError: a checkpoint does not name its corpus.
    """
    corpora: dict[str, Artifact] = {}
    unknown: set[str] = set()
    waiting, seen = list(models), set()
    while waiting:
        artifact = waiting.pop()
        if artifact.digest in seen:
            continue
        seen.add(artifact.digest)
        if artifact.kind == "corpus":
            corpora[artifact.digest] = artifact
        if artifact.kind == "checkpoint" and "corpus" not in artifact.manifest.parents:
            raise ArtifactError(
                f"checkpoint {artifact.digest[:12]} does not name the corpus it was trained on - "
                "make it with `bedside trainer run`"
            )
        for parent in artifact.manifest.parents.values():
            try:
                waiting.append(registry.get(parent))
            except ArtifactError:
                unknown.add(parent)
    return Lineage(dict(sorted(corpora.items())), tuple(sorted(unknown)))


class _Questions:
    """All texts and items, set by set, indexed once."""

    def __init__(self, sets: Iterable[Sequence[Asked]]) -> None:
        self._sets = [list(group) for group in sets]
        self._index = AskedIndex(asked for group in self._sets for asked in group)

    def count(self, corpora: Sequence[Artifact]) -> list[Overlap]:
        """How much of each question stands in these corpora together."""
        wanted = set(self._index.digests)
        listed = {name for corpus in corpora for name in matching_documents(corpus, wanted)}
        counted = self._index.count(chain.from_iterable(map(_forms, corpora)))
        for owner, name in zip(self._index.owners, self._index.digests, strict=True):
            if name in listed:
                counted[owner] = Overlap(True, 1.0, 1.0)
        return counted

    def summaries(self, overlaps: Iterable[Overlap], *, unclean: bool = False) -> Iterator[Found]:
        """One for each set; `unclean` names all of it."""
        each = iter(overlaps)
        for group in self._sets:
            found = {asked.id: next(each) for asked in group}
            ids = [name for name, overlap in found.items() if overlap.is_found]
            yield Found(
                exact=sum(overlap.exact for overlap in found.values()),
                near=sum(overlap.is_near for overlap in found.values()),
                ngram=len(ids),
                of=len(group),
                ids=tuple(found) if unclean else tuple(ids),
            )

    def removed(self, corpora: Sequence[Artifact]) -> Iterator[Removed]:
        """What was left out of the corpora for each set; a question is known by its identity."""
        told = [{one.identity: one for one in read_removed(corpus)} for corpus in corpora]
        for group in self._sets:
            known = [[of.get(asked.identity) for of in told] for asked in group]
            each = [[one for one in row if one is not None] for row in known]
            yield Removed(
                looked_for=sum(bool(row) and None not in row for row in known),
                found=sum(any(one.documents for one in row) for row in each),
                documents={
                    way: sum(getattr(one, way) for row in each for one in row) for way in WAYS
                },
                let_in=sum(any(one.let_in for one in row) for row in each),
            )


def _forms(corpus: Artifact) -> Iterator[str]:
    files = [shard.path for shard in shards(corpus)]
    for path in files:
        corpus.verify(path.relative_to(corpus.path).as_posix())
    total = sum(pyarrow.parquet.read_metadata(path).num_rows for path in files)
    with Progress("contamination", total=total, unit="document") as progress:
        for path in files:
            with pyarrow.parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(BATCH, columns=[TEXT]):
                    for text in batch.column(TEXT).to_pylist():
                        yield canonical(text)
                    progress.update(batch.num_rows)

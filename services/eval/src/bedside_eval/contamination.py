"""How much of what is asked stands in any corpus that the models come from.

Every corpus in the lineage of every model is looked at: that of the candidate's checkpoint, and
those of a base that was itself adapted. From what the corpus service really wrote: the hashes of
its listings and, for near copies and n-grams, the texts themselves, streamed past an index of
the questions (`bedside_core.overlap` has the definitions).

Not covered: what a base from outside was trained on; nobody here has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import pyarrow.parquet

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError
from bedside_core.kinds.corpus import TEXT, matching_documents, shards
from bedside_core.matching import VERSION, canonical, digest
from bedside_core.overlap import NEAR, NGRAM, RUN, Overlap, OverlapIndex
from bedside_core.progress import Progress
from bedside_core.registry.registry import Registry
from bedside_eval.exam import Paper
from bedside_eval.records import Contamination, CorpusFound, Found

BATCH = 256

Spellings = Mapping[str, list[str]]
"""By id of a text or item: how it may stand in a corpus."""


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
    sets = [{text.id: [text.text] for text in texts} for texts in paper.heldout.values()]
    sets += [{item.id: item.spellings for item in items} for items in paper.exams.values()]
    asked = _Asked(sets)
    corpora = list(found.corpora.values())
    overlaps = [asked.count([corpus]) for corpus in corpora]
    together = overlaps[0] if len(corpora) == 1 else asked.count(corpora)

    def named(groups: Iterable[Found]) -> tuple[dict[str, Found], dict[str, Found]]:
        each = iter(groups)
        return {name: next(each) for name in paper.heldout}, {n: next(each) for n in paper.exams}

    heldout, exams = named(asked.summaries(together, unclean=bool(found.unknown)))
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


class _Asked:
    """All texts and items in all their spellings, indexed once."""

    def __init__(self, sets: Sequence[Spellings]) -> None:
        self._sets = sets
        texts = [text for group in sets for spellings in group.values() for text in spellings]
        self._digests = [digest(canonical(text)) for text in texts]
        self._index = OverlapIndex(texts)

    def count(self, corpora: Sequence[Artifact]) -> list[Overlap]:
        """How much of each spelling stands in these corpora together."""
        wanted = set(self._digests)
        listed = {name for corpus in corpora for name in matching_documents(corpus, wanted)}
        counted = self._index.count(chain.from_iterable(map(_forms, corpora)))
        return [
            Overlap(True, 1.0, 1.0) if name in listed else overlap
            for name, overlap in zip(self._digests, counted, strict=True)
        ]

    def summaries(self, overlaps: Iterable[Overlap], *, unclean: bool = False) -> Iterator[Found]:
        """One for each set; `unclean` names all of it."""
        each = iter(overlaps)
        for group in self._sets:
            found = {name: [next(each) for _ in group[name]] for name in group}
            exact = sum(any(x.exact for x in spellings) for spellings in found.values())
            near = sum(any(x.is_near for x in spellings) for spellings in found.values())
            ids = [name for name, spellings in found.items() if any(x.is_found for x in spellings)]
            yield Found(
                exact=exact,
                near=near,
                ngram=len(ids),
                of=len(group),
                ids=tuple(group) if unclean else tuple(ids),
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

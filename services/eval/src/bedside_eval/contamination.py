"""How much of what is asked stands in the corpus that the checkpoint was trained on.

From what the corpus service really wrote: the hashes of `documents.jsonl` and, for near copies and
n-grams, the texts themselves, streamed past an index of the questions (`bedside_core.overlap` has
the definitions). Only the corpus that the checkpoint names is looked at, not what its base read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import pyarrow.parquet

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError
from bedside_core.kinds.corpus import PARQUET, TEXT, matching_documents
from bedside_core.matching import VERSION, canonical, digest
from bedside_core.overlap import NEAR, NGRAM, RUN, Overlap, OverlapIndex
from bedside_core.progress import Progress
from bedside_core.registry.registry import Registry
from bedside_eval.exam import Paper
from bedside_eval.records import Contamination, Found

BATCH = 256

Spellings = Mapping[str, list[str]]
"""By id of a text or item: how it may stand in a corpus."""


def contamination(registry: Registry, checkpoint: Artifact, paper: Paper) -> Contamination:
    """Look every held-out text and every exam item up in the checkpoint's corpus.

    Raises:
        ArtifactError: the checkpoint does not name its corpus, or the corpus was changed or has no
            hashes for matching.
    """
    parent = checkpoint.manifest.parents.get("corpus")
    if parent is None:
        raise ArtifactError(
            f"checkpoint {checkpoint.digest[:12]} does not name the corpus it was trained on - "
            "make it with `bedside trainer run`"
        )
    sets = [{text.id: [text.text] for text in texts} for texts in paper.heldout.values()]
    sets += [{item.id: item.spellings for item in items} for items in paper.exams.values()]
    found = list(_found(registry.get(parent), sets))
    return Contamination(
        corpus=parent,
        matching_version=VERSION,
        run=RUN,
        near_share=NEAR,
        ngram_share=NGRAM,
        heldout=dict(zip(paper.heldout, found, strict=False)),
        exams=dict(zip(paper.exams, found[len(paper.heldout) :], strict=True)),
    )


def _found(corpus: Artifact, sets: Sequence[Spellings]) -> Iterator[Found]:
    texts = [text for group in sets for spellings in group.values() for text in spellings]
    digests = [digest(canonical(text)) for text in texts]
    listed = matching_documents(corpus, set(digests))
    overlaps = iter(
        Overlap(True, 1.0, 1.0) if name in listed else overlap
        for name, overlap in zip(digests, OverlapIndex(texts).count(_forms(corpus)), strict=True)
    )
    for group in sets:
        yield _summary(
            {name: list(islice(overlaps, len(spellings))) for name, spellings in group.items()}
        )


def _summary(group: Mapping[str, Iterable[Overlap]]) -> Found:
    exact = [name for name, spellings in group.items() if any(x.exact for x in spellings)]
    near = [name for name, spellings in group.items() if any(x.is_near for x in spellings)]
    ngram = [name for name, spellings in group.items() if any(x.is_found for x in spellings)]
    return Found(
        exact=len(exact), near=len(near), ngram=len(ngram), of=len(group), ids=tuple(ngram)
    )


def _forms(corpus: Artifact) -> Iterator[str]:
    corpus.verify(PARQUET)
    with pyarrow.parquet.ParquetFile(corpus.file(PARQUET)) as file:
        total = file.metadata.num_rows
        with Progress("contamination", total=total, unit="document") as progress:
            for batch in file.iter_batches(BATCH, columns=[TEXT]):
                for text in batch.column(TEXT).to_pylist():
                    yield canonical(text)
                progress.update(batch.num_rows)

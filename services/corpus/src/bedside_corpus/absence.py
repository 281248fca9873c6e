"""`bedside corpus absence`: a corpus holds nothing that was withdrawn; measured, not believed.

Every withdrawal of the log, up to its newest entry, is looked for in the artifact as it lies there:
by the patients, source documents, ids and traces of its listing, and by its texts, whose forms and
runs are computed anew. What the build noted in the facts plays no part.

Tested in tests/corpus/test_withdrawal.py.
"""

from __future__ import annotations

from collections import Counter

from bedside_core.artifacts import Artifact
from bedside_core.console import say
from bedside_core.errors import ArtifactError, InputError, PolicyError
from bedside_core.identifiers import Identifiers, Trace
from bedside_core.kinds.corpus import TEXT, describe_sources, listed_documents, shards
from bedside_core.matching import canonical, digest
from bedside_core.progress import Progress
from bedside_core.registry.registry import Registry


def absence(registry: Registry, corpus: str) -> None:
    """Look for everything that was withdrawn in one corpus.

    Raises:
        InputError: it is no corpus.
        PolicyError: it holds something that was withdrawn; says how many documents, by what.
        ArtifactError: its files do not match its manifest, or the key of identifiers is missing.
    """
    artifact = registry.get(corpus)
    if artifact.kind != "corpus":
        raise InputError(f"{corpus} is a {artifact.kind} - name a corpus")
    artifact.verify()
    entries = registry.entries()
    withdrawals = registry.withdrawals()
    names = [str(source["name"]) for source in describe_sources(artifact)]
    gone = [name for name in names if withdrawals.source(name) is not None]
    found: Counter[str] = Counter({f"source {name}": 1 for name in gone})
    documents = 0
    if registry.erased():
        documents = _look(registry, artifact, found)
    if found:
        what = ", ".join(f"{by} {count}" for by, count in sorted(found.items()))
        raise PolicyError(
            f"corpus {artifact.digest[:12]} holds what was withdrawn: {what} - build it again"
        )
    sources = sum(e.type == "withdraw" and e.members["kind"] == "source" for e in entries)
    of = f"in {documents:,} documents " if documents else ""
    say(
        f"corpus {artifact.digest[:12]}: {len(withdrawals.erased)} withdrawn documents and "
        f"patients and {sources} withdrawn sources were looked for {of}and none is there; the last "
        f"entry of the log is {entries[-1].seq}, its hash {entries[-1].hash}"
    )


def _look(registry: Registry, artifact: Artifact, found: Counter[str]) -> int:
    """Count what is there by what it was recognised; returns how many documents were looked at."""
    import pyarrow.parquet as pq

    from bedside_corpus.blocks.tracing import Withdrawn

    names = Identifiers.read(registry.identifiers_key())
    withdrawn = Withdrawn(registry.erased())
    listed = 0
    for line in listed_documents(artifact):
        listed += 1
        traced = line.get("trace")
        trace = None if traced is None else Trace.parse(traced)
        whose = [line.get("patient"), line.get("document"), names.document(line["id"])]
        whose += [names.text(line["matching_sha256"]), *(trace[:2] if trace else ())]
        found["by its listing"] += withdrawn.find(whose, set()) is not None
    with Progress("corpus: absence", total=listed, unit="document") as progress:
        for shard in shards(artifact):
            with pq.ParquetFile(shard.path) as file:
                for batch in file.iter_batches(columns=[TEXT]):
                    for text in batch.column(TEXT).to_pylist():
                        form = canonical(text)
                        by = withdrawn.find([names.text(digest(form))], names.runs(form))
                        found["by its text"] += by is not None
                        progress.update()
    read = progress.done
    if read != listed:
        raise ArtifactError(
            f"corpus {artifact.digest[:12]} lists {listed} documents and has {read} - build it "
            "again"
        )
    for by in [by for by, count in found.items() if not count]:
        del found[by]
    return read

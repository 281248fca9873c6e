"""What became of one record, in lines for a person and without its text.

Tested in tests/corpus/test_why.py.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import pyarrow.parquet as pq

from bedside_core.artifacts import Artifact
from bedside_core.errors import InputError
from bedside_core.kinds.corpus import STATS, TEXT, data_name, listing_name
from bedside_core.licences import licence
from bedside_core.registry.registry import Registry
from bedside_corpus.intake.licence import each
from bedside_corpus.lookup import Decided, Lookup
from bedside_corpus.reasons import reason

DIGITS = 12
_SHOWN_BEFORE = (TEXT, "id", "source", "licence", "language", "words")


def explain(registry: Registry, lookup: Lookup, decided: Decided) -> Iterator[str]:
    """The lines of the answer."""
    corpus = lookup.corpus
    head = f"{decided.name}: {{}} corpus {corpus.digest[:DIGITS]}"
    if decided.reason is None:
        yield head.format("in")
    else:
        yield head.format("not in") + f" ({decided.reason})"
    stored = {} if decided.row is None else _stored(corpus, decided)
    if decided.id is not None:
        yield _line("place", decided.place)
    yield from _declared(corpus, decided.source, stored.get("licence"))
    yield ""
    yield from _steps(corpus, decided)
    yield ""
    if decided.reason is not None:
        yield from _out(decided, lookup)
    else:
        yield from _kept(corpus, decided, stored)
        yield from _seen(registry, corpus, decided)


def _stored(corpus: Artifact, decided: Decided) -> dict[str, Any]:
    """What the corpus has of a kept document, but for the text."""
    row = decided.row or 0
    listing, data = listing_name(decided.shard), data_name(decided.shard)
    for name in (listing, data):
        corpus.verify(name)
    with (corpus.path / listing).open(encoding="utf-8") as lines:
        found: dict[str, Any] = json.loads(next(islice(lines, row, None)))
    with pq.ParquetFile(corpus.file(data)) as file:
        columns = [name for name in file.schema_arrow.names if name != TEXT]
        for number in range(file.num_row_groups):
            here = file.metadata.row_group(number).num_rows
            if row < here:
                table = file.read_row_group(number, columns).slice(row, 1)
                return {**found, **table.to_pylist()[0]}
            row -= here
    raise InputError(f"{data} of corpus {corpus.digest[:DIGITS]} has no row {decided.row}")


def _declared(corpus: Artifact, source: str, own: str | None) -> Iterator[str]:
    declared: Mapping[str, Any] = corpus.manifest.facts.get("declared", {}).get(source, {})
    yield _line("source", source)
    identifier = own or declared.get("licence")
    if identifier is not None:
        duties = sorted({duty for one in each(identifier) for duty in licence(one).obligations})
        whose = "" if own else " (its source's)"
        yield _line("licence", f"{identifier}{whose}: {', '.join(duties) or 'no obligations'}")
    for name, value in declared.items():
        if name != "licence":
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield _line(name.replace("_", " "), shown)


def _steps(corpus: Artifact, decided: Decided) -> Iterator[str]:
    corpus.verify(STATS)
    names = [step["name"] for step in json.loads(corpus.file(STATS).read_bytes())["steps"]]
    for number, name in enumerate(names, start=1):
        changes = {
            rule.partition(".")[2]: count
            for rule, count in decided.changes.items()
            if rule.partition(".")[0] == name
        }
        if name == decided.step:
            yield _line(f"{number} {name}", f"out: {decided.reason}")
            return
        done = ", ".join(f"{rule} {count}" if rule else "" for rule, count in changes.items())
        yield _line(f"{number} {name}", f"changed {done}".rstrip() if changes else "passed")


def _out(decided: Decided, lookup: Lookup) -> Iterator[str]:
    found = reason(decided.reason or "")
    yield _line("why", f"the record {found.says}")
    if decided.by is not None:
        yield _line(found.by or "refers to", decided.by)
    yield _line("what to do", found.remedy)


def _kept(corpus: Artifact, decided: Decided, stored: Mapping[str, Any]) -> Iterator[str]:
    yield _line("file", f"{data_name(decided.shard)}, row {decided.row}")
    yield _line("words", f"{stored['words']:,}, language {stored['language']}")
    for name in ("sha256", "matching_sha256"):
        yield _line(name, stored[name])
    for name in sorted(stored.keys() - {*_SHOWN_BEFORE, "sha256", "matching_sha256"}):
        if stored[name] is not None:
            value = stored[name]
            yield _line(name, f"{value:.4g}" if isinstance(value, float) else str(value))


def _seen(registry: Registry, corpus: Artifact, decided: Decided) -> Iterator[str]:
    made = registry.descendants(corpus)
    yield ""
    if not made:
        yield "nothing was made from this corpus yet"
        return
    runs = {digest: slot for slot, digest in registry.slots()}
    yield "made from this corpus:"
    for node in made:
        name = f" ({runs[node.digest]})" if node.digest in runs else ""
        yield f"  {node.kind} {node.digest[:DIGITS]}{name}"
    if any(node.kind == "checkpoint" for node in made):
        name = shlex.quote(decided.name)
        yield f"in which steps a training saw it: `bedside trainer seen {name} --config FILE`"


def _line(name: str, value: object) -> str:
    return f"  {name:<18} {value}"

"""`bedside corpus annotate`: the recipe, in order.

Tested in tests/corpus/labelling/test_annotate.py.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from bedside_core import memory
from bedside_core.artifacts import Artifact, Recipe
from bedside_core.console import say, table
from bedside_core.errors import ConfigError, InputError
from bedside_core.identifiers import Identifiers
from bedside_core.kinds.corpus import IDENTIFIERS, MATCHING_VERSION, ListedDocument, listing_name
from bedside_core.kinds.labels import PARTS, LabelledDocument, Part, Size, write_part
from bedside_core.licences import licence
from bedside_core.log import fields
from bedside_core.matching import VERSION
from bedside_core.purpose import PURPOSE
from bedside_core.run import Run
from bedside_corpus.config import CorpusConfig, Executor
from bedside_corpus.engine.shards import SHARD_BYTES, divide
from bedside_corpus.engine.work import Work
from bedside_corpus.intake.fetching import find_all
from bedside_corpus.intake.licence import each
from bedside_corpus.labelling.config import AnnotateConfig, Review
from bedside_corpus.labelling.given import PUBLISHED, published_files, read_labelled
from bedside_corpus.labelling.question import Asked
from bedside_corpus.run import SMALLER, check_withdrawn, keep_out_split
from bedside_corpus.sources import input_files
from bedside_corpus.tally import Tally

if TYPE_CHECKING:
    from bedside_corpus.document import Document
    from bedside_corpus.engine.records import Record
    from bedside_corpus.labelling.drawing import Sample
    from bedside_corpus.labelling.labels import Labels
    from bedside_corpus.labelling.splitting import Place

log = logging.getLogger(__name__)

UNLABELLED = "unlabelled.jsonl"
"""Documents that were drawn and have no label: id and reason."""
FORMAT = 1
"""Of the artifact, and of what its rows follow from."""
ANSWERS = "answers"
"""Where a home keeps what models answered, below its unfinished work: `registry gc` forgets them a
month after the last one."""


def annotate(config: CorpusConfig, run: Run) -> None:
    """Draw documents, label them, split them, and write the labelled set.

    Raises:
        ConfigError: the section `annotate` is missing, or what it names does not fit together.
        InputError: a source, a file of labels or the server is not as it must be.
        PolicyError: a source was withdrawn.
        ArtifactError: the labels cannot be written.
    """
    wanted = _wanted(config)
    run.registry.refuse_withdrawn_sources(source.name for source in config.used_sources)
    if wanted.labelled is not None:
        read_labelled(wanted.labelled)  # a slip in it is told before the sources are read
    annotator = _annotator(wanted)
    config, parents = keep_out_split(config, run)
    files = find_all(config.used_sources, run.registry.workrooms[0])
    inputs = input_files(files, config.heldout, config.exams) | _named_files(wanted)
    if config.phi is not None:
        from bedside_corpus.phi.gate import look_at

        look_at(config.phi)
        inputs |= config.phi.inputs()
    key = None
    withdrawn = run.registry.erased()
    if withdrawn or any(source.is_personal for source in config.used_sources):
        key = inputs["identifiers.key"] = run.registry.identifiers_key()
    drawn_from = _unfiltered(config)
    recipe = run.recipe(
        _deciding(drawn_from, wanted, annotator),
        parents=parents,
        inputs=inputs,
        formats={
            "labels": FORMAT,
            "matching": VERSION,
            "shard": SHARD_BYTES,
            **({"withdrawn": withdrawn[-1].seq} if withdrawn else {}),
        },
        libraries=("pyarrow", "ftfy", "py3langid"),
    )
    labels = run.reuse("labels", recipe)
    if labels is None:
        from bedside_corpus.engine import build
        from bedside_corpus.engine.records import read_records
        from bedside_corpus.labelling.drawing import Sample

        with (
            memory.refusing("drawing documents", lambda: SMALLER),
            run.registry.work(recipe.sha256) as room,
        ):
            work = Work(drawn_from, tuple(divide(files)), room, key, withdrawn=tuple(withdrawn))
            build.run(work, [build.DRAW])
            folder, shards = work.folder(build.DRAW.name), len(work.shards)
            sample = Sample(folder, shards, wanted.seed)
            records = list(read_records(folder, shards))
            _tell_drawn(sample, records)
            found = _label(wanted, sample, run.registry.home / "work" / ANSWERS)
            check_withdrawn(run.registry, withdrawn)
            labels = _write(run, recipe, work, annotator, sample, found, records)
    _report(labels)
    if wanted.review.documents:
        _offer_review(labels, wanted.review, run.registry.home)
    if wanted.review.filled:
        _keep_agreement(labels, wanted.review, run)


def _wanted(config: CorpusConfig) -> AnnotateConfig:
    wanted = config.annotate
    if wanted is None or not config.sources:
        raise ConfigError(
            "corpus.annotate is missing - set it, with corpus.sources to draw from, and in it "
            "endpoint, labelled or published"
        )
    unseen = [source.name for source in config.used_sources if source.personal_data != "none"]
    if wanted.endpoint is not None and config.phi is None and unseen:
        raise ConfigError(
            f"corpus.phi is missing: texts of source {unseen[0]!r} would go to "
            f"{wanted.endpoint.address} past the PHI gate - set it"
        )
    return wanted


def _annotator(wanted: AnnotateConfig) -> dict[str, str]:
    """Who labels, as the facts have it: what decides each label beside the document."""
    if wanted.labelled is not None:
        return {"kind": "person"}
    if wanted.published is not None:
        return {"kind": "published", "column": wanted.published.column}
    if wanted.endpoint is None:
        raise RuntimeError("the config has one of three")
    from bedside_corpus.labelling.asking import model_digest

    asked = Asked(wanted.question)
    return {
        "kind": "model",
        "model": model_digest(wanted.endpoint),
        "name": wanted.endpoint.model,
        "prompt": asked.sha256,
    }


def _named_files(wanted: AnnotateConfig) -> dict[str, Path]:
    """Files that decide the labels, by a name for the recipe."""
    found = {"labels/labelled": wanted.labelled, "labels/prompt": wanted.question.prompt}
    if wanted.published is not None:
        files = published_files(wanted.published, PUBLISHED)
        found |= {f"labels/published/{name}": path for name, path in files.items()}
    return {name: path for name, path in found.items() if path is not None}


def _unfiltered(config: CorpusConfig) -> CorpusConfig:
    """The section without what a corpus is filtered by: a filter is what labels are for."""
    unused = ("medical_filter", "near_duplicates", "train_classifier")
    changed: dict[str, Any] = {"classifiers": {}, **dict.fromkeys(unused)}
    if config.phi is not None and config.phi.on_hit == "quarantine":
        changed["phi"] = config.phi.model_copy(update={"on_hit": "drop"})
    return config.model_copy(update=changed)


def _deciding(
    config: CorpusConfig, wanted: AnnotateConfig, annotator: Mapping[str, str]
) -> CorpusConfig:
    """The settings that decide the labels: not where the model is, and not who looks at them."""
    changed: dict[str, Any] = {"review": Review()}
    if wanted.endpoint is not None:
        changed["endpoint"] = type(wanted.endpoint)(
            address="/none", model=wanted.endpoint.model, digest=annotator["model"]
        )
    alone = wanted.model_copy(update=changed)
    return config.model_copy(update={"executor": Executor(workers=1), "annotate": alone})


def _tell_drawn(sample: Sample, records: Sequence[Record]) -> None:
    tally = Tally.of(records)
    if not len(sample):
        raise InputError(
            f"no document is left of {tally.read} that were read: {tally.reasons()} - see the "
            "reasons in the corpus service's README, then correct the documents or corpus.sources"
        )
    say(f"drew {len(sample):,} documents of {_came(records):,}")


def _came(records: Sequence[Record]) -> int:
    """Documents that the blocks let through, repetitions included."""
    return sum(record.documents for record in records)


def _label(wanted: AnnotateConfig, sample: Sample, cache: Path) -> Labels:
    from bedside_corpus.labelling.labels import by_model, by_others, by_people

    if wanted.labelled is not None:
        return by_people(sample)
    if wanted.published is not None:
        return by_others(wanted.published, sample, PUBLISHED)
    if wanted.endpoint is None:
        raise RuntimeError("the config has one of three")
    return by_model(wanted.endpoint, Asked(wanted.question), sample, cache)


def _write(
    run: Run, recipe: Recipe, work: Work, annotator: Mapping[str, str], sample: Sample,
    found: Labels, records: Sequence[Record],
) -> Artifact:  # fmt: skip
    from bedside_corpus.labelling.splitting import split

    if not found.labels:
        raise InputError(
            f"none of {len(sample)} documents has a label ({_counted(found.unlabelled)}) - mend "
            "corpus.annotate"
        )
    wanted = _wanted(work.config)
    places = split(sample, found.labels, share=wanted.test_share, seed=wanted.seed)
    sources: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for place, document in enumerate(sample):
        if place in places:
            sources[document.source][document.licence] += 1
    with run.write("labels", recipe) as artifact:
        counted: dict[Part, tuple[Size, Size]] = {}
        listing = artifact.path / listing_name(0)
        listing.parent.mkdir()
        with listing.open("w", encoding="ascii") as lines:
            for part in PARTS:
                rows = _rows(sample, found, places, part, lines)
                counted[part] = write_part(artifact.path, part, rows)
        with (artifact.path / UNLABELLED).open("w", encoding="ascii") as lines:
            for place, document in enumerate(sample):
                if place in found.reasons:
                    row = {"id": document.id, "reason": found.reasons[place]}
                    lines.write(json.dumps(row) + "\n")
        named = {name for counts in sources.values() for key in counts for name in each(key)}
        artifact.licences = tuple(map(licence, sorted(named)))
        artifact.facts.update(
            classes={part: size._asdict() for part, (size, _) in counted.items()},
            words={part: words._asdict() for part, (_, words) in counted.items()},
            annotator={**annotator, **found.facts},
            drawn={"documents": len(sample), "of": _came(records), "seed": wanted.seed},
            unlabelled=found.unlabelled,
            dropped=dict(sorted(Tally.of(records).dropped.items())),
            sources=[
                {"name": n, "documents": sum(c.values()), "licences": ", ".join(sorted(c))}
                for n, c in sources.items()
            ],
            declared={source.name: source.declared() for source in work.config.used_sources},
            **{MATCHING_VERSION: VERSION, PURPOSE: work.config.purpose},
        )
        if work.key is not None:
            artifact.facts[IDENTIFIERS] = Identifiers.read(work.key).key_id
    log.info("labels written", extra=fields(labelled=len(places), unlabelled=len(found.reasons)))
    return artifact.result


def _offer_review(labels: Artifact, wanted: Review, home: Path) -> None:
    """Write the file for people, unless there is one that somebody has begun."""
    from bedside_corpus.labelling.review import drawn_rows, read_rows, write_rows

    path = home / "work" / f"review-{labels.digest[:16]}" / "review.csv"
    if not path.exists() or not any(row.label for row in read_rows(path)):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_rows(path, drawn_rows(labels, wanted.documents, text=wanted.text))
    say(
        f"for people to check: copy {path} for each of them, and `bedside corpus review COPY --by "
        "NAME`; name the copies in corpus.annotate.review.filled"
    )


def _keep_agreement(labels: Artifact, wanted: Review, run: Run) -> None:
    """Write the same set again, with what people say of it.

    Raises:
        InputError: the files are none, or of another set.
    """
    from bedside_corpus.labelling.checked import check_reviews, facts, tell

    inputs = {f"review/{number}": path for number, path in enumerate(wanted.filled)}
    found = check_reviews(run.registry, wanted.filled)
    if found.labels.digest != labels.digest:
        raise InputError(
            f"corpus.annotate.review.filled: these are of labels {found.labels.digest[:12]}, not "
            f"of {labels.digest[:12]} - take files that were drawn from this set"
        )
    recipe = run.recipe(Review(filled=wanted.filled), parents={"labels": labels}, inputs=inputs)
    if run.reuse("labels", recipe) is None:
        with run.write("labels", recipe) as artifact:
            for entry in labels.manifest.files:
                artifact.take(labels.path / entry.path, entry)
            artifact.facts.update(labels.manifest.facts, agreement=facts(found.agreement))
    tell(found.agreement)


def _rows(
    sample: Sample, found: Labels, places: Mapping[int, Place], part: Part, listing: TextIO
) -> Iterator[LabelledDocument]:
    """The rows of a part; each is listed without its text."""
    for number, document in enumerate(sample):
        if number in places and places[number].part == part:
            listing.write(json.dumps(_listed(document)) + "\n")
            yield LabelledDocument(
                id=document.id,
                text=document.text,
                source=document.source,
                language=document.language,
                licence=document.licence,
                label=found.labels[number],
                probability=found.probabilities.get(number),
                cluster=places[number].cluster,
            )


def _listed(document: Document) -> dict[str, Any]:
    return {name: getattr(document, name) for name in ListedDocument.__annotations__}


def _report(labels: Artifact) -> None:
    """Table 2 of DeFineMed (Doll et al. 2026), for this set."""
    facts = labels.manifest.facts
    rows = [["part", "documents: yes", "no", "words: yes", "no"]]
    for part in (*PARTS, "total"):
        of = PARTS if part == "total" else (part,)
        cells = [
            sum(facts[what][one][label] for one in of)
            for what in ("classes", "words")
            for label in ("yes", "no")
        ]
        rows.append([part, *(f"{cell:,}" for cell in cells)])
    say(table(rows))
    if facts["unlabelled"]:
        say(f"without a label: {_counted(facts['unlabelled'])}; {UNLABELLED} lists them")
    if facts["annotator"].get("cut"):
        say(f"of {facts['annotator']['cut']:,} documents the beginning alone was asked about")
    total = {label: sum(facts["classes"][part][label] for part in PARTS) for label in ("yes", "no")}
    for label, count in total.items():
        if not count:
            say(f"no document is {label}: nothing can be learned from this set")


def _counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in reasons.items())

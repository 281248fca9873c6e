"""The `corpus` section of a run config.

Tested in tests/corpus/test_sources.py.
"""

from __future__ import annotations

import codecs
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from bedside_core.config import Config
from bedside_core.cpus import available_cpus
from bedside_core.licences import Use, uses
from bedside_corpus.classifier.config import Classifier, RunName, Sample, Select, TrainClassifier
from bedside_corpus.intake.address import check as check_url
from bedside_corpus.intake.address import is_url, local
from bedside_corpus.intake.licence import each, named
from bedside_corpus.labelling.config import AnnotateConfig
from bedside_corpus.passport.config import PassportConfig
from bedside_corpus.phi.config import PhiConfig
from bedside_corpus.splitting.config import Split

Format = Literal[
    "jsonl",
    "csv",
    "parquet",
    "xlsx",
    "text",
    "lines",
    "html",
    "pdf",
    "docx",
    "cda",
    "xml",
    "warc",
    "wet",
]
MAPPED: tuple[Format, ...] = ("jsonl", "csv", "parquet", "xlsx", "xml")
"""Formats whose records have fields of their own names."""
ENCODED: tuple[Format, ...] = ("jsonl", "csv", "text", "lines")
"""Formats that do not say their encoding."""

ColumnName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
"""Of a column of the corpus."""
FieldName = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Fields(Config):
    """What the records of a source call the fields of a document; `a.b` is b inside a."""

    text: FieldName | Annotated[tuple[FieldName, ...], Field(min_length=1)] | None = None
    """Default: `text`. A file none of whose records has it is an error that lists those it has.
    Of several the texts are joined, in the order given."""
    id: FieldName | None = None
    """Default: `id`; a record without one is named by its place."""
    licence: FieldName | None = None
    """Default: `licence` or `license`, also in `metadata`."""
    language: FieldName | None = None
    """Default: `language`."""
    patient: FieldName | None = None
    """The patient's number, of which the corpus has a keyed hash alone. Default: none is read."""
    document: FieldName | None = None
    """What the texts of one source document share, where a record is a part of it: hashed, too."""

    @property
    def paths(self) -> dict[str, tuple[str, ...]]:
        """Those that are given, each as what may have several parts."""
        given = self.model_dump(exclude_none=True)
        return {name: (one,) if isinstance(one, str) else one for name, one in given.items()}


class Source(Config):
    """Documents of one origin, in one format, and what is declared of them."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Names the source in the corpus, in the statistics and in `bedside registry lineage`."""
    path: Path | str
    """A file, or a folder that is searched with its subfolders. Or an fsspec URL, of which the
    files are fetched first: `zip://*::/path/a.zip`, `tar://`, `http(s)://`, `s3://`."""
    endpoint_url: str | None = None
    """Of `s3://`: where in the house the store is. Its keys stay in the environment (`AWS_...`)."""
    files: FieldName | None = None
    """Of a folder, which files: a pattern such as `*.fr` or `train/*`; default: by the format."""
    format: Format
    """docs/corpus.md has the suffixes and what becomes a document."""
    fields: Fields = Fields()
    """Other names of the fields, in jsonl, csv, parquet and xlsx; in xml their XPaths."""
    record: FieldName | None = None
    """In xml, the XPath of the elements that are documents; default: the whole file is one."""
    columns: tuple[FieldName, ...] | None = None
    """In csv, the names of the columns of files without a header."""
    quotes: bool = True
    """In csv, whether double quotes enclose cells; else they are signs like any other."""
    join: str = "\n\n"
    """What stands between texts that are joined: of several fields, of a list, of parts."""
    join_parts: bool = False
    """Neighbouring records with one `fields.document` are one document: sentences, or words."""
    damaged_files: Literal["fail", "keep"] = "fail"
    """Where a file of many documents is cut off: an error with its name, or what could be read of
    it is kept and `cut_off` is counted."""
    encoding: str | None = None
    """Of jsonl, csv and text that are neither UTF-8, UTF-16 with its mark nor Windows-1252."""
    licence: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] | None = None
    """SPDX identifier in any case, or `LicenseRef-...` for one of your own. A record's own licence
    may only tighten it; without either, a document is dropped."""
    permitted_uses: tuple[Use, ...] | None = None
    """What the house may use these texts for, where that is less than the licence permits; of a
    `LicenseRef-...` what the house's review granted, without which nothing is permitted."""
    attribution: str | None = None
    """Whom a model's papers name for these texts, in the words that the licence asks for."""
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")] | None = None
    """ISO 639 code of documents that do not carry their own; default: the corpus's."""
    type: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$")] | None = None
    """What the documents are: letter, abstract, guideline, web, ..."""
    personal_data: Literal["none", "pseudonymised", "identified"]
    """What is known of patients and staff in these texts; `identified` is refused."""
    quality: Literal["house", "web"] | None = None
    """Drop what hardly looks like text: `web` with FineWeb2's limits, for crawls; `house` with
    limits that short letters, lists and tables do not reach. Default: nothing is dropped."""

    @field_validator("licence")
    @classmethod
    def _check_licence(cls, value: str | None) -> str | None:
        return None if value is None else named(value)

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, value: str | None) -> str | None:
        try:
            return None if value is None else codecs.lookup(value).name
        except LookupError:
            raise ValueError(f"{value!r} is no encoding - for example cp1252 or cp850") from None

    @field_validator("path", mode="before")
    @classmethod
    def _check_path(cls, value: object) -> object:
        if not isinstance(value, str | Path):
            raise ValueError("must be a path or a URL")  # noqa: TRY004 - pydantic
        is_local = isinstance(value, Path) or not is_url(value)
        return Path(local(str(value))) if is_local else value

    @field_validator("personal_data")
    @classmethod
    def _check_persons(cls, value: str) -> str:
        if value == "identified":
            raise ValueError(
                "a model can repeat what it was trained on - pseudonymise these texts first and "
                "declare them `pseudonymised`, or take the source out"
            )
        return value

    @model_validator(mode="after")
    def _check_url(self) -> Self:
        try:
            check_url(str(self.url or ""), self.endpoint_url)
        except ValueError as error:
            raise ValueError(f"path: {error}") from None
        return self

    @model_validator(mode="after")
    def _check_format(self) -> Self:
        used = (
            *(("fields", MAPPED), ("join", MAPPED), ("join_parts", MAPPED)),
            *(
                ("encoding", ENCODED),
                ("record", ("xml",)),
                ("columns", ("csv",)),
                ("quotes", ("csv",)),
            ),
        )
        for name, formats in used:
            if name in self.model_fields_set and self.format not in formats:
                raise ValueError(
                    f"{name} is for {', '.join(formats)}, not {self.format} - leave it out"
                )
        if self.format == "xml":
            for path in (self.record, *chain.from_iterable(self.fields.paths.values())):
                _check_xpath(path)
        if self.join_parts and self.fields.document is None:
            raise ValueError("join_parts needs fields.document - set the field that parts share")
        return self

    @property
    def url(self) -> str | None:
        """The path, if it is none of this machine."""
        return self.path if isinstance(self.path, str) else None

    @property
    def is_personal(self) -> bool:
        """Whether its documents may be about somebody, so that one may have to be found again."""
        says_whose = self.format == "cda" or bool(self.fields.patient or self.fields.document)
        return says_whose or self.personal_data != "none"

    def permits(self, purpose: Use, licence: str) -> bool:
        """Whether a text of this source under this licence may be used for the purpose.

        Of licences that hold together all must permit it. What one permits that is not known can
        have been granted for the source's own alone: nobody has reviewed what a record may name.
        """
        granted = self.permitted_uses
        if granted is not None and purpose not in granted:
            return False
        reviewed = self.licence if granted is not None else None
        known = {name: uses(name) for name in each(licence)}
        return all(
            name == reviewed if found is None else purpose in found for name, found in known.items()
        )

    def refusal(self, purpose: Use) -> str | None:
        """Why this source may not go into a corpus for the purpose; None if it may."""
        granted = self.permitted_uses
        if granted is not None and purpose not in granted:
            return f"permitted_uses: {', '.join(granted) or 'none'}"
        if self.licence is None or self.permits(purpose, self.licence):
            return None
        found = uses(self.licence)
        if found is None:
            return (
                f"what {self.licence} permits is not known: what the house's review of it granted "
                "belongs into permitted_uses"
            )
        return f"{self.licence} permits {', '.join(sorted(found)) or 'none of our uses'}"

    def declared(self) -> dict[str, object]:
        """What the facts of the corpus say of the source beside its name."""
        names = ("licence", "permitted_uses", "attribution", "language", "type", "personal_data")
        return self.model_dump(mode="json", include=set(names), exclude_none=True)


def _check_xpath(path: str | None) -> None:
    from lxml import etree

    try:
        etree.XPath(path or ".")
    except etree.XPathSyntaxError:
        raise ValueError(f"{path!r} is no XPath expression - correct it") from None


class MedicalFilter(Config):
    """Keep documents in which enough words carry a medical stem."""

    min_density: float = Field(default=0.03, ge=0, le=1)
    """Smallest share of words with a medical stem; 0.03 is measured in the service's README."""


class NearDuplicates(Config):
    """What makes a text a near-copy of an earlier one, which stays: each of these must hold.

    The defaults are for a hospital's own files, where two texts of one template are two patients.
    """

    jaccard: float = Field(default=0.8, ge=0.5, le=1)
    """From this similarity of their runs of five words; letters of one template, by GraSCCo, have
    0.7 and less."""
    min_words: int = Field(default=100, ge=5)
    """Shorter texts are only ever exact copies: in a finding of fifty words one of them (left, no)
    is all that two patients do not share."""
    same_values: bool = True
    """Both have the same numbers and comparators in the same order, as patients of one template do
    not. `false` finds more copies in a crawl, whose pages are dated and counted."""


Kind = Literal["local", "slurm", "ray"]
OF_EXECUTORS: dict[str, tuple[Kind, ...]] = {
    "cpus_per_task": ("slurm", "ray"),
    "mem_per_cpu_gb": ("slurm", "ray"),
    "partition": ("slurm",),
    "time": ("slurm",),
    "qos": ("slurm",),
    "max_array_size": ("slurm",),
    "sbatch_args": ("slurm",),
    "address": ("ray",),
}
"""Which settings belong to which kinds; the others to all."""


class Executor(Config):
    """Where the work is done; it does not change what comes out.

    Settings of Slurm and Ray have the names of datatrove's executors.
    """

    kind: Kind = "local"
    """`local`: processes of this machine; `slurm`: job arrays; `ray`: tasks of a Ray cluster. A
    cluster's machines need the same paths: of the sources, BEDSIDE_HOME and this environment."""
    workers: int | None = Field(default=None, ge=1)
    """How much is done at once. `local`: processes, by default one for each core that this process
    may use; each holds the held-out texts and a few thousand documents. `slurm`: tasks of a job
    array, by default as many as the cluster runs; `ray`: tasks, by default one for each core of the
    cluster."""
    cpus_per_task: int = Field(default=1, ge=1)
    """Cores of a task; under Slurm it keeps each busy with a shard of its own."""
    mem_per_cpu_gb: float = Field(default=2, gt=0)
    """Memory for each core of a task, in GiB."""
    partition: str | None = None
    """Of Slurm; required there."""
    time: str | None = None
    """Longest time of a task, as Slurm writes it (`04:00:00`); required there."""
    qos: str | None = None
    """Slurm's quality of service, where the cluster asks for one."""
    max_array_size: int = Field(default=1001, ge=1)
    """Most tasks of a job array (`scontrol show config` names it MaxArraySize); where there are
    more shards, a task does several, one after the other."""
    sbatch_args: dict[str, str] = Field(default_factory=dict)
    """Further options of sbatch by their long names, for example `account`."""
    address: str | None = None
    """Of a running Ray cluster (`host:6379`); default: one is started on this machine, reachable
    from this machine alone, and stopped at the end."""

    @field_validator("time", mode="before")
    @classmethod
    def _check_time(cls, value: object) -> object:
        if isinstance(value, int):  # YAML 1.1 reads 12:00:00 in base 60
            raise ValueError("must be in quotes, for example '12:00:00'")  # noqa: TRY004 - pydantic
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, kinds in OF_EXECUTORS.items():
            if name in self.model_fields_set and self.kind not in kinds:
                raise ValueError(
                    f"{name} is for {' and '.join(kinds)}, not {self.kind} - leave it out"
                )
        missing = [name for name in ("partition", "time") if getattr(self, name) is None]
        if self.kind == "slurm" and missing:
            raise ValueError(f"{missing[0]} is missing - Slurm needs it")
        return self

    @property
    def processes(self) -> int:
        """How many processes of one machine work at once."""
        if self.kind == "local":
            return available_cpus() if self.workers is None else self.workers
        return self.cpus_per_task


class CorpusConfig(Config):
    """What goes into a corpus and what is kept out; or the run whose corpus this one takes."""

    existing: RunName | None = None
    """Name of a run: its corpus is taken, so that several runs need not repeat sources. As it is,
    or narrowed by `select` and `sample` to a corpus of its own, without scoring again."""
    select: dict[ColumnName, Select] = Field(default_factory=dict)
    """Of `existing`, the documents that satisfy each of these conditions on its columns."""
    sample: Sample | None = None
    """Of those, a random subset of so many words."""
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")] = "und"
    """ISO 639 code of documents that do not carry their own."""
    purpose: Use = "commercial"
    """What its models may be used for: `commercial` anything, `research` and `internal` that alone.
    The default asks the most of the sources, and so is right whatever a model is used for."""
    forbidden_sources: Literal["fail", "leave_out"] = "fail"
    """What happens to sources that may not be used for it: an error with their names, or the corpus
    is built without them, so that one list of sources has a version for each purpose."""
    language_threshold: float | None = Field(default=0.8, ge=0.5, le=1)
    """Probability from which a document of 20 words or more is believed to be in another language
    than declared, and dropped; `null` believes every declaration."""
    sources: tuple[Source, ...] = ()
    """Read in this order: of two equal texts, or of two texts with one id, the first is kept."""
    heldout: tuple[Path, ...] = ()
    """Sets that are measured on, folders of .txt files or .jsonl files: no text of them, no near
    copy and no other text of one of their patients is trained on."""
    exams: tuple[Path, ...] = ()
    """Exams (JSON Lines) that are measured on: no document with an item of them is trained on, its
    options in any order or, from 13 words, its question alone."""
    near_duplicates: NearDuplicates | None = NearDuplicates()
    """Of texts that are nearly the same, the first is kept; `null` keeps all but exact copies."""
    medical_filter: MedicalFilter | None = None
    """Leave it out to keep documents of every subject."""
    phi: PhiConfig | None = None
    """Look for what identifies a person; leave the section out for texts that were invented."""
    classifiers: dict[ColumnName, Classifier] = Field(default_factory=dict)
    """Trained classifiers, each with the column that its score goes into."""
    split: Split | None = None
    """Draw held-out sets from these sources (`bedside corpus split`); annotate and build keep
    them out."""
    train_classifier: TrainClassifier | None = None
    """What `bedside corpus train-classifier` does; the build does not read it."""
    annotate: AnnotateConfig | None = None
    """A labelled set of these sources, which `bedside corpus annotate` makes; the build does not
    read it."""
    passport: PassportConfig = PassportConfig()
    """What its passport counts beside documents and words."""
    executor: Executor = Executor()
    """What builds it: this machine, Slurm or Ray."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = self.model_fields_set - {"existing", "train_classifier"}
        narrowing = {"select", "sample"}
        beside = narrowing | {"executor"} | ({"passport"} if given & narrowing else set())
        if self.existing is not None and given - beside:
            wrong = min(given - beside)
            raise ValueError(f"existing and {wrong} are both set - unset one of them")
        if self.existing is None and given & narrowing:
            raise ValueError(
                f"{min(given & narrowing)} narrows a corpus that is there - name its run as "
                "existing"
            )
        if self.existing is None and not (self.train_classifier and not given):
            for name in ("language", "sources"):
                if not (name in given and getattr(self, name)):
                    raise ValueError(f"{name} is missing - set it, or existing")
        names = [source.name for source in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two sources are named {twice[0]!r} - give each its own name")
        for name, asked in (self.split.sets if self.split else {}).items():
            if unknown := sorted(set(asked.sources) - set(names)):
                raise ValueError(
                    f"split.sets.{name}.sources: {unknown[0]!r} is no source - known are "
                    f"{', '.join(names)}"
                )
        own = [column for column, one in self.classifiers.items() if one.run is None]
        if self.split is not None and self.annotate is not None and own:
            raise ValueError(
                f"classifiers.{own[0]}: split draws by it, and annotate, which labels for it, "
                "keeps out what is drawn - annotate and train it in another run, without split, "
                f"and name that as classifiers.{own[0]}.run"
            )
        left_out = self.left_out
        listed = "; ".join(f"{name} ({why})" for name, why in left_out.items())
        if left_out and self.forbidden_sources == "fail":
            raise ValueError(
                f"not permitted for the purpose {self.purpose!r}: {listed} - take these sources "
                "out, set the purpose to what they permit, or set forbidden_sources to leave_out"
            )
        if left_out and not self.used_sources:
            raise ValueError(
                f"no source is permitted for the purpose {self.purpose!r}: {listed} - set the "
                "purpose to what they permit"
            )
        if self.medical_filter is not None and self.language != "de":
            raise ValueError(
                f"the medical filter's stems are German, not {self.language!r} - leave the section "
                "medical_filter out"
            )
        return self

    @property
    def left_out(self) -> dict[str, str]:
        """Sources that may not be used for the purpose, by name, and why."""
        found = {source.name: source.refusal(self.purpose) for source in self.sources}
        return {name: why for name, why in found.items() if why is not None}

    @property
    def used_sources(self) -> tuple[Source, ...]:
        """The others, in their order."""
        left_out = self.left_out
        return tuple(source for source in self.sources if source.name not in left_out)

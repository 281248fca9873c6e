"""The corpus as MLCommons Croissant 1.1 describes data sets: `croissant.json`, a JSON-LD document.

Format: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html, with fields of its RAI
extension. Left out, because equal corpora have equal files: `datePublished`; and because the house
says them where it publishes a corpus, if it does: `url`, `creator`, `citeAs`.

Tested in tests/corpus/passport/test_croissant.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from bedside_core.artifacts import FileEntry
from bedside_corpus.intake.licence import CUSTOM, each

FORMATS = {
    ".parquet": "application/x-parquet",
    ".jsonl": "application/jsonlines",
    ".json": "application/json",
    ".html": "text/html",
    ".svg": "image/svg+xml",
}
_NAMES = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field",
    "fileObject", "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset",
    "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated",
    "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{name: f"cr:{name}" for name in _NAMES},
}
"""That of the specification."""


def croissant(
    passport: Mapping[str, Any], files: Sequence[FileEntry], columns: pa.Schema
) -> dict[str, Any]:
    """The description.

    Args:
        passport: of the corpus.
        files: of the artifact, but for this one.
        columns: of the files of documents.
    """
    short = passport["content_sha256"][:12]
    licences = {n: None for one in passport["licences"] for n in each(one["licence"])}
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": f"corpus-{short}",
        "description": (
            f"{passport['documents']} documents of {passport['words']} words, built for the "
            f"purpose {passport['purpose']!r} by Bedside ({passport['made_by']['verb']})."
        ),
        "conformsTo": [
            "http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0",
        ],
        "version": f"1.0.0+{short}",
        "license": [_licence(name) for name in licences],
        **_origin(passport),
        "inLanguage": list(passport["languages"]),
        "isLiveDataset": False,
        "rai:dataCollection": "; ".join(map(_source, passport["sources"])),
        "rai:dataPreprocessingProtocol": [_step(step) for step in passport["funnel"]],
        "rai:personalSensitiveInformation": _personal(passport),
        "rai:dataLimitations": list(passport["is_not"]),
        "rai:dataUseCases": f"Training language models, for the purpose {passport['purpose']!r}.",
        "distribution": [
            *map(_file, files),
            {
                "@type": "cr:FileSet",
                "@id": "data",
                "name": "data",
                "encodingFormat": FORMATS[".parquet"],
                "includes": "data/*.parquet",
            },
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "documents",
                "name": "documents",
                "key": {"@id": "documents/id"},
                "field": [_field(column) for column in columns],
            }
        ],
    }  # fmt: skip


def _origin(passport: Mapping[str, Any]) -> dict[str, Any]:
    """Of a narrowed corpus the one that it was selected from."""
    if "selected" not in passport:
        return {}
    digest = passport["selected"]["from"]
    return {"isBasedOn": {"@type": "sc:Dataset", "identifier": f"sha256:{digest}"}}


def _licence(name: str) -> str:
    return name if name.startswith(CUSTOM) else f"https://spdx.org/licenses/{name}.html"


def _source(source: Mapping[str, Any]) -> str:
    kind = source.get("type") or source["format"]
    return f"{source['name']} ({kind}): {source['documents']} of {source['read']} records"


def _step(step: Mapping[str, Any]) -> str:
    out = ", ".join(f"{name} {gone['records']}" for name, gone in step["dropped"].items())
    said = f"{step['step']}: {step['read']} in, {step['kept']} out, {step['changed']} changed"
    return f"{said}; {out}" if out else said


def _personal(passport: Mapping[str, Any]) -> list[str]:
    declared = [f"{one['name']}: declared {one['personal_data']}" for one in passport["sources"]]
    if "personal_data" not in passport:
        return declared
    gate = passport["personal_data"]
    if gate is None:
        return [*declared, "no gate: nothing was looked for beyond what is declared"]
    out = sum(gate["dropped"].values())
    said = f"gate ({gate['on_hit']}, risk over {gate['max_risk']:g}): {out} documents out"
    return [*declared, said]


def _file(entry: FileEntry) -> dict[str, str]:
    return {
        "@type": "cr:FileObject",
        "@id": entry.path,
        "name": entry.path,
        "contentUrl": entry.path,
        "contentSize": f"{entry.size} B",
        "encodingFormat": FORMATS[PurePosixPath(entry.path).suffix],
        "sha256": entry.sha256,
    }


def _field(column: pa.Field) -> dict[str, Any]:
    kinds = {"string": "sc:Text", "int64": "cr:Int64", "float": "cr:Float32"}
    return {
        "@type": "cr:Field",
        "@id": f"documents/{column.name}",
        "name": column.name,
        "dataType": kinds[str(column.type)],
        "source": {"fileSet": {"@id": "data"}, "extract": {"column": column.name}},
    }

"""XML: documents by path expressions, in files without entities of their own."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from typing import Any, BinaryIO

from lxml import etree

from bedside_corpus.intake.fields import Mapper
from bedside_corpus.intake.markup import text_of
from bedside_corpus.intake.record import RawRecord, UnreadableError
from bedside_corpus.sources import SourceFile

MAX_BYTES = 2**28
"""A tree takes several times its file: more does not fit the parsers' memory."""


def read_xml(content: BinaryIO, file: SourceFile, skip: int) -> Iterator[RawRecord]:
    """One record per element that `record` finds, its fields by the paths of `fields`.

    Names are without their namespaces. Without `record` the file is one document, without a path
    for the text all of the element's.

    Raises:
        UnreadableError: `malformed`, `too_large` or `entities`.
        InputError: no record has a text.
    """
    root = tree(content)
    for element in root.iter(etree.Element):
        element.tag = etree.QName(element).localname
    paths = file.source.fields.paths
    mapper = Mapper(file)
    found = [root] if file.source.record is None else _nodes(root, file.source.record)
    for number, element in enumerate(found, start=1):
        if number <= skip:
            continue
        named = (path for one in paths.values() for path in one)
        fields: dict[str, Any] = {path: _value(element, path) for path in named}
        if "text" not in paths:
            fields["text"] = text_of(element)
        yield mapper.record(number, 0, fields)
    mapper.finish()


def tree(content: BinaryIO) -> Any:
    """The root of a document that was parsed without entities, external parts or a network.

    Raises:
        UnreadableError: `malformed`, `too_large`, or `entities` where it declares or needs some:
            they can hold a billion characters, and a text without them would have holes.
    """
    head = content.read(2)
    content.seek(0)
    source = gzip.GzipFile(fileobj=content) if head == b"\x1f\x8b" else content
    try:
        data = source.read(MAX_BYTES + 1)
    except (OSError, EOFError):
        raise UnreadableError("malformed") from None
    if len(data) > MAX_BYTES:
        raise UnreadableError("too_large")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False,
        remove_comments=True, remove_pis=True,
    )  # fmt: skip
    try:
        parsed = etree.parse(io.BytesIO(data), parser)
    except etree.XMLSyntaxError:
        raise UnreadableError("malformed") from None
    declared = parsed.docinfo.internalDTD
    if declared is not None and any(True for _ in declared.iterentities()):
        raise UnreadableError("entities")
    if next(parsed.getroot().iter(etree.Entity), None) is not None:
        raise UnreadableError("entities")
    return parsed.getroot()


def _nodes(root: Any, path: str) -> list[Any]:
    found = root.xpath(path)
    return [one for one in found if etree.iselement(one)] if isinstance(found, list) else []


def _value(element: Any, path: str) -> str | None:
    found = element.xpath(path)
    if not isinstance(found, list):
        return str(found)
    parts = [text_of(one) if etree.iselement(one) else str(one) for one in found]
    return "\n\n".join(part for part in parts if part) or None

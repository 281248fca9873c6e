"""JSON: an object per line, or over several lines, or one array of objects."""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from bedside_corpus.intake.encoding import marked
from bedside_corpus.intake.fields import Mapper
from bedside_corpus.intake.record import MAX_DOCUMENT_BYTES, DamagedFileError, RawRecord
from bedside_corpus.intake.stream import HEAD_BYTES, lines, opened
from bedside_corpus.sources import SourceFile

_ARRAY = re.compile(rb"\s*\[\s*\{")
_OBJECT = re.compile(rb'\s*\{[^\S\n]*\n\s*"')
_BETWEEN = " \t\r\n,"


def read_jsonl(file: SourceFile) -> Iterator[RawRecord]:
    """One record per line that is not blank, or per object of the array, or of the file.

    Raises:
        InputError: no record has a text.
        DamagedFileError: a torn compressed stream or array.
    """
    mapper = Mapper(file)
    if file.part is None and not has_lines(file):
        yield from _objects(file, mapper, marked(_head(file)))
    else:
        yield from _lines(file, mapper)
    if file.part is not None and not mapper.found:
        # Only of the whole file it is an error that no record has a text.
        mapper = Mapper(file)
        for _ in _lines(replace(file, part=None), mapper):
            if mapper.found:
                break
    mapper.finish()


def has_lines(file: SourceFile) -> bool:
    """Whether each line is an object, as far as the beginning of the file tells."""
    head = _head(file)
    shown = head.decode(marked(head) or "utf-8", "ignore").encode()
    return not (_ARRAY.match(shown) or _OBJECT.match(shown))


def _head(file: SourceFile) -> bytes:
    with opened(file.path) as (_, content):
        return content.peek(HEAD_BYTES)


def _lines(file: SourceFile, mapper: Mapper) -> Iterator[RawRecord]:
    size = 0
    for line in lines(file.path, file.source.encoding, file.part):
        size += line.size
        if line.text is None:
            yield RawRecord(line.number, size, None, line.damage)
        elif line.text.strip():
            fields = _object(line.text)
            if fields is None:
                yield RawRecord(line.number, size, None, "malformed")
            else:
                yield mapper.record(line.number, size, fields, line.encoding)
        else:
            continue
        size = 0


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _objects(file: SourceFile, mapper: Mapper, mark: str | None) -> Iterator[RawRecord]:
    encoding = mark or file.source.encoding or "utf-8"
    with opened(file.path) as (raw, content):
        done = number = 0
        try:
            for value in _elements(content, encoding):
                number += 1
                size, done = raw.tell() - done, raw.tell()
                if isinstance(value, dict):
                    yield mapper.record(number, size, value, encoding.removesuffix("-sig"))
                else:
                    yield RawRecord(number, size, None, "malformed")
        except (ValueError, RecursionError):
            raise DamagedFileError(
                f"{file.path}: the JSON cannot be read after entry {number} - repair it, or "
                "export one object per line"
            ) from None


def _elements(content: io.BufferedReader | BinaryIO, encoding: str) -> Iterator[Any]:
    """The values of an array, or one after the other; one at a time is in memory.

    Raises:
        ValueError: the array or a value is not whole, in another encoding, or too large.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    parse = json.JSONDecoder().raw_decode
    rest, step, ended = "", HEAD_BYTES, False
    is_array = None
    while True:
        rest = rest.lstrip(_BETWEEN)
        if is_array is None and rest:
            is_array = rest.startswith("[")
            rest = rest[is_array:]
            continue
        if rest.startswith("]") if is_array else ended and not rest:
            return
        try:
            value, end = parse(rest)
        except json.JSONDecodeError:
            if ended or len(rest) > MAX_DOCUMENT_BYTES:
                raise
            data = content.read(step)
            ended = not data
            rest += decoder.decode(data, final=ended)
            step = min(2 * step, MAX_DOCUMENT_BYTES)  # each try begins anew: few and growing
            continue
        yield value
        rest, step = rest[end:], HEAD_BYTES

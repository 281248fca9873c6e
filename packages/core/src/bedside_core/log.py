"""Logging of events with ids, counts, hashes and durations; never of document or prompt text.

An event is a constant message plus named fields: `log.info("artifact written", extra=fields(...))`.
Fields are numbers, booleans or short identifiers; anything longer is cut to its length and hash,
and an exception is logged by type and place only, because `str(exc)` may quote its input.
Loggers of other libraries are trusted with even less: see `_event`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

from bedside_core.services import LOGGERS

MAX_FIELD_CHARS = 128
"""A path or a digest fits; a sentence of a clinical note does not."""


def fields(**values: object) -> dict[str, Any]:
    """The `extra` of a log call: named facts of an event."""
    return {"bedside": values}


def safe(value: object) -> object:
    """A value fit for a log line: numbers, booleans and short single-line strings pass."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, BaseException):
        return where(value)
    text = str(value)
    if len(text) > MAX_FIELD_CHARS or not text.isprintable():
        digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:12]
        return f"<{len(text)} characters, sha256 {digest}>"
    return text


def where(error: BaseException) -> str:
    """An exception's type and innermost place, without its message."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


class SafeRecord(logging.LogRecord):
    """A record that is safe in any handler: some libraries bring one of their own along."""

    error: str | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self.exc_info and self.exc_info[1] is not None:
            self.error = where(self.exc_info[1])
            self.exc_info = None

    def getMessage(self) -> str:  # noqa: N802 - the name is logging's
        """The template, and an exception's type and place."""
        return _event(self) + (f" ({self.error})" if self.error else "")


class EventFormatter(logging.Formatter):
    """JSON lines, or one readable line on a terminal."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self.as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        facts = {k: safe(v) for k, v in getattr(record, "bedside", {}).items()}
        if isinstance(record, SafeRecord) and record.error:
            facts["error"] = record.error
        message = _event(record)
        time = datetime.fromtimestamp(record.created, UTC)
        if self.as_json:
            line = {
                "time": time.isoformat(timespec="milliseconds"),
                "level": record.levelname.lower(),
            }
            return json.dumps({**line, "logger": record.name, "event": message, **facts})
        tail = "".join(f" {k}={v}" for k, v in facts.items())
        return f"{time:%H:%M:%S} {record.levelname.lower()} {message}{tail}"


def _event(record: logging.LogRecord) -> str:
    """The template of a message, never its arguments, which in a foreign library may be text.

    A foreign message without arguments may have been put together before the call, so only its
    place in the source is told; so is that of an object passed as message.
    """
    ours = record.name.split(".")[0] in LOGGERS
    if isinstance(record.msg, str) and (ours or record.args):
        return str(safe(record.msg))
    return f"message withheld, from {record.module}:{record.lineno}"


def configure(*, level: str = "INFO") -> None:
    """Send our own loggers to stderr; other libraries only from WARNING, by template."""
    logging.setLogRecordFactory(SafeRecord)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EventFormatter(as_json=not sys.stderr.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(level)

"""A canary in every place where text could slip into the log; it must never come out."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core import log
from bedside_core.log import EventFormatter, fields, safe, where

CANARY = "Frau Kanarienvogel"


@pytest.fixture
def configured() -> Iterator[logging.Logger]:
    """The root logger as every command sets it up; undone after the test."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.getLogRecordFactory()
    log.configure()
    yield root
    root.handlers[:], root.level = before[:2]
    logging.setLogRecordFactory(before[2])


@pytest.fixture(params=["json", "terminal", "foreign handler"])
def output(request: pytest.FixtureRequest, configured: logging.Logger) -> io.StringIO:
    """What is written, in either format, or by a handler that a library brought along."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    formatters = {
        "json": EventFormatter(as_json=True),
        "terminal": EventFormatter(as_json=False),
        "foreign handler": logging.Formatter("%(name)s %(message)s"),
    }
    handler.setFormatter(formatters[request.param])
    configured.handlers[:] = [handler]
    configured.setLevel(logging.DEBUG)
    return stream


def fail(text: str) -> None:
    raise ValueError(f"cannot parse {text!r}")


@pytest.mark.parametrize("name", ["bedside_eval.run", "some.library", "asyncio"])
def test_canary(output: io.StringIO, name: str) -> None:
    logger = logging.getLogger(name)
    logger.warning("argument %s", CANARY)
    logger.warning("mapping %(text)s", {"text": CANARY})
    logger.error(ValueError(CANARY))
    logger.error("error as argument %r", ValueError(CANARY))
    logger.error("field", extra=fields(error=ValueError(CANARY)))
    logger.error("long", extra=fields(text=f"{CANARY} " * 20))
    logger.error("lines", extra=fields(text=f"Befund\n{CANARY}"))
    logger.error("hidden", extra=fields(text=f"\x1b[2K{CANARY}\r"))
    logger.error(f"long message {CANARY}" * 20)
    try:
        fail(CANARY)
    except ValueError:
        logger.exception("failed")
        logger.warning("failed", exc_info=True)
    text = output.getvalue()
    assert len(text.splitlines()) == 11
    assert "Kanarienvogel" not in text
    assert "ValueError at" in text


def test_foreign_message_without_arguments_may_be_text(output: io.StringIO) -> None:
    logging.getLogger("some.library").warning(f"cannot tokenise {CANARY}")
    text = output.getvalue()
    assert "Kanarienvogel" not in text
    assert "message withheld, from test_log:" in text


def test_our_events_are_readable(output: io.StringIO) -> None:
    logging.getLogger("bedside_corpus").info(
        "document dropped", extra=fields(id="a/b-7", words=12, share=0.5, ok=True, none=None)
    )
    text = output.getvalue()
    assert "document dropped" in text
    if not text.startswith("bedside_corpus"):  # a foreign format knows no fields
        assert all(part in text for part in ("a/b-7", "12", "0.5"))


def test_json_lines_parse(capsys: pytest.CaptureFixture[str], configured: logging.Logger) -> None:
    log.configure()  # again, now that stderr is captured
    logging.getLogger("bedside_core.x").info("event", extra=fields(n=1, text="x" * 500))
    logging.getLogger("library").info("not shown %s", "a")
    logging.getLogger("library").warning("template %s", "a")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["event", "template %s"]
    assert lines[0]["n"] == 1
    assert lines[0]["text"].startswith("<500 characters, sha256 ")
    assert set(lines[0]) == {"time", "level", "logger", "event", "n", "text"}


@given(st.text(min_size=129))
def test_no_part_of_a_long_value_passes(text: str) -> None:
    assert safe(text) == safe(text)
    assert str(safe(text)).startswith(f"<{len(text)} characters, sha256 ")
    assert len(str(safe(text))) < 60


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False)))
def test_numbers_pass(value: object) -> None:
    assert safe(value) == value


@given(st.text(), st.text())
def test_a_line_stays_a_line(message: str, value: str) -> None:
    record = log.SafeRecord("bedside_core", logging.INFO, "f.py", 1, message, None, None)
    record.__dict__.update(fields(value=value))
    for as_json in (True, False):
        assert len(EventFormatter(as_json=as_json).format(record).splitlines()) == 1


def test_where_tells_place_not_message() -> None:
    try:
        fail(CANARY)
    except ValueError as error:
        assert where(error).startswith("ValueError at ")
        assert "test_log.py:" in where(error)
        assert "Kanarienvogel" not in where(error)
    assert where(ValueError(CANARY)) == "ValueError"

"""Log lines: one shape whoever speaks, and nothing in them that a sender wrote."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import structlog

from receiver.logs import Lines, configure, stamp

CANARY = "canary-canary-canary"


@pytest.fixture
def out() -> Iterator[io.BytesIO]:
    """Yield a stream to log into; loggers are put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.BytesIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(out: io.BytesIO) -> list[dict[str, Any]]:
    """Return the lines that were written."""
    return [orjson.loads(line) for line in out.getvalue().splitlines()]


def test_one_shape(out: io.BytesIO) -> None:
    """Our events, a library's and canonical lines begin with the same three fields."""
    canonical = configure("info", "json", out)

    structlog.get_logger("any").warning("key.faded", endpoint="é")
    logging.getLogger("uvicorn.error").error("bad %s", "luck")
    canonical.write("request.answered", 1.5, [{"bytes": 1}, {"bytes": 2}], shared={"status": 202})

    found = lines(out)
    assert [list(line)[:3] for line in found] == [["timestamp", "level", "event"]] * 4
    assert {len(line["timestamp"]) for line in found} == {27}
    assert [{**line, "timestamp": ""} for line in found] == [
        {"timestamp": "", "level": "warning", "event": "key.faded", "endpoint": "é"},
        {
            "timestamp": "",
            "level": "error",
            "event": "library.logged",
            "logger": "uvicorn.error",
            "message": "bad luck",
        },
        {"timestamp": "", "level": "info", "event": "request.answered", "status": 202, "bytes": 1},
        {"timestamp": "", "level": "info", "event": "request.answered", "status": 202, "bytes": 2},
    ]


def test_an_exception_shows_no_message_and_no_locals(out: io.BytesIO) -> None:
    """An exception is named and placed; what it says may be what a sender wrote."""
    configure("info", "json", out)
    try:
        int(CANARY)
    except ValueError:
        structlog.get_logger().exception("commit.broke")
        logging.getLogger("library").exception("broke")

    first, second = lines(out)
    assert (first["error"], second["error"]) == ("ValueError", "ValueError")
    assert "test_an_exception_shows_no_message_and_no_locals" in first["trace"][-1]
    assert CANARY.encode() not in out.getvalue()


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        pytest.param("debug", ["a.whispered", "a.happened", "request.answered"], id="debug"),
        pytest.param("info", ["a.happened", "request.answered"], id="info"),
        pytest.param("warning", [], id="warning"),
    ],
)
def test_levels(out: io.BytesIO, level: str, heard: list[str]) -> None:
    """What is below the level is not written, canonical lines included."""
    canonical = configure(level, "json", out)

    structlog.get_logger().debug("a.whispered")
    structlog.get_logger().info("a.happened")
    canonical.write("request.answered", 0.0, [{"n": 1}])

    assert [line["event"] for line in lines(out)] == heard


def test_chatty_libraries_are_quiet(out: io.BytesIO) -> None:
    """What RQ and uvicorn say at info is said better by our own lines."""
    configure("info", "json", out)

    logging.getLogger("rq.worker").info("job done")
    logging.getLogger("uvicorn.error").info("started")

    assert lines(out) == []


def test_text_that_is_not_utf8(out: io.BytesIO) -> None:
    """A lone surrogate or an odd value never breaks a line."""
    canonical = configure("info", "json", out)

    canonical.write("request.answered", 0.0, [{"path": "\ud800", "what": b"x"}])

    (line,) = lines(out)
    assert (line["path"], line["what"]) == ("?", "b'x'")


def test_console(out: io.BytesIO) -> None:
    """For people, the same is written as text."""
    canonical = configure("info", "console", out)

    structlog.get_logger().info("key.faded", endpoint="eu")
    canonical.write("request.answered", 0.0, [{"status": 202}])

    first, second = out.getvalue().decode().splitlines()
    assert "key.faded" in first
    assert "endpoint=eu" in first
    assert second.startswith("1970-01-01T00:00:00.000000Z [info")
    assert second.endswith("status=202")


def test_standard_output_is_the_default(
    out: io.BytesIO, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Without a stream, lines go to standard output."""
    assert not out.getvalue()
    configure("info", "json").write("request.answered", 0.0, [{"n": 1}])

    assert b"request.answered" in capfdbinary.readouterr().out


def test_a_batch_is_one_write() -> None:
    """However many lines, the stream is written once."""
    writes: list[bytes] = []

    class Stream(io.BytesIO):
        def write(self, data: Any) -> int:
            writes.append(bytes(data))
            return len(data)

    Lines(Stream()).write("request.answered", 0.0, [{"n": n} for n in range(50)])

    assert len(writes) == 1
    assert writes[0].count(b"\n") == 50


def test_stamp() -> None:
    """Times are ISO 8601 in UTC with microseconds, also when these are zero."""
    assert stamp(1_800_000_000.0) == "2027-01-15T08:00:00.000000Z"

"""Structured logs: one JSON object per line on one stream, whoever speaks.

structlog's own events, the standard library's (uvicorn, RQ, redis) and the canonical lines of
requests and jobs share one shape: `timestamp`, `level`, `event`, then what is known.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, BinaryIO, Final, Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Format = Literal["json", "console"]

_QUIET: Final = ("rq.worker", "rq.scheduler", "httpx2", "httpcore2", "uvicorn.error")
"""Chatty at `info` about what our own lines say better; from `warning` on they are heard."""

_FRAMES: Final = 12


class Lines:
    """Writes canonical lines, many at a time, in the shape of every other line.

    The lines of a batch are rendered apart from structlog's chain and leave in one write.
    """

    def __init__(self, out: BinaryIO, form: Format = "json", level: str = "info") -> None:
        self._out = out
        self._render = _json_lines if form == "json" else _console_lines
        self._heard = level in {"debug", "info"}

    def write(
        self,
        event: str,
        at: float,
        records: Iterable[Mapping[str, Any]],
        *,
        shared: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Write one line per record.

        Args:
            event: the event's name, `noun.verb_past`.
            at: Unix seconds, the same for all of them.
            records: what is known, without payload or secret; none of them empty.
            shared: what is true of every one of them.
        """
        if not self._heard:
            return
        head = {"timestamp": stamp(at), "level": "info", "event": event, **shared}
        self._out.write(self._render(head, records))
        self._out.flush()


class _Handler(logging.Handler):
    """Writes a line of bytes per record, on the stream that the canonical lines use."""

    def __init__(self, out: BinaryIO) -> None:
        super().__init__()
        self._out = out

    def emit(self, record: logging.LogRecord) -> None:
        self._out.write(self.format(record).encode(errors="backslashreplace") + b"\n")
        self._out.flush()


def configure(level: str, form: Format, out: BinaryIO | None = None) -> Lines:
    """Route structlog and the standard library's loggers into `out`, in one shape.

    Args:
        level: the least level that is written: `debug`, `info`, `warning` or `error`.
        form: `json` for machines, `console` for people.
        out: a binary stream; standard output if none is given.

    Returns:
        The writer of canonical lines on the same stream.
    """
    stream = sys.stdout.buffer if out is None else out
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _timestamp,
        _exception,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(stream)
    handler.setFormatter(_formatter(shared, form))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    return Lines(stream, form, level)


def stamp(at: float) -> str:
    """Return `at` (Unix seconds) as ISO 8601 in UTC with microseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def _formatter(shared: list[Processor], form: Format) -> logging.Formatter:
    steps: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if form == "json":
        steps += [_render_json]
    else:
        steps += [structlog.dev.ConsoleRenderer(colors=False)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, _name_foreign],
        processors=steps,
    )


def _timestamp(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["timestamp"] = datetime.now(UTC).isoformat(timespec="microseconds")[:-6] + "Z"
    return event


def _exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Say where an exception arose and of which type it is.

    Its message and its locals stay out: both can hold what a sender wrote.
    """
    info = event.pop("exc_info", None)
    error = sys.exc_info()[1] if info is True else info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event.setdefault("error", type(error).__qualname__)
        frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
        event["trace"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event


def _name_foreign(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Put a library's free text under `message`, so that `event` stays a closed set of names."""
    event["message"] = event.get("event")
    event["event"] = "library.logged"
    return event


def _render_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    return _json(_ordered(event)).decode()


def _ordered(event: Mapping[str, Any]) -> dict[str, Any]:
    first = {name: event[name] for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}


def _json(record: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(record, default=repr)
    except TypeError:  # text that is not UTF-8, from a library
        plain = {key: str(value).encode(errors="replace").decode() for key, value in record.items()}
        return orjson.dumps(plain)


def _json_lines(head: Mapping[str, Any], records: Iterable[Mapping[str, Any]]) -> bytes:
    """Render the common fields once and put them before each record's own."""
    start = _json(head)[:-1] + b","
    return b"".join([b"%b%b\n" % (start, _json(record)[1:]) for record in records])


def _console_lines(head: Mapping[str, Any], records: Iterable[Mapping[str, Any]]) -> bytes:
    timestamp, level, event, *shared = head.values()
    names = list(head)[3:]
    start = f"{timestamp} [{level:<8}] {event:<30} "
    start += "".join(f"{name}={value} " for name, value in zip(names, shared, strict=True))
    lines = (
        start + " ".join(f"{name}={value}" for name, value in record.items()) for record in records
    )
    return "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")

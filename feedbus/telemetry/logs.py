"""Logging goes to standard error, as text for people or as JSON, or to the last line of the live table.

Log messages may contain text that a venue sent, so no message can look like two records: the text format escapes
control characters and begins each line of a traceback with "  | ", and JSON escapes everything that isn't printable.
The length of a line is bounded.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from feedbus.text import escaped, escaped_json

Style = Literal["auto", "text", "json"]

MAX_MESSAGE = 4_000  # characters; journald cuts a line at 48 KiB
MAX_EXCEPTION = 12_000  # characters; the last ones are kept, because the end of a traceback says the most
MAX_FIELDS = 32  # fields of `extra` in one record
MAX_FIELD = 1_000  # characters of a field that isn't a number

_OWN = ("ts", "level", "logger", "message", "exception")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def to_stderr(level: int = logging.INFO, style: Style = "auto") -> None:
    """Log to standard error. The style "auto" means text when standard error is a terminal, and JSON otherwise.

    Records of other libraries are shown in the same form when they are warnings or worse.
    """
    for_people = style == "text" or (style == "auto" and sys.stderr.isatty())
    handler = _Stderr(sys.stderr)
    handler.setFormatter(TextFormatter() if for_people else JsonFormatter())
    _install(handler, level)


def to_user() -> None:
    """Show warnings on standard error as a command's own errors are shown, for commands that print something else."""
    handler = _Stderr(sys.stderr)
    handler.setFormatter(TextFormatter("feedbus: %(message)s"))
    _install(handler, logging.WARNING)


def to_table() -> LastLine:
    """Keep the last warning only, for the live table, which lines on standard error would spoil."""
    handler = LastLine(logging.WARNING)
    handler.setFormatter(TextFormatter("%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S"))
    _install(handler, logging.WARNING)
    return handler


def counts() -> Mapping[str, int]:
    """How many lines of each level ("info", "warning", …) have been logged since logging was set up.

    Empty when logging has not been set up here.
    """
    for handler in logging.getLogger("feedbus").handlers:
        if isinstance(handler, _Counting):
            return dict(handler.counts)
    return {}


class _Counting(logging.Handler):
    """Counts the records that it handles, by level."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.counts: Counter[str] = Counter(dict.fromkeys(("info", "warning", "error"), 0))

    def handle(self, record: logging.LogRecord) -> bool:
        """Override the method that logging calls."""
        self.counts[_level(record)] += 1
        return super().handle(record)


class _Stderr(_Counting, logging.StreamHandler[Any]):
    """Writes each record to a stream, and counts it."""

    def __init__(self, stream: Any) -> None:
        _Counting.__init__(self)
        self.stream = stream


class LastLine(_Counting):
    """Remembers the first line of the newest record in `text`, and writes nothing."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Override the method that logging calls."""
        self.text = self.format(record).partition("\n")[0]


class TextFormatter(logging.Formatter):
    """Formats a record for people: time, level, logger, message."""

    def __init__(
        self, fmt: str = "%(asctime)s %(levelname)-7s %(name)s: %(message)s", datefmt: str | None = None
    ) -> None:
        super().__init__(fmt, datefmt)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line with control characters escaped, followed by the traceback if there is one.

        The traceback's lines are marked, so that none of them can pass for a record.
        """
        record.message = _cut(record.getMessage(), MAX_MESSAGE)
        record.asctime = self.formatTime(record, self.datefmt)
        lines = [escaped(self.formatMessage(record))]
        if record.exc_info:
            traceback = _tail(self.formatException(record.exc_info)).splitlines()
            lines += ["  | " + escaped(line) for line in traceback]
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object on one line.

    Its fields are ts (RFC 3339, UTC, milliseconds), level, logger, message, exception (when there is one), and the
    fields of `extra`. A field of `extra` that has one of these names gets an underscore at its end.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Override the method that logging calls."""
        line: dict[str, Any] = {
            "ts": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": _level(record),
            "logger": record.name,
            "message": _cut(record.getMessage(), MAX_MESSAGE),
        }
        if record.exc_info:
            line["exception"] = _tail(self.formatException(record.exc_info))
        extra = [name for name in vars(record) if name not in _STANDARD]
        for name in extra[:MAX_FIELDS]:
            line[name + "_" if name in _OWN else name] = _field(getattr(record, name))
        return escaped_json(msgspec.json.encode(_unicode(line)).decode())


def _install(handler: logging.Handler, level: int) -> None:
    feedbus, root = logging.getLogger("feedbus"), logging.getLogger()
    for logger in (feedbus, root):
        for old in [each for each in logger.handlers if isinstance(each, _Counting)]:
            logger.removeHandler(old)
        logger.addHandler(handler)
    feedbus.setLevel(level)
    feedbus.propagate = False
    root.setLevel(logging.WARNING)


def _level(record: logging.LogRecord) -> str:
    return record.levelname.lower()


def _field(value: Any) -> Any:
    """Return a value of `extra` that JSON can hold: numbers and None as they are, anything else as text."""
    return value if value is None or isinstance(value, bool | int | float) else _cut(str(value), MAX_FIELD)


def _unicode(line: dict[str, Any]) -> dict[str, Any]:
    """Escape lone surrogates: a file name may contain them, and UTF-8 can't encode them."""
    return {
        name: value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
        for name, value in line.items()
    }


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _tail(text: str) -> str:
    return text if len(text) <= MAX_EXCEPTION else "…" + text[1 - MAX_EXCEPTION :]

"""Where log lines go: to standard error, for people or as JSON, or to the last line of the live table.

One record is one line, whatever an exchange wrote into it: people see control characters escaped, and a traceback on
lines of its own that begin with "  | "; JSON escapes everything that isn't printable. A line's length is bounded.
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
MAX_EXCEPTION = 12_000  # characters, the last ones: the end of a traceback says the most
MAX_FIELDS = 32  # of `extra`
MAX_FIELD = 1_000  # characters of a field that is no number

_OWN = ("ts", "level", "logger", "message", "exception")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def to_stderr(level: int = logging.INFO, style: Style = "auto") -> None:
    """Log to standard error: "text" for people, "json" for machines, "auto" for people on a terminal only.

    Of other libraries only warnings and worse are shown, in the same form.
    """
    for_people = style == "text" or (style == "auto" and sys.stderr.isatty())
    handler = _Stderr(sys.stderr)
    handler.setFormatter(TextFormatter() if for_people else JsonFormatter())
    _install(handler, level)


def to_table() -> LastLine:
    """Keep the last warning, for a screen that stderr would spoil."""
    handler = LastLine(logging.WARNING)
    handler.setFormatter(TextFormatter("%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S"))
    _install(handler, logging.WARNING)
    return handler


def counts() -> Mapping[str, int]:
    """Lines written so far by level ("info", "warning", …), since logging was set up here; empty when it wasn't."""
    for handler in logging.getLogger("feedbus").handlers:
        if isinstance(handler, _Counting):
            return dict(handler.counts)
    return {}


class _Counting(logging.Handler):
    """Counts what it is given, by level."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.counts: Counter[str] = Counter(dict.fromkeys(("info", "warning", "error"), 0))

    def handle(self, record: logging.LogRecord) -> bool:
        """Called by logging."""
        self.counts[_level(record)] += 1
        return super().handle(record)


class _Stderr(_Counting, logging.StreamHandler[Any]):
    """Writes each line to a stream."""

    def __init__(self, stream: Any) -> None:
        _Counting.__init__(self)
        self.stream = stream


class LastLine(_Counting):
    """Remembers the newest line only."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        self.text = self.format(record).partition("\n")[0]


class TextFormatter(logging.Formatter):
    """Lines for people: time, level, part, text."""

    def __init__(
        self, fmt: str = "%(asctime)s %(levelname)-7s %(name)s: %(message)s", datefmt: str | None = None
    ) -> None:
        super().__init__(fmt, datefmt)

    def format(self, record: logging.LogRecord) -> str:
        """The line, without anything that moves a cursor; then a traceback, so indented that none of its lines can
        pass for a record."""
        record.message = _cut(record.getMessage(), MAX_MESSAGE)
        record.asctime = self.formatTime(record, self.datefmt)
        lines = [escaped(self.formatMessage(record))]
        if record.exc_info:
            traceback = _tail(self.formatException(record.exc_info)).splitlines()
            lines += ["  | " + escaped(line) for line in traceback]
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """One object a line: ts (RFC 3339, UTC, milliseconds), level, logger, message, exception when there is one, and
    the fields of `extra`; one of these that has such a name itself gets an underscore behind it."""

    def format(self, record: logging.LogRecord) -> str:
        """Called by logging."""
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
    """A value of `extra` as JSON may have it: numbers and None as they are, anything else as text."""
    return value if value is None or isinstance(value, bool | int | float) else _cut(str(value), MAX_FIELD)


def _unicode(line: dict[str, Any]) -> dict[str, Any]:
    """UTF-8 has no lone surrogates, and a file name may have them."""
    return {
        name: value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
        for name, value in line.items()
    }


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _tail(text: str) -> str:
    return text if len(text) <= MAX_EXCEPTION else "…" + text[1 - MAX_EXCEPTION :]

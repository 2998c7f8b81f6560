"""Logging goes to standard error, as text for people or as JSON, or to the last line of the live table.

Log messages may contain text that a venue sent, so no message can look like two records: the text format escapes
control characters and begins each line of a traceback with "  | ", and JSON escapes everything that isn't printable.
The length of a line is bounded, and so is the number of lines that repeat themselves (feedbus/telemetry/log_limits.py).
A Mask takes secrets out of what is said, of tracebacks too: whatever part of the process logs, and whatever library.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Mapping
from math import inf
from typing import Any, Literal

import msgspec
import trio

from feedbus.mask import MAX_TEXT, NO_MASK, Mask
from feedbus.telemetry.log_limits import OWN_LIMIT, LineLimit
from feedbus.text import escaped, escaped_json

Style = Literal["auto", "text", "json"]

MAX_MESSAGE = 4_000  # characters; journald cuts a line at 48 KiB
MAX_EXCEPTION = 12_000  # characters; the last ones are kept, because the end of a traceback says the most
MAX_FIELDS = 32  # fields of `extra` in one record
MAX_FIELD = 1_000  # characters of a field that isn't a number
TELL_EVERY = 10.0  # seconds between two looks whether lines that were left out are to be told

_OWN = ("ts", "level", "logger", "message", "exception")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", OWN_LIMIT}


def to_stderr(level: int = logging.INFO, style: Style = "auto", mask: Mask = NO_MASK) -> None:
    """Log to standard error what `mask` lets through. The style "auto" means text when standard error is a terminal,
    and JSON otherwise.

    Records of other libraries are shown in the same form when they are warnings or worse.
    """
    for_people = style == "text" or (style == "auto" and sys.stderr.isatty())
    handler = _Stderr(sys.stderr, mask)
    handler.setFormatter(TextFormatter(mask=mask) if for_people else JsonFormatter(mask))
    _install(handler, level)


def to_user() -> None:
    """Show warnings on standard error as a command's own errors are shown, for commands that print something else."""
    handler = _Stderr(sys.stderr, NO_MASK)
    handler.setFormatter(TextFormatter("feedbus: %(message)s"))
    _install(handler, logging.WARNING)


def to_table() -> LastLine:
    """Keep the last warning only, for the live table, which lines on standard error would spoil."""
    handler = LastLine(logging.WARNING)
    handler.setFormatter(TextFormatter("%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S"))
    _install(handler, logging.WARNING)
    return handler


def hidden(text: str) -> str:
    """The text without what the Mask of the log hides; as it is when logging has not been set up here."""
    for handler in logging.getLogger("feedbus").handlers:
        if isinstance(handler, _Stderr):
            return handler.mask.hide(text)
    return text


def counts() -> Mapping[str, int]:
    """How many lines of each level ("info", "warning", …) have been logged since logging was set up.

    Empty when logging has not been set up here.
    """
    for handler in logging.getLogger("feedbus").handlers:
        if isinstance(handler, _Counting):
            return dict(handler.counts)
    return {}


def left_out() -> Mapping[str, int]:
    """How many lines of each level were not written because they repeated others. Empty as `counts` is."""
    for handler in logging.getLogger("feedbus").handlers:
        if isinstance(handler, _Stderr):
            return dict(handler.limit.left_out)
    return {}


def tell_left_out() -> None:
    """Write how many lines were left out in the minutes that are over."""
    for handler in logging.getLogger("feedbus").handlers:
        if isinstance(handler, _Stderr):
            handler.tell_left_out()


async def run(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Call `tell_left_out` again and again until cancelled. Without it, the next line of any kind does it."""
    task_status.started()
    while True:
        await trio.sleep(TELL_EVERY)
        tell_left_out()


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
    """Writes records to a stream, and counts them. Those that repeat others too often are left out. `mask` is what its
    formatter hides.
    """

    def __init__(self, stream: Any, mask: Mask = NO_MASK) -> None:
        _Counting.__init__(self)
        self.limit = LineLimit()
        self.stream = stream
        self.mask = mask

    def handle(self, record: logging.LogRecord) -> bool:
        """Override the method that logging calls, from any thread."""
        self.acquire()
        try:
            now = time.monotonic()
            self.tell_left_out(now)
            return self.limit.admits(record, now) and super().handle(record)
        finally:
            self.release()

    def tell_left_out(self, now: float | None = None) -> None:
        """Write how many lines were left out in the minutes that are over at `now`, by default at present."""
        for summary in self.limit.due(time.monotonic() if now is None else now):
            super().handle(summary)

    def close(self) -> None:
        """Override the method that logging calls at the end of the process: nothing is left out silently."""
        self.tell_left_out(inf)
        super().close()


class LastLine(_Counting):
    """Remembers the first line of the newest record in `text`, and writes nothing."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Override the method that logging calls."""
        self.text = self.format(record).partition("\n")[0]


class TextFormatter(logging.Formatter):
    """Formats a record for people: time, level, logger, message."""

    def __init__(
        self,
        fmt: str = "%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        datefmt: str | None = None,
        mask: Mask = NO_MASK,
    ) -> None:
        super().__init__(fmt, datefmt)
        self._hide = mask.hide

    def format(self, record: logging.LogRecord) -> str:
        """Return the line with control characters escaped, followed by the traceback if there is one.

        The traceback's lines are marked, so that none of them can pass for a record.
        """
        record.message = _cut(self._hide(record.getMessage()), MAX_MESSAGE)
        record.asctime = self.formatTime(record, self.datefmt)
        lines = [escaped(self.formatMessage(record))]
        if record.exc_info:
            traceback = _tail(self._hide(self.formatException(record.exc_info)[-MAX_TEXT:])).splitlines()
            lines += ["  | " + escaped(line) for line in traceback]
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object on one line.

    Its fields are ts (RFC 3339, UTC, milliseconds), level, logger, message, exception (when there is one), and the
    fields of `extra`. A field of `extra` that has one of these names gets an underscore at its end.
    """

    def __init__(self, mask: Mask = NO_MASK) -> None:
        super().__init__()
        self._hide = mask.hide

    def format(self, record: logging.LogRecord) -> str:
        """Override the method that logging calls."""
        line: dict[str, Any] = {
            "ts": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": _level(record),
            "logger": record.name,
            "message": _cut(self._hide(record.getMessage()), MAX_MESSAGE),
        }
        if record.exc_info:
            line["exception"] = _tail(self._hide(self.formatException(record.exc_info)[-MAX_TEXT:]))
        extra = [name for name in vars(record) if name not in _STANDARD]
        for name in extra[:MAX_FIELDS]:
            line[name + "_" if name in _OWN else name] = self._field(getattr(record, name))
        return escaped_json(msgspec.json.encode(_unicode(line)).decode())

    def _field(self, value: Any) -> Any:
        """Return a value of `extra` that JSON can hold: numbers and None as they are, anything else as text."""
        return (
            value if value is None or isinstance(value, bool | int | float) else _cut(self._hide(str(value)), MAX_FIELD)
        )


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

"""Limits the lines of the log that repeat themselves, so that a fault which goes on doesn't bury all others. Pure.

Lines are of one kind when the same code writes them: with the same logger, the same level and the same text before the
values are put into it. Loggers whose names differ only in a number at their end, as those of the connections of a feed
do (`feedbus.moex/3`), count as one. Of each kind LINES lines are written within a minute, which begins with the first
one. When the minute is over, one line tells how many more there were, and quotes the last of them.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from math import inf

LINES = 30  # lines of one kind that are written within a minute
MINUTE = 60.0  # seconds
MAX_KINDS = 1000  # kinds that are counted at the same time; beyond that the minute of the oldest one ends early

OWN_LIMIT = "own_limit"
"""The name of the field of `extra` by which a line says that its writer limits such lines by itself."""

_NUMBER = re.compile(r"/\d+$")


class _LineKind:
    """The lines of one kind within the present minute."""

    __slots__ = ("ends", "last", "left_out", "written")

    def __init__(self, ends: float) -> None:
        self.ends = ends
        self.written = 0
        self.left_out = 0
        self.last: logging.LogRecord  # the last one that was left out


class LineLimit:
    """Decides which lines are written. `left_out` counts the others, by level. Times are monotonic, in seconds."""

    def __init__(self) -> None:
        self.left_out: Counter[str] = Counter()
        self._kinds: dict[tuple[str, int, str], _LineKind] = {}  # in the order in which their minutes end
        self._ended: list[_LineKind] = []  # their minutes are over, and that hasn't been told yet

    def admits(self, record: logging.LogRecord, now: float) -> bool:
        """Return True when this line is to be written, and count it."""
        if getattr(record, OWN_LIMIT, False):
            return True
        self._end_minutes(now)
        key = _kind_of(record)
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= MAX_KINDS:
                self._ended.append(self._kinds.pop(next(iter(self._kinds))))
            kind = self._kinds[key] = _LineKind(now + MINUTE)
        if kind.written < LINES:
            kind.written += 1
            return True
        kind.left_out += 1
        kind.last = record
        self.left_out[record.levelname.lower()] += 1
        return False

    def due(self, now: float = inf) -> list[logging.LogRecord]:
        """Return the lines that are to be written at `now` about lines which were left out. Without `now`, the minutes
        of all kinds end here.
        """
        self._end_minutes(now)
        ended, self._ended = self._ended, []
        return [_summary(kind) for kind in ended if kind.left_out]

    def _end_minutes(self, now: float) -> None:
        while self._kinds:
            key, kind = next(iter(self._kinds.items()))
            if now < kind.ends:
                return
            del self._kinds[key]
            if kind.left_out:
                self._ended.append(kind)


def _kind_of(record: logging.LogRecord) -> tuple[str, int, str]:
    template = str(record.msg)
    # A template without any words says nothing of the line: the text itself does.
    words = _text(record) if template.strip() == "%s" else template
    return _NUMBER.sub("", record.name), record.levelno, words


def _summary(kind: _LineKind) -> logging.LogRecord:
    last = kind.last
    text = "… and %d more like this within a minute, the last one: %s"
    name = _NUMBER.sub("", last.name)
    return logging.LogRecord(name, last.levelno, last.pathname, last.lineno, text, (kind.left_out, _text(last)), None)


def _text(record: logging.LogRecord) -> str:
    """The text of a line, or what is known of it when its values don't fit its template, which is a bug."""
    try:
        return record.getMessage()
    except Exception:
        return str(record.msg)

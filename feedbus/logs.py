"""Where log lines go: to standard error, or to the last line of the live table."""

from __future__ import annotations

import logging
import sys


def to_stderr(level: int = logging.INFO) -> None:
    """Lines for people: time, level, part, text."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    _install(handler, level)


def to_table() -> LastLine:
    """Keep the last warning, for a screen that stderr would spoil."""
    handler = LastLine(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S"))
    _install(handler, logging.WARNING)
    return handler


class LastLine(logging.Handler):
    """Remembers the newest line only."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        self.text = self.format(record)


def _install(handler: logging.Handler, level: int) -> None:
    logger = logging.getLogger("feedbus")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False

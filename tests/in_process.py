"""The commands run in the process of the tests: as a user runs them, but for the start of an interpreter."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from feedbus import cli


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str


class Command:
    """`feedbus` with the arguments of a call. The fixture `command` of conftest.py makes it."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Done:
        self._capsys.readouterr()
        try:
            status = cli.main(arguments)
        except SystemExit as error:  # argparse's
            status = int(error.code or 0)
        out, err = self._capsys.readouterr()
        return Done(status, out, err)


@contextmanager
def untouched() -> Iterator[None]:
    """What a command sets for its whole process is put back: handlers of signals and of log lines."""
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    loggers = [logging.getLogger("feedbus"), logging.getLogger()]
    before = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    try:
        yield
    finally:
        for number, handler in signals.items():
            signal.signal(number, handler)
        for logger, handlers, level, propagate in before:
            logger.handlers[:] = handlers
            logger.setLevel(level)
            logger.propagate = propagate

"""Where log lines go."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from feedbus import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    logger = logging.getLogger("feedbus")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


def test_people_read_lines_with_level_and_part_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    logs.to_stderr()
    logging.getLogger("feedbus.moex/3").info("online")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("INFO    feedbus.moex/3: online\n")


def test_the_table_keeps_the_last_warning_only(capsys: pytest.CaptureFixture[str]) -> None:
    kept = logs.to_table()
    assert kept.text == ""
    logging.getLogger("feedbus.moex").warning("first")
    logging.getLogger("feedbus.moex").warning("second")
    logging.getLogger("feedbus.moex").info("too small for the table")
    assert kept.text.endswith("feedbus.moex: second")
    assert capsys.readouterr() == ("", "")

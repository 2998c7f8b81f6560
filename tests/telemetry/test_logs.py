"""Where log lines go, and that each is one line."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from feedbus.mask import Mask
from feedbus.telemetry import logs
from feedbus.telemetry.log_limits import LINES, MINUTE

NASTY = "a\nb\x1b[2J\r\x00\u2028\x85\ud800\N{GRINNING FACE}\U000e0001é"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    loggers = [logging.getLogger("feedbus"), logging.getLogger()]
    before = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, handlers, level, propagate in before:
        for handler in [each for each in logger.handlers if each not in handlers and isinstance(each, logs._Counting)]:
            logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def record(message: str, *, error: BaseException | None = None, **extra: Any) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    made = logging.makeLogRecord({"name": "feedbus.x", "levelno": 30, "levelname": "WARNING", "msg": message, **extra})
    made.exc_info = info
    made.created, made.msecs = 1_700_000_000.007, 7.0
    return made


def parsed(**arguments: Any) -> dict[str, Any]:
    line = logs.JsonFormatter().format(record(**arguments))
    assert line.isprintable()
    made: dict[str, Any] = json.loads(line)
    return made


def raised(text: str) -> BaseException:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def test_no_record_of_any_part_shows_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither its message nor its traceback nor a field; another library's record doesn't, either."""
    mask = Mask(["s3cr3t-p4ss"])
    for style in ("text", "json"):
        logs.to_stderr(style=style, mask=mask)
        try:
            raise ValueError("no s3cr3t%2Dp4ss") from raised("s3cr3t-p4ss" + "x" * 20_000)
        except ValueError:
            logging.getLogger("feedbus.x").exception("said %s", "S3CR3T-P4SS", extra={"reason": "s3cr3t-p4ss"})
        logging.getLogger("another.library").warning("s3cr3t-p4ss")
    said = capsys.readouterr().err
    assert said.count("said ***") == 2
    assert said.count("ValueError: no ***") == 2
    assert '"reason":"***"' in said
    assert "s3cr3t" not in said.lower()
    assert logs.hidden("s3cr3t-p4ss") == "***"


def test_people_read_lines_with_level_and_part_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    logs.to_stderr(style="text")
    logging.getLogger("feedbus.moex/3").info("online")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("INFO    feedbus.moex/3: online\n")


def test_machines_read_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.to_stderr()  # which is no terminal here
    logging.getLogger("feedbus.moex/3").info("online after %d s", 3, extra={"generation": 2})
    logging.getLogger("feedbus.moex/3").debug("not of interest")
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    when = datetime.fromisoformat(found.pop("ts"))
    assert when.utcoffset() == timedelta(0)
    assert found == {"level": "info", "logger": "feedbus.moex/3", "message": "online after 3 s", "generation": 2}


def test_a_terminal_gets_lines_for_people_unless_told_otherwise(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    logs.to_stderr()
    logging.getLogger("feedbus").info("one")
    logs.to_stderr(style="json")
    logging.getLogger("feedbus").info("two")
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("feedbus: one")
    assert json.loads(second)["message"] == "two"


def test_warnings_of_other_libraries_come_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    logs.to_stderr(style="json")
    logging.getLogger("httpx").info("GET …")
    logging.getLogger("trio.serve_listeners").warning("no more files")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["logger"] == "trio.serve_listeners"


@pytest.fixture
def moscow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "MSK-3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("moscow")
def test_the_time_is_utc_to_the_millisecond() -> None:
    assert parsed(message="x")["ts"] == "2023-11-14T22:13:20.007Z"
    assert logs.TextFormatter().format(record("x")).startswith("2023-11-15 01:13:20,007 ")


def test_json_holds_any_text_as_it_is_in_one_printable_line() -> None:
    found = parsed(message=NASTY, reason=NASTY, error=raised(NASTY))
    expected = NASTY.replace("\ud800", "\\ud800")
    assert found["message"] == found["reason"] == expected
    assert expected in found["exception"]


@given(st.text(), st.text())
def test_no_text_breaks_a_line_of_either_kind(message: str, field: str) -> None:
    assert parsed(message=message.replace("%", ""), reason=field)["logger"] == "feedbus.x"
    assert logs.TextFormatter().format(record(message)).isprintable()


def test_people_see_control_characters_escaped_and_a_traceback_set_apart() -> None:
    first, *others = logs.TextFormatter().format(record(NASTY, error=raised("bad\n2030-01-01 ERROR fake"))).split("\n")
    assert first.endswith("a\\nb\\x1b[2J\\r\\x00\\u2028\\x85\\ud800\N{GRINNING FACE}\\U000e0001é")
    assert others
    assert all(line.startswith("  | ") for line in others)
    assert others[-1] == "  | 2030-01-01 ERROR fake"


def test_fields_of_any_type_are_taken_and_never_hide_our_own() -> None:
    found = parsed(message="real", ts=1, level="x", count=3, ratio=float("nan"), up=True, none=None, place={"a": [1]})
    assert (found["level"], found["message"], found["ts_"], found["level_"]) == ("warning", "real", 1, "x")
    assert (found["count"], found["ratio"], found["up"], found["none"]) == (3, None, True, None)
    assert found["place"] == "{'a': [1]}"


def test_a_line_is_bounded_whatever_is_put_into_it() -> None:
    many = {f"field{number}": "x" * 50_000 for number in range(100)}
    found = parsed(message="y" * 50_000, error=raised("z" * 50_000), **many)
    assert len(found["message"]) == logs.MAX_MESSAGE
    assert found["message"].endswith("y…")
    assert len(found["exception"]) == logs.MAX_EXCEPTION
    assert sum(name.startswith("field") for name in found) == logs.MAX_FIELDS
    assert len(found["field0"]) == logs.MAX_FIELD
    assert len(logs.TextFormatter().format(record("y" * 50_000, error=raised("z" * 50_000)))) < 20_000


def test_lines_are_counted_by_level(capsys: pytest.CaptureFixture[str]) -> None:
    logs.to_stderr()
    logging.getLogger("feedbus.a").warning("one")
    logging.getLogger("feedbus.b").warning("two")
    logging.getLogger("feedbus").error("three")
    logging.getLogger("feedbus").debug("below the level")
    assert logs.counts() == {"info": 0, "warning": 2, "error": 1}
    assert capsys.readouterr().err.count("\n") == 3


async def test_a_storm_of_one_line_is_limited_and_its_number_is_told_in_time(
    capsys: pytest.CaptureFixture[str], autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.monotonic", trio.current_time)
    logs.to_stderr(style="text")
    for number in range(1000):
        logging.getLogger(f"feedbus.moex/{number % 200}").warning("%s; next attempt in %.1f s", "timed_out", number)
    logging.getLogger("feedbus").info("another line")
    assert len(capsys.readouterr().err.splitlines()) == LINES + 1
    assert logs.left_out() == {"warning": 1000 - LINES}
    async with trio.open_nursery() as nursery:
        await nursery.start(logs.run)
        await trio.sleep(MINUTE + logs.TELL_EVERY)
        nursery.cancel_scope.cancel()
    (told,) = capsys.readouterr().err.splitlines()
    assert "feedbus.moex: … and 970 more like this within a minute, the last one: timed_out; next" in told
    assert logs.counts() == {"info": 1, "warning": LINES + 1, "error": 0}


def test_what_was_left_out_is_told_when_the_process_ends(capsys: pytest.CaptureFixture[str]) -> None:
    logs.to_stderr(style="text")
    for _ in range(100):
        logging.getLogger("feedbus").error("no more files", exc_info=raised("EMFILE"))
    (handler,) = [each for each in logging.getLogger("feedbus").handlers if isinstance(each, logs._Stderr)]
    capsys.readouterr()
    handler.close()
    (told,) = capsys.readouterr().err.splitlines()
    assert told.endswith(f"… and {100 - LINES} more like this within a minute, the last one: no more files")


def test_there_are_no_counts_before_logging_is_set_up() -> None:
    assert logs.counts() == logs.left_out() == {}


def test_the_table_keeps_the_last_warning_only(capsys: pytest.CaptureFixture[str]) -> None:
    kept = logs.to_table()
    assert kept.text == ""
    logging.getLogger("feedbus.moex").warning("first")
    logging.getLogger("feedbus.moex").warning("second", exc_info=raised("not for a single line"))
    logging.getLogger("feedbus.moex").info("too small for the table")
    assert kept.text.endswith("feedbus.moex: second")
    assert capsys.readouterr() == ("", "")

"""Children, their clocks and their memory."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from feedbus.bench.child_process import ChildProcess, cpu_ns, memory
from feedbus.errors import FeedbusError

ECHO = """
import sys
for line in sys.stdin:
    print('{"heard": "%s"}' % line.strip(), flush=True)
"""
LONG = 60.0


@pytest.fixture
def children() -> Iterator[list[ChildProcess]]:
    found: list[ChildProcess] = []
    yield found
    for child in found:
        child.stop()


def start(children: list[ChildProcess], folder: Path, code: str) -> ChildProcess:
    children.append(ChildProcess("echo", [sys.executable, "-c", code], folder, os.environ))
    return children[-1]


def test_lines_go_there_and_back(children: list[ChildProcess], tmp_path: Path) -> None:
    child = start(children, tmp_path, ECHO)
    for word in ("one", "two"):
        child.tell(word)
    assert child.expect("heard", LONG) == {"heard": "one"}
    assert child.hear(LONG) == {"heard": "two"}
    assert child.hear(0) is None
    child.check()


def test_another_word_than_the_expected_one_is_an_error(children: list[ChildProcess], tmp_path: Path) -> None:
    child = start(children, tmp_path, ECHO)
    child.tell("one")
    with pytest.raises(FeedbusError, match=r"bench: echo said \{'heard': 'one'\} where 'sent' was expected"):
        child.expect("sent", LONG)
    with pytest.raises(FeedbusError, match="bench: echo said no 'sent' within 0 s"):
        child.expect("sent", 0.0)


def test_a_child_that_ends_is_reported_with_the_end_of_its_log(children: list[ChildProcess], tmp_path: Path) -> None:
    child = start(children, tmp_path, "import sys; sys.exit('no such\\nthing')")
    with pytest.raises(FeedbusError, match="bench: echo ended: …no such thing"):
        child.hear(LONG)
    child.stop()
    with pytest.raises(FeedbusError, match="bench: echo ended"):
        child.check()
    child.signal(signal.SIGUSR1)


def test_the_clock_is_what_the_process_itself_reads() -> None:
    before = time.process_time_ns()
    read = cpu_ns(os.getpid())
    assert before <= read <= time.process_time_ns()


def test_memory_is_resident_megabytes() -> None:
    held = memory(os.getpid())
    assert 5 < held.now <= held.peak < 10_000

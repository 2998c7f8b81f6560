"""The stop-watch that both sides use."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest

from feedbus.bench.turn import FIRST_TIME, Measured, TurnOver, WarmUp, on_signal, quantiles


@pytest.fixture
def kept_signal() -> Iterator[None]:
    before = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, before)


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_round_is_complete_with_its_last_ticker(capsys: pytest.CaptureFixture[str]) -> None:
    warm_up = WarmUp(3)
    assert not warm_up.starts([("A", 1), ("B", 1), ("B", 1)])
    assert said(capsys) == []
    assert not warm_up.starts([("A", 2), ("B", 2), ("C", 2)])
    assert said(capsys) == [{"warm": 2}]


def test_measuring_starts_with_the_first_time_after_a_whole_round() -> None:
    warm_up = WarmUp(1)
    assert not warm_up.starts([("A", FIRST_TIME)]), "late, of the turn before"
    assert not warm_up.starts([("A", FIRST_TIME + 1), ("A", 4)])
    assert warm_up.complete == 4
    assert warm_up.starts([("A", FIRST_TIME + 2)])


def test_quantiles_are_microseconds_and_no_values_have_none() -> None:
    assert quantiles([]) is None
    assert quantiles([5000]) == {"p50": 5, "p99": 5, "p999": 5, "max": 5}
    thousand = [number * 1000 for number in range(1000, 0, -1)]
    assert quantiles(thousand) == {"p50": 501, "p99": 991, "p999": 1000, "max": 1000}


def test_done_is_said_first_and_then_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    measured = Measured()
    measured.received = 2
    measured.receive += [1000, 3000]
    measured.done()
    measured.report(gaps=1)
    done, rest = said(capsys)
    assert done["done"] == 2
    assert set(done) == {"done", "cpu_ns", "at"}
    assert rest["gaps"] == 1
    assert rest["receive_us"] == {"p50": 3.0, "p99": 3.0, "p999": 3.0, "max": 3.0}
    assert rest["write_us"] is None


def test_the_signal_ends_a_turn(kept_signal: None) -> None:
    on_signal()
    with pytest.raises(TurnOver):
        os.kill(os.getpid(), signal.SIGUSR1)

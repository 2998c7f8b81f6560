"""The timer's descriptor, as whoever waits for it sees it."""

from __future__ import annotations

import select
from contextlib import closing

from feedbus.bus.timer_fd import TimerFd

PATIENCE = 5.0  # seconds; only a failing test waits that long


def goes_off(timer: TimerFd, within: float) -> bool:
    return bool(select.select([timer.fd], [], [], within)[0])


def test_it_goes_off_again_and_again_while_it_is_on() -> None:
    with closing(TimerFd()) as timer:
        assert not goes_off(timer, 0)
        for _ in range(2):
            timer.every(0.001)
            for _ in range(2):
                assert goes_off(timer, PATIENCE)
                timer.clear()
            timer.stop()
            timer.clear()
            assert not goes_off(timer, 0.02)


def test_what_is_set_again_is_not_put_off() -> None:
    with closing(TimerFd()) as timer:
        timer.every(0.05)
        for _ in range(200):
            timer.every(0.05)
            if goes_off(timer, 0.01):
                return
        raise AssertionError("it was put off each time")


def test_once_is_once_and_no_time_at_all_is_soon() -> None:
    with closing(TimerFd()) as timer:
        for seconds in (0.001, 0.0):
            timer.once(seconds)
            assert goes_off(timer, PATIENCE)
            timer.clear()
            assert not goes_off(timer, 0.02)
        timer.once(3600.0)
        timer.once(0.001)  # in place of the one before
        assert goes_off(timer, PATIENCE)

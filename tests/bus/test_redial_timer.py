"""The timer's descriptor, as whoever waits for it sees it."""

from __future__ import annotations

import select
from contextlib import closing

from feedbus.bus.redial_timer import RedialTimer

PATIENCE = 5.0  # seconds; only a failing test waits that long


def goes_off(timer: RedialTimer, within: float) -> bool:
    return bool(select.select([timer.fd], [], [], within)[0])


def test_it_goes_off_again_and_again_while_it_is_on() -> None:
    with closing(RedialTimer(1)) as timer:
        assert not goes_off(timer, 0)
        for _ in range(2):
            timer.switch(True)
            for _ in range(2):
                assert goes_off(timer, PATIENCE)
                timer.clear()
            timer.switch(False)
            timer.clear()
            assert not goes_off(timer, 0.02)

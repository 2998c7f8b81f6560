"""When waiting for more messages pays: at steady rates, in bursts, and when a rate changes."""

from __future__ import annotations

import pytest

from feedbus.transport.gathering import Gathering

WAIT = 0.001
HOUR = 3600.0


def after(gathering: Gathering, rate: float, notes: int, came: int = 1) -> bool:
    """Whether waiting pays once so many pieces of `came` messages have come at `rate` pieces a second."""
    for _ in range(notes):
        gathering.note(came, 1 / rate)
    return gathering.pays()


@pytest.mark.parametrize(("rate", "pays"), [(1, False), (500, False), (1100, False), (1300, True), (100_000, True)])
def test_it_pays_where_more_than_one_message_comes_in_a_wait(rate: float, pays: bool) -> None:
    assert after(Gathering(WAIT), rate, 200) is pays


@pytest.mark.parametrize("rate", [1050, 1150])
def test_between_the_two_bounds_what_was_decided_stays(rate: float) -> None:
    gathering = Gathering(WAIT)
    assert not after(gathering, rate, 200)
    assert after(gathering, 5000, 200)
    assert not after(gathering, rate, 200)
    assert gathering.still_pays()
    assert not after(gathering, 900, 200)
    assert not gathering.still_pays()


def test_a_wait_of_no_time_never_pays() -> None:
    assert not after(Gathering(0.0), 100_000, 200)


def test_a_burst_after_an_hour_of_quiet_is_noticed_within_a_few_messages_and_so_is_its_end() -> None:
    gathering = Gathering(WAIT)
    for _ in range(2):
        gathering.note(1, HOUR)
        assert not gathering.pays()
        assert after(gathering, 5000, 20)
        assert not after(gathering, 500, 20)


def test_a_single_straggler_in_a_burst_does_not_end_it() -> None:
    gathering = Gathering(WAIT)
    assert after(gathering, 5000, 100)
    gathering.note(1, 2 * WAIT)
    assert gathering.pays()

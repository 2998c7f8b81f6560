from __future__ import annotations

import pytest

from feedbus.venues.moex.message_order import NUMBERS_KEPT, MessageOrder, StaleMessage
from feedbus.venues.moex.tables import Properties
from feedbus.venues.sessions import OutOfStep


def properties(seqnum: int, time: int) -> Properties:
    return Properties(type="updates", seqnum=seqnum, timestamp=time)


def test_numbers_that_grow_are_in_order_and_leave_others_out() -> None:
    order = MessageOrder()
    assert [order.stepped_back(properties(n, n), "x") for n in (5, 5, 9, 1000)] == [False] * 4


def test_what_came_before_is_stale_and_changes_nothing() -> None:
    order = MessageOrder()
    for number in (10, 20, 30):
        order.stepped_back(properties(number, number), "x")
    for _ in range(NUMBERS_KEPT):
        with pytest.raises(StaleMessage, match="20 came again after 30"):
            order.stepped_back(properties(20, 20), "x")
    assert not order.stepped_back(properties(40, 40), "x")


def test_what_was_overtaken_is_missing() -> None:
    order = MessageOrder()
    for number in (10, 30):
        order.stepped_back(properties(number, number), "x")
    with pytest.raises(OutOfStep, match="20 came after 30"):
        order.stepped_back(properties(20, 20), "x")


def test_a_replay_of_what_is_not_known_any_more_has_the_subscription_made_anew() -> None:
    order = MessageOrder()
    for number in range(NUMBERS_KEPT + 1):
        order.stepped_back(properties(number, number), "x")
    with pytest.raises(OutOfStep):
        order.stepped_back(properties(0, 0), "x")
    with pytest.raises(StaleMessage):
        order.stepped_back(properties(1, 1), "x")


@pytest.mark.parametrize("time", [30, 31])
def test_a_smaller_number_whose_time_is_not_older_is_applied(time: int) -> None:
    order = MessageOrder()
    order.stepped_back(properties(30, 30), "x")
    assert order.stepped_back(properties(3, time), "x")
    assert not order.stepped_back(properties(4, time), "x")

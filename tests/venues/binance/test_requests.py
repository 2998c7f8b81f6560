"""Requests: their order, their pace, and what is not answered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import inf
from typing import Any

from feedbus.venues.binance.requests import BinanceSubscription, Requests
from feedbus.venues.protocol import Subscription


def stream(symbol: str) -> BinanceSubscription:
    return BinanceSubscription(Subscription("trade", symbol), {})


def sent(requests: Requests, now: float) -> Any:
    found = requests.send(now)
    return None if found is None else json.loads(found[1].data)


def asked(requests: Requests, now: float) -> tuple[str, Sequence[str]] | None:
    found = sent(requests, now)
    return None if found is None else (found["method"], [name.partition("@")[0] for name in found.get("params", ())])


def test_requests_keep_their_order_and_what_belongs_together_goes_together() -> None:
    requests, a, b, c = Requests(), stream("A"), stream("B"), stream("C")
    requests.put("SUBSCRIBE", a)
    requests.put("SUBSCRIBE", b)
    requests.put("UNSUBSCRIBE", a)
    requests.put("SUBSCRIBE", c)
    assert requests.wake() == -inf
    assert asked(requests, 1.0) == ("SUBSCRIBE", ["a", "b"])
    assert asked(requests, 1.34) is None
    assert requests.wake() == 1.35
    assert asked(requests, 1.35) == ("UNSUBSCRIBE", ["a"])
    assert asked(requests, 2.0) == ("SUBSCRIBE", ["c"])
    assert asked(requests, 9.0) is None


def test_what_was_withdrawn_is_not_asked() -> None:
    requests, a, b = Requests(), stream("A"), stream("B")
    requests.put("SUBSCRIBE", a)
    requests.put("SUBSCRIBE", b)
    requests.withdraw(a)
    requests.withdraw(a)
    assert asked(requests, 0.0) == ("SUBSCRIBE", ["b"])


def test_a_stream_that_failed_before_goes_in_smaller_batches_and_in_the_end_alone() -> None:
    for attempts, size in [(0, 200), (1, 100), (2, 50), (7, 1), (8, 1), (5000, 1)]:
        requests = Requests()
        for number in range(300):
            one = stream(f"S{number}")
            one.attempts = attempts
            requests.put("SUBSCRIBE", one)
        found = asked(requests, 0.0)
        assert found is not None
        assert len(found[1]) == size


def test_ids_count_and_an_answer_ends_what_is_under_way() -> None:
    requests = Requests()
    for number, symbol in enumerate("AB"):
        requests.put("SUBSCRIBE", stream(symbol))
        assert sent(requests, float(number))["id"] == number + 1
        assert requests.only() == (1 if number == 0 else None)
    first = requests.under_way(1)
    assert first is not None
    assert (first.method, first.deadline) == ("SUBSCRIBE", 10.0)
    assert requests.answered(1) is first
    assert requests.answered(1) is requests.under_way(1) is requests.answered("2") is requests.answered(None) is None
    assert requests.only() == 2


def test_what_is_overdue_is_told_earliest_first_and_says_when_to_look() -> None:
    requests = Requests()
    for number, symbol in enumerate("AB"):
        requests.put("SUBSCRIBE", stream(symbol))
        requests.send(float(number))
    assert requests.wake() == 10.0
    assert requests.overdue(9.9) == []
    assert [request.id for request in requests.overdue(10.0)] == [1]
    assert [request.id for request in requests.overdue(11.0)] == [1, 2]
    requests.answered(1)
    assert requests.wake() == 11.0


def test_the_list_goes_first_and_once_and_then_its_own_deadline_counts() -> None:
    requests = Requests()
    requests.put("SUBSCRIBE", stream("A"))
    requests.send(0.0)
    requests.put("SUBSCRIBE", stream("B"))
    requests.ask_list()
    assert requests.wake() == 0.35
    assert sent(requests, 10.0) == {"method": "LIST_SUBSCRIPTIONS", "id": 2}
    requests.ask_list()
    assert asked(requests, 11.0) == ("SUBSCRIBE", ["b"])
    assert requests.wake() == 20.0
    assert asked(requests, 12.0) is None
    requests.answered(2)
    assert requests.wake() == 10.0
    requests.ask_list()
    assert asked(requests, 13.0) == ("LIST_SUBSCRIPTIONS", [])

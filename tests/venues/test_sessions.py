"""What all Sessions share, by the smallest of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from feedbus.errors import TimedOut
from feedbus.venues.protocol import (
    Close,
    Confirmed,
    Effect,
    Ready,
    Refused,
    Resync,
    Send,
    Skipped,
    Subscription,
    WakeAt,
)
from feedbus.venues.sessions import OutOfStep, SubscribingSession
from feedbus.venues.subscriptions import UNLISTED, Request, RequestPace, Subscriptions, TrackedSubscription

A, B = Subscription("book", "A"), Subscription("book", "B")


PACE = RequestPace(requests=1, every=1.0, subscriptions=9)


def build(request: Request[TrackedSubscription]) -> str:
    return f"{request.kind} {' '.join(each.symbol for each in request.subscriptions)}"


class Smallest(SubscribingSession[TrackedSubscription]):
    def __init__(self, *symbols: str, pace: RequestPace = PACE) -> None:
        super().__init__(Subscriptions(["book"], pace, track=TrackedSubscription, build=build), symbols)
        self.gone: list[Subscription] = []
        self.vain: list[Subscription] = []
        self.mute = False

    def deadlines(self) -> Sequence[float]:
        return (8.0,)

    def may_send(self, now: float) -> bool:
        return not self.mute

    def asked_in_vain(self, tracked: TrackedSubscription) -> None:
        self.vain.append(tracked.subscription)

    def dropped(self, tracked: TrackedSubscription) -> None:
        self.gone.append(tracked.subscription)


def yielded(*effects: Effect) -> list[Effect]:
    return list(effects)


def test_it_opens_without_a_login_and_wakes_for_its_own_deadlines_too() -> None:
    session = Smallest("A", "B")
    assert list(session.opened(0.0)) == yielded(Ready(), Send("subscribe A B"), WakeAt(8.0))
    assert list(session.closing()) == []
    assert session.instruments() == {"sent": 2}


def test_a_request_without_an_answer_ends_the_connection_and_says_what_it_was_about() -> None:
    session = Smallest("A", "B")
    list(session.opened(0.0))
    [close] = list(session.tick(10.0))
    assert isinstance(close, Close)
    assert isinstance(close.error, TimedOut)
    assert str(close.error) == "no answer to book A, book B within 10 s"


@pytest.mark.parametrize("lost", [None, 500])
def test_a_slow_venue_is_not_asked_more_than_once_and_one_lost_answer_costs_one_request(lost: int | None) -> None:
    """1000 subscriptions are asked for in 10 s and answered in 25 s; the last answer is 15 s behind."""
    pace = RequestPace(requests=10, every=0.1, answered=frozenset({"subscribe"}))
    symbols = [f"S{number}" for number in range(1000)]
    session = Smallest(*symbols, pace=pace)
    asked: list[Effect] = list(session.opened(0.0))
    for step in range(1, 400):
        now = step * 0.1
        for number in range(4 * step - 3, 4 * step + 1):
            request = None if number == lost else session.subscriptions.answered(number, now)
            if request is not None:
                asked += session.settle(request, "", now)
        asked += session.tick(now)
    assert not [effect for effect in asked if isinstance(effect, Close)]
    sent = [effect for effect in asked if isinstance(effect, Send)]
    assert len(sent) == 1000 + (lost is not None)
    assert session.instruments() == {"confirmed": 1000}
    assert session.vain == ([] if lost is None else [Subscription("book", "S499")])


def test_an_answer_takes_all_of_a_request_or_refuses_what_no_data_has_confirmed() -> None:
    session = Smallest("A", "B")
    list(session.opened(0.0))
    tracked, request = session.subscriptions.tracked, session.subscriptions.answered(1, 0.0)
    assert request is not None
    assert list(session.received(tracked[A], [], 0.0)) == [Confirmed(A)]
    assert list(session.settle(request, "no", 0.0)) == []
    assert list(session.tick(1.0)) == yielded(Send("subscribe B"), WakeAt(8.0))
    request = session.subscriptions.answered(2, 1.0)
    assert request is not None
    assert list(session.settle(request, "no", 1.0)) == [Refused(B, "no")]
    assert list(session.settle(request, "", 1.0)) == [Confirmed(B)]


def test_a_late_answer_confirms_nothing_that_was_asked_for_anew_since() -> None:
    session = Smallest("A", "B", pace=RequestPace(requests=9, every=1.0, subscriptions=9))
    list(session.opened(0.0))
    assert Send("subscribe A") in list(session.resubscribe([A], "silent", 1.0))
    request = session.subscriptions.answered(1, 1.0)
    assert request is not None
    assert list(session.settle(request, "", 1.0)) == [Confirmed(B)]


def test_data_out_of_step_is_skipped_and_its_subscription_got_anew() -> None:
    session = Smallest("A")
    list(session.opened(0.0))
    session.subscriptions.answered(1, 0.0)
    tracked = session.subscriptions.tracked[A]
    list(session.received(tracked, [], 0.0))
    error = OutOfStep("book A", "a hole")
    expected = yielded(Skipped(error), Resync(A, "a hole"), Send("unsubscribe A"), WakeAt(6.0))
    assert list(session.out_of_step(tracked, error, 5.0)) == expected


def test_what_is_given_up_is_told_and_nothing_is_sent_while_nothing_may_be() -> None:
    session = Smallest("A")
    list(session.opened(0.0))
    session.mute = True
    assert list(session.unsubscribe(["A", "B"], 1.0)) == [WakeAt(1.0)]
    assert list(session.subscribe(["B"], 2.0)) == []
    session.mute = False
    assert session.gone == [A]
    assert list(session.tick(3.0)) == yielded(Send("unsubscribe A"), WakeAt(4.0))
    assert session.counters() == {}


def test_what_is_to_be_made_anew_is_ended_and_asked_for_again_and_nothing_else_is_touched() -> None:
    session = Smallest("A", "B", pace=RequestPace(requests=2, every=1.0, subscriptions=9))
    assert list(session.resubscribe([A], "not asked for yet", 0.0)) == [WakeAt(8.0)]
    list(session.opened(0.0))
    request = session.subscriptions.answered(1, 0.0)
    assert request is not None
    list(session.settle(request, "", 0.0))
    made = list(session.resubscribe([A, Subscription("book", "stranger")], "silent", 5.0))
    assert made == yielded(Resync(A, "silent"), Send("unsubscribe A"), Send("subscribe A"))
    assert (session.vain, session.instruments()) == ([A], {"sent": 1, "confirmed": 1})


def test_a_resubscription_that_is_ordered_again_and_again_happens_three_times_a_minute() -> None:
    session = Smallest("A", "B", pace=RequestPace(requests=9, every=0.0, subscriptions=9))
    list(session.opened(0.0))
    effects: list[Effect] = []
    for at in range(59):
        effects += session.resubscribe([A], "silent", float(at))
        effects += session.tick(float(at))
    assert effects.count(Send("subscribe A")) == 3
    assert session.subscriptions.tracked[A].attempts == 0, "the venue has refused nothing"
    assert [*session.tick(60.0)].count(Send("subscribe A")) == 1


def test_what_was_refused_keeps_its_pause() -> None:
    session = Smallest("A")
    list(session.opened(0.0))
    request = session.subscriptions.answered(1, 0.0)
    assert request is not None
    list(session.settle(request, "no", 0.0))
    assert list(session.resubscribe([A], "silent", 1.0)) == [WakeAt(5.0)]


def test_what_is_listed_again_is_asked_for_at_once() -> None:
    session = Smallest("A", pace=RequestPace(requests=9, every=0.0, subscriptions=9))
    list(session.opened(0.0))
    request = session.subscriptions.answered(1, 0.0)
    assert request is not None
    list(session.settle(request, "", 0.0))
    assert Refused(A, UNLISTED) in list(session.absent(["A"], 30.0))
    assert Send("subscribe A") in list(session.absent([], 40.0))

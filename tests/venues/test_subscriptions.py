"""The machine of subscriptions: its table, its pace and pauses, and any history of it against a naive model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from feedbus.venues.protocol import Confirmed, Effect, Refused, Resync, Send, Subscription, WakeAt
from feedbus.venues.subscriptions import (
    ASK_AGAIN,
    FIRST_DATA_WITHIN,
    PROGRESS,
    RESYNC_PERIOD,
    RESYNCS,
    RETRY_CAP,
    RETRY_FIRST,
    SPLITS,
    TRANSITIONS,
    UNLISTED,
    Happening,
    Leaving,
    Request,
    RequestPace,
    State,
    Subscriptions,
    TrackedSubscription,
)
from feedbus.venues.turns import RateBucket, TurnLine, Turns

A, B, C = (Subscription("book", symbol) for symbol in "ABC")
SINGLE = RequestPace(requests=2, every=0.5)
BATCHES = RequestPace(requests=1, every=0.5, subscriptions=4)


def build(request: Request[TrackedSubscription]) -> str:
    about = [*(each.subscription for each in request.wanted), *(each.subscription for each in request.leaving)]
    return f"{request.number} {request.kind}{''.join(f' {each.symbol}' for each in about)}"


def machine(
    *symbols: str, pace: RequestPace = SINGLE, is_open: bool = True, channels: tuple[str, ...] = ("book",)
) -> Subscriptions[TrackedSubscription]:
    made = Subscriptions(channels, pace, track=TrackedSubscription, build=build)
    made.want(symbols)
    made.is_open = is_open
    return made


def sent(made: Subscriptions[TrackedSubscription], now: float) -> list[Any]:
    return [effect.data for effect in made.send(now) if isinstance(effect, Send)]


def live(made: Subscriptions[TrackedSubscription], subscription: Subscription, now: float) -> None:
    tracked = made.tracked[subscription]
    made.answered(tracked.request, now)
    made.confirm(tracked, now)
    made.data(tracked, now)


# The table


def test_every_state_says_what_happens_in_it_and_leads_to_another() -> None:
    states, happenings = set(get_args(State)), set(get_args(Happening))
    assert set(TRANSITIONS) == states
    assert {happening for row in TRANSITIONS.values() for happening in row} == happenings
    assert {state for row in TRANSITIONS.values() for state in row.values()} == states
    assert set(PROGRESS) == states - {"dropped"}


@pytest.mark.parametrize(
    ("happenings", "state"),
    [
        ("asked confirmed data", "live"),
        ("confirmed data refused", "wanted"),
        ("asked data", "sent"),
        ("asked refused retry asked confirmed", "confirmed"),
        ("asked refused confirmed data", "live"),
        ("asked confirmed data resync", "wanted"),
        ("asked confirmed confirmed refused", "refused"),
        ("asked dropped confirmed data refused retry asked", "dropped"),
    ],
)
def test_what_happens_moves_a_subscription_as_the_table_says(happenings: str, state: State) -> None:
    tracked = TrackedSubscription(A)
    for happening in happenings.split():
        tracked.move(happening)  # type: ignore[arg-type]
    assert tracked.state == state


# Requests


def test_requests_keep_the_pace_and_wait_until_the_venue_takes_them() -> None:
    made = machine("A", "B", "C", is_open=False)
    assert sent(made, 0.0) == []
    assert list(made.schedule()) == []
    made.is_open = True
    assert sent(made, 1.0) == ["1 subscribe A", "2 subscribe B"]
    assert list(made.schedule()) == [WakeAt(1.5)]
    assert sent(made, 1.49) == []
    assert sent(made, 1.5) == ["3 subscribe C"]
    assert list(made.schedule(7.0)) == [WakeAt(7.0)], "the Session's own time comes first"
    assert made.instruments() == {"sent": 3}


def test_a_request_waits_for_its_turn_and_what_is_given_up_meanwhile_is_never_asked_for() -> None:
    line = TurnLine(RateBucket(1, 10.0))
    assert Turns(line=line).take(0.0)
    made = machine("A", "B", "C")
    made.turns = Turns(line=line)
    assert sent(made, 0.0) == []
    assert list(made.schedule()) == [WakeAt(10.0)]
    assert (made.last_number, made.instruments(), len(line)) == (0, {"wanted": 3}, 1)
    made.give_up(["A"])
    assert sent(made, 10.0) == ["1 subscribe B"]
    assert made.tracked[B].state == "sent"
    assert list(made.schedule()) == [WakeAt(20.0)], "the deadline of its answer runs from when it went out"
    made.give_up(["B", "C"])
    assert sent(made, 20.0) == ["2 unsubscribe B"]
    assert len(line) == 0, "there is nothing more to ask, so nobody is held up"


def test_who_may_not_send_yet_by_its_own_pace_holds_up_nobody_in_the_line() -> None:
    line = TurnLine(RateBucket(20, 10.0))
    made = machine(*"ABCDEFGHIJKLMNO", pace=RequestPace(requests=10, every=60.0))
    made.turns = Turns(line=line)
    assert len(sent(made, 0.0)) == 10
    other = Turns(line=line)
    assert not other.take(0.0)
    assert sent(made, 5.0) == []
    assert list(made.schedule()) == [WakeAt(10.0)], "for answers that are late"
    assert other.take(5.0)
    while made.turns.take(6.0):
        pass
    assert len(line) == 1
    made.is_open = False
    assert (sent(made, 60.0), len(line)) == ([], 0), "the venue takes nothing now"


def test_each_answer_lets_one_request_more_go_and_where_none_comes_the_pace_is_kept() -> None:
    made = machine(*(f"S{number}" for number in range(40)), pace=RequestPace(requests=4, every=0.5, as_answered=True))
    assert len(sent(made, 0.0)) == 4
    made.answered(1, 0.1)
    made.answered(1, 0.1)
    assert sent(made, 0.1) == [], "a write for each answer costs too much"
    made.answered(2, 0.1)
    assert len(sent(made, 0.1)) == 2
    assert sent(made, 0.1) == [], "an answer counts once"
    assert list(made.schedule()) == [WakeAt(0.5)], "what goes early doesn't put off what goes in time"
    assert len(sent(made, 0.5)) == 4
    for number in range(3, 11):
        made.answered(number, 0.6)
    assert len(sent(made, 1.0)) == 8, "no more go at once, however many were answered"
    assert len(sent(made, 1.5)) == 4


def test_a_venue_that_counts_requests_is_asked_at_its_pace_however_fast_it_answers() -> None:
    made = machine("A", "B", "C")
    sent(made, 0.0)
    made.answered(1, 0.1)
    made.answered(2, 0.1)
    assert sent(made, 0.1) == []


def test_what_is_given_up_is_ended_before_what_is_wanted_and_what_was_not_sent_not_at_all() -> None:
    made = machine("A", "B", pace=BATCHES)
    assert sent(made, 0.0) == ["1 subscribe A B"]
    made.want(["C", "D"])
    assert [tracked.subscription for tracked in made.give_up(["A", "D", "nobody"])] == [A, Subscription("book", "D")]
    made.want(["A"])
    assert sent(made, 1.0) == ["2 unsubscribe A"]
    assert sent(made, 2.0) == ["3 subscribe C A"]
    assert sent(made, 3.0) == []


def test_a_request_is_cut_to_its_bytes_and_one_subscription_always_goes() -> None:
    made = machine(
        *"ABCDEFG", pace=RequestPace(requests=1, every=0.0, subscriptions=100, max_bytes=len("1 subscribe A B"))
    )
    assert sent(made, 0.0) == ["1 subscribe A B"]
    made.give_up("ABCDEFG")
    assert sent(made, 1.0) == ["2 unsubscribe A"]
    made = machine("A" * 50, "BÄ", pace=RequestPace(requests=9, every=0.0, subscriptions=9, max_bytes=13))
    assert sent(made, 0.0) == [f"1 subscribe {'A' * 50}", "2 subscribe BÄ"]
    made = machine(*(f"S{number:02}" for number in range(40)), pace=RequestPace(1, 0.0, 40, max_bytes=131))
    assert len(sent(made, 0.0)[0]) == len("1 subscribe") + 30 * len(" S00") == 131


# Refused requests


class Picky:
    """A venue that refuses each request with a bad name in it, or each whatever is in it, and answers at once."""

    def __init__(self, count: int, bad: Collection[int], most: int = 50) -> None:
        self.bad = {f"S{number}" for number in bad}
        self.refuses_all = False
        self.made = machine(
            *(f"S{number}" for number in range(count)), pace=RequestPace(requests=1, every=0.5, subscriptions=most)
        )
        self.asked: list[list[str]] = []
        self.refused: list[Refused] = []
        self.now = 0.0

    def runs(self, seconds: float) -> Picky:
        until = self.now + seconds
        while self.now < until:
            self.made.tick(self.now)
            for text in sent(self.made, self.now):
                number, _, *symbols = text.split()
                self.asked.append(symbols)
                request = self.made.answered(int(number), self.now)
                assert request is not None
                if self.refuses_all or self.bad.intersection(symbols):
                    effects = self.made.refused(request, "no", self.now)
                    self.refused += [effect for effect in effects if isinstance(effect, Refused)]
                else:
                    for tracked in request.wanted:
                        self.made.confirm(tracked, self.now)
            self.now += 0.5
        return self

    @property
    def named(self) -> list[str]:
        return [refused.subscription.symbol for refused in self.refused]


@pytest.mark.parametrize("count", [2, 3, 50, 200])
@pytest.mark.parametrize("bad", [{0}, {1}, {0, 1}, {1, 25}, {49, 0, 24, 25}])
def test_one_to_four_bad_names_are_named_in_seconds_and_the_others_live(count: int, bad: set[int]) -> None:
    bad = {number for number in bad if number < count}
    venue = Picky(count, bad).runs(20.0 + count / 50)
    assert set(venue.named) == venue.bad
    assert all(refused.reason == "no" for refused in venue.refused), "alone, and with the venue's own words"
    assert Counter(venue.made.instruments()) == Counter(confirmed=count - len(bad), refused=len(bad))


def test_one_bad_name_in_fifty_costs_a_dozen_requests() -> None:
    venue = Picky(50, {17}).runs(8.0)
    assert [len(symbols) for symbols in venue.asked] == [50, 25, 25, 13, 12, 6, 6, 3, 3, 2, 1, 1, 1]
    venue.runs(3600.0)
    assert {tuple(symbols) for symbols in venue.asked[13:]} == {("S17",)}, "it is asked for alone from then on"
    assert len(venue.asked[13:]) < 15, "after pauses that grow"
    venue.made.want(["S99"])
    assert venue.runs(0.5).asked[-1] == ["S99"]


def test_when_a_bad_name_is_taken_in_the_end_it_is_one_like_the_others() -> None:
    venue = Picky(50, {17}).runs(10.0)
    venue.bad = set()
    venue.runs(30.0)
    assert venue.made.instruments() == {"confirmed": 50}


def test_all_bad_names_are_named_each_by_itself() -> None:
    venue = Picky(50, range(50)).runs(10.0)
    assert set(venue.named) == venue.bad, "no more at once in halves, so what is in them counts as refused"
    venue.runs(50.0)
    assert {refused.subscription.symbol for refused in venue.refused if refused.reason == "no"} == venue.bad
    assert len(venue.asked) < 2 * 50 + SPLITS + 10


def test_a_venue_that_refuses_everything_is_asked_ever_more_rarely_and_all_live_afterwards() -> None:
    venue = Picky(200, (), most=200)
    venue.refuses_all = True
    asked = [len(venue.runs(3600.0).asked) for _ in range(3)]
    assert venue.refused[0].reason == "no (asked for with 24 others)"
    assert asked[2] - asked[1] <= 200 * 3600 / RETRY_CAP
    venue.refuses_all = False
    venue.runs(RETRY_CAP + 100.0)
    assert venue.made.instruments() == {"confirmed": 200}


@given(
    count=st.integers(1, 120),
    bad=st.sets(st.integers(0, 119), max_size=12),
    most=st.integers(1, 60),
)
def test_whatever_is_bad_is_named_and_nothing_else_and_the_rest_lives(count: int, bad: set[int], most: int) -> None:
    bad = {number for number in bad if number < count}
    venue = Picky(count, bad, most).runs(300.0 + count)
    assert {refused.subscription.symbol for refused in venue.refused if refused.reason == "no"} == venue.bad
    assert sum(venue.made.instruments().values()) == count
    assert venue.made.instruments().get("confirmed", 0) == count - len(bad)
    assert max(map(len, venue.asked)) <= most


def test_what_a_refused_request_held_is_asked_for_with_nothing_else() -> None:
    made = machine("A", "B", "C", pace=BATCHES)
    sent(made, 0.0)
    request = made.answered(1, 0.0)
    assert request is not None
    assert list(made.refused(request, "no", 0.0)) == []
    made.want("D")
    asked = [sent(made, at)[0] for at in (1.0, 2.0, 3.0)]
    assert asked == ["2 subscribe A B", "3 subscribe C", "4 subscribe D"]


def test_an_error_about_what_data_has_confirmed_meanwhile_or_was_made_anew_refuses_nothing() -> None:
    made = machine("A", "B", "C", pace=BATCHES)
    sent(made, 0.0)
    made.confirm(made.tracked[A], 0.1)
    made.resync(made.tracked[B], "silent", 0.1)
    assert sent(made, 0.5) == ["2 unsubscribe B"]
    assert sent(made, 1.0) == ["3 subscribe B"]
    request = made.answered(1, 1.1)
    assert request is not None
    assert list(made.refused(request, "no", 1.1)) == []
    assert made.instruments() == {"confirmed": 1, "sent": 1, "wanted": 1}
    assert sent(made, 1.5) == ["4 subscribe C"]


def numbers(requests: list[Request[TrackedSubscription]]) -> list[int]:
    return [request.number for request in requests]


def test_answers_are_awaited_and_a_late_one_is_told_once() -> None:
    made = machine("A", "B", pace=RequestPace(requests=1, every=1.0))
    sent(made, 0.0)
    assert made.sole_number() == 1
    sent(made, 1.0)
    assert made.sole_number() is None
    assert list(made.schedule()) == [WakeAt(10.0)]
    assert made.overdue(9.9, gently=False) == []
    assert numbers(made.overdue(10.0, gently=False)) == [1]
    assert made.overdue(19.9, gently=False) == []
    assert numbers(made.overdue(20.0, gently=False)) == [2], "it had its time once more"
    assert numbers(made.still_overdue()) == [1, 2]
    assert all(request.is_open for request in made.still_overdue())
    first = made.under_way(1)
    assert made.answered(1, 20.0) is first is not None
    assert made.answered(1, 20.0) is made.answered("2", 20.0) is made.answered(None, 20.0) is None
    assert made.under_way("2") is None
    made.confirm(made.tracked[B], 20.0)
    assert not made.still_overdue()[0].is_open


EACH = RequestPace(requests=999, every=0.0)


def test_a_deadline_runs_from_the_last_progress_and_one_that_is_passed_over_is_late_by_itself() -> None:
    made = machine(*(f"S{number}" for number in range(300)), pace=EACH)
    sent(made, 0.0)
    for number in range(1, 301):  # a slow venue: an answer every second, but none to the 50th
        if number != 50:
            answered = made.answered(number, float(number))
            assert answered is not None
            made.confirm(answered.wanted[0], float(number))
        late = made.overdue(float(number), gently=True)
        assert numbers(late) == ([50] if number == 61 else []), number
        assert not made.stands_still(float(number))


def test_when_nothing_progresses_one_is_asked_again_then_two_and_a_confirmation_begins_anew() -> None:
    made = machine(*(f"S{number}" for number in range(100)), pace=EACH)
    sent(made, 0.0)
    for number in range(1, 81):
        made.confirm(made.tracked[Subscription("book", f"S{number - 1}")], 0.0)
        made.answered(number, 0.0)
    assert [len(made.overdue(at, gently=True)) for at in (9.9, 10.0, 15.0, 20.0, 30.0)] == [0, 1, 0, 2, 4]
    assert not made.stands_still(30.0), "80 are confirmed, and 20 are owed"
    made.confirm(made.tracked[Subscription("book", "S99")], 31.0)
    assert made.overdue(40.9, gently=True) == []
    assert [request.is_open for request in made.overdue(41.0, gently=True)] == [True, False]


@pytest.mark.parametrize(("confirmed", "still"), [(0, True), (1, True), (2, False), (3, False)])
def test_a_venue_stands_still_when_it_owes_more_than_it_has_confirmed(confirmed: int, still: bool) -> None:
    made = machine(*"ABCD", pace=EACH)
    sent(made, 0.0)
    for symbol in "ABCD"[:confirmed]:
        live(made, Subscription("book", symbol), 5.0)
    assert (made.stands_still(14.9), made.stands_still(15.0)) == (confirmed == 0, still)


def test_what_is_not_answered_is_asked_again_in_halves_and_counts_as_refused_in_the_end() -> None:
    pace = RequestPace(requests=1, every=0.0, subscriptions=200)
    made = machine(*(f"S{number}" for number in range(20)), pace=pace)
    sizes: list[int] = []
    refused: list[Effect] = []
    for now in range(7):
        made.want([f"late{now}"])  # what is wanted meanwhile doesn't make a smaller request larger again
        sent(made, float(now))
        request = made.under_way(made.last_number)
        assert request is not None
        sizes.append(len(request.wanted))
        refused += made.unanswered(request, float(now))
        assert made.under_way(request.number) is None
        assert list(made.unanswered(request, float(now))) == []
    assert sizes == [21, 10, 10, 5, 5, 5, 5]
    assert refused[:5] == [Refused(Subscription("book", f"S{number}"), "not answered 3 times") for number in range(5)]


def test_what_must_go_in_small_requests_is_not_joined_by_what_is_new() -> None:
    made = machine("A", "B", pace=BATCHES)
    sent(made, 0.0)
    [request] = made.overdue(10.0, gently=False)
    assert list(made.unanswered(request, 10.0)) == []
    made.want("CD")
    assert [sent(made, at)[0] for at in (10.0, 11.0, 12.0)] == ["2 subscribe A", "3 subscribe B", "4 subscribe C D"]


def test_no_venue_that_gathers_subscriptions_writes_requests_of_4096_bytes_or_more() -> None:
    assert RequestPace(requests=1, every=1.0).max_bytes < 4096


def test_a_request_of_the_venues_own_goes_first_and_once_at_a_time() -> None:
    own = frozenset({"subscribe", "list"})
    made = machine("A", pace=RequestPace(requests=1, every=0.0, answered=own))
    made.ask_own("list")
    made.ask_own("list")
    assert sent(made, 0.0) == ["1 list"]
    made.ask_own("list")
    assert sent(made, 1.0) == ["2 subscribe A"]
    made.answered(1, 1.0)
    made.ask_own("list")
    assert sent(made, 2.0) == ["3 list"]


# What isn't listed


def test_what_is_not_listed_and_brings_nothing_counts_as_refused_until_data_comes() -> None:
    made = machine("A", "B", "C", pace=RequestPace(requests=9, every=0.0))
    sent(made, 0.0)
    live(made, B, 0.0)
    made.confirm(made.tracked[A], 1.0)
    assert list(made.absent("ABX", FIRST_DATA_WITHIN)) == []
    assert list(made.absent("ABX", 1.0 + FIRST_DATA_WITHIN)) == [Refused(A, UNLISTED)]
    assert list(made.absent("ABCX", 99.0)) == [], "it is told once, and C was never confirmed"
    made.tick(9999.0)
    assert made.instruments() == {"refused": 1, "live": 1, "sent": 1}, "it stays subscribed, and isn't asked for again"
    assert made.confirm(made.tracked[A], 9999.0) == (Confirmed(A),)
    made.data(made.tracked[A], 9999.0)
    assert list(made.absent("ABX", 99_999.0)) == []
    made.refuse(made.tracked[A], "ended", 99_999.0)
    assert list(made.absent("", 99_999.0)) == []
    made.tick(99_999.0)
    assert made.instruments()["refused"] == 1, "it is listed now, and the venue's refusal has its own pause"


def test_what_was_refused_before_and_is_confirmed_without_data_again_does_not_wait() -> None:
    made = machine("A")
    sent(made, 0.0)
    made.confirm(made.tracked[A], 0.0)
    made.refuse(made.tracked[A], "not kept", 30.0)
    made.tick(35.0)
    sent(made, 35.0)
    made.confirm(made.tracked[A], 35.0)
    assert list(made.absent("A", 36.0)) == [Refused(A, UNLISTED)]


def test_what_is_listed_later_is_asked_for_again() -> None:
    made = machine("A", "B", pace=RequestPace(requests=9, every=0.0))
    sent(made, 0.0)
    for each in made.tracked.values():
        made.confirm(each, 0.0)
    assert len(list(made.absent("AB", 30.0))) == 2
    made.give_up("B")
    assert list(made.absent("", 40.0)) == []
    made.tick(40.0)
    assert sent(made, 40.0)[-1].endswith("subscribe A")


def test_a_symbol_of_which_one_channel_lives_exists() -> None:
    made = machine("A", channels=("book", "trade"), pace=RequestPace(requests=9, every=0.0))
    sent(made, 0.0)
    live(made, A, 0.0)
    made.confirm(made.tracked[Subscription("trade", "A")], 0.0)
    assert list(made.absent("A", 99.0)) == []


# Pauses


def test_the_pauses_after_refusals_double_up_to_a_quarter_of_an_hour() -> None:
    made, now = machine("A"), 0.0
    for pause in (5, 10, 20, 40, 80, 160, 320, 640, 900, 900):
        sent(made, now)
        made.answered(made.tracked[A].request, now)
        assert made.refuse(made.tracked[A], "no", now) == (Refused(A, "no"),)
        made.tick(now)
        assert list(made.schedule()) == [WakeAt(now + pause)]
        made.tick(now + pause - 0.01)
        assert made.instruments() == {"refused": 1}
        now += pause
        made.tick(now)
        assert made.instruments() == {"wanted": 1}


@pytest.mark.parametrize(("lived", "pause"), [(RETRY_CAP, 2 * RETRY_FIRST), (RETRY_CAP + 1, RETRY_FIRST)])
def test_the_pauses_begin_anew_after_a_long_life_only(lived: float, pause: float) -> None:
    made = machine("A")
    sent(made, 0.0)
    made.refuse(made.tracked[A], "no", 0.0)
    made.tick(10.0)
    sent(made, 10.0)
    live(made, A, 10.0)
    made.refuse(made.tracked[A], "ended", 10.0 + lived)
    assert made.tracked[A].retry_at == 10.0 + lived + pause


def test_what_was_given_up_and_wanted_again_waits_its_own_pause() -> None:
    made = machine("A")
    sent(made, 0.0)
    made.refuse(made.tracked[A], "no", 0.0)
    made.give_up(["A"])
    made.want(["A"])
    assert sent(made, 2.0) == ["2 subscribe A"]
    made.refuse(made.tracked[A], "no", 4.0)
    made.tick(5.0)
    assert made.instruments() == {"refused": 1}, "the first one's pause is over, and it isn't wanted any more"
    made.tick(9.0)
    assert made.instruments() == {"wanted": 1}


def test_data_of_what_was_refused_is_believed() -> None:
    made = machine("A")
    sent(made, 0.0)
    made.refuse(made.tracked[A], "no", 0.0)
    assert made.confirm(made.tracked[A], 0.0) == (Confirmed(A),)
    made.tick(5.0)
    assert made.instruments() == {"confirmed": 1}


# Resync


def test_what_is_out_of_step_is_ended_and_got_again_at_once_so_many_times_a_minute() -> None:
    made, now = machine("A", pace=RequestPace(requests=2, every=0.0)), 0.0
    sent(made, now)
    for number in range(RESYNCS):
        now = float(number)
        live(made, A, now)
        before = made.tracked[A].request
        assert made.resync(made.tracked[A], "a hole", now) == (Resync(A, "a hole"),)
        assert list(made._leaving) == [Leaving(A, before)]
        assert [text.split(" ", 1)[1] for text in sent(made, now)] == ["unsubscribe A", "subscribe A"]
        assert made.resync(TrackedSubscription(B), "not asked for yet", now) == ()
    live(made, A, now)
    made.resync(made.tracked[A], "a hole", now)
    assert [text.split(" ", 1)[1] for text in sent(made, now)] == ["unsubscribe A"]
    assert made.instruments() == {"wanted": 1}, "it waits for its turn, and counts as refused by nobody"
    made.tick(RESYNC_PERIOD - 0.1)
    assert sent(made, RESYNC_PERIOD - 0.1) == []
    made.tick(RESYNC_PERIOD)
    assert [text.split(" ", 1)[1] for text in sent(made, RESYNC_PERIOD)] == ["subscribe A"]
    assert made.tracked[A].attempts == 0
    live(made, A, RESYNC_PERIOD)
    made.resync(made.tracked[A], "a hole", RESYNC_PERIOD)
    assert sent(made, RESYNC_PERIOD + 0.9)[1:] == []
    made.tick(RESYNC_PERIOD + 1.0)
    assert len(sent(made, RESYNC_PERIOD + 1.0)) == 1, "the second of the three was at 1.0"


def test_a_symbol_is_as_far_as_its_least_advanced_channel() -> None:
    made = machine("A", "B", channels=("book", "trade"), pace=RequestPace(requests=9, every=0.0))
    sent(made, 0.0)
    live(made, A, 0.0)
    assert made.instruments() == {"sent": 2}
    made.confirm(made.tracked[Subscription("trade", "A")], 0.0)
    assert made.instruments() == {"confirmed": 1, "sent": 1}
    made.refuse(made.tracked[A], "no", 0.0)
    assert made.instruments() == {"refused": 1, "sent": 1}


# Any history


@dataclass
class Naive:
    """One subscription as a reader of the module's first lines would keep it, without heaps, queues or tables."""

    state: str = "wanted"
    retry_at: float | None = None
    attempts: int = 0
    unanswered: int = 0
    live_since: float | None = None
    resyncs: list[float] = field(default_factory=list)


@dataclass
class NaiveRequest:
    """One request under way: when it went out, and when an answer to a later one came."""

    sent_at: float
    symbols: list[str]
    passed_at: float | None = None


class AgainstANaiveModel(RuleBasedStateMachine):
    """Whatever is wanted, given up, said by the venue, and however time passes: the machine is where the model is."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.made = machine(pace=BATCHES)
        self.model: dict[str, Naive] = {}
        self.at_venue: Counter[str] = Counter()  # subscribed less unsubscribed, by symbol
        self.under_way: dict[int, NaiveRequest] = {}
        self.in_a_row = 0  # requests about several subscriptions that were refused since the venue took anything
        self.progress = self.since = -1e9
        self.probes = 1

    def apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                number, kind, *symbols = str(effect.data).split()
                self.under_way[int(number)] = NaiveRequest(self.now, symbols)
                assert 0 < len(symbols) <= 4
                for symbol in symbols:
                    if kind == "subscribe":
                        assert self.model[symbol].state == "wanted"
                        self.model[symbol].state = "sent"
                    else:
                        assert self.at_venue[symbol] > 0, "ended, and not there"
                self.at_venue.update(dict.fromkeys(symbols, 1 if kind == "subscribe" else -1))

    @rule(symbol=st.sampled_from("ABCDEFGH"))
    def want(self, symbol: str) -> None:
        self.made.want([symbol])
        self.model.setdefault(symbol, Naive())

    @rule(symbol=st.sampled_from("ABCDEFGH"))
    def give_up(self, symbol: str) -> None:
        assert len(self.made.give_up([symbol])) == (symbol in self.model)
        self.model.pop(symbol, None)

    @rule(is_open=st.booleans())
    def open_or_shut(self, is_open: bool) -> None:
        self.made.is_open = is_open

    @rule(passed=st.sampled_from([0.0, 0.5, 4.9, 5.0, 10.0, 61.0, 901.0]))
    def time_passes(self, passed: float) -> None:
        self.now += passed
        self.made.tick(self.now)
        for naive in self.model.values():
            if naive.retry_at is not None and naive.retry_at <= self.now:
                naive.retry_at = None
                if naive.state in ("refused", "waiting"):
                    naive.state = "wanted"
        self.apply(list(self.made.send(self.now)))
        list(self.made.schedule())

    def progressed(self) -> None:
        self.progress = self.since = self.now
        self.probes = 1

    def is_open(self, number: int) -> bool:
        tracked = [self.made.tracked.get(Subscription("book", symbol)) for symbol in self.under_way[number].symbols]
        return any(each is not None and each.state == "sent" and each.request == number for each in tracked)

    @rule()
    def deadlines_are_looked_at(self) -> None:
        """What is late is what the venue passed over 10 s ago, and the first few of what waits while nothing moves."""
        within = self.made.pace.answer_within
        passed = [number for number, each in self.under_way.items() if each.passed_at is not None]
        late = {number for number in passed if self.now - (self.under_way[number].passed_at or 0.0) >= within}
        due = [
            number
            for number, each in self.under_way.items()
            if each.passed_at is None and self.now - max(each.sent_at, self.since) >= within
        ]
        stuck = [number for number in due if self.is_open(number)]
        late |= set(due) - set(stuck[self.probes :])
        if stuck:
            self.since, self.probes = self.now, self.probes * 2
        states = Counter(each.state for each in self.model.values())
        still = self.now - self.progress >= within and states["sent"] > states["confirmed"] + states["live"]
        found = self.made.overdue(self.now, gently=True)
        assert {request.number for request in found} == late
        assert self.made.stands_still(self.now) == still
        for request in found:
            owed = [self.model[tracked.subscription.symbol] for tracked in self.made.owed(request)]
            effects = list(self.made.unanswered(request, self.now))
            for naive in owed:
                self.ask_again(naive)
            assert len(effects) == sum(naive.state == "refused" for naive in owed)
            del self.under_way[request.number]

    def ask_again(self, naive: Naive) -> None:
        naive.unanswered += 1
        if naive.unanswered > ASK_AGAIN:
            self.refuse(naive, True)
        else:
            naive.state = "wanted"
            self.at_venue[next(symbol for symbol, each in self.model.items() if each is naive)] -= 1

    @precondition(lambda self: self.model)
    @rule(data=st.data(), said=st.sampled_from(["confirm", "data", "refuse", "repeat", "resync", "answer", "answer"]))
    def the_venue_speaks(self, data: st.DataObject, said: str) -> None:
        symbol = data.draw(st.sampled_from(sorted(self.model)))
        naive, tracked = self.model[symbol], self.made.tracked[Subscription("book", symbol)]
        if said == "confirm":
            expected = naive.state in ("sent", "refused")
            assert bool(self.made.confirm(tracked, self.now)) == expected
            if expected:
                self.progressed()
                naive.unanswered = self.in_a_row = 0
            self.at_venue[symbol] += naive.state == "refused"  # it is there all the same
            naive.state = "confirmed" if expected else naive.state
        elif said == "data":
            self.made.data(tracked, self.now)
            if naive.state == "confirmed":
                naive.state, naive.live_since = "live", self.now
                self.progressed()
        elif said == "refuse":
            if naive.state in ("sent", "confirmed", "live"):
                self.progressed()
            self.refuse(naive, bool(self.made.refuse(tracked, "no", self.now)))
        elif said == "repeat":
            self.made.repeat(tracked)
            if naive.state in ("sent", "confirmed", "live"):
                naive.state = "wanted"
                self.at_venue[symbol] -= 1  # it came to nothing there
        elif said == "resync":
            self.resync(naive, bool(self.made.resync(tracked, "hole", self.now)))
        else:
            self.answered(tracked.request)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def the_venue_refuses_a_request(self, data: st.DataObject) -> None:
        """What it still asks for is asked for again at once, or is refused: what is alone, and all after many such."""
        number = data.draw(st.sampled_from(sorted(self.under_way)))
        count = len(self.under_way[number].symbols)
        request = self.made.under_way(number)
        assert request is not None
        if request.kind != "subscribe":
            return
        self.answered(number)
        owed = [self.model[each.subscription.symbol] for each in self.made.owed(request)]
        told = len(list(self.made.refused(request, "no", self.now)))
        self.in_a_row += count > 1
        at_once = count > 1 and self.in_a_row <= SPLITS
        assert told == (0 if at_once else len(owed))
        for naive in owed:
            if at_once:
                naive.state = "wanted"
                self.at_venue[next(symbol for symbol, each in self.model.items() if each is naive)] -= 1
            else:
                self.refuse(naive, True)

    def answered(self, request: int) -> None:
        assert (self.made.answered(request, self.now) is not None) == (request in self.under_way)
        if self.under_way.pop(request, None) is not None:
            self.progressed()
            for number, each in self.under_way.items():
                if number < request and each.passed_at is None:
                    each.passed_at = self.now

    def refuse(self, naive: Naive, told: bool) -> None:
        if naive.live_since is not None and self.now - naive.live_since > RETRY_CAP:
            naive.attempts = 0
        expected = naive.state in ("sent", "confirmed", "live")
        assert told == expected
        if expected:
            naive.state, naive.live_since = "refused", None
            naive.retry_at = self.now + min(RETRY_FIRST * 2 ** min(naive.attempts, 16), RETRY_CAP)
            naive.attempts += 1
            self.at_venue[next(symbol for symbol, each in self.model.items() if each is naive)] -= 1

    def resync(self, naive: Naive, told: bool) -> None:
        expected = naive.state in ("sent", "confirmed", "live")
        assert told == expected
        if expected:
            recent = naive.resyncs[-RESYNCS:]
            turn = max(self.now, recent[0] + RESYNC_PERIOD) if len(recent) == RESYNCS else self.now
            naive.resyncs.append(turn)
            naive.state = "wanted" if turn <= self.now else "waiting"
            if turn > self.now:
                naive.retry_at, naive.live_since = turn, None

    @invariant()
    def each_is_where_the_model_is(self) -> None:
        known = {each.symbol: tracked.state for each, tracked in self.made.tracked.items()}
        assert known == {
            symbol: "wanted" if each.state == "waiting" else each.state for symbol, each in self.model.items()
        }
        assert self.made.instruments() == dict(Counter(known.values()))

    def teardown(self) -> None:
        """In the end all is sent that is to be sent: the venue has what is confirmed or sent, and nothing else."""
        self.made.is_open = True
        for _ in range(60):
            self.now += 1.0
            self.apply(list(self.made.send(self.now)))
        there = {symbol for symbol, count in self.at_venue.items() if count > 0}
        assert {symbol for symbol, each in self.model.items() if each.state in ("sent", "live")} <= there
        assert {symbol for symbol in there if symbol not in self.model} == set()


TestAnyHistory = AgainstANaiveModel.TestCase

"""The machine of subscriptions: its table, its pace and pauses, and any history of it against a naive model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, get_args

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from feedbus.venues.protocol import Confirmed, Effect, Refused, Resync, Send, Subscription, WakeAt
from feedbus.venues.subscriptions import (
    ASK_AGAIN,
    PROGRESS,
    RESYNC_PERIOD,
    RESYNCS,
    RETRY_CAP,
    RETRY_FIRST,
    TRANSITIONS,
    Happening,
    Leaving,
    Request,
    RequestPace,
    State,
    Subscriptions,
    TrackedSubscription,
)

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


@pytest.mark.parametrize(("attempts", "size"), [(0, 200), (1, 100), (2, 50), (7, 1), (8, 1), (5000, 1)])
def test_what_failed_before_goes_in_smaller_requests_and_in_the_end_alone(attempts: int, size: int) -> None:
    made = machine(*(f"S{number}" for number in range(300)), pace=RequestPace(requests=1, every=0.0, subscriptions=200))
    for tracked in made.tracked.values():
        tracked.attempts = attempts
    assert len(sent(made, 0.0)[0].split()) - 2 == size


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
                naive.unanswered = 0
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

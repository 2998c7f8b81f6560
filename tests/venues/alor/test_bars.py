"""ALOR's bars: which versions of a bar are published, and that none is missing, however often the connection breaks."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.schema.events import Bar
from feedbus.sim.alor.conversation import AlorConversation
from feedbus.sim.alor.venue import AlorSimOptions, AlorVenue
from feedbus.sim.moex.catalogue import securities
from feedbus.testing.strategies import examples
from feedbus.venues.alor.bars import BARS_KEPT, LONGEST_WAY_BACK, PERIODS, KnownBars
from feedbus.venues.alor.payloads import SlimBar
from feedbus.venues.alor.requests import Known, Options
from feedbus.venues.alor.session import Session
from feedbus.venues.alor.tokens import AccessTokens
from feedbus.venues.protocol import Effect, Fetch, FetchResponse, Send, Subscription

S = 1_000_000_000
NOON = 1_702_641_600  # s; a whole multiple of all lengths under an hour

Told = list[tuple[int, float | None, bool, int, bool]]
"""Of each bar that is published: its start in seconds from NOON, close, final, revision, complete."""


def bars_of(history: int = 100) -> KnownBars:
    return KnownBars("bars_60", history)


def come(bars: KnownBars, start: int, close: float, at: float) -> Told:
    """What is published when this bar comes `at` seconds after NOON."""
    body = SlimBar(NOON + start, 1.0, 9.0, 0.5, close, 7.0)
    found = bars.events(body, "SBER", NOON * S + round(at * S))
    assert all((bar.symbol, bar.period_s, bar.ts_event, bar.open, bar.volume) == ("SBER", 60, 0, 1, 7) for bar in found)
    return [(bar.start // S - NOON, bar.close, bar.final, bar.revision, bar.complete) for bar in found]


def test_history_is_final_at_once_and_the_current_bar_is_not() -> None:
    bars = bars_of()
    assert come(bars, -180, 2.0, 5.0) == [(-180, 2.0, True, 0, True)]
    assert come(bars, -120, 3.0, 5.0) == [(-120, 3.0, True, 0, True)]
    # its end is too near for our clock to tell that it is over
    assert come(bars, -60, 4.0, 5.0) == [(-60, 4.0, False, 0, True)]
    assert come(bars, 0, 5.0, 5.0) == [(-60, 4.0, True, 1, True), (0, 5.0, False, 0, True)]
    assert come(bars, 0, 6.0, 6.0) == [(0, 6.0, False, 1, True)]
    assert come(bars, 0, 6.0, 7.0) == []


@pytest.mark.parametrize(("last", "later"), [(59.95, 60.05), (30.0, 600.0), (60.0, 60.05)])
def test_a_bar_ends_when_a_later_one_comes(last: float, later: float) -> None:
    bars = bars_of()
    assert come(bars, 0, 2.0, last) == [(0, 2.0, False, 0, True)]
    start = int(later) // 60 * 60
    assert come(bars, start, 3.0, later) == [(0, 2.0, True, 1, True), (start, 3.0, False, 0, True)]


def test_a_bar_may_be_corrected_after_its_end() -> None:
    bars = bars_of()
    come(bars, 0, 2.0, 59.9)
    come(bars, 60, 3.0, 60.1)
    assert come(bars, 0, 2.5, 60.3) == [(0, 2.5, True, 2, True)]
    assert come(bars, 0, 2.5, 60.4) == []
    assert come(bars, -60, 1.0, 60.5) == [], "a bar from before the two that are kept"


def test_a_bar_that_was_forming_when_the_connection_broke_is_complete_only_if_it_comes_again() -> None:
    for again in (True, False):
        bars = bars_of()
        come(bars, 0, 2.0, 30.0)
        assert bars.asked((NOON + 300) * S) == {"from": NOON, "skipHistory": False}
        if again:
            assert come(bars, 0, 2.5, 300.0) == [(0, 2.5, True, 1, True)]
            assert come(bars, 60, 3.0, 300.0) == [(60, 3.0, True, 0, True)]
        else:
            assert come(bars, 60, 3.0, 300.0) == [(0, 2.0, True, 1, False), (60, 3.0, True, 0, True)]
            assert come(bars, 0, 2.0, 301.0) == [(0, 2.0, True, 2, True)]


def test_what_is_known_is_not_published_again() -> None:
    bars = bars_of()
    come(bars, 0, 2.0, 30.0)
    come(bars, 60, 3.0, 90.0)
    assert bars.asked((NOON + 100) * S) == {"from": NOON, "skipHistory": False}
    assert come(bars, 0, 2.0, 100.0) == []
    assert come(bars, 60, 3.0, 100.0) == []


@pytest.mark.parametrize(
    ("history", "known", "since", "skip"),
    [
        (100, None, 30_000 - 100 * 60, False),
        (0, None, 30_000, True),
        (0, 60, 60, False),
        (5, 60, 60, False),
        (5, -90_000, 30_000 - LONGEST_WAY_BACK * 60, False),
    ],
)
def test_history_is_asked_for_from_the_oldest_bar_that_is_kept_on(
    history: int, known: int | None, since: int, skip: bool
) -> None:
    bars = bars_of(history)
    if known is not None:
        come(bars, known, 2.0, known + 30)
    assert bars.asked((NOON + 30_017) * S) == {"from": NOON + since, "skipHistory": skip}


def test_what_was_final_stays_so_when_our_clock_is_set_back() -> None:
    bars = bars_of()
    assert come(bars, 0, 2.0, 100.0) == [(0, 2.0, True, 0, True)]
    assert come(bars, 0, 2.5, 50.0) == [(0, 2.5, True, 1, True)]


def test_a_bar_of_a_time_to_come_keeps_no_other_out() -> None:
    bars = bars_of()
    come(bars, 10**9, 2.0, 30.0)
    assert come(bars, 0, 3.0, 31.0) == [(0, 3.0, False, 0, True)]
    assert come(bars, 60, 4.0, 65.0) == [(0, 3.0, True, 1, True), (60, 4.0, False, 0, True)]


# With the simulator

START_NS = 1_719_825_533_789_000_000


class Rig:
    """A session that talks with the simulated ALOR about the bars of SBER, and may be cut off and begin anew."""

    def __init__(self, channel: str, history: int) -> None:
        self.venue = AlorVenue(AlorSimOptions(start_ns=START_NS, rate=1.0), securities=securities()[:1])
        self.venue.market.open(0)
        self.channel = channel
        self.options = Options(history=history)
        self.known = Known()
        self.tokens = AccessTokens("refresh")
        (fetch,) = self.tokens.start(0.0)
        assert isinstance(fetch, Fetch)
        token = json.dumps({"AccessToken": self.venue.tokens.issue(self.time_ns)}).encode()
        self.tokens.fetched(fetch, FetchResponse(200, token, self.time_ns), 0.0)
        self.bars: list[Bar] = []
        self.sent: list[dict[str, Any]] = []
        self.connect()

    @property
    def now(self) -> float:
        return float(self.venue.market.step)

    @property
    def time_ns(self) -> int:
        return START_NS + self.venue.market.step * S + 50_000_000

    def connect(self) -> None:
        self.conversation = AlorConversation(self.venue)
        self.session = Session(self.tokens, self.options, [self.channel], ["SBER"], self.known)
        self.taken(list(self.session.opened(self.now)))

    def taken(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Bar):
                self.bars.append(effect)
            elif isinstance(effect, Send):
                self.sent.append(json.loads(effect.data))
                for frame in self.conversation.receive(effect.data, self.time_ns):
                    self.comes(frame)

    def comes(self, frame: bytes | str) -> None:
        data = frame.encode() if isinstance(frame, str) else frame
        self.taken(list(self.session.frame(data, self.time_ns, self.now)))

    def pass_time(self, steps: int, *, connected: bool) -> None:
        for _ in range(steps):
            self.venue.market.advance()
            if connected:
                for frame in self.conversation.due():
                    self.comes(frame)


@examples(40)
@given(
    channel=st.sampled_from(["bars_15", "bars_60", "bars_300"]),
    history=st.sampled_from([0, 4]),
    spans=st.lists(st.tuples(st.integers(1, 90), st.integers(0, 90)), min_size=1, max_size=4),
)
def test_no_bar_is_missing_and_none_is_told_twice(channel: str, history: int, spans: list[tuple[int, int]]) -> None:
    rig = Rig(channel, history)
    for up, down in spans:
        rig.pass_time(up, connected=True)
        rig.pass_time(down, connected=False)
        rig.connect()
    rig.pass_time(90, connected=True)
    assert rig.session.instruments() == {"live": 1}
    told: dict[int, list[Bar]] = {}
    for bar in rig.bars:
        told.setdefault(bar.start, []).append(bar)
    seconds = PERIODS[channel]
    truth = {bar.time * S: bar for bar in rig.venue.listings["SBER"][0].bars(seconds, min(told) // S)}
    assert sorted(told) == list(truth)
    for start, versions in told.items():
        assert [version.revision for version in versions] == list(range(len(versions)))
        for before, after in pairwise(versions):
            said = [
                (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.final, bar.complete) for bar in (before, after)
            ]
            assert said[0] != said[1]
            assert after.final >= before.final
        last, true = versions[-1], truth[start]
        assert last.final is (start != max(told))
        assert last.complete
        assert (last.open, last.high, last.low, last.close, last.volume) == (
            *(price / 100 for price in (true.open, true.high, true.low, true.close)),
            true.volume,
        )
    assert history == 0 or len(told) > history
    assert {len(bars.versions) for bars in rig.known.bars.values()} <= {1, BARS_KEPT}


def test_a_subscription_that_brings_nothing_new_is_live_all_the_same() -> None:
    rig = Rig("bars_60", 4)
    count = len(rig.bars)
    rig.connect()
    assert rig.session.instruments() == {"live": 1}
    assert len(rig.bars) == count
    assert rig.session.counters()["repeated_bars"] == BARS_KEPT


def test_history_is_counted_back_from_the_time_at_which_it_is_asked_for() -> None:
    rig = Rig("bars_60", 4)
    rig.pass_time(100, connected=False)
    rig.taken(list(rig.session.unsubscribe(["SBER"], rig.now)))
    rig.taken(list(rig.session.subscribe(["SBER"], rig.now + 1)))
    asked = [request["from"] for request in rig.sent if "from" in request]
    assert asked == [(START_NS // S + later) // 60 * 60 - 240 for later in (0, 101)]


def test_bars_of_a_symbol_that_was_given_up_are_forgotten() -> None:
    rig = Rig("bars_60", 4)
    assert list(rig.known.bars) == [Subscription("bars_60", "SBER")]
    rig.taken(list(rig.session.unsubscribe(["SBER"], rig.now)))
    assert rig.known.bars == {}
    count = len(rig.bars)
    rig.taken(list(rig.session.subscribe(["SBER"], rig.now + 1)))
    assert len(rig.bars) == 2 * count, "its history comes anew"

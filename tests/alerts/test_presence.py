"""Stale instruments and connections that are down, second by second."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import pytest

from feedbus.alerts import AlertEngine, Rule
from feedbus.schema.events import (
    Bar,
    BookDelta,
    BookSnapshot,
    FeedState,
    FeedStatus,
    Gap,
    Indicator,
    MarketEvent,
    Quote,
    Status,
    Ticker,
    Trade,
    TrustState,
)

GapCause = Literal["lost", "heartbeat", "restart", "silent"]

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def at(seconds: float) -> int:
    return START + round(seconds * SECOND)


class Told:
    """Collects the alerts as (state, seconds, symbol) while time passes from timer to timer."""

    def __init__(self, *rules: Rule) -> None:
        self.engine = AlertEngine(rules)
        self.alerts: list[tuple[str, float, str]] = []
        self.texts: list[str] = []
        self.values: list[float | None] = []

    def until(self, seconds: float) -> None:
        """Lets time pass."""
        while (due := self.engine.next_due()) is not None and due <= at(seconds):
            self._take(self.engine.tick(due))

    def add(self, event: MarketEvent, publisher: str = "p") -> None:
        """Takes in an event of this publisher at its `ts_recv`."""
        self.until((event.ts_recv - START) / SECOND)
        self._take(self.engine.add(event, event.ts_recv, publisher))

    def lose(self, seconds: float, cause: GapCause, publisher: str = "p", topic: str = "") -> None:
        """Takes in a Gap."""
        self.until(seconds)
        self._take(self.engine.add_gap(Gap(topic, publisher, 1, None, None, cause), at(seconds)))

    def _take(self, alerts: Iterable[object]) -> None:
        for alert in alerts:
            assert getattr(alert, "rule", None)
            state, recv, symbol = (getattr(alert, name) for name in ("state", "ts_recv", "symbol"))
            self.alerts.append((state, (recv - START) / SECOND, symbol))
            self.texts.append(getattr(alert, "text", ""))
            self.values.append(getattr(alert, "value", None))


def ticker(seconds: float, symbol: str = "A") -> Ticker:
    return Ticker("moex", symbol, 1, at(seconds), last=1.0)


def status(
    seconds: float, state: FeedState, *, symbol: str = "moex/0", up: int = 0, wanted: int = 2, reason: str = ""
) -> FeedStatus:
    return FeedStatus("moex", symbol, 0, at(seconds), state, reason, up, wanted, {}, 0.0, None, 1)


def said(
    seconds: float, state: TrustState, reason: str = "", *, word: str = "trade", symbol: str = "A", ago: float = 0
) -> Status:
    """A status that has held for `ago` seconds."""
    return Status("moex", symbol, 0, at(seconds), state, reason, at(seconds - ago), 1, word)


# stale, by what is said


def test_stale_is_what_the_status_says_and_says_why_and_since_when() -> None:
    told = Told(Rule("stale", cooldown=0))
    told.add(said(0, "live"))
    told.add(ticker(1))
    told.until(5000)
    assert told.alerts == [], "without a threshold a silence alone is nothing"
    told.add(said(5000, "stale", "silent", ago=3))
    told.add(said(5001, "stale", "silent", word="book"))
    assert told.alerts == [("firing", 5000, "A")]
    since = "2023-11-14T23:36:37Z"
    assert (told.values, told.texts) == (
        [3.0],
        [f"trade: stale silent (nothing has come for longer than usual) since {since}"],
    )
    told.add(said(5010, "live"))
    assert len(told.alerts) == 1, "the book is still"
    told.add(said(5020, "live", word="book"))
    assert told.alerts[1:] == [("resolved", 5020, "A")]
    assert (told.values[1], told.texts[1]) == (23.0, "live after 23.0 s")


@pytest.mark.parametrize(
    ("after", "ends"),
    [
        (("resyncing", "unconfirmed"), False),
        (("gapped", "hole"), True),
        (("closed", "closed"), True),
        (("unsubscribed", "unwanted"), True),
        (("delayed", "late"), True),
    ],
)
def test_stale_goes_on_while_the_instrument_is_subscribed_anew_and_ends_when_more_is_known(
    after: tuple[TrustState, str], ends: bool
) -> None:
    told = Told(Rule("stale", cooldown=0))
    told.add(said(0, "stale", "silent"))
    told.add(said(10, *after))
    assert told.alerts[1:] == [("resolved", 10, "A")] * ends
    told.add(said(20, "live"))
    assert told.alerts[1:] == [("resolved", 10 if ends else 20, "A")]


def test_what_was_stale_before_the_actor_began_has_lasted_as_long_as_it_has() -> None:
    told = Told(Rule("stale", for_=60, cooldown=0))
    told.add(said(0, "stale", "silent", symbol="A", ago=600))
    told.add(said(0, "stale", "silent", symbol="B", ago=20))
    told.until(100)
    assert told.alerts == [("firing", 0, "A"), ("firing", 40, "B")]


def test_what_is_subscribed_anew_counts_as_stale_until_data_comes() -> None:
    told = Told(Rule("stale", for_=10, cooldown=0))
    told.add(said(0, "stale", "silent"))
    told.add(said(0.1, "resyncing", "first_picture"))
    told.add(said(0.1, "live", word="book"))
    told.until(100)
    assert told.alerts == [("firing", 10, "A")]
    since = "2023-11-14T22:13:20Z"
    text = f"was stale, and now trade: resyncing first_picture (its first data hasn't come yet) since {since}"
    assert (told.values, told.texts) == ([10.0], [text])
    told.lose(100, "silent")
    told.until(200)
    assert len(told.alerts) == 1, "nobody knows that it isn't any more"
    told.add(said(200, "live", word="book"))
    told.add(said(201, "live"))
    assert told.alerts[1:] == [("resolved", 201, "A")]
    told.add(said(300, "resyncing", "connecting"))
    told.until(400)
    assert len(told.alerts) == 2, "it wasn't stale before"


# stale, by a threshold


def test_an_instrument_that_is_said_to_be_closed_may_be_silent() -> None:
    told = Told(Rule("stale", 60))
    for symbol in "AB":
        told.add(ticker(0, symbol))
    told.add(said(30, "closed", "closed"))
    told.until(36000)
    assert told.alerts == [("firing", 60, "B")]
    told.add(said(36000, "live"))
    told.until(36059)
    assert len(told.alerts) == 1
    told.until(36060)
    assert told.alerts[1:] == [("firing", 36060, "A")]
    told.add(said(36100, "closed", "closed"))
    assert told.alerts[2:] == [("resolved", 36100, "A")]
    told.add(said(36200, "live"))
    told.add(ticker(36250))
    told.until(36309)
    assert len(told.alerts) == 3


def test_the_time_before_trading_began_again_is_no_silence() -> None:
    told = Told(Rule("stale", 60, for_=10, cooldown=0))
    told.add(ticker(0))
    told.add(said(30, "closed", "closed"))
    told.add(said(1000, "live"))
    told.add(said(1005, "stale", "silent", word="book"))
    told.until(1016)
    told.add(said(1017, "live", word="book"))
    assert told.alerts == [("firing", 1015, "A"), ("resolved", 1017, "A")]


def test_a_threshold_holds_beside_the_status_and_either_alone_is_enough() -> None:
    told = Told(Rule("stale", 60, cooldown=0))
    told.add(said(0, "live"))
    told.until(1000)
    assert told.alerts == [], "it has had no data yet"
    told.add(ticker(1000))
    told.add(said(1030, "stale", "silent", ago=1))
    told.until(1200)
    assert told.alerts == [("firing", 1030, "A")]
    told.add(ticker(1200))  # of another word
    told.add(said(1210, "live"))
    assert told.alerts[1:] == [("resolved", 1210, "A")]
    told.until(1300)
    assert told.alerts[2:] == [("firing", 1260, "A")]
    assert told.texts[2] == "no data for 60.0 s"


def test_data_that_comes_and_goes_is_one_alert_with_keep_firing_for() -> None:
    told = Told(Rule("stale", 10, keep_firing_for=30, cooldown=0))
    for second in (0, 20, 40, 60, 69, 78, 87):
        told.add(ticker(second))
    told.until(95)
    assert told.alerts == [("firing", 10, "A"), ("resolved", 90, "A")]
    assert told.texts[1] == "data again after 20.0 s"


def test_an_instrument_without_data_is_stale_until_it_has_data_again() -> None:
    told = Told(Rule("stale", 60, cooldown=0))
    told.add(ticker(0))
    told.add(ticker(50))
    told.until(109)
    assert told.alerts == []
    told.until(500)
    assert told.alerts == [("firing", 110, "A")]
    told.add(ticker(501))
    assert told.alerts[1:] == [("resolved", 501, "A")]
    told.until(600)
    assert told.alerts[2:] == [("firing", 561, "A")]
    assert told.values == [60.0, 451.0, 60.0]
    assert told.texts[:2] == ["no data for 60.0 s", "data again after 451.0 s"]


def test_stale_waits_for_as_long_as_it_must_hold_and_for_its_cooldown() -> None:
    told = Told(Rule("stale", 10, for_=5, cooldown=100))
    told.add(ticker(0))
    told.add(ticker(12))
    told.add(ticker(30))
    told.until(80)
    assert told.alerts == [("firing", 27, "A"), ("resolved", 30, "A")]
    told.until(300)
    assert told.alerts[2:] == [("firing", 130, "A")]


DATA: list[MarketEvent] = [
    Trade("moex", "A", 1, at(9), 1.0, 1.0, None, None),
    Quote("moex", "A", 1, at(9), 1.0, 1.0, 2.0, 1.0, None),
    BookSnapshot("moex", "A", 1, at(9), [], [], None),
    BookDelta("moex", "A", 1, at(9), [], [], None, None),
    ticker(9),
]
NO_DATA: list[MarketEvent] = [
    status(9, "online", symbol="A"),
    Indicator("moex", "A", 1, at(9), "sma", 60, 5, 0, 1.0),
    Bar("moex", "A", 1, at(9), "trades", 60, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, True, 0, True),
]


@pytest.mark.parametrize("event", DATA, ids=lambda event: type(event).__name__)
def test_market_data_of_any_kind_is_data(event: MarketEvent) -> None:
    told = Told(Rule("stale", 10))
    told.add(ticker(0))
    told.add(event)
    told.until(18)
    assert told.alerts == []


@pytest.mark.parametrize("event", NO_DATA, ids=lambda event: type(event).__name__)
def test_what_is_made_of_data_is_none(event: MarketEvent) -> None:
    told = Told(Rule("stale", 10), Rule("volume_spike", 100), Rule("connection_down", for_=1000))
    told.add(ticker(0))
    told.add(event)
    told.until(18)
    assert told.alerts == [("firing", 10, "A")]


def test_each_instrument_and_venue_is_stale_by_itself() -> None:
    told = Told(Rule("stale", 10))
    told.add(ticker(0, "A"))
    told.add(ticker(1, "B"))
    told.add(Ticker("alor", "A", 1, at(5), last=1.0))
    told.add(ticker(8, "A"))
    told.until(16)
    assert told.alerts == [("firing", 11, "B"), ("firing", 15, "A")]


def test_what_fires_about_a_stale_instrument_goes_on_firing_and_stale_says_so() -> None:
    told = Told(Rule("stale", 10), Rule("wide_spread", 1))
    told.add(Quote("moex", "A", 1, at(0), 90.0, 1.0, 110.0, 1.0, None))
    told.until(1000)
    assert told.alerts == [("firing", 0, "A"), ("firing", 10, "A")]
    assert told.texts[1] == "no data for 10.0 s; so nothing ends what fires about it: wide_spread"


# connection_down


@pytest.mark.parametrize("state", ["online", "delayed"])
def test_a_connection_that_is_not_up_for_so_long_fires_until_it_is(state: FeedState) -> None:
    told = Told(Rule("connection_down", for_=10, cooldown=0))
    told.add(status(0, "online"))
    told.add(status(3, "waiting", reason="connect_failed: refused"))
    told.add(status(8, "connecting", reason="connect_failed: refused"))
    told.add(status(12.5, "waiting", reason="connect_failed: refused"))
    told.until(14)
    assert told.alerts == [("firing", 13, "moex/0")]
    assert (told.values, told.texts) == ([10.0], ["waiting: connect_failed: refused"])
    told.add(status(20, state))
    assert told.alerts[1:] == [("resolved", 20, "moex/0")]
    assert (told.values[1], told.texts[1]) == (17.0, f"{state} after 17.0 s")


def test_a_connection_that_comes_back_in_time_does_not_fire() -> None:
    told = Told(Rule("connection_down", for_=10))
    for seconds in range(0, 100, 10):
        told.add(status(seconds, "waiting"))
        told.add(status(seconds + 5, "online"))
    assert told.alerts == []


def test_refused_credentials_fire_at_once_without_for() -> None:
    told = Told(Rule("connection_down"))
    told.add(status(0, "refused", reason="login refused"))
    assert told.alerts == [("firing", 0, "moex/0")]


def test_a_connection_that_falls_silent_is_down_15_s_after_its_last_word() -> None:
    told = Told(Rule("connection_down", for_=5))
    for seconds in (0, 5, 10):
        told.add(status(seconds, "online"))
    told.until(29.9)
    assert told.alerts == []
    told.until(200)
    assert told.alerts == [("firing", 30, "moex/0")]
    assert told.texts == ["silent for 20 s, then online"]
    told.add(status(201, "online"))
    assert told.alerts[1:] == [("resolved", 201, "moex/0")]


def test_a_publisher_that_is_known_to_be_silent_takes_its_own_connections_down_at_once() -> None:
    told = Told(Rule("connection_down", for_=5, cooldown=0))
    told.add(status(0, "online", symbol="moex/0"), "moex/0")
    told.add(status(1, "online", symbol="moex/1"), "moex/1")
    told.add(status(2, "stopped", symbol="moex/2"), "moex/0")
    told.lose(4, "silent", "moex/0")
    told.lose(4, "restart", "moex/1")
    told.until(14)
    assert told.alerts == [("firing", 9, "moex/0")], "what has stopped on purpose has 15 s to begin anew"
    assert (told.values, told.texts) == ([5.0], ["its publisher moex/0 says nothing any more, and said online"])
    told.add(status(14, "online", symbol="moex/0"), "moex/0")
    assert told.alerts[1:] == [("resolved", 14, "moex/0")]
    assert told.texts[1] == "online after 10.0 s"


def test_a_publisher_that_dies_takes_all_its_connections_down() -> None:
    told = Told(Rule("connection_down"))
    told.add(status(0, "online", symbol="moex/0", up=2))
    told.add(status(4, "online", symbol="moex/1", up=2))
    told.until(100)
    assert told.alerts == [("firing", 15, "moex/0"), ("firing", 19, "moex/1")]


def test_a_connection_that_its_feed_has_given_up_is_forgotten() -> None:
    told = Told(Rule("connection_down"))
    told.add(status(0, "online", symbol="moex/0", up=2))
    told.add(status(1, "stopped", symbol="moex/1", up=1, wanted=1))
    for seconds in (5, 10, 15, 20, 25):
        told.add(status(seconds, "online", symbol="moex/0", up=1, wanted=1))
    told.until(30)
    assert told.alerts == []


def test_a_connection_that_stopped_while_its_feed_wants_it_is_down_after_15_s() -> None:
    told = Told(Rule("connection_down"))
    told.add(status(1, "stopped", symbol="moex/1", up=1))
    for seconds in (5, 10, 15, 20):
        told.add(status(seconds, "online", symbol="moex/0", up=1))
    assert told.alerts == [("firing", 16, "moex/1")]
    for seconds in range(25, 60, 5):
        told.add(status(seconds, "online", symbol="moex/0", up=1, wanted=1))
    assert told.alerts[1:] == [("resolved", 31, "moex/1")]
    assert told.texts[1] == "the feed has all its connections without it"


def test_a_connection_is_judged_once_it_has_spoken() -> None:
    told = Told(Rule("connection_down"))
    told.until(1000)
    assert told.alerts == []
    assert told.engine.next_due() is None

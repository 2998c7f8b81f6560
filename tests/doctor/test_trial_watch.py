"""What is noted of a trial, from the effects of its account and its session."""

from __future__ import annotations

from feedbus.doctor.trial_watch import MAX_TEXTS, TrialWatch
from feedbus.errors import BadData, ConnectFailed, TimedOut
from feedbus.schema.events import Bar, Status, Ticker, Trade
from feedbus.venues import account_class
from feedbus.venues.protocol import Confirmed, Notice, Refused, Skipped, Subscription

BOOK, ALL_TRADES = Subscription("orderbooks", "TQBR.SBER"), Subscription("candles.M1", "TQBR.SBER")
SECOND = 1_000_000_000


def watch(channels: tuple[str, ...] = ("orderbooks", "securities", "candles.M1")) -> TrialWatch:
    made = TrialWatch("TQBR.SBER")
    made.knows(account_class("moex")({}, channels))
    return made


def trade(ts_event: int, ts_recv: int, symbol: str = "TQBR.SBER") -> Trade:
    return Trade("moex", symbol, ts_event, ts_recv, 1.0, 1.0, "buy", 1)


def ticker(ts_event: int, ts_recv: int, status: str | None = None) -> Ticker:
    return Ticker("moex", "TQBR.SBER", ts_event, ts_recv, status=status)


async def test_answers_and_the_first_data_of_each_channel() -> None:
    made = watch()
    assert made.wanted[0] == BOOK
    made.heard([Confirmed(BOOK), Refused(ALL_TRADES, "unknown ticker")])
    assert made.answers[ALL_TRADES].refusal == "unknown ticker"
    assert made.silent() == ["orderbooks", "securities"]
    made.heard([trade(0, 1), ticker(5, 6, "N")])  # trades come of no channel of this venue
    assert made.silent() == ["orderbooks"]
    assert made.first["securities"].event.ts_event == 5
    assert made.answers.keys() == {BOOK, ALL_TRADES, Subscription("securities", "TQBR.SBER")}
    assert made.status == "N"


async def test_bars_are_told_apart_by_their_period() -> None:
    made = watch(("candles.M1", "candles.H1"))
    made.heard([bar(3600)])
    assert made.silent() == ["candles.M1"]


def bar(period_s: int) -> Bar:
    traded = (None, None, None, None, None, None)
    return Bar("moex", "TQBR.SBER", 1, 2, "venue", period_s, 0, 1.0, 1.0, 1.0, 1.0, *traded, False, 0, True)


async def test_delays_are_those_of_what_came_after_the_first_pictures() -> None:
    made = watch(("securities",))
    old = 1_700_000_000 * SECOND
    made.heard([ticker(old - 7200 * SECOND, old), ticker(old - 300 * SECOND, old)])  # one read: pictures of any age
    assert (made.delays, made.youngest) == ([], 300.0)
    made.heard([ticker(old + 1 * SECOND, old + 3 * SECOND), ticker(0, old + 4 * SECOND)])
    made.heard([ticker(old + 4 * SECOND, old + 9 * SECOND), ticker(old - 7200 * SECOND, old + 10 * SECOND)])
    assert made.delays == [2.0, 5.0]
    assert made.events == 6


async def test_other_symbols_and_what_comes_after_the_end_change_nothing() -> None:
    made = watch()
    made.heard([trade(1, 2, "TQBR.GAZP"), Status("moex", "TQBR.SBER", 1, 2, "live", "", 0, 0)])
    assert made.events == 0
    made.failed(ConnectFailed("first"))
    made.failed(TimedOut("second"))
    assert made.failure is not None
    assert str(made.failure.error) == "first"
    assert not await made.until("ready", within=5.0)


async def test_texts_are_kept_up_to_a_number() -> None:
    made = watch()
    made.heard([Notice("look"), Skipped(BadData("frame", "odd"))] * MAX_TEXTS)
    assert made.texts[:2] == ["look", "could not be used: frame: odd"]
    assert len(made.texts) == MAX_TEXTS

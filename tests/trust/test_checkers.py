"""Which checkers a feed has, by what its account says, and what they find together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import pytest

from feedbus import venues
from feedbus.schema.events import BookDelta, BookSnapshot, Instrument, Quote, Ticker, Trade
from feedbus.trust.best_prices import LASTS
from feedbus.trust.checkers import (
    BookChecker,
    Checkers,
    StatusChecker,
    TickerChecker,
    checkers_for,
)
from feedbus.trust.crossed_books import CROSSED_FOR
from feedbus.trust.evidence import Evidence
from feedbus.trust.in_order import BarsByTime, ByNumber, ByTime
from feedbus.trust.trade_ids import AggregateTrades, TradesByOne, TradesThatGrow

CREDENTIALS = {"alor": {"refresh_token": "x"}}
S = 1_000_000_000


class SomeAccount:
    """A venue that says this of its channels."""

    def __init__(
        self,
        kinds: Mapping[str, Sequence[str]],
        evidence: Mapping[str, Evidence],
        statuses: Sequence[str] = (),
    ) -> None:
        self.kinds = kinds
        self.evidence = evidence
        self.continuous_statuses = statuses

    @staticmethod
    def trading_day(time: int) -> int:
        return time // (86_400 * S)


def of_venue(name: str, channels: Sequence[str] = ()) -> Checkers:
    account = venues.account_class(name)(CREDENTIALS.get(name, {}), channels, None)
    return checkers_for(account, account.channels)


@pytest.mark.parametrize(
    ("venue", "channels", "expected"),
    [
        ("moex", ["orderbooks", "securities", "candles.M1"], {"book": BookChecker, "ticker": TickerChecker}),
        ("moex", ["candles.M1"], {}),
        ("alor", ["alltrades", "orderbook", "quotes"], {
            "trade": TradesThatGrow, "book": BookChecker, "quote": ByTime, "ticker": TickerChecker,
        }),
        ("alor", ["instruments", "bars_60"], {"instrument": StatusChecker}),
        ("binance", ["trade", "bookTicker", "miniTicker", "kline_1m"], {
            "trade": TradesByOne, "quote": ByNumber, "ticker": TickerChecker, "bar": BarsByTime,
        }),
        ("binance", ["aggTrade", "depth"], {"trade": AggregateTrades}),
        ("binance", ["depth5", "avgPrice"], {"book": BookChecker}),
    ],
)  # fmt: skip
def test_each_venue_has_those_that_its_data_can_show(
    venue: str, channels: list[str], expected: dict[str, type]
) -> None:
    checkers = of_venue(venue, channels)
    words = ("trade", "quote", "book", "ticker", "bar", "instrument", "indicator", "status", "nonsense")
    assert {word: type(made) for word in words if (made := checkers("A", word)) is not None} == expected


def test_a_checker_is_made_once() -> None:
    checkers = of_venue("binance")
    assert checkers("A", "trade") is checkers("A", "trade")
    assert checkers("A", "trade") is not checkers("B", "trade")


def test_of_a_venue_that_says_nothing_nothing_is_checked() -> None:
    checkers = checkers_for(SomeAccount({"all": ("trade", "book", "ticker", "quote", "bar")}, {}), ["all", "other"])
    assert [checkers("A", word) for word in ("trade", "book", "ticker", "quote", "bar")] == [None] * 5


def book(at: float, bid: float, ask: float, number: int | None = None) -> BookSnapshot:
    time = int(at * S)
    return BookSnapshot("moex", "A", time, time, [(bid, 1.0)], [(ask, 1.0)], number)


def ticker(
    at: float, bid: float | None = None, ask: float | None = None, *, trades: int = 1, status: str = "T"
) -> Ticker:
    return Ticker("moex", "A", int(at * S), int(at * S), bid=bid, ask=ask, trades=trades, status=status)


def test_on_moex_the_two_words_of_one_instrument_are_compared_and_both_are_wrong() -> None:
    checkers = of_venue("moex")
    books, tickers = checkers("A", "book"), checkers("A", "ticker")
    assert books is not None
    assert tickers is not None
    found = []
    for step in range(12):
        at = step * 0.5
        found += [books.check(book(at, 10.0, 11.0, step), at), tickers.check(ticker(at, 9.0, 11.0), at)]
    [finding] = [each for each in found if each is not None]
    assert (finding.state, finding.reason, finding.words, finding.refuse) == (
        "gapped",
        "audit",
        ("book", "ticker"),
        False,
    )
    assert checkers.counts.disagreements == 1
    books.reset()
    assert [tickers.check(ticker(10 + at, 9.0, 11.0), 10.0 + at) for at in range(20)] == [None] * 20


def test_instruments_are_compared_with_themselves_alone() -> None:
    checkers = of_venue("moex")
    for step in range(40):
        at = step * 0.5
        for symbol, bid in (("A", 9.0), ("B", 8.0)):
            for word, event in (("book", book(at, bid, 11.0, step)), ("ticker", ticker(at, bid, 11.0))):
                checker = checkers(symbol, word)
                assert checker is not None
                assert checker.check(event, at) is None


def test_the_sums_of_a_ticker_are_looked_at_before_its_prices() -> None:
    checker = of_venue("moex")("A", "ticker")
    assert checker is not None
    assert checker.check(ticker(1.0, trades=100), 1.0) is None
    finding = checker.check(ticker(2.0, trades=90), 2.0)
    assert finding is not None
    assert finding.reason == "counters"
    checker.reset()
    assert checker.check(ticker(3.0, trades=91), 3.0) is None


def test_a_book_that_stays_crossed_is_found_by_the_next_one_or_by_time_alone() -> None:
    checkers = of_venue("moex")
    books, tickers = checkers("A", "book"), checkers("A", "ticker")
    assert books is not None
    assert tickers is not None
    tickers.check(ticker(0.0), 0.0)
    assert books.check(book(1.0, 11.0, 11.0, 1), 1.0) is None
    assert list(checkers.due(0.9 + CROSSED_FOR)) == []
    [(symbol, word, finding)] = checkers.due(1.0 + CROSSED_FOR)
    assert (symbol, word, finding.state, finding.reason) == ("A", "book", "gapped", "crossed")
    assert list(checkers.due(99.0)) == []
    books.reset()
    again = books.check(book(99.0, 12.0, 11.0, 2), 99.0)
    assert again is not None
    assert again.reason == "crossed"
    assert books.check(book(100.0, 10.0, 11.0, 3), 100.0) is None
    assert books.check(book(101.0, 11.0, 11.0, 4), 101.0) is None
    assert checkers.counts.crossed == 2


def test_a_book_that_was_crossed_for_a_moment_has_its_time_again() -> None:
    checkers = of_venue("binance", ["depth5"])
    checker = checkers("A", "book")
    assert checker is not None
    for at, bid in ((1.0, 11.0), (3.0, 10.0), (5.9, 11.0)):
        assert checker.check(book(at, bid, 11.0, int(at)), at) is None
    assert list(checkers.due(1.0 + CROSSED_FOR)) == []
    assert len(list(checkers.due(5.9 + CROSSED_FOR))) == 1


@pytest.mark.parametrize("word", ["book", "ticker"])
def test_what_is_subscribed_anew_disagrees_from_then_on_only(word: str) -> None:
    checkers = of_venue("moex")
    books, tickers, anew = checkers("A", "book"), checkers("A", "ticker"), checkers("A", word)
    assert books is not None
    assert tickers is not None
    assert anew is not None
    for step in range(10):
        at = step * 0.5
        assert books.check(book(at, 10.0, 11.0, step), at) is None
        assert tickers.check(ticker(at, 9.0, 11.0), at) is None
    anew.reset()
    for at in (5.0, 5.5, 6.0):
        assert books.check(book(at, 10.0, 11.0, 20), at) is None
        assert tickers.check(ticker(at, 9.0, 11.0), at) is None


def test_what_is_forgotten_is_not_due_and_begins_anew() -> None:
    checkers = of_venue("binance", ["aggTrade", "depth5"])
    books = checkers("A", "book")
    assert books is not None
    books.check(book(1.0, 11.0, 11.0, 5), 1.0)
    trades = checkers("A", "trade")
    assert isinstance(trades, AggregateTrades)
    checkers.forget("A")
    checkers.forget("B")
    assert list(checkers.due(1e9)) == []
    assert checkers("A", "trade") is not trades
    again = checkers("A", "trade")
    assert isinstance(again, AggregateTrades)
    assert again._spans is not trades._spans
    assert checkers("A", "book") is not books


def test_the_phase_is_that_of_a_ticker_or_of_what_is_said_of_the_instrument() -> None:
    checkers = of_venue("alor", ["orderbook", "instruments"])
    books, instruments = checkers("A", "book"), checkers("A", "instrument")
    assert books is not None
    assert instruments is not None
    instruments.check(Instrument("alor", "A", 0, 7, None, None, None, None, None, None, None, "118"), 0.0)
    instruments.reset()
    books.check(book(1.0, 11.0, 11.0), 1.0)
    assert list(checkers.due(1e5)) == []
    instruments.check(Instrument("alor", "A", 0, 7, None, None, None, None, None, None, None, "17"), 1e5)
    assert list(checkers.due(1e5)) == []
    assert len(list(checkers.due(1e5 + CROSSED_FOR))) == 1


def test_a_replay_says_nothing_else() -> None:
    checker = of_venue("moex")("A", "book")
    assert checker is not None
    checker.check(book(5.0, 10.0, 11.0, 5), 5.0)
    finding = checker.check(book(4.0, 12.0, 11.0, 4), 5.0)
    assert finding is not None
    assert (finding.refuse, finding.state) == (True, "")
    checker.reset()
    assert checker.check(book(4.0, 10.0, 11.0, 4), 5.0) is None


def test_changes_of_a_book_are_passed_over() -> None:
    checkers = checkers_for(SomeAccount({"x": ("book",)}, {"x": Evidence(full_pictures=True)}), ["x"])
    checker = checkers("A", "book")
    assert checker is not None
    assert checker.check(BookDelta("v", "A", 0, 7, [(12.0, 1.0)], [(11.0, 1.0)], 1, 2), 0.0) is None
    assert list(checkers.due(1e9)) == []
    checker.reset()


def test_the_best_prices_are_compared_only_where_both_are_subscribed() -> None:
    for channels in (["orderbooks"], ["securities"]):
        checkers = of_venue("moex", channels)
        for step in range(40):
            at = step * 0.5
            if (books := checkers("A", "book")) is not None:
                assert books.check(book(at, 10.0, 11.0, step), at) is None
            if (tickers := checkers("A", "ticker")) is not None:
                assert tickers.check(ticker(at, 9.0, 11.0), at) is None
        assert not any(checkers.counts.totals().values())


def test_aggregate_trades_are_told_by_what_the_readers_of_their_account_put_aside() -> None:
    account = venues.account_class("binance")({}, ["aggTrade"], None)
    checkers = checkers_for(account, account.channels)
    checker = checkers("BTCUSDT", "trade")
    assert checker is not None
    session = account.session(["BTCUSDT"])
    list(session.opened(0.0))
    findings = []
    for number, first, last in ((1, 10, 12), (2, 13, 13), (4, 18, 19)):
        data = {
            "e": "aggTrade",
            "s": "BTCUSDT",
            "a": number,
            "p": "1",
            "q": "1",
            "f": first,
            "l": last,
            "T": 5,
            "m": True,
        }
        frame = msgspec.json.encode({"stream": "btcusdt@aggTrade", "data": data})
        trades = [each for each in session.frame(frame, 7, 0.0) if isinstance(each, Trade)]
        findings += [checker.check(each, 0.0) for each in trades]
    assert [each and each.lost for each in findings] == [None, None, 4]


def test_quotes_are_checked_by_their_numbers() -> None:
    checker = of_venue("binance")("A", "quote")
    assert checker is not None
    quotes = [Quote("binance", "A", 0, 7, 1.0, 1.0, 2.0, 1.0, number) for number in (5, 7, 6, 8)]
    assert [(found := checker.check(each, 0.0)) is not None and found.refuse for each in quotes] == [
        False, False, True, False,
    ]  # fmt: skip


def test_a_disagreement_needs_more_than_a_moment() -> None:
    checkers = of_venue("moex")
    books, tickers = checkers("A", "book"), checkers("A", "ticker")
    assert books is not None
    assert tickers is not None
    for step in range(int(LASTS * 2)):
        at = step * 0.5
        assert books.check(book(at, 10.0, 11.0, step), at) is None
        assert tickers.check(ticker(at, 9.0, 11.0), at) is None

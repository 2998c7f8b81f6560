"""The model of the live table: values by kind of event, order, rate, delay, bounds."""

import math
from typing import get_args

import msgspec
import pytest

from feedbus.schema.events import (
    Alert,
    Bar,
    BookDelta,
    BookSnapshot,
    Event,
    FeedStatus,
    Gap,
    Instrument,
    Level,
    Quote,
    Status,
    Ticker,
    Trade,
    TrustState,
)
from feedbus.table import market_table
from feedbus.table.alert_table import AlertView
from feedbus.table.bar_table import NO_BAR, BarsSeen, BarView
from feedbus.table.connection_table import SECOND
from feedbus.table.market_table import MarketTable, Order, RowView, Snapshot, Sort, spread

NOW = 1_000_000 * SECOND
NO_LEVELS: list[Level] = []


def book(bid: float | None, ask: float | None, at: int = NOW, symbol: str = "SBER", lag: int = 0) -> BookSnapshot:
    bids = NO_LEVELS if bid is None else [(bid, 5.0), (bid - 1, 7.0)]
    asks = NO_LEVELS if ask is None else [(ask, 5.0), (ask + 1, 7.0)]
    return BookSnapshot("moex", symbol, at - lag, at, bids, asks, None)


def quote(bid: float | None, ask: float | None, at: int = NOW) -> Quote:
    return Quote("moex", "SBER", 0, at, bid, 1.0, ask, 1.0, None)


def trade(price: float, at: int = NOW, symbol: str = "SBER", venue: str = "moex") -> Trade:
    return Trade(venue, symbol, 0, at, price, 1.0, None, None)


def ticker(
    bid: float | None = None,
    ask: float | None = None,
    last: float | None = None,
    volume: float | None = None,
    status: str | None = None,
    at: int = NOW,
) -> Ticker:
    return Ticker("moex", "SBER", 0, at, bid=bid, ask=ask, last=last, volume=volume, status=status)


def delta(at: int = NOW) -> BookDelta:
    return BookDelta("moex", "SBER", 0, at, [(1.0, 2.0)], NO_LEVELS, None, None)


def feed(state: str, delay_s: float | None, at: int = NOW) -> FeedStatus:
    return FeedStatus("moex", "moex/0", 0, at, state, "", 1, 1, {"live": 1}, 0.0, delay_s, 1)  # type: ignore[arg-type]


def bar(symbol: str = "SBER", at: int = NOW) -> Bar:
    prices = (10.0, 12.0, 9.0, 11.0)
    return Bar("moex", symbol, at, at, "trades", 60, 0, *prices, 8.0, 88.0, 3, 6.0, 2.0, 10.5, False, 0, True)


def alert(state: str = "firing", symbol: str = "SBER") -> Alert:
    return Alert("moex", symbol, 0, NOW, "spread", "critical", state, None, "text")  # type: ignore[arg-type]


def table(*events: Event) -> MarketTable:
    made = MarketTable(NOW - 10 * SECOND)
    for event in events:
        made.add(event)
    return made


def look(made: MarketTable, now: int = NOW, rows: int = 10) -> Snapshot:
    made.tick(now)
    return made.snapshot(now, rows)


def row(*events: Event) -> RowView:
    (only,) = look(table(*events)).rows
    return only


@pytest.mark.parametrize(
    ("events", "bid_ask_last"),
    [
        ([book(10.0, 11.0)], (10.0, 11.0, None)),
        ([book(10.0, 11.0), book(None, 11.5)], (None, 11.5, None)),
        ([book(None, None)], (None, None, None)),
        ([quote(10.0, 11.0), quote(None, 11.0)], (None, 11.0, None)),
        ([trade(10.5)], (None, None, 10.5)),
        ([ticker(10.0, 11.0, 10.5)], (10.0, 11.0, 10.5)),
        ([ticker(10.0, 11.0, 10.5), ticker()], (None, None, None)),
        # the newest by receipt wins, whatever it came in
        ([book(10.0, 11.0), ticker(9.0, 12.0, at=NOW + 1)], (9.0, 12.0, None)),
        ([book(10.0, 11.0, NOW + 1), ticker(9.0, 12.0)], (10.0, 11.0, None)),
        ([book(10.0, 11.0, NOW + 1), book(9.0, 12.0)], (10.0, 11.0, None)),
        ([ticker(9.0, 12.0, at=NOW + 1), quote(10.0, 11.0)], (9.0, 12.0, None)),
        ([trade(10.5, NOW + 1), trade(10.4)], (None, None, 10.5)),
        ([trade(10.5), ticker(last=10.6, at=NOW + 1)], (None, None, 10.6)),
        ([trade(10.5, NOW + 1), ticker(last=10.6)], (None, None, 10.5)),
        ([ticker(last=10.6, at=NOW + 1), trade(10.5)], (None, None, 10.6)),
        # a ticker without prices takes nothing back from books and trades
        ([book(10.0, 11.0), trade(10.5), ticker(at=NOW + 1)], (10.0, 11.0, 10.5)),
        ([book(10.0, 11.0), ticker(9.0, None, at=NOW + 1)], (9.0, 11.0, None)),
        # tests/table/test_book_prices.py has more about books that come in deltas
        ([book(10.0, 11.0), delta(NOW + 1)], (10.0, 11.0, None)),
        ([book(10.0, 11.0), delta(NOW + 2), ticker(9.0, 12.0, at=NOW + 1)], (10.0, 11.0, None)),
        ([quote(10.0, 11.0), delta(NOW + 1)], (10.0, 11.0, None)),
        ([ticker(10.0, 11.0), delta(NOW + 1)], (10.0, 11.0, None)),
        ([book(10.0, 11.0), delta(NOW + 1), quote(10.5, 11.0, NOW + 2)], (10.5, 11.0, None)),
    ],
)
def test_prices_are_the_newest_known(events: list[Event], bid_ask_last: tuple[float | None, ...]) -> None:
    shown = row(*events)
    assert (shown.bid, shown.ask, shown.last) == bid_ask_last


def test_a_trade_that_comes_late_is_no_last_price_but_counts() -> None:
    first, late, newest = (Trade("moex", "SBER", ts, NOW, ts + 0.5, 1.0, None, None) for ts in (5, 4, 6))
    shown = row(first, late)
    assert (shown.last, shown.updates) == (5.5, 2)
    assert row(first, late, newest).last == 6.5


def test_volume_and_status_are_the_tickers() -> None:
    assert (row(ticker(volume=5.0, status="T")).volume, row(ticker(status="T")).status) == (5.0, "T")
    cleared = row(ticker(volume=5.0, status="T"), ticker())
    assert (cleared.volume, cleared.status) == (None, None)


def test_every_kind_of_market_data_is_an_update_and_other_kinds_are_not() -> None:
    made = table(book(1.0, 2.0), delta(), quote(1.0, 2.0), trade(1.0), ticker(), feed("online", None))
    for derived in (alert(), bar(at=NOW + SECOND), bar("GAZP")):
        made.add(derived)
    snapshot = look(made, NOW + 3 * SECOND)
    (only,) = snapshot.rows
    assert (snapshot.updates, round(snapshot.rate * 13, 9), only.updates) == (5, 5, 5)
    assert (only.age_ns, only.updated_at, snapshot.with_data) == (3 * SECOND, NOW, 1)


def test_a_row_has_the_newest_bar_of_its_instrument() -> None:
    snapshot = look(table(trade(1.0), trade(1.0, symbol="GAZP"), bar()))
    assert {shown.symbol: shown.bar for shown in snapshot.rows} == {
        "SBER": BarView(11.0 / 10.0 - 1, 10.5, 8.0, 0.75),
        "GAZP": NO_BAR,
    }
    assert snapshot.bars == BarsSeen(60, change=True, vwap=True, volume=True, buys=True)


def test_a_snapshot_stays_as_it_is() -> None:
    first = msgspec.structs.replace(bar(), vwap=None)
    made = table(first)
    before = look(made)
    made.add(bar())
    assert before.bars == BarsSeen(60, change=True, volume=True, buys=True)
    assert look(made).bars == BarsSeen(60, change=True, vwap=True, volume=True, buys=True)


def test_without_bars_and_alerts_there_is_nothing_of_them() -> None:
    snapshot = look(table(trade(1.0)))
    assert (snapshot.bars, snapshot.alerts, snapshot.rows[0].bar) == (None, None, NO_BAR)


def test_alerts_fire_until_they_are_resolved_or_their_publisher_starts_anew() -> None:
    made = MarketTable(NOW)
    for symbol in ("SBER", "GAZP"):
        made.add(alert(symbol=symbol), "alerting")
    made.add(alert("resolved", "GAZP"), "alerting")
    assert look(made).alerts == [AlertView("spread", "critical", "moex", "SBER")]
    for gap in (
        Gap("", "moex", 1, None, None, "restart"),
        Gap("", "alerting", 1, None, None, "heartbeat"),
        Gap("alert.moex.SBER", "alerting", 1, 1, 2, "lost"),
    ):
        made.add(gap, gap.publisher)
        assert look(made).alerts
    made.add(Gap("", "alerting", 1, None, None, "restart"), "alerting")
    assert (look(made).alerts, made.gaps) == ([], 4)


def test_gaps_are_counted() -> None:
    assert look(table(Gap("t", "moex", 1, 1, 9, "lost"), Gap("", "moex", 1, None, None, "restart"))).gaps == 2


def test_age_is_the_time_since_the_newest_receipt_and_never_negative() -> None:
    made = table(trade(1.0, NOW - 3), trade(1.0, NOW - 7))
    assert look(made).rows[0].age_ns == 3
    assert look(made, NOW - 9).rows[0].age_ns == 0


def test_with_price_counts_instruments_that_have_any_price() -> None:
    made = table(book(None, None, symbol="A"), book(1.0, None, symbol="B"), trade(1.0, symbol="C"))
    snapshot = look(made, rows=0)
    assert (snapshot.with_data, snapshot.with_price, snapshot.rows) == (3, 2, [])


def test_the_most_active_come_first_and_equals_by_symbol() -> None:
    made = table(trade(1.0, symbol="B"), trade(1.0, symbol="C"), trade(1.0, symbol="C"), trade(1.0, symbol="A"))
    assert [shown.symbol for shown in look(made).rows] == ["C", "A", "B"]
    assert [shown.symbol for shown in look(made, rows=2).rows] == ["C", "A"]


def symbols(made: MarketTable, order: Order, rows: int = 10) -> str:
    made.tick(NOW)
    return " ".join(shown.symbol for shown in made.snapshot(NOW, rows, order).rows)


def varied() -> MarketTable:
    """Instruments A to E; E has no number but its updates and age."""
    made = table()
    for symbol, bid, ask, last, volume, at in (
        ("B", 10.0, 11.0, 5.0, 7.0, 3),
        ("A", 10.0, 10.1, 50.0, math.nan, 4),
        ("D", 10.0, 14.0, -5.0, 0.0, 1),
        ("C", 10.0, None, math.nan, 9.0, 2),
        ("E", None, None, None, None, 5),
    ):
        made.add(Ticker("moex", symbol, 0, NOW - at, bid=bid, ask=ask, last=last, volume=volume))
    made.add(ticker_again("D"))
    return made


def ticker_again(symbol: str) -> Event:
    return BookDelta("moex", symbol, 0, 0, [], [], None, None)


@pytest.mark.parametrize(
    ("sort", "forwards", "backwards"),
    [
        ("updates", "D A B C E", "A B C E D"),
        ("instrument", "A B C D E", "E D C B A"),
        ("last", "A B D C E", "D B A C E"),
        ("spread", "D B A C E", "A B D C E"),
        ("volume", "C B D A E", "D B C A E"),
        ("age", "E A B C D", "D C B A E"),
    ],
)
def test_rows_are_sorted_and_those_without_a_value_come_last(sort: Sort, forwards: str, backwards: str) -> None:
    made = varied()
    assert symbols(made, Order(sort)) == forwards
    assert symbols(made, Order(sort, backwards=True)) == backwards
    for count in range(6):
        assert symbols(made, Order(sort), count) == forwards[: max(0, 2 * count - 1)]


def test_every_sort_gives_every_row_once() -> None:
    for sort in get_args(Sort):
        for backwards in (False, True):
            assert sorted(symbols(varied(), Order(sort, backwards)).split()) == list("ABCDE")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "TQBR.GAZP TQBR.SBER TQBR.SBERP TQBR.SBER"),
        ("SBER", "TQBR.SBER TQBR.SBERP TQBR.SBER"),
        ("sberp", "TQBR.SBERP"),
        ("ALOR", "TQBR.SBER"),
        ("w", ""),
        ("R.G", "TQBR.GAZP"),
        ("SBER moex", ""),
        ("rmoe", ""),
    ],
)
def test_a_text_lets_rows_through_whose_symbol_or_venue_contains_it(text: str, found: str) -> None:
    made = table(*(trade(1.0, symbol=f"TQBR.{secid}") for secid in ("SBER", "SBERP", "GAZP")))
    made.add(trade(1.0, symbol="TQBR.SBER", venue="alor"))
    order = Order("instrument", text=text)
    found_symbols = symbols(made, order).split()
    assert sorted(found_symbols) == sorted(found.split())
    snapshot = made.snapshot(NOW, 1, order)
    assert (snapshot.matching, snapshot.with_data) == (len(found.split()), 4)


@pytest.mark.parametrize(
    ("bid", "ask", "relative"),
    [
        (99.0, 101.0, 0.02),
        (101.0, 99.0, -0.02),
        (None, 1.0, None),
        (1.0, None, None),
        (-1.0, 1.0, None),
        (-3.0, -1.0, None),
        (math.nan, 1.0, None),
        (1.0, math.inf, None),
    ],
)
def test_the_spread_is_relative_to_a_middle_above_zero(
    bid: float | None, ask: float | None, relative: float | None
) -> None:
    assert spread(bid, ask) == relative


def test_the_same_symbol_of_two_venues_is_two_instruments() -> None:
    snapshot = look(table(trade(1.0, venue="moex"), trade(2.0, venue="alor")))
    assert [(shown.venue, shown.last) for shown in snapshot.rows] == [("alor", 2.0), ("moex", 1.0)]
    assert snapshot.venues == 2


def test_the_rate_is_taken_over_the_last_5_seconds() -> None:
    made = MarketTable(NOW)
    rates = []
    for second in range(1, 11):
        for _ in range(100 if second <= 3 else 0):
            made.add(trade(1.0))
        rates.append(look(made, NOW + second * SECOND).rate)
    assert rates == [100, 100, 100, 75, 60, 40, 20, 0, 0, 0]


@pytest.mark.parametrize("hours", [-3, -1, 1])
def test_a_wall_clock_that_is_set_changes_nothing_but_the_time_of_day(hours: int) -> None:
    """The table's own clock shows 100 s when it begins, and the wall clock is set between the two events of a kind."""
    made, wall = MarketTable(100 * SECOND), NOW + hours * 3600 * SECOND
    for at, stamp, price in ((101, NOW, 1.0), (102, wall, 2.0)):
        events = [quote(price, price + 1, stamp), trade(price, stamp), feed("online", None, stamp), bar(at=stamp)]
        for event in events:
            made.add(event, "moex", at * SECOND)
    seen = look(made, 105 * SECOND)
    (row,) = seen.rows
    assert (row.bid, row.ask, row.last, row.age_ns, row.updated_at) == (2.0, 3.0, 2.0, 3 * SECOND, wall)
    assert row.bar.volume is not None
    assert [connection.silent_s for connection in seen.feed.connections] == [None]
    assert [connection.silent_s for connection in look(made, 118 * SECOND).feed.connections] == [16]
    assert (seen.uptime_s, seen.rate) == (5, 0.8)


def test_uptime_counts_from_the_start() -> None:
    made = MarketTable(NOW)
    assert (look(made, NOW + 90 * SECOND).uptime_s, look(made, NOW - SECOND).uptime_s) == (90, 0)


MINUTE = 60 * SECOND


@pytest.mark.parametrize(
    ("events", "delays"),
    [
        ([book(1.0, 2.0, lag=MINUTE)], {}),
        ([book(1.0, 2.0, lag=MINUTE + 1)], {"moex": 60.000000001}),
        # one event in time says that the feed is not delayed, only some of what it sends is old
        ([book(1.0, 2.0, lag=15 * MINUTE), book(1.0, 2.0, lag=SECOND)], {}),
        ([book(1.0, 2.0, lag=15 * MINUTE), book(1.0, 2.0, lag=16 * MINUTE)], {"moex": 900.0}),
        ([trade(1.0)], {}),
        ([feed("online", None), book(1.0, 2.0, lag=8 * 60 * MINUTE)], {}),
        ([feed("delayed", 901.0)], {"moex": 901.0}),
        ([feed("delayed", 901.0), book(1.0, 2.0, lag=14 * MINUTE)], {"moex": 901.0}),
        ([feed("delayed", None), book(1.0, 2.0, lag=14 * MINUTE)], {"moex": 840.0}),
        ([feed("online", 1.0)], {}),
        # it knows that its clock was set forward, and that the data is on time
        ([feed("online", 1.0), book(1.0, 2.0, lag=14 * MINUTE)], {}),
        ([feed("online", 1.0), feed("online", None), book(1.0, 2.0, lag=14 * MINUTE)], {}),
        ([feed("online", None), book(1.0, 2.0, lag=14 * MINUTE)], {"moex": 840.0}),
        ([feed("online", 1.0, NOW - 20 * SECOND), book(1.0, 2.0, lag=14 * MINUTE)], {"moex": 840.0}),
        ([feed("waiting", None), book(1.0, 2.0, lag=14 * MINUTE)], {"moex": 840.0}),
    ],
)
def test_delayed_is_when_a_connection_says_so_or_all_events_lag(events: list[Event], delays: dict[str, float]) -> None:
    assert look(table(*events)).delays == delays


def test_a_lag_is_remembered_for_10_seconds_without_events() -> None:
    made = table(book(1.0, 2.0, lag=15 * MINUTE))
    assert [bool(look(made, NOW + second * SECOND).delays) for second in (0, 10, 11)] == [True, True, False]


def test_a_lag_ends_with_the_first_interval_in_time() -> None:
    made = table(book(1.0, 2.0, lag=15 * MINUTE))
    assert look(made).delays
    made.add(book(1.0, 2.0, lag=0))
    assert not look(made, NOW + SECOND).delays


def test_bars_and_alerts_beyond_their_limits_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedbus.table.bar_table.MAX_BARS", 1)
    monkeypatch.setattr("feedbus.table.alert_table.MAX_ALERTS", 1)
    assert look(table(bar("A"), bar("B"), bar("C"), alert(symbol="A"), alert(symbol="B"))).not_shown == 3


def test_instruments_beyond_the_limit_are_counted_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market_table, "MAX_INSTRUMENTS", 2)
    snapshot = look(table(*(trade(1.0, symbol=symbol) for symbol in "ABCCA")))
    assert (snapshot.updates, snapshot.with_data, snapshot.not_shown) == (5, 2, 2)


def test_decimals_of_an_instrument_only_grow() -> None:
    made = table(book(306.1, 306.15))
    assert look(made).rows[0].decimals == 2
    made.add(book(306.0, 307.0))
    assert look(made).rows[0].decimals == 2


def test_the_decimals_are_the_instrument_s_as_soon_as_it_has_said_them() -> None:
    made = table(trade(306.125))
    assert look(made).rows[0].decimals == 3
    for said, shown in ((2, 2), (5, 5), (0, 0), (None, 3), (99, 8)):
        paper = Instrument("moex", "SBER", 0, NOW, None, 10.0, 0.01, said, "SUR", "TQBR", "1", "T")
        made.add(paper)
        assert look(made).rows[0].decimals == shown
        assert made.totals(1)[0].decimals == shown
    assert (look(made).updates, look(made).with_data) == (1, 1), "an instrument is no update"


def test_a_row_is_as_its_worst_word_and_what_was_missed_counts() -> None:
    table = MarketTable(NOW)

    def trusted() -> tuple[str, str, int, int]:
        shown = table.snapshot(NOW, 10)
        (row,) = shown.rows
        return row.trusted.state, row.trusted.reason, shown.live, shown.unusable

    def said(state: TrustState, word: str) -> None:
        table.add(Status("moex", "SBER", 0, NOW, state, "" if state == "live" else "hole", 1, 1, word), "moex", NOW)

    table.add(trade(1.0), "moex", NOW)
    assert trusted() == ("resyncing", "unheard", 0, 0)
    said("live", "trade")
    assert trusted() == ("live", "", 1, 0)
    said("gapped", "book")
    assert trusted() == ("gapped", "hole", 0, 1)
    said("quiet", "book")
    assert trusted() == ("quiet", "hole", 0, 0)
    said("live", "book")
    table.add(Gap("trade.moex.SBER", "moex", 1, 2, 2, "lost"), "moex", NOW)
    assert trusted() == ("resyncing", "lost", 0, 1)
    table.add(trade(1.0), "moex", NOW)
    assert trusted() == ("live", "", 1, 0)
    table.add(Gap("", "moex", 1, None, None, "silent"), "moex", NOW)
    table.add(trade(1.0), "moex", NOW)
    assert trusted() == ("resyncing", "publisher_silent", 0, 1)
    for word in ("trade", "book"):
        said("live", word)
    assert trusted() == ("live", "", 1, 0)


def test_publishers_that_say_nothing_are_told_of_until_they_speak() -> None:
    table = MarketTable(NOW)
    table.tick(NOW, {"moex": 3.0, "aggregator": 4.0})
    assert table.snapshot(NOW, 10).silent == {"moex": 3.0, "aggregator": 4.0}
    table.tick(NOW)
    assert table.snapshot(NOW, 10).silent == {}

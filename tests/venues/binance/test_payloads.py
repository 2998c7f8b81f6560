"""Payloads of Binance spot, and the events that they become.

What the fields of a usual payload mean is compared with plain json in tests/properties/test_binance_frames.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from feedbus.schema.events import Bar, BookSnapshot, Indicator, MarketData, Quote, Ticker, Trade
from feedbus.venues.binance.payloads import Revisions, nanoseconds, reader
from feedbus.venues.fields import DECODE_ERRORS
from feedbus.venues.protocol import Subscription

TRADE = {"e": "trade", "E": 1723161255343, "s": "BTCUSDT", "t": 3735683259, "p": "61837.63000000", "q": "0.02000000",
         "T": 1723161255342, "m": True, "M": True}  # fmt: skip
QUOTE = {"u": 50093239212, "s": "BTCUSDT", "b": "61837.63000000", "B": "3.78826000", "a": "61837.64000000",
         "A": "1.54698000"}  # fmt: skip
BOOK: dict[str, Any] = {"lastUpdateId": 160, "bids": [["0.0024", "10"]], "asks": [["0.0026", "100"]]}
KLINE = {"t": 1633998480000, "T": 1633998539999, "s": "NKNUSDT", "i": "1m", "f": 19862761, "L": 19862790,
         "o": "0.35270000", "c": "0.35280000", "h": "0.35290000", "l": "0.35220000", "v": "25877.00000000", "n": 30,
         "x": False, "q": "9116.04600000", "V": "58.10000000", "Q": "20.46240000", "B": "0"}  # fmt: skip
MINI = {"e": "24hrMiniTicker", "E": 1672515782136, "s": "BNBBTC", "c": "0.0025", "o": "0.0010", "h": "0.0026",
        "l": "0.0009", "v": "10000", "q": "18"}  # fmt: skip
TICKER = {**MINI, "e": "24hrTicker", "p": "0.0015", "P": "250.00", "w": "0.0018", "x": "0.0008", "Q": "10",
          "b": "0.0024", "B": "10", "a": "0.0027", "A": "100", "O": 0, "C": 86400000, "F": 0, "L": 18150,
          "n": 18151}  # fmt: skip

HOUR = {"e": "1hTicker", "E": 1786540437000, "s": "BNBBTC", "p": "0.0015", "P": "250.00", "o": "0.0010", "h": "0.0026",
        "l": "0.0009", "c": "0.0025", "w": "0.0018", "v": "10000", "q": "18", "O": 1786536780000, "C": 1786540437000,
        "F": 0, "L": 18150, "n": 18151}  # fmt: skip
AVERAGE = {"e": "avgPrice", "E": 1786540437000, "s": "BTCUSDT", "i": "5m", "w": "63876.86000000", "T": 1786540436213}


def read(channel: str, payload: Any, symbol: str = "BTCUSDT") -> MarketData:
    return reader(Subscription(channel, symbol), {})(json.dumps(payload).encode(), 7)


def kline(**changed: Any) -> Any:
    return {"e": "kline", "E": 1633998523963, "s": "NKNUSDT", "k": {**KLINE, **changed}}


def test_an_aggregate_has_an_id_of_its_own() -> None:
    expected = Trade("binance", "BTCUSDT", 1723161255342_000_000, 7, 61837.63, 0.02, "sell", 15683430)
    assert read("aggTrade", {**TRADE, "e": "aggTrade", "a": 15683430, "f": 1, "l": 2}) == expected


@pytest.mark.parametrize("speed", ["", "@100ms"])
@pytest.mark.parametrize("shown", [5, 10, 20])
def test_a_side_with_fewer_levels_than_were_asked_for_is_whole(shown: int, speed: str) -> None:
    prices = [[str(at + 1), "1"] for at in range(20)]
    for bids, asks in ((shown, 0), (shown - 1, shown), (shown, shown - 1), (0, 20)):
        found = read(f"depth{shown}{speed}", {**BOOK, "bids": prices[:bids], "asks": prices[:asks]})
        assert isinstance(found, BookSnapshot)
        assert (len(found.bids), len(found.asks)) == (bids, asks)
        assert (found.bids_whole, found.asks_whole) == (bids < shown, asks < shown)


def test_a_price_of_nothing_is_none() -> None:
    empty = read("bookTicker", {**QUOTE, "b": "0.00000000", "B": "0.00000000"})
    assert empty == Quote("binance", "BTCUSDT", 0, 7, None, None, 61837.64, 1.54698, 50093239212)
    empty = read("bookTicker", {**QUOTE, "a": "0", "A": "5"})
    assert empty == Quote("binance", "BTCUSDT", 0, 7, 61837.63, 3.78826, None, None, 50093239212)
    quiet = read("ticker", {**TICKER, **dict.fromkeys("cohlxba", "0.00000000"), "v": "0.0", "q": "0", "n": 0}, "BNBBTC")
    time = 1672515782136_000_000
    assert quiet == Ticker("binance", "BNBBTC", time, 7, volume=0.0, turnover=0.0, trades=0, window_s=86_400)


def test_a_bar_without_trades_has_no_average() -> None:
    bar = read("kline_1m", kline(v="0.00000000", q="0.00000000", V="0.00000000", n=0), "NKNUSDT")
    assert isinstance(bar, Bar)
    assert (bar.volume, bar.vwap, bar.buy_volume, bar.sell_volume, bar.trades) == (0.0, None, 0.0, 0.0, 0)


def test_absurd_totals_of_a_bar_are_no_infinity_and_nothing_negative() -> None:
    bar = read("kline_1m", kline(v="1e-300", q="1e99", V="5"), "NKNUSDT")
    assert isinstance(bar, Bar)
    assert (bar.vwap, bar.sell_volume) == (None, 0.0)


def test_revisions_count_the_versions_of_a_bar_also_of_a_corrected_one() -> None:
    kept: dict[Subscription, Revisions] = {}
    subscription = Subscription("kline_1m", "NKNUSDT")
    take = reader(subscription, kept)

    def revision(minute: int, final: bool) -> tuple[int, bool]:
        bar = take(json.dumps(kline(t=60000 * minute, x=final)).encode(), 7)
        assert isinstance(bar, Bar)
        return bar.revision, bar.final

    told = [revision(1, False), revision(1, False), revision(1, True), revision(2, False), revision(1, True)]
    assert told == [(0, False), (1, False), (2, True), (0, False), (3, True)]
    take = reader(subscription, kept)
    assert (revision(2, False), revision(3, False), revision(4, False)) == ((1, False), (0, False), (0, False))
    assert revision(2, True) == (0, True), "more than two bars are not remembered"
    told = [revision(5, False), revision(6, False), revision(5, False), revision(7, False), revision(5, False)]
    assert [number for number, _ in told] == [0, 0, 1, 0, 2], "what came last is"


def test_an_old_version_that_comes_again_is_not_the_one_that_a_bar_ends_with() -> None:
    kept: dict[Subscription, Revisions] = {}
    subscription = Subscription("kline_1m", "NKNUSDT")
    take = reader(subscription, kept)
    for time, close in ((2, "5"), (3, "6"), (2, "5")):
        take(json.dumps({**kline(c=close), "E": time}).encode(), 7)
    take(json.dumps({**kline(t=1633998540000), "E": 4}).encode(), 7)
    cut_off = kept[subscription].take_cut_off()
    assert cut_off is not None
    assert (cut_off.close, cut_off.final, cut_off.complete) == (6.0, True, False)


def test_a_bar_that_can_not_be_read_counts_for_nothing() -> None:
    take = reader(Subscription("kline_1m", "NKNUSDT"), {})
    with pytest.raises(DECODE_ERRORS):
        take(json.dumps(kline(v="-1")).encode(), 7)
    bar = take(json.dumps(kline()).encode(), 7)
    assert isinstance(bar, Bar)
    assert bar.revision == 0


def test_a_mini_ticker_is_the_last_24_hours() -> None:
    mini = Ticker(
        "binance", "BNBBTC", 1672515782136_000_000, 7, last=0.0025, open=0.001, high=0.0026, low=0.0009, volume=10000.0,
        turnover=18.0, window_s=86_400,
    )  # fmt: skip
    assert read("miniTicker", MINI, "BNBBTC") == mini


@pytest.mark.parametrize(("name", "window"), [("1h", 3600), ("4h", 14_400), ("1d", 86_400)])
def test_a_rolling_ticker_has_its_own_window(name: str, window: int) -> None:
    expected = Ticker(
        "binance", "BNBBTC", 1786540437000_000_000, 7, last=0.0025, open=0.001, high=0.0026, low=0.0009,
        volume=10000.0, turnover=18.0, trades=18151, window_s=window,
    )  # fmt: skip
    assert read(f"ticker_{name}", {**HOUR, "e": f"{name}Ticker"}, "BNBBTC") == expected


@pytest.mark.parametrize(("interval", "period"), [("5m", 300), ("1m", 60), ("30s", 30), ("2h", 7200), ("1d", 86_400)])
def test_an_average_price_is_of_the_time_before_it(interval: str, period: int) -> None:
    time = 1786540437000_000_000
    expected = Indicator("binance", "BTCUSDT", time, 7, "avgPrice", period, 1, time - period * 1_000_000_000, 63876.86)
    assert read("avgPrice", {**AVERAGE, "i": interval}) == expected
    none = read("avgPrice", {**AVERAGE, "E": 7, "w": "0.00000000"})
    assert none == Indicator("binance", "BTCUSDT", 7_000_000, 7, "avgPrice", 300, 1, 0, None)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (0, 0),
        (1723161255342, 1723161255342_000_000),
        (1723161255342123, 1723161255342123_000),
        (9_223_372_036_853, 9_223_372_036_853_000_000),
        (9_223_372_036_854, 9_223_372_036_854_000),
    ],
)
def test_the_size_of_a_time_tells_its_unit(time: int, expected: int) -> None:
    assert nanoseconds(time) == expected
    trade = read("trade", {**TRADE, "T": time})
    assert isinstance(trade, Trade)
    assert trade.ts_event == expected


@pytest.mark.parametrize(
    "number", ["0.1", "1e-8", "1E5", "61837.63000000", "123456789012345678901234567890", "0.3", "7"]
)
@pytest.mark.parametrize("quoted", [True, False])
def test_a_number_is_what_json_takes_for_one_in_quotes_or_without(number: str, quoted: bool) -> None:
    text = json.dumps(TRADE).replace('"61837.63000000"', f'"{number}"' if quoted else number)
    trade = reader(Subscription("trade", "BTCUSDT"), {})(text.encode(), 7)
    assert isinstance(trade, Trade)
    assert trade.price == float(number)


NOT_NUMBERS = [
    "nan", "NaN", "-nan", "inf", "Infinity", "-inf", "1_0", "0x10", "+1", "-1", " 1", "1 ", "1.", ".5", "01", "",
    "true", "null", "1e999", "1e100", "9" * 400, "\u0661", "1,5", "1\0",
]  # fmt: skip


@pytest.mark.parametrize("value", [*NOT_NUMBERS, None, True, -1, [], {}])
@pytest.mark.parametrize("key", ["p", "q"])
def test_what_is_no_number_or_not_a_sane_one_is_refused(key: str, value: Any) -> None:
    with pytest.raises(DECODE_ERRORS):
        read("trade", {**TRADE, key: value})


NOT_OBJECTS: list[Any] = [None, [], 7, "x"]


def without(payload: Any, key: str) -> Any:
    return {name: value for name, value in payload.items() if name != key}


@pytest.mark.parametrize(
    ("channel", "payload"),
    [
        ("trade", {**TRADE, "p": "0.00000000"}),
        *(("trade", without(TRADE, key)) for key in "tpqTm"),
        *(("trade", {**TRADE, "t": number}) for number in (-1, 2**63, "x", 1.5, None)),
        *(("trade", {**TRADE, "T": time}) for time in (-1, 2**63 // 1000 + 1, None)),
        ("aggTrade", TRADE),
        *(("bookTicker", without(QUOTE, key)) for key in "ubBaA"),
        ("bookTicker", {**QUOTE, "B": "-1"}),
        ("bookTicker", TRADE),
        *(("depth5", without(BOOK, key)) for key in BOOK),
        *(
            ("depth5", {**BOOK, "bids": [level]})
            for level in ([], ["1"], ["1", "2", "3"], ["0", "1"], ["1", "-1"], "1")
        ),
        ("depth5", {**BOOK, "bids": [["1", "1"]] * 21}),
        *(("kline_1m", kline(**{key: "x"})) for key in "tocohlvnqVx"),
        *(("miniTicker", without(MINI, key)) for key in "Ecohlvq"),
        ("ticker", MINI),
        *(("ticker_1h", without(HOUR, key)) for key in "Ecohlvqn"),
        *(("avgPrice", without(AVERAGE, key)) for key in "Eiw"),
        *(("avgPrice", {**AVERAGE, "i": interval}) for interval in ("5", "m", "0m", "-5m", "1M", "5m\n", "1000m", 5)),
        *(("avgPrice", {**AVERAGE, "w": average}) for average in ("-1", "nan", None)),
        ("avgPrice", {**AVERAGE, "s": "ETHUSDT"}),
        *((channel, value) for channel in ("trade", "depth5", "kline_1m", "ticker") for value in NOT_OBJECTS),
    ],
)
def test_a_payload_of_another_shape_is_refused(channel: str, payload: Any) -> None:
    with pytest.raises(DECODE_ERRORS):
        read(channel, payload)

"""Streams: which names there are, what each sends and when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedbus.sim.binance import streams, wire
from feedbus.sim.binance.candles import INTERVALS
from feedbus.sim.binance.catalogue import pairs
from feedbus.sim.binance.market import BinanceMarket
from feedbus.sim.binance.streams import BinanceStream, stream_named
from feedbus.venues.binance.channels import CHANNELS
from feedbus.venues.binance.payloads import reader
from feedbus.venues.protocol import Subscription

HOUR_NS = 3_600_000_000_000
START_NS = 1_723_161_255_208_000_000
PAIRS = [pair for pair in pairs() if pair.symbol in ("BTCUSDT", "ETHUSDT", "XRPBTC", "币安人生USDT")]


def market(seed: int = 1, step_ns: int = 100_000_000) -> BinanceMarket:
    made = BinanceMarket(seed, START_NS, step_ns, PAIRS)
    made.open(0)
    return made


def had(it: BinanceMarket, name: str, unit: int = wire.MILLISECOND) -> BinanceStream:
    found = stream_named(name, it, unit)
    assert found is not None, name
    return found


def run(it: BinanceMarket, steps: int, *channels: BinanceStream) -> Iterator[list[list[Any]]]:
    """Step by step: what each channel brought."""
    for _ in range(steps):
        it.advance()
        brought = []
        for each in channels:
            before = each.count
            each.write(each)
            brought.append([json.loads(payload) for payload in each.since(before)])
        yield brought


def all_of(it: BinanceMarket, steps: int, name: str) -> list[Any]:
    return [payload for (brought,) in run(it, steps, had(it, name)) for payload in brought]


NAMES = ["trade", "aggTrade", "bookTicker", "miniTicker", "ticker", "depth", "depth@100ms"]
NAMES += [f"depth{levels}{speed}" for levels in (5, 10, 20) for speed in ("", "@100ms")]
NAMES += [f"kline_{interval}{zone}" for interval in INTERVALS for zone in ("", "@+08:00")]
NAMES += ["ticker_1h", "ticker_4h", "ticker_1d", "avgPrice"]


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("symbol", ["btcusdt", "币安人生usdt"])
def test_every_stream_talks(symbol: str, kind: str) -> None:
    it = market()
    payloads = all_of(it, 100, f"{symbol}@{kind}")
    assert payloads
    if "depth" not in kind or kind.startswith("depth@") or kind == "depth":
        assert {payload["s"] for payload in payloads} == {symbol.upper()}


@pytest.mark.parametrize(
    "name",
    [
        "", "@", "btcusdt", "btcusdt@", "@trade", "BTCUSDT@trade", "btcusdt@Trade", "nopeusdt@trade", "btcusdt@trades",
        "btcusdt@depth7", "btcusdt@depth5@50ms", "btcusdt@depth@1000ms", "btcusdt@trade@100ms", "btcusdt@kline",
        "btcusdt@kline_", "btcusdt@kline_7m", "btcusdt@kline_1d@+09:00", "btcusdt@kline_1d@08:00", "btcusdt@ticker_2h",
        "!ticker_2h@arr", "btcusdt@trade@+08:00", "btcusdt@kline_1m@100ms", "btcusdt@trade5", "!arr",
        "!ticker@arr", "btcusdt@trade\n",
    ],
)  # fmt: skip
def test_there_are_no_others(name: str) -> None:
    assert stream_named(name, market(), wire.MILLISECOND) is None


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), step_ns=st.sampled_from([10_000_000, 70_000_000, 100_000_000, 1_000_000_000]))
def test_depth_updates_lead_from_the_snapshot_to_every_later_book(seed: int, step_ns: int) -> None:
    it = market(seed, step_ns)
    instrument = it.instruments["BTCUSDT"]
    for _ in run(it, 7):
        pass
    snapshot = json.loads(wire.depth(instrument, 1000))
    book = {side: dict(snapshot[key]) for side, key in (("b", "bids"), ("a", "asks"))}
    update = snapshot["lastUpdateId"]
    for ((*events,),) in run(it, 120, had(it, "btcusdt@depth@100ms")):
        for event in events:
            assert event["U"] == update + 1
            update = event["u"]
            assert 0 < len(event["b"]) + len(event["a"]) <= event["u"] - event["U"] + 1
            for side in "ba":
                book[side].update(event[side])
        if events:
            now = json.loads(wire.depth(instrument, 1000))
            assert update == now["lastUpdateId"]
            for side, key in (("b", "bids"), ("a", "asks")):
                left = {price: size for price, size in book[side].items() if size != "0.00000000"}
                assert left == dict(now[key])


def test_a_book_ticker_is_the_top_of_the_partial_book_of_its_update() -> None:
    it = market()
    checked = 0
    for tops, books in run(it, 300, had(it, "btcusdt@bookTicker"), had(it, "btcusdt@depth5@100ms")):
        for top, book in zip(tops[-1:], books, strict=False):
            if top["u"] == book["lastUpdateId"]:
                assert [[top["b"], top["B"]], [top["a"], top["A"]]] == [book["bids"][0], book["asks"][0]]
                checked += 1
    assert checked > 30


def test_klines_are_the_trades_of_their_period() -> None:
    it = market()
    trades: list[Any] = []
    closed: list[Any] = []
    for new, klines in run(it, 400, had(it, "btcusdt@trade"), had(it, "btcusdt@kline_1s")):
        trades += new
        closed += [kline["k"] for kline in klines if kline["k"]["x"]]
    assert len(closed) == 40
    for before, after in pairwise(closed):
        assert after["t"] == before["T"] + 1
    for k in closed:
        inside = [trade for trade in trades if k["t"] <= trade["T"] <= k["T"]]
        assert k["n"] == len(inside)
        assert [k["f"], k["L"]] == ([inside[0]["t"], inside[-1]["t"]] if inside else [-1, -1])


@pytest.mark.parametrize(
    ("kind", "period"), [("depth20@100ms", 1), ("depth20", 10), ("depth", 10), ("ticker", 10), ("kline_1m", 20)]
)
def test_what_is_sent_at_intervals_comes_at_their_multiples(kind: str, period: int) -> None:
    it = market()
    steps = [it.step for ((*payloads,),) in run(it, 200, had(it, f"btcusdt@{kind}")) if payloads]
    assert len(steps) >= 200 // period - 1
    first = {1: 1, 10: 8, 20: 8}[period]  # the market begins at 55.208 s
    assert all((step - first) % period == 0 for step in steps)


def test_a_quiet_pairs_ticker_is_sent_after_a_trade_only() -> None:
    it = market()
    traded = False
    for trades, tickers in run(it, 600, had(it, "xrpbtc@trade"), had(it, "xrpbtc@ticker")):
        traded |= bool(trades)
        assert traded or not tickers
        if tickers:
            traded = False


@pytest.mark.parametrize("name", ["!miniTicker@arr", "!ticker_1h@arr", "!ticker_4h@arr", "!ticker_1d@arr"])
def test_all_tickers_are_those_that_traded(name: str) -> None:
    it = market()
    payloads = all_of(it, 100, name)
    assert len(payloads) == 10
    assert {each["s"] for payload in payloads for each in payload} == {pair.symbol for pair in PAIRS}
    assert any(len(payload) < len(PAIRS) for payload in payloads)


def test_rolling_tickers_and_the_average_are_sums_of_the_trades() -> None:
    it = market(step_ns=1_000_000_000)
    trades: list[Any] = []
    begin = 0
    for new, hours, averages in run(
        it, 600, had(it, "btcusdt@trade"), had(it, "btcusdt@ticker_1h"), had(it, "btcusdt@avgPrice")
    ):
        trades += new
        for hour in hours:
            assert (hour["n"], hour["F"], hour["L"]) == (len(trades), trades[0]["t"], trades[-1]["t"])
            assert [hour["o"], hour["c"]] == [trades[0]["p"], trades[-1]["p"]]
            assert hour["O"] % 60_000 == 0
            assert 3_600_000 <= hour["C"] - hour["O"] < 3_660_000
        for average in averages:
            assert average["T"] == trades[-1]["T"]
            begin = (average["E"] - 300_000) // 60_000 * 60_000
            of_it = [trade for trade in trades if trade["T"] >= begin]
            volume = sum(float(trade["q"]) for trade in of_it)
            mean = sum(float(trade["p"]) * float(trade["q"]) for trade in of_it) / volume
            assert abs(float(average["w"]) - mean) < 1e-6
    assert begin > trades[0]["T"]


def test_the_days_of_the_east_begin_eight_hours_earlier() -> None:
    it = market()
    ((day,), (eastern,)) = next(
        brought
        for brought in run(it, 20, had(it, "btcusdt@kline_1d"), had(it, "btcusdt@kline_1d@+08:00"))
        if all(brought)
    )
    assert (day["k"]["i"], eastern["k"]["i"]) == ("1d", "1d")
    assert (day["k"]["t"] // 3_600_000 % 24, eastern["k"]["t"] // 3_600_000 % 24) == (0, 16)


def test_a_channel_in_microseconds_is_another_one() -> None:
    it = market()
    (milli,) = all_of(it, 10, "btcusdt@ticker")
    micro = [each for ((*new,),) in run(it, 10, had(it, "btcusdt@ticker", wire.MICROSECOND)) for each in new]
    assert (len(str(milli["E"])), len(str(micro[0]["E"]))) == (13, 16)


@pytest.mark.parametrize("unit", [wire.MILLISECOND, wire.MICROSECOND])
def test_the_venues_package_reads_all_of_its_channels(unit: int) -> None:
    it = market()
    names = [channel for channel in CHANNELS if channel not in ("depth", "depth@100ms")]  # those change a book
    found = [had(it, f"btcusdt@{channel}", unit) for channel in names]
    readers = [reader(Subscription(channel, "BTCUSDT"), {}) for channel in names]
    read: dict[str, Any] = {}
    for _ in range(30):
        it.advance()
        for name, stream, understood in zip(names, found, readers, strict=True):
            before = stream.count
            stream.write(stream)
            for payload in stream.since(before):
                read[name] = event = understood(payload.encode(), it.now_ns)
                assert event.ts_event == 0 or 0 <= it.now_ns - event.ts_event < 1_000_000_000
    assert set(read) == set(names)
    assert [read[f"kline_1d{zone}"].start // HOUR_NS % 24 for zone in ("", "@+08:00")] == [0, 16]
    assert (read["avgPrice"].ts_event - read["avgPrice"].start) // HOUR_NS == 0
    assert [read[f"ticker_{window}"].window_s for window in ("1h", "4h", "1d")] == [3600, 14_400, 86_400]


def test_late_readers_get_what_is_kept() -> None:
    it = BinanceStream(lambda _: None)
    for number in range(streams.STATES + 5):
        it.put(str(number))
    assert it.since(it.count) == ()
    assert it.since(it.count - 1) == (str(it.count - 1),)
    assert list(it.since(it.count - 3)) == [str(it.count - left) for left in (3, 2, 1)]
    assert len(it.since(0)) == streams.STATES

"""Payloads against the venue's: examples of its documentation, lines as others captured them, and real traffic."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.sim.binance import wire
from feedbus.sim.binance.candles import BinanceCandle, BinanceTrade
from feedbus.sim.binance.catalogue import SCALE, pairs
from feedbus.sim.binance.market import BinanceFill, BinanceInstrument, Top
from tests.places import CAPTURES

CAPTURE = CAPTURES / "binance" / "spot_btcusdt_20240808.gz"
NOW = 1_723_161_255_343_999_999
MS, US = wire.MILLISECOND, wire.MICROSECOND
TRADE = BinanceTrade(3_735_683_259, 1_723_161_255_342_123_456, 6_183_763_000_000, 2_000_000, maker=True)

AGGREGATE = (
    '{"e":"aggTrade","E":1633998523963,"s":"NKNUSDT","a":15683430,"p":"0.35280000","q":"58.00000000","f":19862790,'
    '"l":19862790,"T":1633998523963,"m":false,"M":true}'
)
KLINE = (
    '{"e":"kline","E":1633998523963,"s":"NKNUSDT","k":{"t":1633998480000,"T":1633998539999,"s":"NKNUSDT","i":"1m",'
    '"f":19862761,"L":19862790,"o":"0.35270000","c":"0.35280000","h":"0.35280000","l":"0.35220000",'
    '"v":"25877.00000000","n":30,"x":false,"q":"9116.04600000","V":"58.00000000","Q":"20.46240000","B":"0"}}'
)


def instrument() -> BinanceInstrument:
    return BinanceInstrument(pairs()[0], 1, NOW, 9)


def shape(text: str) -> str:
    """Keys, their order, and how numbers are written; levels are one."""
    text = re.sub(r"-?\d+\.\d{8}", "8", text)
    text = re.sub(r"(?<=[:,])-?\d+(?=[,}])", "0", text)
    text = re.sub(r'(?:\["8","8"\],?)+', "LEVELS", text)
    return re.sub(r"true|false", "BOOL", text)


@pytest.mark.parametrize(
    ("scaled", "text"),
    [(0, "0.00000000"), (1, "0.00000001"), (SCALE, "1.00000000"), (6_183_763_000_000, "61837.63000000")],
)
def test_numbers_have_eight_decimals(scaled: int, text: str) -> None:
    assert wire.number(scaled) == text


@given(scaled=st.integers(0, 10**20))
def test_no_digit_of_a_number_is_lost(scaled: int) -> None:
    whole, fraction = wire.number(scaled).split(".")
    assert len(fraction) == 8
    assert int(whole + fraction) == scaled


def test_a_trade_is_written_as_it_was_captured() -> None:
    assert wire.trade("BTCUSDT", TRADE, NOW, MS) == (
        '{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000",'
        '"T":1723161255342,"m":true,"M":true}'
    )


def test_microseconds_are_sixteen_digits() -> None:
    assert '"E":1723161255343999,' in wire.trade("BTCUSDT", TRADE, NOW, US)
    assert '"T":1723161255342123,' in wire.trade("BTCUSDT", TRADE, NOW, US)


def test_an_aggregate_trade_is_written_as_it_was_captured() -> None:
    time_ns = 1_633_998_523_963 * MS
    fill = BinanceFill(15_683_430, (BinanceTrade(19_862_790, time_ns, 35_280_000, 58 * SCALE, maker=False),))
    assert wire.aggregate("NKNUSDT", fill, time_ns, MS) == AGGREGATE


def test_an_aggregate_trade_adds_up_its_trades() -> None:
    parts = tuple(BinanceTrade(number, NOW, 10 * SCALE, number * SCALE, maker=True) for number in (5, 6, 7))
    text = wire.aggregate("X", BinanceFill(1, parts), NOW, MS)
    assert '"p":"10.00000000","q":"18.00000000","f":5,"l":7,' in text
    assert '"m":true,' in text


def test_a_book_ticker_is_written_as_it_was_captured() -> None:
    top = Top(50_093_239_212, 6_183_763_000_000, 378_826_000, 6_183_764_000_000, 154_698_000)
    assert wire.book_ticker("BTCUSDT", top) == (
        '{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}'
    )


def candle() -> BinanceCandle:
    start = 1_633_998_480_000 * MS
    made = BinanceCandle(start, start + 60_000 * MS, 35_270_000)
    made.first, made.last, made.trades = 19_862_761, 19_862_790, 30
    made.close, made.high, made.low = 35_280_000, 35_280_000, 35_220_000
    made.volume, made.turnover = 25_877 * SCALE, 911_604_600_000 * SCALE
    made.bought, made.bought_turnover = 58 * SCALE, 2_046_240_000 * SCALE
    return made


def test_a_kline_is_written_as_it_was_captured() -> None:
    assert wire.kline("NKNUSDT", "1m", candle(), 1_633_998_523_963 * MS, MS) == KLINE


def test_a_kline_is_closed_when_its_end_has_come_and_ends_one_unit_before() -> None:
    end = candle().end
    assert '"x":false' in wire.kline("X", "1m", candle(), end - 1, MS)
    assert '"x":true' in wire.kline("X", "1m", candle(), end, MS)
    assert '"t":1633998480000000,"T":1633998539999999,' in wire.kline("X", "1m", candle(), end, US)


def test_a_turnover_is_cut_off_at_eight_decimals() -> None:
    made = candle()
    made.turnover = 3 * SCALE + SCALE - 1
    assert '"q":"0.00000003"' in wire.kline("X", "1m", made, NOW, MS)


def test_a_partial_book_has_neither_symbol_nor_time() -> None:
    it = instrument()
    bids = ",".join(
        f'["{wire.number(price)}","{wire.number(size)}"]'
        for price, size in zip(it.bids.prices[:5], it.bids.sizes[:5], strict=True)
    )
    text = wire.depth(it, 5)
    assert text.startswith(f'{{"lastUpdateId":{it.update},"bids":[{bids}],"asks":[[')
    assert text.count('["') == 10


def test_a_depth_update_tells_the_levels_as_they_are_now_best_first() -> None:
    it = instrument()
    best, gone = it.bids.prices[0], it.bids.prices[0] + 5 * it.pair.tick
    text = wire.depth_update(it, 7, [(True, best), (False, it.asks.prices[1]), (True, gone)], 42)
    rows = f'[["{wire.number(gone)}","0.00000000"],["{wire.number(best)}","{wire.number(it.bids.sizes[0])}"]]'
    assert text.startswith(f'{{"e":"depthUpdate","E":42,"s":"BTCUSDT","U":7,"u":{it.update},"b":{rows},"a":[[')


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (wire.mini_ticker(instrument(), NOW, MS), "eEscohlvq"),
        (wire.ticker(instrument(), NOW, MS), "eEspPwxcQbBaAohlvqOCFLn"),
        (wire.shutdown(NOW, MS), "eE"),
    ],
)
def test_keys_come_in_the_order_of_the_documentation(text: str, keys: str) -> None:
    assert "".join(re.findall(r'"(\w)":', text)) == keys


@pytest.mark.parametrize(
    ("opening", "change", "percent"),
    [(200, "-100.00000000", "-50.000"), (80, "20.00000000", "25.000"), (100, "0.00000000", "0.000")],
)
def test_a_ticker_tells_the_change_of_a_day(opening: int, change: str, percent: str) -> None:
    it = instrument()
    it.day.open, it.day.close = opening * SCALE, 100 * SCALE
    text = wire.ticker(it, NOW, MS)
    assert f'"p":"{change}","P":"{percent}",' in text
    assert f'"O":{NOW // MS - 86_400_000},"C":{NOW // MS},"F":{it.day.first},"L":{it.day.last},' in text
    assert text.endswith(f'"n":{it.day.last - it.day.first + 1}}}')


def captured() -> Iterator[str]:
    with gzip.open(CAPTURE, "rt") as lines:
        for line in lines:
            yield line.split(" ", 1)[1].strip()


@pytest.mark.skipif(not CAPTURE.exists(), reason="the captures aren't beside the checkout")
def test_real_lines_have_the_same_shapes() -> None:
    it = instrument()
    changed = [(bid, price) for bid, side in ((True, it.bids), (False, it.asks)) for price in side.prices[:3]]
    update = shape(wire.depth_update(it, 1, changed, 1))
    snapshot = shape(wire.depth(it, 20))
    ours = {
        "trade": {shape(wire.trade("BTCUSDT", TRADE, NOW, MS))},
        "bookTicker": {shape(wire.book_ticker("BTCUSDT", it.top()))},
        "depth@100ms": {update, update.replace('"b":[LEVELS]', '"b":[]'), update.replace('"a":[LEVELS]', '"a":[]')},
        "snapshot": {snapshot},
    }
    seen: dict[str, set[str]] = {}
    for line in captured():
        found = re.fullmatch(r'\{"stream":"btcusdt@([^"]+)","data":(.*)\}', line)
        name, payload = (found[1], found[2]) if found else ("snapshot", line)
        seen.setdefault(name, set()).add(shape(payload))
    assert seen.keys() == ours.keys()
    assert {name: shapes - ours[name] for name, shapes in seen.items() if shapes - ours[name]} == {}

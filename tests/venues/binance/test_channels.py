"""Channels and symbols: which can be subscribed, and how their streams are named."""

from __future__ import annotations

import pytest

from feedbus.errors import ConfigError
from feedbus.venues.binance.channels import CHANNELS, PERIODS, USUAL, chosen, stream_name, symbol_problem, url_problem
from feedbus.venues.protocol import Subscription


def test_the_channels_are_the_venue_s_names_of_streams() -> None:
    depths = "depth5 depth5@100ms depth10 depth10@100ms depth20 depth20@100ms"
    klines = "1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w"
    depths = f"depth depth@100ms {depths}"
    expected = ["trade", "aggTrade", "bookTicker", *depths.split(), *(f"kline_{length}" for length in klines.split())]
    eastern = [f"kline_{length}@+08:00" for length in ("6h", "12h", "1d", "3d", "1w")]
    assert list(CHANNELS) == [
        *expected, *eastern, "miniTicker", "ticker", "ticker_1h", "ticker_4h", "ticker_1d", "avgPrice",
    ]  # fmt: skip


@pytest.mark.parametrize(("unit", "seconds"), [("s", 1), ("m", 60), ("h", 3600), ("d", 86400), ("w", 604800)])
def test_a_period_is_what_its_name_says(unit: str, seconds: int) -> None:
    found = {channel: period for channel, period in PERIODS.items() if channel.endswith(unit)}
    assert found == {channel: int(channel[6:-1]) * seconds for channel in found} != {}


def test_bars_of_the_east_are_those_that_begin_at_other_times_and_as_long() -> None:
    eastern = {channel.removesuffix("@+08:00") for channel in PERIODS if channel.endswith("@+08:00")}
    assert eastern == {channel for channel, period in PERIODS.items() if 8 * 3600 % period and "@" not in channel}
    assert all(PERIODS[f"{channel}@+08:00"] == PERIODS[channel] for channel in eastern)


def test_without_channels_it_is_the_usual_ones_and_none_is_taken_twice() -> None:
    assert chosen([]) == USUAL == ("trade", "bookTicker", "miniTicker")
    assert chosen(["kline_1m", "trade", "kline_1m", "kline_1h"]) == ("kline_1m", "trade", "kline_1h")


@pytest.mark.parametrize(
    ("channels", "complaint"),
    [
        (["trade", "aggTrade"], "trade and aggTrade would publish the same trades twice: give one of them"),
        (["ticker", "trade", "miniTicker"], "ticker and miniTicker would publish the same ticker twice"),
        (["depth5", "depth10"], "depth5 and depth10 would publish the same book twice: give one of them"),
        (["depth5", "depth5@100ms"], "depth5 and depth5@100ms would publish the same book twice: give one of them"),
        (["ticker_1h", "ticker_4h"], "ticker_1h and ticker_4h would publish two windows as one ticker: give one"),
        (["miniTicker", "ticker_1d"], "miniTicker and ticker_1d would publish two windows as one ticker"),
        (["kline_1d@+08:00", "kline_1d"], "kline_1d@+08:00 and kline_1d would publish two kinds of bars as one: give"),
        (["kline_1h@+08:00"], "unknown channel 'kline_1h@+08:00'"),
        (["kline_1M"], "kline_1M: a month has no fixed number of seconds, which a bar has"),
        (["kline_2m"], "unknown channel 'kline_2m'; there are: trade, aggTrade,"),
        (["depth", "depth20"], "depth and depth20 would publish the same book twice: give one of them"),
        (["depth@100ms", "depth"], "depth@100ms and depth would publish the same book twice: give one of them"),
        (["Trade"], "unknown channel 'Trade'"),
        ([""], "unknown channel ''"),
    ],
)
def test_channels_that_can_not_be_had_together_or_at_all_are_refused(channels: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        chosen(channels)
    assert str(caught.value).startswith(f"channels: {complaint}")


@pytest.mark.parametrize("symbol", ["BTCUSDT", "1INCHUSDT", "1000SATSUSDT", "币安人生USDT", "ÉUSDT", "A" * 50])
def test_a_symbol_is_written_in_upper_case(symbol: str) -> None:
    assert symbol_problem(symbol) is None


@pytest.mark.parametrize(
    ("symbol", "complaint"),
    [
        ("btcusdt", "written in capitals: did you mean BTCUSDT?"),
        ("BTCusdt", "written in capitals: did you mean BTCUSDT?"),
        ("éUSDT", "written in capitals: did you mean ÉUSDT?"),
        *[
            (f"btc{sign}USDT", "written without a sign between the two: did you mean BTCUSDT?")
            for sign in ("-", "/", "_", ":", " ")
        ],
        ("TQBR.SBER", "not 1 to 50 letters and digits, like BTCUSDT"),
        ("", "not 1 to 50 letters"),
        ("A" * 51, "not 1 to 50 letters"),
        ("BTCUSDT@trade", "not 1 to 50 letters"),
        ("BTCUSDT\n", "not 1 to 50 letters"),
        ('BTC"USDT', "not 1 to 50 letters"),
        ("BTC\ud800", "not 1 to 50 letters"),
        ("BTC\0", "not 1 to 50 letters"),
        ("İUSDT", "can't be told from its lower case"),
    ],
)
def test_a_symbol_that_could_not_be_subscribed_is_refused(symbol: str, complaint: str) -> None:
    assert (symbol_problem(symbol) or "").startswith(complaint)


def test_names_of_streams_are_in_lower_case_but_for_the_channel() -> None:
    assert stream_name(Subscription("aggTrade", "BTCUSDT")) == "btcusdt@aggTrade"
    assert stream_name(Subscription("kline_1d@+08:00", "BTCUSDT")) == "btcusdt@kline_1d@+08:00"
    assert stream_name(Subscription("depth5@100ms", "币安人生USDT")) == "币安人生usdt@depth5@100ms"


@pytest.mark.parametrize(
    ("url", "channels", "reason"),
    [
        ("wss://h/ws", ["trade", "bookTicker"], "at the path /ws bookTicker comes without the name of its stream: use"),
        ("wss://h/ws/", ["depth5@100ms"], "at the path /ws depth5@100ms comes without"),
        ("wss://h/ws", ["kline_1d@+08:00"], "at the path /ws kline_1d@+08:00 comes without the name of its stream"),
        ("wss://h/ws", ["kline_1d", "avgPrice", "ticker_4h"], None),
        ("wss://h/ws/btcusdt@trade", ["bookTicker"], "at the path /ws bookTicker"),
        ("wss://stream.binance.com:9443", ["trade"], "the venue serves streams at the path /stream"),
        ("wss://fstream.binance.com/stream", ["trade"], "is the address of futures, and this venue is the spot market"),
        ("wss://h/ws", ["trade", "kline_1m"], None),
        ("wss://h/", ["bookTicker"], None),
        ("wss://stream.binance.com:9443/stream", ["bookTicker"], None),
        ("wss://data-stream.binance.vision/stream?timeUnit=microsecond", ["depth5"], None),
    ],
)
def test_an_address_at_which_the_channels_can_not_be_had_is_refused(
    url: str, channels: list[str], reason: str | None
) -> None:
    found = url_problem(url, channels)
    assert found is None if reason is None else (found or "").startswith(reason)

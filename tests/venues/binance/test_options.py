"""The options of books, as a configuration writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from feedbus import config
from feedbus.errors import ConfigError
from feedbus.venues.binance.options import USUAL_LEVELS, BinanceOptions

TEXT = """
bus: {publish: "inproc://x"}
feeds:
  b: {venue: binance, url: wss://stream.binance.com:9443/stream, channels: [%s], symbols: %s, options: {%s}}
"""


def options(text: str, *, channel: str = "depth", symbols: str = "[BTCUSDT, ETHUSDT]") -> BinanceOptions:
    environ = {"HOME": "/nowhere", "FIRST": "BTCUSDT", "OTHER": "hunter2"}
    read = config.parse(TEXT % (channel, symbols, text), name="x", directory=Path(), environ=environ).feeds[0].options
    return read if isinstance(read, BinanceOptions) else BinanceOptions()


def test_snapshots_have_as_many_levels_for_all_or_for_some() -> None:
    assert options("").levels_of("BTCUSDT") == USUAL_LEVELS
    assert options("snapshot_levels: 100").levels_of("BTCUSDT") == 100
    some = options("snapshot_levels: {BTCUSDT: 5000}, snapshot_priority: [ETHUSDT, BTCUSDT]")
    assert (some.levels_of("BTCUSDT"), some.levels_of("ETHUSDT")) == (5000, USUAL_LEVELS)
    assert some.snapshot_priority == ("ETHUSDT", "BTCUSDT")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("snapshot_levels: 4", "options.snapshot_levels: must be a whole number from 5 to 5000, not '4'"),
        ("snapshot_levels: {BTCUSDT: 5001}", "options.snapshot_levels.BTCUSDT: must be a whole number from 5 to 5000"),
        ("snapshot_levels: [1]", "options.snapshot_levels: must be a whole number from 5 to 5000, not a list"),
        ("republish_s: 0", "options.republish_s: must be a number from 0.1 to 3600"),
    ],
)
def test_what_is_no_such_number_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        options(text)
    assert place in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "snapshot_levels: 100",
        "snapshot_levels: {BTCUSDT: 100}",
        "snapshot_priority: [BTCUSDT]",
        "snapshot_priority: []",
        "republish_levels: 100",
        "republish_s: 5.0",
        "audit_s: 900",
    ],
)
@pytest.mark.parametrize("channel", ["", "trade", "depth5, trade", "depth20@100ms"])
def test_what_is_about_whole_books_is_refused_without_them(text: str, channel: str) -> None:
    with pytest.raises(ConfigError) as caught:
        options(text, channel=channel)
    assert f"options.{text.partition(':')[0]}: has no effect without one of the channels depth, depth@100ms" in str(
        caught.value
    )
    for keeps in ("depth", "depth@100ms, trade"):
        assert options(text, channel=keeps) is not None


def test_what_is_about_every_channel_or_has_no_value_is_taken_with_any() -> None:
    assert options("time_unit: us, snapshot_levels: , audit_s: ~", channel="trade") == BinanceOptions(time_unit="us")


def test_all_options_but_the_unit_of_time_are_about_books() -> None:
    assert {*BinanceOptions.ABOUT_CHANNELS, "time_unit"} == set(BinanceOptions.__struct_fields__)


@pytest.mark.parametrize("text", ["snapshot_levels: {%s: 100}", "snapshot_priority: [%s]"])
@pytest.mark.parametrize(
    ("symbol", "of_a_list", "of_a_selection"),
    [
        ("BTCUSDT", "", ""),
        ("ETHUSDC", "is none of this feed's symbols: did you mean ETHUSDT?", ""),
        ("KWX", "is none of this feed's symbols", ""),
        ("btcusdt", "written in capitals: did you mean BTCUSDT?", "written in capitals: did you mean BTCUSDT?"),
        ("BTC-USDT", *["written without a sign between the two: did you mean BTCUSDT?"] * 2),
        ("_", *["not 1 to 50 letters and digits, like BTCUSDT"] * 2),
    ],
)
def test_a_symbol_is_one_of_the_feed_or_of_a_selection_one_that_there_may_be(
    text: str, symbol: str, of_a_list: str, of_a_selection: str
) -> None:
    for symbols, reason in (("[BTCUSDT, ETHUSDT]", of_a_list), ("{quote: USDT}", of_a_selection)):
        if not reason:
            assert options(text % symbol, symbols=symbols) is not None
            continue
        with pytest.raises(ConfigError) as caught:
            options(text % symbol, symbols=symbols)
        assert str(caught.value).endswith(f": symbol {symbol!r}: {reason}")


def test_a_symbol_may_come_from_a_variable_whose_content_is_not_shown() -> None:
    assert options("snapshot_priority: ['${FIRST}']").snapshot_priority == ("BTCUSDT",)
    with pytest.raises(ConfigError) as caught:
        options("snapshot_priority: ['${OTHER}']")
    assert str(caught.value).endswith("symbol '${OTHER}': written in capitals")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("url: 'ws://127.0.0.1:9/stream'", "channels: needs snapshots over HTTP, and url is of this machine"),
        ("url: 'ws://127.0.0.1:9/stream', rest: 'http://127.0.0.1:8'", ""),
        ("url: 'ws://127.0.0.1:9/stream', channels: [trade, depth5]", ""),
        (
            "budgets: {rest_weight: {count: 49, per_s: 60}}",
            "allows 49, and one snapshot of a book costs 50",
        ),
        ("budgets: {rest_weight: {count: 50, per_s: 60}}", ""),
        ("budgets: {rest_weight: {count: 50, per_s: 60}}, options: {snapshot_levels: 5000}", "costs 250"),
        ("budgets: {rest_weight: {count: 5, per_s: 60}}, options: {snapshot_levels: {BTCUSDT: 100}}", ""),
        ("budgets: {rest_weight: {count: 1, per_s: 60}}, channels: [trade]", ""),
    ],
)
def test_snapshots_that_cannot_be_asked_for_are_refused(more: str, reason: str) -> None:
    feed = {"venue": "binance", "url": "'wss://stream.binance.com:9443/stream'", "symbols": "[BTCUSDT]"}
    written = ", ".join(f"{key}: {value}" for key, value in feed.items() if f"{key}:" not in more)
    channels = "" if "channels:" in more else ", channels: [depth]"
    text = f'bus: {{publish: "inproc://x"}}\nfeeds:\n  b: {{{written}{channels}, {more}}}\n'
    if not reason:
        assert config.parse(text, name="x", directory=Path(), environ={}).feeds
        return
    with pytest.raises(ConfigError) as caught:
        config.parse(text, name="x", directory=Path(), environ={})
    assert reason in str(caught.value)

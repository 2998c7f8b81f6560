"""Rules that can't be met are refused with the nearest that can, and others aren't."""

from __future__ import annotations

from pathlib import Path

import pytest

from feedbus import config
from feedbus.config import Config
from feedbus.errors import ConfigError

FEEDS = """\
bus: {publish: inproc://b}
feeds:
  moex: {venue: moex, url: ws://h/, symbols: [TQBR.SBER, TQBR.GAZP, FORTS.RFUD.SiZ6], channels: [CHANNELS]}
  alor: {venue: alor, url: ws://h/, symbols: ["MOEX:SBER:TQBR"], credentials: {refresh_token: x}, channels: [quotes]}
  bin: {venue: binance, url: ws://h/, symbols: [BTCUSDT], channels: [bookTicker], sharding: {connections: 2}}
  all: {venue: moex, url: ws://h/, symbols: {boards: [TQTF]}}
cache_dir: /c
"""
VOLUME = "kind: volume_spike, threshold: 5"
JUMP = "kind: price_jump, threshold: 1"


def read(rule: str, channels: str = "securities, candles.M1", feeds: int = 3, aggregator: str = "") -> Config:
    """The first of these feeds, this rule, and the aggregator with these options."""
    lines = FEEDS.replace("CHANNELS", channels).splitlines()
    text = "\n".join([*lines[: 2 + feeds], lines[-1], "actors:", f"  alerting: {{rules: [{{{rule}}}]}}", aggregator])
    return config.parse(text, name="f", directory=Path(), environ={})


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("kind: stale, threshold: 9, symbols: [TQBR.SBER, 'moex:TQBR.*', 'FORTS.*', 'binance:*', BTCUSDT, '*']", {}),
        ("kind: stale, threshold: 9, symbols: ['MOEX:SBER:TQBR', 'alor:MOEX:SBER:TQBR', 'MOEX:*']", {}),
        ("kind: connection_down, symbols: [moex/0, 'moex:moex/0', bin/1, 'bin/*', 'alor:*']", {}),
        ("kind: stale, threshold: 9, symbols: [TQTF.LQDT, 'TQTF.*']", {"feeds": 4}),
        ("kind: wide_spread, threshold: 1, symbols: [BTCUSDT]", {}),
        ("kind: not_live, states: [delayed], symbols: [TQBR.SBER]", {"feeds": 1, "channels": "candles.M1"}),
        ("kind: stale", {"feeds": 1, "channels": "candles.M1"}),
        ("kind: crossed_book, symbols: ['moex:*']", {"channels": "orderbooks"}),
        (f"{VOLUME}, source: ticker", {"aggregator": "  aggregator:"}),
        (f"{VOLUME}, source: ticker, period_s: 7000", {"aggregator": "  aggregator: {periods: [60, 7000]}"}),
        (f"{VOLUME}, source: venue", {}),
    ],
)
def test_a_rule_that_can_be_met_is_taken(rule: str, changes: dict[str, object]) -> None:
    assert read(rule, **changes).actors  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "changes", "reason"),
    [
        (f"{JUMP}, symbols: [TQBR.SBRE]", {}, "no feed has the symbol 'TQBR.SBRE': did you mean TQBR.SBER?"),
        (f"{JUMP}, symbols: [tqbr.sber]", {}, "no feed has the symbol 'tqbr.sber': did you mean TQBR.SBER?"),
        (f"{JUMP}, symbols: [GAZP]", {}, "no feed has the symbol 'GAZP': did you mean TQBR.GAZP?"),
        (f"{JUMP}, symbols: ['moex:GAZP']", {}, "no feed has the symbol 'moex:GAZP': did you mean moex:TQBR.GAZP?"),
        (f"{JUMP}, symbols: ['moex:BTCUSDT']", {}, "no feed has the symbol 'moex:BTCUSDT'"),
        (f"{JUMP}, symbols: ['TQRB.*']", {}, "no feed has the symbol 'TQRB.*': did you mean TQBR.*?"),
        (f"{JUMP}, symbols: ['bin:BTCUSDT']", {}, "no feed is of venue bin; there are: alor, binance, moex"),
        (f"{JUMP}, symbols: [\u0412TCUSDT]", {}, "'\u0412' is a cyrillic capital letter ve: did you mean BTCUSDT?"),
        (f"{JUMP}, symbols: [tqtf.lqdt]", {"feeds": 4}, "no feed has the symbol 'tqtf.lqdt'"),
        ("kind: connection_down, symbols: [moex/1]", {}, "no feed has the connection 'moex/1': did you mean moex/0?"),
        ("kind: connection_down, symbols: [TQBR.SBER]", {}, "no feed has the connection 'TQBR.SBER'"),
        ("kind: not_live, symbols: [TQBR.SBRE]", {}, "no feed has the symbol 'TQBR.SBRE': did you mean TQBR.SBER?"),
        (
            "kind: stale, threshold: 9",
            {"feeds": 1, "channels": "candles.M1"},
            "stale is judged by trade or quote or book or ticker, and no feed that it is about has a channel",
        ),
        ("kind: large_trade, threshold: 9", {}, "large_trade is judged by trade, and no feed that it is about has a"),
        (
            "kind: wide_spread, threshold: 1",
            {"feeds": 1, "channels": "candles.M1"},
            "wide_spread is judged by quote or",
        ),
        ("kind: crossed_book", {}, "crossed_book is judged by book, and no feed that it is about has a channel that"),
        (f"{JUMP}, symbols: [BTCUSDT]", {}, "price_jump is judged by trade or ticker, and no feed that it is about"),
        (VOLUME, {}, "no feed that it is about sends trade events, which bars with source trades are made of"),
        (f"{VOLUME}, source: ticker", {}, "the actor aggregator makes the bars that it judges, and isn't among the"),
        (
            f"{VOLUME}, source: ticker, period_s: 120",
            {"aggregator": "  aggregator: {periods: [60, 7000]}"},
            "the aggregator makes no bars of 120 s; there are: 60, 7000: use one of these, or add it to its periods",
        ),
        (
            f"{VOLUME}, source: venue, period_s: 120",
            {},
            "no feed that it is about has a channel that sends bars of 120 s; there are: 60",
        ),
    ],
)
def test_a_rule_that_nothing_can_meet_is_refused(rule: str, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(rule, **changes)  # type: ignore[arg-type]
    assert str(caught.value).startswith("f:")
    assert reason in str(caught.value)


def test_the_rule_that_is_there_by_itself_can_be_met() -> None:
    assert read("kind: connection_down").actors

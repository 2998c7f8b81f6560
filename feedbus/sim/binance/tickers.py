"""The last 24 hours of the simulated Binance over REST: the body of /api/v3/ticker/24hr. Pure.

Its numbers are those of the streams `@ticker` and `@miniTicker`. Source: binance-spot-api-docs, rest-api.md.
"""

from __future__ import annotations

from typing import Any

from feedbus.sim.binance.market import BinanceInstrument
from feedbus.sim.binance.wire import DAY_NS, MILLISECOND, money, number, percent, signed


def full(instrument: BinanceInstrument, now_ns: int) -> dict[str, Any]:
    """The type FULL."""
    day, top = instrument.day, instrument.top()
    return {
        "symbol": instrument.pair.symbol,
        "priceChange": signed(day.close - day.open),
        "priceChangePercent": percent(day.open, day.close),
        "weightedAvgPrice": number(day.turnover // day.volume),
        "prevClosePrice": number(day.previous),
        "lastPrice": number(day.close),
        "lastQty": number(day.quantity),
        "bidPrice": number(top.bid),
        "bidQty": number(top.bid_size),
        "askPrice": number(top.ask),
        "askQty": number(top.ask_size),
        "openPrice": number(day.open),
        "highPrice": number(day.high),
        "lowPrice": number(day.low),
        **_sums(instrument, now_ns),
    }


def mini(instrument: BinanceInstrument, now_ns: int) -> dict[str, Any]:
    """The type MINI."""
    day = instrument.day
    return {
        "symbol": instrument.pair.symbol,
        "openPrice": number(day.open),
        "highPrice": number(day.high),
        "lowPrice": number(day.low),
        "lastPrice": number(day.close),
        **_sums(instrument, now_ns),
    }


def _sums(instrument: BinanceInstrument, now_ns: int) -> dict[str, Any]:
    day = instrument.day
    return {
        "volume": number(day.volume),
        "quoteVolume": money(day.turnover),
        "openTime": (now_ns - DAY_NS) // MILLISECOND,
        "closeTime": now_ns // MILLISECOND,
        "firstId": day.first,
        "lastId": day.last,
        "count": day.last - day.first + 1,
    }

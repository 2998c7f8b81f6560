"""Real trades: what Binance sent of BTCUSDT in six minutes of 2024-08-08, as events."""

from __future__ import annotations

import gzip
from functools import cache

import msgspec
import pytest

from feedbus.schema.events import Side, Trade
from tests.places import CAPTURES

CAPTURE = CAPTURES / "binance" / "spot_btcusdt_20240808.gz"


class _Raw(msgspec.Struct):
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool  # the buyer was there first: the seller is the aggressor


class _Frame(msgspec.Struct):
    data: _Raw


_decode = msgspec.json.Decoder(_Frame).decode


@cache
def captured_trades() -> list[Trade]:
    """9757 trades in order. Skips the test where the capture isn't there."""
    if not CAPTURE.exists():
        pytest.skip(f"no capture at {CAPTURE.name}")
    found: list[Trade] = []
    with gzip.open(CAPTURE, "rb") as lines:
        for line in lines:
            received, _, frame = line.partition(b" ")
            if b"@trade" in frame[:60]:
                raw = _decode(frame).data
                side: Side = "sell" if raw.m else "buy"
                at = raw.T * 1_000_000
                found.append(Trade("binance", raw.s, at, int(received), float(raw.p), float(raw.q), side, raw.t))
    return found

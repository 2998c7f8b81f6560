"""The pairs that the simulated Binance lists. Pure.

The list never depends on the simulator's seed, so that the symbols in a configuration stay valid. Ticks and lot steps
are as fine as the venue's; prices are plausible, and of no particular day. The name of one pair is not ASCII, as the
venue has such names too.
"""

from __future__ import annotations

import functools

import msgspec

# Base, quote, price, tick, lot step, tier (0 is the busiest).
_PAIRS = """
BTC USDT 61837.63 0.01 0.00001 0
ETH USDT 2683.41 0.01 0.0001 0
BNB USDT 512.30 0.10 0.001 0
SOL USDT 163.58 0.01 0.001 0
XRP USDT 0.6181 0.0001 1 0
DOGE USDT 0.10264 0.00001 1 0
ADA USDT 0.3412 0.0001 0.1 1
TRX USDT 0.1279 0.0001 0.1 1
AVAX USDT 22.61 0.01 0.01 1
LINK USDT 10.42 0.01 0.01 1
DOT USDT 4.611 0.001 0.01 1
LTC USDT 60.24 0.01 0.001 1
BCH USDT 344.7 0.1 0.001 1
NEAR USDT 4.021 0.001 0.1 1
UNI USDT 6.083 0.001 0.01 1
ATOM USDT 4.718 0.001 0.01 1
ETC USDT 18.93 0.01 0.01 1
FIL USDT 3.652 0.001 0.01 1
APT USDT 6.22 0.01 0.01 1
ARB USDT 0.5563 0.0001 0.1 1
OP USDT 1.418 0.001 0.01 1
SUI USDT 0.8794 0.0001 0.1 1
PEPE USDT 0.00000812 0.00000001 1 1
SHIB USDT 0.00001391 0.00000001 1 1
ETH BTC 0.04339 0.00001 0.0001 1
BNB BTC 0.008284 0.000001 0.001 1
SOL BTC 0.0026455 0.0000001 0.001 2
XRP BTC 0.00000999 0.00000001 1 2
BTC USDC 61841.02 0.01 0.00001 1
ETH USDC 2683.55 0.01 0.0001 1
BTC TRY 2074600 1 0.00001 2
ETH EUR 2457.12 0.01 0.0001 2
NKN USDT 0.0718 0.0001 1 2
ALGO USDT 0.1197 0.0001 1 2
XLM USDT 0.0985 0.0001 1 2
币安人生 USDT 0.1432 0.0001 0.1 2
"""

SCALE = 10**8
"""Prices and quantities are whole numbers of 10^-8, as they have eight decimals on the wire."""


class Pair(msgspec.Struct, frozen=True, gc=False):
    """A listed pair. `price`, `tick` and `lot` are whole numbers of 10^-8; `tier` is how busy it is, 0 the most."""

    base: str
    quote: str
    price: int
    tick: int
    lot: int
    tier: int

    @property
    def symbol(self) -> str:
        """The symbol in payloads; the names of streams have it in lower case."""
        return self.base + self.quote


@functools.cache
def pairs() -> tuple[Pair, ...]:
    """All listed pairs, the busiest first."""
    return tuple(_pair(*line.split()) for line in _PAIRS.strip().splitlines())


def symbols() -> list[str]:
    """The symbols of all pairs, BTCUSDT first."""
    return [pair.symbol for pair in pairs()]


def _pair(base: str, quote: str, price: str, tick: str, lot: str, tier: str) -> Pair:
    return Pair(base, quote, _scaled(price), _scaled(tick), _scaled(lot), int(tier))


def _scaled(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(8, "0"))

"""How the simulated Binance spoils a payload on purpose, so that clients can be tested. Pure.

A payload is taken as its decoded JSON and changed in place. It is wrong in one respect only, and written as the venue
writes it.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from feedbus.sim.binance.market import BinanceInstrument
from feedbus.sim.binance.wire import number

JUMP = 1000
"""By how much update ids jump back."""

OTHERS = ("BTCUSDT", "ETHUSDT")
"""Pairs that a payload may name in place of its own."""
PICTURES = tuple(f"depth{levels}{speed}" for levels in (5, 10, 20) for speed in ("", "@100ms"))
"""The channels of full pictures of a book."""

Payload = dict[str, Any]
Spoil = Callable[[Payload, BinanceInstrument, int], None]
"""(payload, the pair as it is, a level of its book)."""


def spoiled(kind: str, text: str, instrument: BinanceInstrument, level: int) -> tuple[str, ...]:
    """What is sent in place of this payload."""
    if kind == "drop_diffs":
        return ()
    if kind == "duplicate_diffs":
        return (text, text)
    payload = msgspec.json.decode(text)
    _SPOIL[kind](payload, instrument, level)
    return (msgspec.json.encode(payload).decode(),)


def changed(channel: str, symbol: str, kind: str, payload: str) -> str | None:
    """A payload of any channel with a fault of this kind; None where it can't have it."""
    if kind == "other_ticker" and f'"s":"{symbol}"' in payload:
        other = next(each for each in OTHERS if each != symbol)
        return payload.replace(f'"s":"{symbol}"', f'"s":"{other}"')
    if kind == "cross" and channel in PICTURES:
        return payload.replace('"bids"', '"?"').replace('"asks"', '"bids"').replace('"?"', '"asks"')
    return None


def _jump_back(diff: Payload, _instrument: BinanceInstrument, _level: int) -> None:
    diff["U"], diff["u"] = max(1, diff["U"] - JUMP), max(1, diff["u"] - JUMP)


def _cross(diff: Payload, instrument: BinanceInstrument, _level: int) -> None:
    pair = instrument.pair
    diff["b"].insert(0, [number(instrument.asks.prices[0] + pair.tick), number(pair.lot)])


def _exponents(diff: Payload, _instrument: BinanceInstrument, _level: int) -> None:
    for side in "ba":
        diff[side] = [[f"{Decimal(text).normalize():E}" for text in level] for level in diff[side]]


def _nan(diff: Payload, _instrument: BinanceInstrument, _level: int) -> None:
    (diff["b"] or diff["a"])[0][1] = "NaN"


def _negative(diff: Payload, _instrument: BinanceInstrument, _level: int) -> None:
    (diff["b"] or diff["a"])[0][1] = "-1.00000000"


def _remove_unknown(diff: Payload, instrument: BinanceInstrument, _level: int) -> None:
    for key, side in (("b", instrument.bids), ("a", instrument.asks)):
        beyond = side.prices[-1] + 3 * side.outward * instrument.pair.tick
        if beyond > 0:
            diff[key].append([number(beyond), number(0)])


def _wrong_level(diff: Payload, instrument: BinanceInstrument, level: int) -> None:
    bids = instrument.bids
    level = min(level, len(bids.prices) - 1)
    price = number(bids.prices[level])
    others = [each for each in diff["b"] if each[0] != price]
    diff["b"] = sorted([*others, [price, number(2 * bids.sizes[level])]], key=_descending)


def _descending(level: list[str]) -> Decimal:
    return -Decimal(level[0])


def _wrong_quote(quote: Payload, _instrument: BinanceInstrument, _level: int) -> None:
    quote["B"] = f"{2 * Decimal(quote['B'])}"


_SPOIL: dict[str, Spoil] = {
    "jump_back_diffs": _jump_back,
    "cross_diffs": _cross,
    "exponent_diffs": _exponents,
    "nan_diffs": _nan,
    "negative_diffs": _negative,
    "unknown_removals": _remove_unknown,
    "wrong_level": _wrong_level,
    "wrong_quote": _wrong_quote,
}

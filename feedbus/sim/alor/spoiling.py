"""How the simulated ALOR spoils an object on purpose, in one respect only. Pure."""

from __future__ import annotations

FAULTY_STREAMS = ("orderbook", "alltrades", "quotes", "bars", "instruments")
OTHERS = ("SBER", "GAZP")
"""Codes that an object may name in place of its own."""

_SIDES = (('"b":[', '"a":['), ('"bids":[', '"asks":['))
"""The keys of the sides of a book, in Slim and in the other formats."""


def changed(stream: str, code: str, kind: str, text: str) -> str | None:
    """An object of this stream and code with a fault of this kind; None where it can't have it."""
    match kind, stream:
        case "other_ticker", "alltrades" | "quotes" | "instruments":
            other = next(each for each in OTHERS if each != code)
            return text.replace(f'"{code}"', f'"{other}"', 1)
        case "cross", "orderbook":
            for bids, asks in _SIDES:
                text = text.replace(bids, "?").replace(asks, bids).replace("?", asks)
            return text
    return None

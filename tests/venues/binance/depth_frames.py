"""Binance's messages about a book, written by hand: changed levels and snapshots of the symbol S."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from feedbus.schema.events import Level
from feedbus.venues.protocol import FetchResponse


def written(levels: Sequence[Level]) -> list[tuple[str, str]]:
    return [(str(price), str(size)) for price, size in levels]


def update(first: int, last: int, bids: Sequence[Level] = (), asks: Sequence[Level] = ()) -> bytes:
    body = {"e": "depthUpdate", "E": 1, "s": "S", "U": first, "u": last, "b": written(bids), "a": written(asks)}
    return msgspec.json.encode(body)


def snapshot(last: int, bids: list[Level], asks: list[Level]) -> FetchResponse:
    body = {"lastUpdateId": last, "bids": written(bids), "asks": written(asks)}
    return FetchResponse(200, msgspec.json.encode(body), 1)


BIDS: list[Level] = [(10.0, 1.0), (9.0, 2.0)]
ASKS: list[Level] = [(11.0, 1.0), (12.0, 2.0)]

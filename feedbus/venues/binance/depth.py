"""What Binance writes of an order book's changed levels, and its snapshot of the whole book. Pure.

    @depth, @depth@100ms    {"e":"depthUpdate","E":1633998512568,"s":"NKNUSDT","U":499869753,"u":499869754,
                            "b":[["0.35170000","4265.00000000"]],"a":[["0.35290000","10968.00000000"]]}
    GET /api/v3/depth       {"lastUpdateId":1027024,"bids":[["4.00000000","431.00000000"]],
                            "asks":[["4.00000200","12.00000000"]]}

U and u are the first and the last update that a message holds; sizes are absolute, and a size of 0 removes the level. A
snapshot doesn't say which symbol it is of. Neither is read loosely: a message with a level that can't be right leaves
the book unknown. Source: web-socket-streams.md and rest-api.md of https://github.com/binance/binance-spot-api-docs.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import msgspec
from msgspec import Meta

from feedbus.errors import BadData
from feedbus.text import one_line
from feedbus.venues.fields import DECODE_ERRORS, LARGE, Amount, Price, Size, Whole, too_dear
from feedbus.venues.protocol import Fetch, FetchResponse

MAX_CHANGES = 20_000
"""The most levels of one side in a message."""

MOST_LEVELS = 5000
"""The most levels of one side that the venue gives in a snapshot."""

_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (MOST_LEVELS, 250))
_Time = Annotated[int, Meta(ge=0, lt=2**63 // 1000)]
_OK = 200


class DepthUpdate(
    msgspec.Struct,
    gc=False,
    kw_only=True,
    rename={"time": "E", "symbol": "s", "first": "U", "last": "u", "bids": "b", "asks": "a"},
):
    """One message of the stream, in the order of the wire. `time` is in ms, or in µs where the connection asked so."""

    time: _Time
    symbol: str = ""
    first: Whole
    last: Whole
    bids: Annotated[list[tuple[Price, Amount]], Meta(max_length=MAX_CHANGES)]
    asks: Annotated[list[tuple[Price, Amount]], Meta(max_length=MAX_CHANGES)]


class DepthSnapshot(msgspec.Struct, gc=False, rename={"update": "lastUpdateId"}):
    """The best levels of both sides as of `update`, the best first."""

    update: Whole
    bids: Annotated[list[tuple[Price, Size]], Meta(max_length=MOST_LEVELS)]
    asks: Annotated[list[tuple[Price, Size]], Meta(max_length=MOST_LEVELS)]


decode_update = msgspec.json.Decoder(DepthUpdate, strict=False).decode
"""Raises one of DECODE_ERRORS."""
_decode_snapshot = msgspec.json.Decoder(DepthSnapshot, strict=False).decode


def snapshot_request(symbol: str, levels: int) -> Fetch:
    """Ask for the best `levels` levels of each side."""
    path = f"/api/v3/depth?symbol={quote(symbol)}&limit={levels}"
    return Fetch(path, weight=weight_of(levels), about=symbol)


def weight_of(levels: int) -> int:
    """What a snapshot with so many levels costs of the budget."""
    return next(weight for most, weight in _WEIGHTS if levels <= most)


def refusal_of(answer: FetchResponse) -> str:
    """What an answer says that isn't a snapshot: its HTTP status and its beginning."""
    return f"HTTP {answer.status}: {one_line(answer.body[:200].decode(errors='replace'))}"


def snapshot_of(answer: FetchResponse, place: str) -> DepthSnapshot:
    """The snapshot in an answer. Raises BadData for anything else, a crossed book included."""
    if answer.status != _OK:
        raise BadData(place, refusal_of(answer))
    if len(answer.body) > LARGE and (reason := too_dear(answer.body)):
        raise BadData(place, reason)
    try:
        found = _decode_snapshot(answer.body)
    except DECODE_ERRORS as error:
        raise BadData(place, one_line(str(error))) from None
    if found.bids and found.asks and max(found.bids)[0] > min(found.asks)[0]:
        raise BadData(place, "the snapshot is crossed")
    return found

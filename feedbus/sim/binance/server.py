"""The simulated Binance spot venue as a WebSocket server: which streams a URL asks for.

    venue = BinanceVenue(options)
    ws_url = await nursery.start(partial(serve, options, "127.0.0.1", 0, venue=venue))
    rest_url = await nursery.start(partial(rest.serve, BinanceRest(venue), "127.0.0.1", 0))

Both servers need the same BinanceVenue: clients take a book's snapshot over REST and apply the stream's updates to it.
"""

from __future__ import annotations

from functools import partial
from urllib.parse import parse_qsl, unquote, urlsplit

import trio

from feedbus.sim import server
from feedbus.sim.binance import wire
from feedbus.sim.binance.conversation import BinanceConversation
from feedbus.sim.binance.rest import BinanceRest
from feedbus.sim.binance.venue import BinanceCounters, BinanceSimOptions, BinanceVenue

__all__ = ["PATH", "BinanceCounters", "BinanceRest", "BinanceSimOptions", "BinanceVenue", "converse", "serve"]

PATH = "/stream"
"""The path of combined streams. The venue has /ws as well, where payloads come without the stream's name."""
_UNITS = {"MILLISECOND": wire.MILLISECOND, "MICROSECOND": wire.MICROSECOND}


async def serve(
    options: BinanceSimOptions,
    host: str,
    port: int,
    *,
    counters: BinanceCounters | None = None,
    venue: BinanceVenue | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, and then close every connection within a second. Starts with the URL to connect to.

    A `venue` that is given has options and counters of its own, and those arguments are not used.
    """
    venue = venue or BinanceVenue(options, counters)
    options = venue.options
    settings = server.WebSocketSettings(path=PATH, max_message=options.max_frame, ping_every=options.ping_every)
    await server.serve(
        venue, partial(admit, venue), settings, host, port, counters=venue.counters, task_status=task_status
    )


def admit(venue: BinanceVenue, target: str, now_ns: int) -> BinanceConversation | int | None:
    """`converse`, or the HTTP status of the refusal: 418 while the address of the clients is banned, and 429 for an
    attempt to connect too many."""
    refused = venue.limits.connect(now_ns)
    if (banned := venue.weights.banned(now_ns)) is not None:
        venue.counters.handshakes_refused += refused is None
        return banned.status
    return refused or converse(venue, target, now_ns)


def converse(venue: BinanceVenue, target: str, now_ns: int) -> BinanceConversation | None:
    """The conversation with a client that asks for this target, with the streams that the URL names; None when the
    venue has no such path."""
    try:
        parts = urlsplit(target)
        # A plus is one: names of streams have it (`btcusdt@kline_1d@+08:00`), and no blanks.
        query = dict(parse_qsl(parts.query.replace("+", "%2B"), max_num_fields=32))
    except ValueError:
        return None
    unit = _UNITS.get(query.get("timeUnit", "MILLISECOND").upper())
    first, _, rest = unquote(parts.path).strip("/").partition("/")
    if unit is None or first not in ("ws", "stream") or (rest and first == "stream"):
        return None
    names = (rest if first == "ws" else query.get("streams", "")).split("/")
    conversation = BinanceConversation(venue, combined=first == "stream", unit=unit)
    conversation.subscribe([name for name in names if name], now_ns)
    return conversation

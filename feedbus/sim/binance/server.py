"""The simulated Binance spot venue: its WebSocket streams as a server, and its REST interface as a handler.

    venue = Venue(options)
    ws_url = await nursery.start(partial(serve, options, "127.0.0.1", 0, venue=venue))
    rest_url = await nursery.start(partial(rest.serve, Rest(venue), "127.0.0.1", 0))

Both have to be of one Venue: the book that REST tells is the one that the streams go on from.
"""

from __future__ import annotations

import trio

from feedbus.sim import server
from feedbus.sim.binance.conversation import BinanceCounters, BinanceSimOptions, BinanceVenue
from feedbus.sim.binance.rest import BinanceRest

__all__ = ["PATH", "BinanceCounters", "BinanceRest", "BinanceSimOptions", "BinanceVenue", "serve"]

PATH = "/stream"
"""Of combined streams; there is /ws, too."""


async def serve(
    options: BinanceSimOptions,
    host: str,
    port: int,
    *,
    counters: BinanceCounters | None = None,
    venue: BinanceVenue | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; then close every connection, within a second. Starts with the URL to connect to.

    `venue` is the one to serve, whose options and counters are then the ones that hold; without it a new one is made.
    """
    venue = venue or BinanceVenue(options, counters)
    options = venue.options
    endpoint = server.Endpoint(path=PATH, max_message=options.max_frame, ping_every=options.ping_every)
    await server.serve(venue, venue.converse, endpoint, host, port, counters=venue.counters, task_status=task_status)

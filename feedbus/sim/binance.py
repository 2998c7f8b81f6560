"""The simulated Binance spot venue: its WebSocket streams as a server, and its REST interface as a handler.

    venue = Venue(options)
    ws_url = await nursery.start(partial(serve, options, "127.0.0.1", 0, venue=venue))
    rest_url = await nursery.start(partial(rest.serve, Rest(venue), "127.0.0.1", 0))

Both have to be of one Venue: the book that REST tells is the one that the streams go on from.
"""

from __future__ import annotations

import trio

from feedbus.sim import server
from feedbus.sim.binance_conversation import Counters, Options, Venue
from feedbus.sim.binance_rest import Rest

__all__ = ["PATH", "Counters", "Options", "Rest", "Venue", "serve"]

PATH = "/stream"
"""Of combined streams; there is /ws, too."""


async def serve(
    options: Options,
    host: str,
    port: int,
    *,
    counters: Counters | None = None,
    venue: Venue | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; then close every connection, within a second. Starts with the URL to connect to.

    `venue` is the one to serve, whose options and counters are then the ones that hold; without it a new one is made.
    """
    venue = venue or Venue(options, counters)
    options = venue.options
    endpoint = server.Endpoint(path=PATH, max_message=options.max_frame, ping_every=options.ping_every)
    await server.serve(venue, venue.converse, endpoint, host, port, counters=venue.counters, task_status=task_status)

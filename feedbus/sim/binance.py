"""The simulated Binance spot venue: its WebSocket streams as a server, and its REST interface as a handler.

    venue = Venue(Options())
    ws_url = await nursery.start(partial(serve, venue, "127.0.0.1", 0))
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
    venue: Venue | Options,
    host: str,
    port: int,
    *,
    counters: Counters | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; then close every connection, within a second. Starts with the URL to connect to.

    `venue` is one that others have, too (`counters` are its own then), or the Options of one for this server alone.
    """
    if isinstance(venue, Options):
        venue = Venue(venue, counters)
    options = venue.options
    endpoint = server.Endpoint(path=PATH, max_message=options.max_frame, ping_every=options.ping_every)
    await server.serve(venue, venue.converse, endpoint, host, port, counters=venue.counters, task_status=task_status)

"""The simulated MOEX ISS+ venue as a WebSocket server: its path and its subprotocols. The rest is server.py's."""

from __future__ import annotations

import trio

from feedbus.sim import server
from feedbus.sim.conversation import Conversation, Options, Venue
from feedbus.sim.seam import Counters

__all__ = ["PATH", "Counters", "Options", "serve"]

PATH = "/infocx/v3/websocket"
SUBPROTOCOLS = ("STOMP", "v12.stomp")


async def serve(
    options: Options,
    host: str,
    port: int,
    *,
    counters: Counters | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; then close every connection, within a second. Starts with the URL to connect to."""
    venue = Venue(options, counters)

    def converse(target: str, _now_ns: int) -> Conversation | None:
        return Conversation(venue) if target.partition("?")[0] == PATH else None

    endpoint = server.Endpoint(path=PATH, subprotocols=SUBPROTOCOLS, max_message=options.max_frame)
    await server.serve(venue.market, converse, endpoint, host, port, counters=venue.counters, task_status=task_status)

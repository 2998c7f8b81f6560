"""The simulated MOEX ISS+ venue as a WebSocket server: its path and its subprotocols."""

from __future__ import annotations

import trio

from feedbus.sim import server
from feedbus.sim.moex.conversation import MoexConversation
from feedbus.sim.moex.venue import MoexSimOptions, MoexVenue
from feedbus.sim.seam import ServerCounters

__all__ = ["PATH", "MoexSimOptions", "ServerCounters", "serve"]

PATH = "/infocx/v3/websocket"
SUBPROTOCOLS = ("STOMP", "v12.stomp")


async def serve(
    options: MoexSimOptions,
    host: str,
    port: int,
    *,
    counters: ServerCounters | None = None,
    venue: MoexVenue | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, and then close every connection within a second. Starts with the URL to connect to.

    A `venue` that is given has options and counters of its own, and those arguments are not used.
    """
    venue = venue or MoexVenue(options, counters)

    def converse(target: str, now_ns: int) -> MoexConversation | int | None:
        if target.partition("?")[0] != PATH:
            return None
        return venue.limits.connect(now_ns) or MoexConversation(venue)

    settings = server.WebSocketSettings(path=PATH, subprotocols=SUBPROTOCOLS, max_message=options.max_frame)
    await server.serve(venue.market, converse, settings, host, port, counters=venue.counters, task_status=task_status)

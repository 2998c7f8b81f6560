"""The simulated ALOR venue as a WebSocket server: its paths and its limit of connections.

An AlorVenue is served by two servers on ports of their own: `serve` for its WebSocket, and rest.serve with an AlorRest
for its REST interface. Each of them also works alone: an access token is valid at every venue of the same seed.
"""

from __future__ import annotations

from functools import partial

import trio

from feedbus.sim import server
from feedbus.sim.alor.conversation import AlorCommandConversation, AlorConversation
from feedbus.sim.alor.rest import AlorRest
from feedbus.sim.alor.venue import AlorCounters, AlorSimOptions, AlorVenue

__all__ = ["PATH", "AlorCounters", "AlorRest", "AlorSimOptions", "AlorVenue", "serve"]

PATH = "/ws"
_CONVERSATIONS: dict[str, type[AlorConversation | AlorCommandConversation]] = {
    PATH: AlorConversation,
    "/cws": AlorCommandConversation,
}


async def serve(
    options: AlorSimOptions,
    host: str,
    port: int,
    *,
    counters: AlorCounters | None = None,
    venue: AlorVenue | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, and then close every connection within a second. Starts with the URL to connect to.

    A `venue` that is given has options and counters of its own, and those arguments are not used.
    """
    venue = venue or AlorVenue(options, counters)
    settings = server.WebSocketSettings(
        path=PATH, max_message=venue.options.max_frame, most_unsent=venue.options.max_unsent
    )
    await server.serve(
        venue.market,
        partial(_converse, venue),
        settings,
        host,
        port,
        counters=venue.counters,
        task_status=task_status,
    )


def _converse(venue: AlorVenue, target: str, now_ns: int) -> AlorConversation | AlorCommandConversation | int | None:
    """The conversation with a new client. A client beyond the limit gets an HTTP status, or a conversation that ends
    at once."""
    conversation = _CONVERSATIONS.get(target.partition("?")[0])
    if conversation is None:
        return None
    if (refused := venue.limits.connect(now_ns)) is not None:
        return refused
    if venue.counters.connections_open < venue.options.max_connections:
        return conversation(venue)
    venue.counters.connections_refused += 1
    return venue.options.connection_refusal or conversation(venue, ending="refuse")

"""The simulated ALOR venue as a WebSocket server: its paths and its limits. The rest is server.py's.

A Venue is the market, and serves both interfaces: `serve` its WebSocket, rest.serve(Rest(venue), ...) its REST, on
ports of their own. Each of them works alone as well: a token is good for every venue of the same seed.
"""

from __future__ import annotations

import trio

from feedbus.sim import server
from feedbus.sim.alor.commands import AlorCommands
from feedbus.sim.alor.conversation import AlorConversation
from feedbus.sim.alor.rest import AlorRest
from feedbus.sim.alor.venue import AlorCounters, AlorSimOptions, AlorVenue

__all__ = ["PATH", "AlorCounters", "AlorRest", "AlorSimOptions", "AlorVenue", "serve"]

PATH = "/ws"
_CONVERSATIONS: dict[str, type[AlorConversation | AlorCommands]] = {PATH: AlorConversation, "/cws": AlorCommands}


async def serve(
    options: AlorSimOptions,
    host: str,
    port: int,
    *,
    counters: AlorCounters | None = None,
    venue: AlorVenue | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; then close every connection, within a second. Starts with the URL to connect to.

    `venue` is the one to serve, whose options and counters are then the ones that hold; without it a new one is made.
    """
    venue = venue or AlorVenue(options, counters)

    def converse(target: str, _now_ns: int) -> AlorConversation | AlorCommands | int | None:
        return _converse(venue, target)

    endpoint = server.Endpoint(path=PATH, max_message=venue.options.max_frame, most_unsent=venue.options.max_unsent)
    await server.serve(venue.market, converse, endpoint, host, port, counters=venue.counters, task_status=task_status)


def _converse(venue: AlorVenue, target: str) -> AlorConversation | AlorCommands | int | None:
    """The conversation with a new client; one that is over at once, or an HTTP status, for a client too many."""
    begin = _CONVERSATIONS.get(target.partition("?")[0])
    if begin is None:
        return None
    if venue.counters.connections_open < venue.options.max_connections:
        return begin(venue)
    venue.counters.connections_refused += 1
    return venue.options.connection_refusal or begin(venue, ending="refuse")

"""The simulated ALOR's side of one connection to /cws. Pure: client messages in, messages out; time is an argument.

    authorize      -> "The connection has been initialized.", until the token expires
    ping           -> an acknowledgement, when it says `confirm`
    anything else  -> an error, as there is nothing to trade with

Only what a client needs to find its way: before `authorize`, and after the token's end, all else is refused.
"""

from __future__ import annotations

from feedbus.sim.alor import wire
from feedbus.sim.alor.conversation import AlorRefusal, decoded, guid_of
from feedbus.sim.alor.venue import AlorVenue
from feedbus.sim.seam import Ending, Frame

INITIALIZED = "The connection has been initialized."


class AlorCommands:
    """One connection."""

    def __init__(self, venue: AlorVenue, ending: Ending = "") -> None:
        self.ending: Ending = ending
        self._venue = venue
        self._counters = venue.counters
        self._token: object = None

    def receive(self, data: Frame, now_ns: int) -> list[Frame]:
        """One message of the client came; returns the answers. Never raises."""
        self._counters.frames_received += 1
        guid = '""'
        try:
            request = decoded(data)
            guid = guid_of(request)
            opcode = request.get("opcode")
            token = request.get("token") if opcode == "authorize" else self._token
            if not self._venue.tokens.good(token, now_ns):
                self._counters.tokens_refused += 1
                raise AlorRefusal(wire.BAD_TOKEN, 401)
            if opcode == "authorize":
                self._token = token
                return [wire.acknowledgement(guid, 200, INITIALIZED)]
            if opcode == "ping":
                return [wire.acknowledgement(guid)] if request.get("confirm") is True else []
            raise AlorRefusal(f"Bad request: {str(opcode)[:40]} is not simulated")
        except AlorRefusal as refusal:
            self._counters.errors_sent += 1
            return [wire.acknowledgement(guid, refusal.code, str(refusal))]

    def due(self) -> list[Frame]:
        """Nothing: nothing can be subscribed here."""
        return []

    def goodbye(self) -> list[Frame]:
        """Nothing: this venue closes without a word."""
        return []

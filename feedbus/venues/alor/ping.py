"""Whether an ALOR connection lives: the pings that its own terminal sends. Pure.

They aren't documented, and neither is their answer. So one that isn't answered is only counted, and silence ends a
connection only where the venue has answered pings before and has said nothing at all since: on quiet instruments
silence is normal, and the pings of the WebSocket protocol, which the transport sends, watch the line already.
"""

from __future__ import annotations

from math import inf

PING_EVERY = 15.0  # seconds
SILENCE = 60.0  # seconds without a single frame, after which a connection that used to answer is over


class Pings:
    """The pings of one connection. Its owner says of every frame that it came (`heard`)."""

    __slots__ = ("answers", "begun", "heard_at", "next_at", "sent", "serial", "unanswered", "unheard", "waiting")

    def __init__(self) -> None:
        self.begun = False
        self.next_at = inf
        self.heard_at = -inf
        self.sent = 0
        self.serial = 0  # of the token that the last one carried
        self.answers = 0
        self.unanswered = 0
        self.unheard = 0  # sent since the venue was last heard of
        self.waiting = False  # the last one is not answered yet

    def begin(self, now: float) -> None:
        """The conversation is open."""
        self.begun = True
        self.next_at = now + PING_EVERY

    def due(self, now: float) -> bool:
        """True when a ping is to be sent now; one that is still waiting for its answer is counted then."""
        if now < self.next_at:
            return False
        self.next_at = now + PING_EVERY
        self.unanswered += self.waiting
        self.waiting = False
        return True

    def went(self, serial: int) -> None:
        """A ping was sent, with the token of this number."""
        self.sent += 1
        self.unheard += 1
        self.serial = serial
        self.waiting = True

    def answered(self, *, understood: bool) -> None:
        """An answer came. Where pings aren't understood no more of them are sent: senseless requests are unfair use."""
        self.answers += 1
        self.waiting = False
        if not understood:
            self.next_at = inf

    def dead(self, now: float) -> bool:
        """True when a venue that answered pings has fallen silent: several since it was last heard of are unanswered.
        Where none could be sent (there is no token) silence says nothing."""
        asked = self.unheard >= SILENCE // PING_EVERY - 1
        return self.answers > 0 and self.next_at != inf and asked and now - self.heard_at >= SILENCE

    def heard(self, now: float) -> None:
        """A frame came, of whatever kind."""
        self.heard_at = now
        self.unheard = 0

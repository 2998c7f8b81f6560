"""Whether an ALOR connection lives: the pings that its own terminal sends. Pure.

Neither these pings nor their answers are documented. So a ping without an answer is only counted. Silence ends a
connection only if the venue has answered pings before and hasn't sent a single frame for SILENCE seconds: on quiet
instruments it is normal that no data comes, and the transport's own WebSocket pings already watch the network.
"""

from __future__ import annotations

from math import inf

from feedbus import ticks

PING_EVERY = 15.0  # seconds, at most
SILENCE = 60.0  # seconds without a single frame, after which a connection that used to answer is over


class Pings:
    """The pings of one connection. The session calls `frame_received` for every frame that comes."""

    __slots__ = (
        "answers",
        "begun",
        "last_frame_at",
        "next_at",
        "sent",
        "sent_since_frame",
        "serial",
        "unanswered",
        "waiting",
    )

    def __init__(self) -> None:
        self.begun = False
        self.next_at = inf
        self.last_frame_at = -inf
        self.sent = 0
        self.serial = 0  # of the token that the last one carried
        self.answers = 0
        self.unanswered = 0
        self.sent_since_frame = 0  # pings sent since the last frame
        self.waiting = False  # the last one is not answered yet

    def begin(self, now: float) -> None:
        """The conversation is open."""
        self.begun = True
        self.next_at = ticks.shared(now + PING_EVERY, PING_EVERY)

    def due(self, now: float) -> bool:
        """True when a ping is to be sent now; one that is still waiting for its answer is counted then."""
        if now < self.next_at:
            return False
        self.next_at = ticks.shared(now + PING_EVERY, PING_EVERY)
        self.unanswered += self.waiting
        self.waiting = False
        return True

    def ping_sent(self, serial: int) -> None:
        """A ping was sent, with the token of this number."""
        self.sent += 1
        self.sent_since_frame += 1
        self.serial = serial
        self.waiting = True

    def answered(self, *, understood: bool) -> None:
        """An answer came. If the venue doesn't understand pings, no more are sent: its fair-use rules forbid senseless
        requests."""
        self.answers += 1
        self.waiting = False
        if not understood:
            self.next_at = inf

    def dead(self, now: float) -> bool:
        """True when a venue that used to answer pings has sent nothing since several pings. Silence while no ping could
        be sent, for want of a token, means nothing."""
        asked = self.sent_since_frame >= SILENCE // PING_EVERY - 1
        return self.answers > 0 and self.next_at != inf and asked and now - self.last_frame_at >= SILENCE

    def frame_received(self, now: float) -> None:
        """A frame came, of whatever kind."""
        self.last_frame_at = now
        self.sent_since_frame = 0

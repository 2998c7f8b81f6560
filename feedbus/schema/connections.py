"""What the FeedStatus events of all connections say together: which venues are up, and since when data may be missing.

While any connection of a venue isn't up, data of some of its instruments doesn't come, and nobody can tell from the
data which. So a venue is up only while every feed of it has all the connections that it wants. A feed that says nothing
for 15 s isn't up either: it sends a status of each connection every 5 s.

The module is pure: the time is an argument, in any unit, by a clock that never jumps.
"""

from __future__ import annotations

from math import inf

from feedbus.schema.events import FeedStatus

UP_STATES = ("online", "delayed")
"""The states of a connection that is logged in."""
MAX_CONNECTIONS = 16_384
"""How many connections, and how many feeds, are remembered. Of further ones only the loss is noticed that their own
status says."""


class VenueState:
    """What is known of one venue. The object stays the same, so that those who need it often may keep it."""

    __slots__ = ("is_up", "name", "outages")

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_up = True
        """Whether all connections are up. True until a status says otherwise."""
        self.outages = 0
        """How often data began to be missing. Two events with different numbers have an outage between them, so no
        difference between them says what happened when."""


class _FeedState:
    __slots__ = ("heard_at", "is_silent", "is_whole", "venue")

    def __init__(self, venue: VenueState) -> None:
        self.venue = venue
        self.is_whole = True
        self.is_silent = False
        self.heard_at = 0.0


class Connections:
    """Takes in every FeedStatus, and tells which venues have suffered an outage.

    Call `add` with each status, and `check` at `next_due`.
    """

    def __init__(self, second: float = 1.0) -> None:
        """`second` is how many units of the caller's time make a second."""
        self._silent_after = 15 * second
        self._late_by = 2 * second
        self._forgotten_after = 3600 * second
        self._venues: dict[str, VenueState] = {}
        self._feeds: dict[tuple[str, str], _FeedState] = {}  # by venue and name of the feed
        self._seen: dict[tuple[str, str], tuple[int, bool]] = {}  # by venue and connection: its generation, whether up
        self.next_due = inf
        """When `check` is to be called."""

    def venue(self, name: str) -> VenueState:
        """Returns the state of a venue."""
        return self._venues.get(name) or self._venues.setdefault(name, VenueState(name))

    def add(self, status: FeedStatus, now: float) -> bool:
        """Takes in one status. Returns True when it shows an outage that wasn't known yet."""
        venue = self.venue(status.venue)
        feed = self._feed(venue, status, now)
        was_up = venue.is_up
        if feed is not None:
            feed.is_whole = status.connections_up >= status.connections_wanted
            feed.is_silent = False
            feed.heard_at = now
            self.next_due = min(self.next_due, now + self._silent_after)
            self._judge(venue)
        lost = self._has_lost(status) or (was_up and not venue.is_up)
        venue.outages += lost
        return lost

    def check(self, now: float) -> list[VenueState]:
        """Looks for feeds that have fallen silent. Returns the venues that aren't up any more since they have."""
        if now < self.next_due:
            return []
        found: list[VenueState] = []
        # When the check itself comes late, this process stood still, and what the feeds said meanwhile is yet unread.
        was_late = now > self.next_due + self._late_by
        for key, feed in list(self._feeds.items()):
            if was_late and not feed.is_silent:
                feed.heard_at = now
            if now >= feed.heard_at + self._forgotten_after:
                del self._feeds[key]
                self._judge(feed.venue)
            elif now >= feed.heard_at + self._silent_after and not feed.is_silent:
                feed.is_silent = True
                if feed.venue.is_up:
                    feed.venue.outages += 1
                    found.append(feed.venue)
                self._judge(feed.venue)
        self.next_due = min(map(self._due, self._feeds.values()), default=inf)
        return found

    def _feed(self, venue: VenueState, status: FeedStatus, now: float) -> _FeedState | None:
        key = (venue.name, status.symbol.rpartition("/")[0])  # a connection is named FEED/NUMBER
        feed = self._feeds.get(key)
        if feed is None and len(self._feeds) < MAX_CONNECTIONS:
            feed = self._feeds[key] = _FeedState(venue)
            feed.heard_at = now
        return feed

    def _has_lost(self, status: FeedStatus) -> bool:
        """Whether this connection is down and wasn't before, or has been made anew since its last status."""
        key, is_up = (status.venue, status.symbol), status.state in UP_STATES
        before = self._seen.get(key)
        if before is not None or len(self._seen) < MAX_CONNECTIONS:
            self._seen[key] = (status.generation, is_up)
        if before is None:
            return not is_up
        generation, was_up = before
        return was_up and (not is_up or status.generation != generation)

    def _judge(self, venue: VenueState) -> None:
        venue.is_up = all(feed.is_whole and not feed.is_silent for feed in self._feeds.values() if feed.venue is venue)

    def _due(self, feed: _FeedState) -> float:
        return feed.heard_at + (self._forgotten_after if feed.is_silent else self._silent_after)

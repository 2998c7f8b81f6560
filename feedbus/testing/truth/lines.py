"""One connection between a feed and a simulated venue, in memory: what is on its way, and how it ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from math import ceil, inf

import trio

from feedbus.errors import ClosedByPeer, TimedOut
from feedbus.sim.seam import Conversation, Frame
from feedbus.testing.truth.venue import LineMemory
from feedbus.transport import DialOptions

KEPT = 6
"""How many old messages of each subscription are kept to be replayed."""

ReceivedFrames = tuple[list[bytes | bytearray], int]
ToVenue = Callable[["SimulatedLine", Sequence[bytes | str]], None]


class SimulatedLine:
    """One connection, for the feed. `memory` is what the venue's adapter remembers of it."""

    def __init__(
        self,
        conversation: Conversation,
        options: DialOptions,
        now: float,
        *,
        to_venue: ToVenue,
        wall_ns: Callable[[], int],
    ) -> None:
        """`to_venue` is called with what the feed sends, `wall_ns` is the feed's clock."""
        self.bytes_received = 0
        self.messages_received = 0
        self.conversation = conversation
        self.memory = LineMemory()
        self.left = False  # the feed has closed it
        self.dead_since: float | None = None  # half-open
        self.muted = False
        self.muted_names: set[str] = set()
        self.slow_until = -inf
        self.delay = 0.0
        self.opened_at = now
        self.known_dead_at = inf
        self.next_ping_at = now + options.ping_interval
        self._to_venue = to_venue
        self._wall_ns = wall_ns
        self._options = options
        self._inbox: deque[tuple[float, list[Frame]]] = deque()
        self._failure: Exception | None = None
        self._changed = trio.Event()
        self._held: dict[str, list[tuple[float, Frame]]] = {}
        self._recent: dict[str, deque[tuple[float, Frame]]] = {}

    # For the feed

    async def receive(self) -> ReceivedFrames:
        """Wait for what comes next. Raises the VenueError with which the connection ended."""
        while True:
            now = trio.current_time()
            if self._inbox and self._inbox[0][0] <= now:
                await trio.lowlevel.checkpoint()
                return self._take(now)
            if self._failure is not None and not self._inbox:
                await trio.lowlevel.checkpoint()
                raise self._failure
            if self.known_dead_at <= now:
                await trio.lowlevel.checkpoint()
                raise TimedOut(f"no pong within {self._options.ping_timeout:g} s")
            self._changed = trio.Event()
            with trio.move_on_at(min(self._inbox[0][0] if self._inbox else inf, self.known_dead_at)):
                await self._changed.wait()

    async def send(self, messages: Sequence[bytes | str]) -> None:
        """Send messages to the venue, whose answers come a while later."""
        await trio.lowlevel.checkpoint()
        if self._failure is not None and isinstance(self._failure, ClosedByPeer):
            raise self._failure
        if self.dead_since is None:
            self._to_venue(self, messages)

    def _take(self, now: float) -> ReceivedFrames:
        messages: list[bytes | bytearray] = []
        while self._inbox and self._inbox[0][0] <= now:
            messages += [each.encode() if isinstance(each, str) else each for each in self._inbox.popleft()[1]]
        self.messages_received += len(messages)
        self.bytes_received += sum(map(len, messages))
        return messages, self._wall_ns()

    # For the network

    def end(self, failure: Exception) -> None:
        """The connection ends with this failure, after everything that is on its way has come."""
        if self._failure is None:
            self._failure = failure
            self._changed.set()

    def cut(self, failure: Exception) -> None:
        """The connection ends at once: what is on its way is lost."""
        self._inbox.clear()
        self.end(failure)

    def die(self, now: float) -> None:
        """From now on nothing gets through, and nobody says so."""
        if self.dead_since is not None:
            return
        self.dead_since = now
        every, late = self._options.ping_interval, self._options.ping_timeout
        next_ping = self.opened_at + ceil((now - self.opened_at) / every) * every
        self.known_dead_at = next_ping + late
        self._changed.set()

    def ping(self, now: float, now_ns: int) -> None:
        """The transport sends the ping that is due, if one is: the venue counts it, and so does the feed."""
        if now >= self.next_ping_at and self.open and self.dead_since is None:
            self.next_ping_at += self._options.ping_interval
            self._options.control_sent()
            self.conversation.control(now_ns)

    def mute(self) -> None:
        """The venue sends nothing on it any more but answers to pings."""
        self.muted = True

    def mute_one(self, place: int) -> None:
        """One of its subscriptions brings nothing any more."""
        names = sorted(self.memory.topics)
        if names:
            self.muted_names.add(names[place % len(names)])

    def slow_down(self, seconds: float, until: float) -> None:
        """What the venue sends until then comes later by so many seconds."""
        self.delay, self.slow_until = seconds, until

    def queue(self, due: float, frames: list[Frame]) -> None:
        """These messages come at `due`, or when what is before them comes."""
        if self._failure is not None or not frames:
            return
        if self._inbox and self._inbox[-1][0] > due:
            due = self._inbox[-1][0]
        if self._inbox and self._inbox[-1][0] == due:
            self._inbox[-1][1].extend(frames)
        else:
            self._inbox.append((due, frames))
        self._changed.set()

    @property
    def last_due(self) -> float:
        """When the last message that is on its way comes."""
        return self._inbox[-1][0] if self._inbox else -inf

    @property
    def open(self) -> bool:
        """Whether the feed holds it, and nothing has told it otherwise."""
        return not self.left and self._failure is None

    def recent(self, name: str) -> deque[tuple[float, Frame]]:
        """The last messages of a subscription, each with its time."""
        found = self._recent.get(name)
        if found is None:
            found = self._recent[name] = deque(maxlen=KEPT)
        return found

    def hold(self, name: str, now: float, frame: Frame) -> None:
        """Keep a message until the next one of its subscription has come."""
        self._held.setdefault(name, []).append((now, frame))

    def release(self, name: str) -> list[tuple[float, Frame]]:
        """The messages that were kept and their times, in any order but theirs."""
        return self._held.pop(name, [])[::-1]

"""The network between a feed and a simulated venue, in memory: a Dial, clients for HTTP, and the faults of both.

The venue's side of each connection is a Conversation of the simulator, which is called when the feed sends, and after
every step of the market. What it answers comes LATENCY later. Faults act on the messages on their way, so they are the
same for every venue; the oracle is told which messages were kept from the feed.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from math import ceil, inf
from urllib.parse import urlsplit

import trio

from feedbus.errors import ClosedByPeer, ConnectFailed, RateLimited
from feedbus.proxies import Proxy
from feedbus.sim.seam import Frame, SimRequest
from feedbus.testing.truth.lines import SimulatedLine
from feedbus.testing.truth.oracle import LATELY, Oracle
from feedbus.testing.truth.venue import Carried, ProbedVenue
from feedbus.transport import DialOptions
from feedbus.transport.http import HttpResponse
from feedbus.transport.refusals import rate_limited

LATENCY = 0.01
"""Seconds that a message takes from the venue to the feed."""
HTTP_LATENCY = 0.04
"""Seconds that an answer over HTTP takes."""
CODES = {"close": 1000, "refuse": 1008, "abort": 1006}
"""The code with which the venue closes, by the ending of a conversation."""
FORGOTTEN_AFTER = 60.0
"""Seconds after which the venue finds that a half-open connection is dead."""
KEPT_BACK = ("drop", "garbage", "reorder")
"""The faults of messages that don't come, or not as they were."""


class Network:
    """All connections and requests to one venue. It is a Dial; `open_client` opens clients for HTTP."""

    def __init__(
        self, venue: ProbedVenue, oracle: Oracle, wall_ns: Callable[[], int], true_ns: Callable[[], int]
    ) -> None:
        """`wall_ns` is the feed's clock, and `true_ns` the venue's, in ns since the epoch."""
        self.lines: list[SimulatedLine] = []
        self.attempts: list[float] = []
        """The times of all attempts to connect."""
        self.sent: list[float] = []
        """The times of all messages that came to the venue."""
        self.banned = 0
        """How often the venue refused a connection or a request because of a ban that isn't over."""
        self.wall_ns = wall_ns
        self._true_ns = true_ns
        self._venue = venue
        self._oracle = oracle
        self._refused_until = -inf
        self._banned_until = -inf
        self._armed: dict[str, list[tuple[str, int]]] = {}  # by symbol: (kind of fault, messages left)

    # The feed's side

    @asynccontextmanager
    async def __call__(self, url: str, options: DialOptions) -> AsyncIterator[SimulatedLine]:
        """Open a connection. Raises ConnectFailed or RateLimited while a fault says so."""
        self.attempts.append(trio.current_time())
        await trio.sleep(LATENCY)
        now = trio.current_time()
        if now < self._banned_until:
            self.banned += 1
            raise RateLimited(f"{url}: HTTP 429", float(ceil(self._banned_until - now)))
        if now < self._refused_until:
            raise ConnectFailed("connection refused")
        conversation = self._venue.converse(_target(url), self._true_ns())
        if conversation is None or isinstance(conversation, int):
            raise rate_limited(url, conversation or 404, "", "") or ConnectFailed(f"{url}: HTTP {conversation or 404}")
        line = SimulatedLine(conversation, options, now, to_venue=self.to_venue, wall_ns=self.wall_ns)
        self.lines.append(line)
        self._venue.opened(line.memory)
        try:
            yield line
        finally:
            line.left = True
            if line.dead_since is None:
                self._forget(line)

    @asynccontextmanager
    async def open_client(
        self, base: str, _tls: ssl.SSLContext | None, _proxy: Proxy | None
    ) -> AsyncIterator[SimulatedHttp]:
        """Open a client for HTTP."""
        yield SimulatedHttp(self, base)

    async def request(
        self, place: str, method: str, path: str, body: bytes, heard: Callable[[int, Mapping[str, str]], object]
    ) -> HttpResponse:
        """Carry out a request. Raises ConnectFailed or RateLimited."""
        await trio.sleep(HTTP_LATENCY / 2)
        now = trio.current_time()
        if now < self._refused_until:
            raise ConnectFailed(f"{place}: connection refused")
        answer = self._venue.rest(SimRequest(method, path, body, {}, self._true_ns()))
        await trio.sleep(HTTP_LATENCY / 2 + answer.delay_s)
        headers = {name.lower(): value for name, value in answer.headers}
        heard(answer.status, headers)
        limited = rate_limited(place, answer.status, headers.get("retry-after", ""), headers.get("date", ""))
        if limited is not None:
            self.banned += now < self._banned_until
            raise limited
        return HttpResponse(answer.status, answer.body)

    # Both sides

    def to_venue(self, line: SimulatedLine, messages: Sequence[bytes | str]) -> None:
        """The feed has sent these messages."""
        now, now_ns = trio.current_time(), self._true_ns()
        self.sent += [now] * len(messages)
        for message in messages:
            begun = self._venue.heard(line.memory, message)
            line.muted_names -= begun
            for topic in map(line.memory.topics.__getitem__, begun):
                for word in topic.words:
                    self._oracle.begun((topic.symbol, word), now)
            self.from_venue(line, line.conversation.receive(message, now_ns), now, answer=True)

    def step(self) -> None:
        """The market has moved: send what that brings."""
        now, now_ns = trio.current_time(), self._true_ns()
        for line in tuple(self.lines):
            line.ping(now, now_ns)
            if line.dead_since is not None and now > line.dead_since + FORGOTTEN_AFTER:
                self._forget(line)
                continue
            self.from_venue(line, line.conversation.due(), now)

    def from_venue(self, line: SimulatedLine, frames: Sequence[Frame], now: float, *, answer: bool = False) -> None:
        """The venue sends these messages."""
        due = now + LATENCY * (2 if answer else 1)
        if line.delay:
            due += line.delay
            if now >= line.slow_until:
                line.delay = 0.0
        due = max(due, line.last_due)
        out: list[Frame] = []
        for frame in frames:
            topic = self._venue.topic(line.memory, frame)
            if topic is None:
                if line.dead_since is None and not line.muted:
                    out.append(frame)
            elif line.dead_since is not None or line.muted or line.muted_names:
                self._swallow(line, topic, frame, now, due, out)
            else:
                self._carry(line, topic, frame, now, due, out)
        line.queue(due, out)
        if line.conversation.ending:
            self._close(line, ClosedByPeer(CODES[line.conversation.ending], "by the simulated venue"))

    def _swallow(
        self, line: SimulatedLine, topic: Carried, frame: Frame, now: float, due: float, out: list[Frame]
    ) -> None:
        """Carry a message on a connection where something is silent."""
        if line.dead_since is not None:
            if line.open:
                for word in topic.words:
                    self._oracle.touched((topic.symbol, word), "half_open")
                    self._oracle.withheld((topic.symbol, word), now, line.known_dead_at + LATELY)
        elif line.muted or topic.name in line.muted_names:
            if line.open:
                for word in topic.words:
                    key = (topic.symbol, word)
                    self._oracle.touched(key, "mute_all" if line.muted else "mute_one")
                    self._oracle.silenced(key, now)
        else:
            self._carry(line, topic, frame, now, due, out)

    def _carry(
        self, line: SimulatedLine, topic: Carried, frame: Frame, now: float, due: float, out: list[Frame]
    ) -> None:
        """Carry a message, with the faults that are armed for its instrument."""
        kind = self._armed_for(topic)
        recent = line.recent(topic.name)
        if kind in KEPT_BACK:
            self._keep_back(line, topic, frame, kind, due, out)
            recent.append((now, frame))
            return
        self._tell_oracle(topic, frame, now, due)
        out.append(frame)
        for sent_at, held in line.release(topic.name):
            self._replay(topic, sent_at, held, out)
        if kind == "duplicate":
            out.append(frame)
        elif kind == "stale_replay" and recent:
            self._replay(topic, *recent[0], out)
        elif kind == "wrong_ticker" and (wrong := self._venue.misdirected(line.memory, topic, frame)) is not None:
            out.append(wrong)
        recent.append((now, frame))

    def _tell_oracle(self, topic: Carried, frame: Frame, now: float, due: float) -> None:
        """A message comes as it should, perhaps late."""
        cells, is_late = self._venue.cells(frame), due > now + LATELY / 2
        for word in topic.words:
            key = (topic.symbol, word)
            if is_late:
                self._oracle.touched(key, "slow")
                self._oracle.withheld(key, now, due + LATELY, ends_by_news=False)
            self._oracle.heard(key, due, cells)

    def _keep_back(
        self, line: SimulatedLine, topic: Carried, frame: Frame, kind: str, due: float, out: list[Frame]
    ) -> None:
        """A message doesn't come, or damaged, or later than the next one."""
        now = trio.current_time()
        if kind != "garbage" or not self._venue.damage_shows:
            cells = self._venue.cells(frame)
            for word in topic.words:
                self._oracle.withheld((topic.symbol, word), now, inf, cells)
        elif due > now + LATELY / 2:  # that it is damaged shows when it comes
            for word in topic.words:
                self._oracle.withheld((topic.symbol, word), now, due + LATELY, ends_by_news=False)
        if kind == "garbage":
            out.append(self._venue.damaged(frame))
        elif kind == "reorder":
            line.hold(topic.name, now, frame)

    def _replay(self, topic: Carried, sent_at: float, frame: Frame, out: list[Frame]) -> None:
        """An old message comes."""
        out.append(frame)
        if not self._venue.is_dated(topic):
            for word in topic.words:
                self._oracle.withheld((topic.symbol, word), sent_at)

    def _armed_for(self, topic: Carried) -> str:
        """The fault of the next message about this instrument, which is counted as done; "" when it has none."""
        armed = self._armed.get(topic.symbol)
        if not armed:
            return ""
        kind, left = armed[0]
        if left > 1:
            armed[0] = (kind, left - 1)
        else:
            del armed[0]
        for word in topic.words:
            self._oracle.touched((topic.symbol, word), kind)
        return kind

    # Faults

    def arm(self, kind: str, symbol: str, count: int) -> None:
        """The next `count` messages about this instrument have this fault."""
        self._armed.setdefault(symbol, []).append((kind, count))

    def disarm(self) -> None:
        """No message has a fault any more that it doesn't have yet."""
        self._armed.clear()

    def open_lines(self) -> list[SimulatedLine]:
        """The connections that the feed holds, the oldest first."""
        return [line for line in self.lines if line.open and line.dead_since is None]

    def refuse(self, until: float) -> None:
        """Nothing can be connected to until then, and what is connected is reset."""
        self._refused_until = max(self._refused_until, until)
        self.reset_all()

    def ban(self, until: float) -> None:
        """The venue shuts us out until then."""
        self._banned_until = max(self._banned_until, until)
        for line in self.open_lines():
            self._close(line, ClosedByPeer(1008, "banned"))

    def reset_all(self) -> None:
        """Every connection is cut, and the feed sees that."""
        for line in self.open_lines():
            self.reset(line)

    def reset(self, line: SimulatedLine, error: Exception | None = None) -> None:
        """A connection is cut, and the feed sees that."""
        self._forget(line)
        line.cut(error or ClosedByPeer(1006, "connection reset"))

    def abandon(self) -> None:
        """The process at the other end was killed: what it still does to its connections doesn't reach the venue."""
        for line in tuple(self.lines):
            self._forget(line)
            line.left = True
            line.cut(ClosedByPeer(1006, "killed"))

    def _close(self, line: SimulatedLine, error: ClosedByPeer) -> None:
        """The venue closes a connection, which the feed sees after what is on its way."""
        now, last = trio.current_time(), line.last_due
        if last > now + LATELY / 2:
            for topic in line.memory.topics.values():
                for word in topic.words:
                    self._oracle.withheld((topic.symbol, word), now, last + LATELY, ends_by_news=False)
        self._forget(line)
        line.end(error)

    def _forget(self, line: SimulatedLine) -> None:
        if line in self.lines:
            self.lines.remove(line)
            self._venue.closed(line.memory)


class SimulatedHttp:
    """A client for HTTP."""

    def __init__(self, network: Network, base: str) -> None:
        self._network = network
        self._base = base

    async def request(
        self, method: str, path: str, body: bytes = b"", *, heard: Callable[[int, Mapping[str, str]], object]
    ) -> HttpResponse:
        """Send one request and return its answer. Raises what Network.request raises."""
        return await self._network.request(self._base, method, path, body, heard)


def _target(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path

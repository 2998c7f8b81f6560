"""One client's conversation with the simulated Binance, and what all of them share. Pure: time is an argument.

The market opens with the first subscription, in a URL or by SUBSCRIBE, so that a seed, a start and the same requests
give the same bytes. An unknown stream's name is confirmed like any other, and nothing ever comes (nor is it listed).
Of the venue's limits those on messages and streams are held; a client that is so late that events are lost to it is
dropped, as there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl, unquote, urlsplit
from weakref import WeakValueDictionary

import msgspec

from feedbus.sim.binance import control, wire
from feedbus.sim.binance.catalogue import Pair, pairs
from feedbus.sim.binance.market import BinanceMarket
from feedbus.sim.binance.streams import BinanceStream, channel
from feedbus.sim.seam import Ending, Frame, ServerCounters

SECOND_NS = 1_000_000_000
_UNITS = {"MILLISECOND": wire.MILLISECOND, "MICROSECOND": wire.MICROSECOND}


class BinanceSimOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the venue behaves. `start_ns` fixes the market's clock (else it begins when the first client subscribes),
    `rate` is market steps a second: with all pairs, about thirty trades come with each step."""

    seed: int = 1
    start_ns: int | None = None
    rate: float = 10.0
    max_messages: int = 5
    """Messages a second from a client; one more, and it is disconnected. Pings and pongs aren't counted here."""
    max_streams: int = 1024
    """Streams of a connection; a client that asks for more is disconnected."""
    max_age_s: float = 86_400.0
    """Seconds, by the market's clock, after which a connection is told serverShutdown and closed."""
    ping_every: float | None = 20.0
    """Seconds between the server's pings; None: it sends none."""
    weight_limit: int = 6000
    """Request weight a minute over REST; beyond it the answer is HTTP 429."""
    max_frame: int = 64 * 1024
    """The largest message taken from a client, in bytes."""

    def __post_init__(self) -> None:
        if not 1.0 <= self.rate <= 1000.0:
            raise ValueError("rate: from 1 to 1000 market steps a second")
        if min(self.max_messages, self.max_streams, self.weight_limit) < 1:
            raise ValueError("max_messages, max_streams, weight_limit: 1 or more")


class BinanceCounters(ServerCounters):
    """Plain totals over all connections."""

    def __init__(self) -> None:
        super().__init__()
        self.clients_over_limit = 0
        self.clients_too_slow = 0


class BinanceVenue:
    """What all conversations share: the market, its clock, and the streams that somebody has."""

    def __init__(
        self, options: BinanceSimOptions, counters: BinanceCounters | None = None, listed: Iterable[Pair] | None = None
    ) -> None:
        self.options = options
        self.counters = counters or BinanceCounters()
        self.market = BinanceMarket(options.seed, options.start_ns, round(SECOND_NS / options.rate), listed or pairs())
        self._channels: WeakValueDictionary[tuple[str, int], BinanceStream] = WeakValueDictionary()
        """Conversations own them: a stream that nobody has is written no more."""

    @property
    def opened(self) -> bool:
        return self.market.opened

    @property
    def step(self) -> int:
        return self.market.step

    @property
    def step_ns(self) -> int:
        return self.market.step_ns

    def advance(self) -> None:
        """One step of the market, written down for those who have subscribed."""
        self.market.advance()
        for each in list(self._channels.values()):
            each.write(each)

    def channel(self, name: str, unit: int) -> BinanceStream | None:
        """The stream of that name; None when there is none."""
        found = self._channels.get((name, unit))
        if found is None and (found := channel(name, self.market, unit)) is not None:
            self._channels[name, unit] = found
        return found

    def now_ns(self, now_ns: int) -> int:
        """The market's time; while it isn't open, its start or the wall clock's time."""
        if self.market.opened or self.market.start_ns is not None:
            return self.market.now_ns
        return now_ns

    def converse(self, target: str, now_ns: int) -> BinanceConversation | None:
        """Begin with a client that asks for this target; None when there is no such place."""
        try:
            parts = urlsplit(target)
            query = dict(parse_qsl(parts.query, max_num_fields=32))
        except ValueError:
            return None
        unit = _UNITS.get(query.get("timeUnit", "MILLISECOND").upper())
        first, _, rest = unquote(parts.path).strip("/").partition("/")
        if unit is None or first not in ("ws", "stream") or (rest and first == "stream"):
            return None
        names = (rest if first == "ws" else query.get("streams", "")).split("/")
        conversation = BinanceConversation(self, combined=first == "stream", unit=unit)
        conversation.subscribe([name for name in names if name], now_ns)
        return conversation


class _BinanceSubscription:
    __slots__ = ("channel", "head", "read")

    def __init__(self, name: str, channel: BinanceStream) -> None:
        self.channel = channel
        self.head = f'{{"stream":{control.encode(name)},"data":'
        self.read = channel.count
        """How many of the channel's payloads are dealt with."""


class BinanceConversation:
    """One connection. `ending` says when and how the server must close it."""

    def __init__(self, venue: BinanceVenue, *, combined: bool, unit: int) -> None:
        self.ending: Ending = ""
        self._venue = venue
        self._counters = venue.counters
        self._combined = combined
        self._unit = unit
        self._begun: int | None = None
        """The step from which the connection's age counts."""
        self._recent: deque[int] = deque(maxlen=venue.options.max_messages)
        self._subscriptions: dict[str, _BinanceSubscription] = {}

    def receive(self, data: Frame, now_ns: int) -> list[str]:
        """One WebSocket message of the client came; returns the frames to answer with. Never raises."""
        self._counters.frames_received += 1
        if len(self._recent) == self._recent.maxlen and now_ns - self._recent[0] < SECOND_NS:
            self._over_limit()
            return []
        self._recent.append(now_ns)
        try:
            return self._answer(
                control.parse(data if isinstance(data, str) else data.decode("utf-8", "replace")), now_ns
            )
        except control.BinanceRefusal as refusal:
            self._counters.errors_sent += 1
            return [refusal.answer]

    def due(self) -> list[str]:
        """What the market's newest step brings to this connection."""
        frames: list[str] = []
        for subscription in self._subscriptions.values():
            new = subscription.channel.count - subscription.read
            if not new:
                continue
            payloads = subscription.channel.since(subscription.read)
            if len(payloads) < new and subscription.channel.lossless:
                self._counters.clients_too_slow += 1
                self.ending = "refuse"
                return []
            subscription.read += new
            frames += self._wrapped(subscription, payloads)
        return frames + self._shutdown_if_old()

    def goodbye(self) -> list[str]:
        """The server stops."""
        return [self._shutdown()]

    def subscribe(self, names: Sequence[str], now_ns: int) -> None:
        """Have these streams from now on, as far as they exist."""
        if not names:
            return
        self._venue.market.open(now_ns)
        if self._begun is None:
            self._begun = self._venue.step
        for name in names:
            if name in self._subscriptions or (found := self._venue.channel(name, self._unit)) is None:
                continue
            if len(self._subscriptions) >= self._venue.options.max_streams:
                self._over_limit()
                return
            self._subscriptions[name] = _BinanceSubscription(name, found)
            self._counters.subscriptions += 1

    def _answer(self, asked: control.Asked, now_ns: int) -> list[str]:
        value: object = None
        match asked.method:
            case "SUBSCRIBE":
                self.subscribe(control.streams(asked), now_ns)
            case "UNSUBSCRIBE":
                for name in control.streams(asked):
                    self._subscriptions.pop(name, None)
            case "LIST_SUBSCRIPTIONS":
                value = list(self._subscriptions)
            case "SET_PROPERTY":
                control.check_property(asked, 1)
                self._combined = asked.params[1]
            case "GET_PROPERTY":
                control.check_property(asked, 0)
                value = self._combined
        return [] if self.ending else [control.result(value, asked.id)]

    def _over_limit(self) -> None:
        self._counters.clients_over_limit += 1
        self.ending = "refuse"

    def _wrapped(self, subscription: _BinanceSubscription, payloads: Sequence[str]) -> Sequence[str]:
        if not self._combined:
            return payloads
        head = subscription.head
        return [f"{head}{payload}}}" for payload in payloads]

    def _shutdown_if_old(self) -> list[str]:
        if self._begun is None:
            return []
        age_ns = (self._venue.step - self._begun) * self._venue.step_ns
        if age_ns < self._venue.options.max_age_s * SECOND_NS:
            return []
        self.ending = "close"
        return [self._shutdown()]

    def _shutdown(self) -> str:
        payload = wire.shutdown(self._venue.market.now_ns, self._unit)
        return f'{{"stream":"!serverShutdown","data":{payload}}}' if self._combined else payload

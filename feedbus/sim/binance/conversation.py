"""The simulated Binance's side of one connection. Pure: time is an argument.

The market opens with the first subscription, in a URL or by SUBSCRIBE, so that the same seed, start and requests give
the same bytes. As at the venue, a SUBSCRIBE to an unknown stream is confirmed like any other, but nothing is ever sent
and LIST_SUBSCRIPTIONS doesn't name it. Of the venue's limits those on messages and streams are enforced. A client that
is so slow that events are lost to it is disconnected, as at the venue.
"""

from __future__ import annotations

from collections.abc import Sequence

from feedbus.sim.binance import control, wire
from feedbus.sim.binance.streams import BinanceStream
from feedbus.sim.binance.venue import BinanceVenue
from feedbus.sim.limits import LimitedConversation
from feedbus.sim.seam import Frame

SECOND_NS = 1_000_000_000


class _BinanceSubscription:
    __slots__ = ("head", "read", "stream")

    def __init__(self, name: str, stream: BinanceStream) -> None:
        self.stream = stream
        self.head = f'{{"stream":{control.encode(name)},"data":'
        self.read = stream.count
        """How many of the stream's payloads were sent to this connection, or left out."""


class BinanceConversation(LimitedConversation):
    """One connection."""

    def __init__(self, venue: BinanceVenue, *, combined: bool, unit: int) -> None:
        super().__init__(venue.limits)
        self._venue = venue
        self._counters = venue.counters
        self._combined = combined
        self._unit = unit
        self._cuts = venue.cuts
        self._subscribed_at: int | None = None
        """The step of the first subscription, from which the connection's age counts; None before it."""
        self._subscriptions: dict[str, _BinanceSubscription] = {}

    def receive(self, data: Frame, now_ns: int) -> list[str]:
        """The frames that answer a message of the client."""
        self._counters.frames_received += 1
        if self._is_cut() or self._is_over(now_ns):
            return []
        try:
            text = data if isinstance(data, str) else data.decode("utf-8", "replace")
            return self._answer(control.parse(text), now_ns)
        except control.BinanceRefusal as refusal:
            self._counters.errors_sent += 1
            return [refusal.answer]

    def due(self) -> list[str]:
        """The payloads of the subscribed streams since the last call."""
        if self._is_cut():
            return []
        frames: list[str] = []
        for subscription in self._subscriptions.values():
            new = subscription.stream.count - subscription.read
            if not new:
                continue
            payloads = subscription.stream.since(subscription.read)
            if len(payloads) < new and subscription.stream.lossless:
                self._counters.clients_too_slow += 1
                self.ending = "refuse"
                return []
            subscription.read += new
            frames += self._wrapped(subscription, payloads)
        return frames + self._shutdown_if_old()

    def goodbye(self) -> list[str]:
        """serverShutdown, which tells the client that the connection will be closed."""
        return [self._shutdown()]

    def subscribe(self, names: Sequence[str], now_ns: int) -> None:
        """Subscribe to these streams, as far as they exist and the limit allows."""
        if not names:
            return
        self._venue.market.open(now_ns)
        if self._subscribed_at is None:
            self._subscribed_at = self._venue.step
        for name in names:
            if name in self._subscriptions or (found := self._venue.stream(name, self._unit)) is None:
                continue
            if len(self._subscriptions) >= self._venue.options.max_streams:
                self._counters.clients_over_limit += 1
                self.ending = "refuse"
                return
            self._subscriptions[name] = _BinanceSubscription(name, found)
            self._counters.subscriptions += 1

    def _answer(self, request: control.ControlRequest, now_ns: int) -> list[str]:
        value: object = None
        if request.method in ("SUBSCRIBE", "UNSUBSCRIBE") and not self._may_subscribe(now_ns):
            return []
        match request.method:
            case "SUBSCRIBE":
                self.subscribe(control.stream_names(request), now_ns)
            case "UNSUBSCRIBE":
                for name in control.stream_names(request):
                    self._subscriptions.pop(name, None)
            case "LIST_SUBSCRIPTIONS":
                value = list(self._subscriptions)
            case "SET_PROPERTY":
                control.check_property(request, 1)
                self._combined = request.params[1]
            case "GET_PROPERTY":
                control.check_property(request, 0)
                value = self._combined
        return [] if self.ending else [control.result(value, request.id)]

    def _is_cut(self) -> bool:
        """Whether all connections were ended since this one began."""
        if self._cuts == self._venue.cuts:
            return False
        self.ending = self._venue.cut_ending
        return True

    def _wrapped(self, subscription: _BinanceSubscription, payloads: Sequence[str]) -> Sequence[str]:
        if not self._combined:
            return payloads
        head = subscription.head
        return [f"{head}{payload}}}" for payload in payloads]

    def _shutdown_if_old(self) -> list[str]:
        if self._subscribed_at is None:
            return []
        age_ns = (self._venue.step - self._subscribed_at) * self._venue.step_ns
        if age_ns < self._venue.options.max_age_s * SECOND_NS:
            return []
        self.ending = "close"
        return [self._shutdown()]

    def _shutdown(self) -> str:
        payload = wire.shutdown(self._venue.market.now_ns, self._unit)
        return f'{{"stream":"!serverShutdown","data":{payload}}}' if self._combined else payload

"""What a Session of Binance asks: in which order, how often, and what hasn't been answered yet. Pure.

The venue takes 5 messages a second from a client, pings, pongs and JSON all told, cuts a connection that sends more,
and bans who does it again. So a request goes out every 0.35 s, up to 200 streams in one: at most 3 in any second, which
leaves room for pongs and our own pings, also when the network bunches what we spread.
"""

from __future__ import annotations

from math import inf
from typing import Literal

import msgspec

from feedbus.venues.binance.channels import stream_name
from feedbus.venues.binance.messages import key_of, request
from feedbus.venues.binance.payloads import AllRevisions, reader
from feedbus.venues.protocol import Send, Subscription

SEND_EVERY = 0.35  # seconds
ANSWER_WITHIN = 10.0
BATCH = 200  # streams of one request

STATES = ("refused", "wanted", "sent", "confirmed", "live")
"""An instrument is as far as the least of its channels."""

Method = Literal["SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS"]


class BinanceSubscription:
    """One subscription: what was asked, and how far it has come."""

    __slots__ = ("attempts", "key", "name", "read", "retry_at", "state", "subscription")

    def __init__(self, subscription: Subscription, revisions: AllRevisions) -> None:
        self.subscription = subscription
        self.name = stream_name(subscription)
        self.key = key_of(self.name)
        self.read = reader(subscription, revisions)
        self.state = "wanted"
        self.attempts = 0  # SUBSCRIBEs that failed
        self.retry_at = inf


class PendingRequest(msgspec.Struct, eq=False):
    """A request that was sent and isn't answered yet."""

    id: int
    method: Method
    streams: list[BinanceSubscription]
    deadline: float


class Requests:
    """The queue of one connection, and what is under way. Times are `now` seconds."""

    def __init__(self) -> None:
        self._queue: dict[tuple[Method, str], BinanceSubscription] = {}  # in order; each stream at most once a method
        self._pending: dict[int, PendingRequest] = {}  # the earliest first
        self._listing: PendingRequest | None = None
        self._to_list = False
        self._next = -inf
        self._last_id = 0

    def put(self, method: Method, stream: BinanceSubscription) -> None:
        """Ask this of the venue, in its turn."""
        self._queue[(method, stream.name)] = stream

    def withdraw(self, stream: BinanceSubscription) -> None:
        """Forget that a stream was to be subscribed."""
        self._queue.pop(("SUBSCRIBE", stream.name), None)

    def ask_list(self) -> None:
        """Ask what is subscribed, before anything else; once at a time."""
        self._to_list = self._listing is None

    def send(self, now: float) -> tuple[PendingRequest, Send] | None:
        """The next request, when there is one and it may go out now."""
        if now < self._next or not (self._to_list or self._queue):
            return None
        self._next = now + SEND_EVERY
        self._last_id += 1
        method, streams = ("LIST_SUBSCRIPTIONS", []) if self._to_list else self._batch()
        made = PendingRequest(self._last_id, method, streams, now + ANSWER_WITHIN)
        self._pending[made.id] = made
        if self._to_list:
            self._to_list, self._listing = False, made
        return made, Send(request(method, [stream.name for stream in streams], made.id))

    def _batch(self) -> tuple[Method, list[BinanceSubscription]]:
        """What is first in the queue, with what comes after it of the same method.

        A venue that refuses a request refuses all that is in it: after each failure of a stream it is asked in a
        batch half as large, so that one bad name doesn't keep the others out.
        """
        method = next(iter(self._queue))[0]
        streams: list[BinanceSubscription] = []
        for (other, _), stream in self._queue.items():
            if other != method or len(streams) >= max(1, BATCH >> stream.attempts):
                break
            streams.append(stream)
        for stream in streams:
            del self._queue[(method, stream.name)]
        return method, streams

    def under_way(self, number: int | str | None) -> PendingRequest | None:
        """The request of this id, if it isn't answered yet."""
        return self._pending.get(number) if isinstance(number, int) else None

    def answered(self, number: int | str | None) -> PendingRequest | None:
        """The request of this id, which is under way no longer."""
        found = self.under_way(number)
        if found is not None:
            del self._pending[found.id]
        if found is self._listing:
            self._listing = None
        return found

    def only(self) -> int | None:
        """The id of the request under way, when there is exactly one."""
        return next(iter(self._pending)) if len(self._pending) == 1 else None

    def overdue(self, now: float) -> list[PendingRequest]:
        """What should have been answered by now, the earliest first."""
        return [pending for pending in self._pending.values() if pending.deadline <= now]

    def wake(self) -> float:
        """When something is to be sent or is overdue next."""
        to_send = self._next if self._to_list or self._queue else inf
        if self._listing is not None:
            return min(to_send, self._listing.deadline)
        if self._to_list:
            return to_send
        return min(to_send, next((pending.deadline for pending in self._pending.values()), inf))

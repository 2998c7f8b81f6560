"""The requests to Binance and their pace, and the state of each subscription. Pure.

The venue accepts 5 messages a second from a client, where pings, pongs and requests all count. It disconnects a client
that sends more, and bans one that does so repeatedly. So one request goes out every 0.35 s, with up to 200 streams.
That is at most 3 in any second, and leaves room for pongs and our own pings even when the network delivers messages in
bunches. Source: web-socket-streams.md of https://github.com/binance/binance-spot-api-docs.
"""

from __future__ import annotations

from feedbus.venues.binance.book_sync import BookSync
from feedbus.venues.binance.channels import stream_name
from feedbus.venues.binance.messages import key_of, request
from feedbus.venues.binance.payloads import Read
from feedbus.venues.protocol import Subscription
from feedbus.venues.subscriptions import Request, RequestPace, TrackedSubscription

LIST = "list_subscriptions"
"""The kind of the request that asks what the venue thinks is subscribed."""

LIST_EVERY = 300.0
"""Seconds between two such requests on a connection, so that what the venue has lost, or never ended, is found."""

LIST_SOON = 30.0
"""Seconds until the next one after the venue took a subscription: what it has confirmed and doesn't have is found."""

ANSWER_WITHIN = 10.0  # seconds
PACE = RequestPace(
    requests=1,
    every=0.35,
    subscriptions=200,
    answer_within=ANSWER_WITHIN,
    answered=frozenset({"subscribe", "unsubscribe", LIST}),
)


class BinanceSubscription(TrackedSubscription):
    """A subscription with the name of its stream, and the bytes with which its messages begin.

    `read` makes an event of a payload, and is None for the changes of a book. `sync` is the book that the payload
    changes, or that a best bid and ask is compared with; None where no book of the symbol is kept.
    """

    __slots__ = ("key", "name", "read", "sync")

    def __init__(self, subscription: Subscription, read: Read | None, sync: BookSync | None) -> None:
        super().__init__(subscription)
        self.name = stream_name(subscription)
        self.key = key_of(self.name)
        self.read = read
        self.sync = sync


def build(asked: Request[BinanceSubscription]) -> str:
    """One request as it is sent."""
    names = [stream_name(each) for each in asked.subscriptions]
    return request(asked.kind.upper(), names, asked.number)

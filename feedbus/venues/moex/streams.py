"""What a Session of MOEX knows of each of its subscriptions. Pure."""

from __future__ import annotations

from collections.abc import MutableMapping
from math import inf

from feedbus.venues.moex.body import Orderbook, Securities
from feedbus.venues.moex.candles import PERIODS, Candles, Kept
from feedbus.venues.protocol import Subscription

CHANNELS = ("orderbooks", "securities", *PERIODS)
USUAL = CHANNELS[:2]
"""The channels of a feed that names none."""

STATES = ("refused", "wanted", "sent", "confirmed", "live")
"""An instrument is as far as the least of its channels."""

Decoder = Orderbook | Securities | Candles
AllKept = MutableMapping[Subscription, Kept]
"""What candles leave behind for later subscriptions: the Account's, two bars a subscription."""


class MoexSubscription:
    """One subscription: what was asked, and how far it has come."""

    __slots__ = ("attempts", "decoder", "id", "live_since", "retry_at", "state", "subscription")

    def __init__(self, subscription: Subscription, kept: AllKept) -> None:
        self.subscription = subscription
        self.state = "wanted"
        self.attempts = 0
        self.live_since = inf
        self.retry_at = inf
        self.id = b""
        self.decoder = decoder(subscription, kept)


def decoder(subscription: Subscription, kept: AllKept) -> Decoder:
    """A new decoder for a new subscription."""
    match subscription.channel:
        case "orderbooks":
            return Orderbook(subscription.symbol)
        case "securities":
            return Securities(subscription.symbol)
        case channel:
            return Candles(channel, subscription.symbol, kept.setdefault(subscription, Kept()))

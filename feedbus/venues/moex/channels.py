"""The channels of MOEX ISS+, and what is kept of each subscription to one. Pure."""

from __future__ import annotations

from collections.abc import MutableMapping

from feedbus.venues.moex.candles import PERIODS, Candles, Kept
from feedbus.venues.moex.orderbook import Orderbook
from feedbus.venues.moex.securities import Securities
from feedbus.venues.protocol import Subscription
from feedbus.venues.subscriptions import TrackedSubscription

CHANNELS = ("orderbooks", "securities", *PERIODS)
USUAL = CHANNELS[:2]
"""The channels of a feed that names none."""

Decoder = Orderbook | Securities | Candles
AllKept = MutableMapping[Subscription, Kept]
"""What candles leave behind for later subscriptions, two bars a subscription. The Account holds it."""


class MoexSubscription(TrackedSubscription):
    """A subscription with the decoder of its messages, which is made anew each time the venue is asked for it."""

    __slots__ = ("decoder",)

    def __init__(self, subscription: Subscription, kept: AllKept) -> None:
        super().__init__(subscription)
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

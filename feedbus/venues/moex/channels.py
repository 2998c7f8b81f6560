"""The channels of MOEX ISS+, and the state of each subscription to one of them. Pure."""

from __future__ import annotations

from collections.abc import MutableMapping

from feedbus.trust.evidence import Evidence
from feedbus.venues.moex.candles import PERIODS, Candles, NewestBars
from feedbus.venues.moex.orderbook import Orderbook
from feedbus.venues.moex.securities import Securities
from feedbus.venues.moex.trade_times import TradeTimes
from feedbus.venues.protocol import Subscription
from feedbus.venues.subscriptions import TrackedSubscription

CHANNELS = ("orderbooks", "securities", *PERIODS)
USUAL = CHANNELS[:2]
"""The channels of a feed that names none."""

KINDS = {"orderbooks": ("book",), "securities": ("ticker",), **dict.fromkeys(PERIODS, ("bar",))}
"""The topic words of what a channel's messages become."""

EVIDENCE = {
    "orderbooks": Evidence(numbered=True, timed=True, full_pictures=True),
    "securities": Evidence(sums_grow=True, tells_best=True),
}
"""What they show of what is missing. Their numbers leave others out, so that a hole in them means nothing. Messages of
securities and candles only say what has changed, so that old ones are refused earlier (message_order.py)."""

Decoder = Orderbook | Securities | Candles
AllNewestBars = MutableMapping[Subscription, NewestBars]
"""The newest bars of each subscription to candles. The Account owns them, because they outlive connections."""


class MoexSubscription(TrackedSubscription):
    """A subscription with the decoder of its messages, which is made anew each time the venue is asked for it."""

    __slots__ = ("decoder",)

    def __init__(self, subscription: Subscription, newest_bars: AllNewestBars, times: TradeTimes) -> None:
        super().__init__(subscription)
        self.decoder = decoder(subscription, newest_bars, times)


def decoder(subscription: Subscription, newest_bars: AllNewestBars, times: TradeTimes) -> Decoder:
    """A new decoder for a new subscription. It adds the times of trades to `times`."""
    match subscription.channel:
        case "orderbooks":
            return Orderbook(subscription.symbol)
        case "securities":
            return Securities(subscription.symbol, times)
        case channel:
            return Candles(channel, subscription.symbol, newest_bars.setdefault(subscription, NewestBars()))

"""Which decoder reads which channel, and what outlives it."""

from __future__ import annotations

from feedbus.venues.moex.candles import PERIODS, Candles, NewestBars
from feedbus.venues.moex.channels import CHANNELS, USUAL, MoexSubscription, decoder
from feedbus.venues.moex.orderbook import Orderbook
from feedbus.venues.moex.securities import Securities
from feedbus.venues.moex.trade_times import TradeTimes
from feedbus.venues.protocol import Subscription


def test_every_channel_has_a_decoder() -> None:
    kinds = {channel: type(decoder(Subscription(channel, "TQBR.SBER"), {}, TradeTimes())) for channel in CHANNELS}
    assert kinds == {"orderbooks": Orderbook, "securities": Securities, **dict.fromkeys(PERIODS, Candles)}
    assert USUAL == ("orderbooks", "securities")


def test_candles_of_one_subscription_share_what_is_kept_and_the_others_keep_nothing() -> None:
    kept: dict[Subscription, NewestBars] = {}
    for channel in CHANNELS:
        for _ in range(2):
            MoexSubscription(Subscription(channel, "TQBR.SBER"), kept, TradeTimes())
    assert {subscription.channel for subscription in kept} == set(PERIODS)

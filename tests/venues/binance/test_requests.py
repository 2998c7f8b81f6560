"""What is sent to Binance: one message for many streams, no larger than it should be."""

from __future__ import annotations

import json
from functools import partial

from feedbus.venues.binance.requests import PACE, BinanceSubscription, build
from feedbus.venues.protocol import Send
from feedbus.venues.subscriptions import Subscriptions


def test_a_request_of_200_long_names_is_cut_to_size() -> None:
    track = partial(BinanceSubscription, read=None, sync=None)
    machine = Subscriptions(["depth20@100ms"], PACE, track=track, build=build)
    machine.want(f"1000000LONG{number}USDT" for number in range(200))
    machine.is_open = True
    sent = [effect.data for now in range(9) for effect in machine.send(float(now)) if isinstance(effect, Send)]
    assert max(map(len, sent)) <= 4096
    assert sorted(name for data in sent for name in json.loads(data)["params"]) == sorted(
        f"1000000long{number}usdt@depth20@100ms" for number in range(200)
    )
    assert len(sent) < 5

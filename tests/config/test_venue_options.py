"""Options that do nothing in their feed, of any venue: which are refused, and where. What Binance's are is tested with
its options."""

from __future__ import annotations

from pathlib import Path

import pytest

from feedbus import config
from feedbus.errors import ConfigError

TEXT = """\
bus: {publish: "inproc://x"}
cache_dir: /c
feeds:
  b:
    venue: binance
    url: wss://stream.binance.com:9443/stream
    channels: [CHANNEL]
    symbols: SYMBOLS
    options:
      OPTION
"""


def refusal(option: str, *, channel: str = "depth", symbols: str = "[BTCUSDT]") -> str:
    text = TEXT.replace("CHANNEL", channel).replace("SYMBOLS", symbols).replace("OPTION", option)
    try:
        config.parse(text, name="f", directory=Path(), environ={})
    except ConfigError as error:
        return str(error).removeprefix("f:10: feeds.b.options.")
    return ""


@pytest.mark.parametrize(
    ("option", "more", "said"),
    [
        ("time_unit: us", {"channel": "trade"}, ""),  # it is about every channel
        ("audit_s:", {"channel": "trade"}, ""),  # nothing is written
        ("audit_s: 5", {"channel": "trade"}, "audit_s: has no effect without one of the channels depth, depth@100ms"),
        ("snapshot_levels: 100", {}, ""),  # for all symbols
        ("snapshot_priority: [BTCUSDT]", {}, ""),
        ("snapshot_priority: [BTCUSD]", {}, "snapshot_priority: symbol 'BTCUSD': is none of this feed's symbols"),
        ("snapshot_levels: {ETHUSDT: 100}", {"symbols": "{quote: USDT}"}, ""),  # it may be among them
        ("snapshot_levels: {ethusdt: 100}", {"symbols": "{quote: USDT}"}, "snapshot_levels.ethusdt: symbol 'ethusdt'"),
    ],
)
def test_what_does_nothing_is_refused_by_name(option: str, more: dict[str, str], said: str) -> None:
    found = refusal(option, **more)
    assert found.startswith(said)
    assert bool(found) == bool(said)

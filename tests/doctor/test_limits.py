"""What a feed wants, beside what its venue allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from feedbus import config
from feedbus.config import FeedConfig
from feedbus.doctor.limits import connections, of_limits, title
from feedbus.venues import account_class
from feedbus.venues.protocol import Account


def made(folder: Path, keys: str) -> tuple[FeedConfig, Account]:
    text = f"bus: {{publish: 'inproc://x'}}\nfeeds: {{f: {{{keys}}}}}\n"
    feed = config.parse(text, name="c", directory=folder, environ={"HOME": str(folder)}).feeds[0]
    return feed, account_class(feed.venue)(feed.credentials, feed.channels, feed.options)


BINANCE = "venue: binance, url: 'wss://h/stream?s3cr3t', channels: [trade, bookTicker]"
ALOR = "venue: alor, url: 'wss://h/ws', credentials: {refresh_token: x}"
MOEX = "venue: moex, url: 'wss://h/'"
FAST = "at most 300 connects in 60 s, so all are up after 0 s at best"
SLOW = "at most 300 connects in 300 s, so all are up after {} s at best"
SENT = "5 messages on each connection in 1 s"
WEIGHT, OWN = "requests of weight 6000 in 60 s", "requests of weight 300 in 30 s"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            f"{MOEX}, symbols: [TQBR.A]",
            ["1 connection (no limit is published)", "2 subscriptions (no limit is published) on each", FAST],
        ),
        (
            f"{MOEX}, symbols: [TQBR.A], budgets: {{subscribes: {{count: 20, per_s: 10}}}}",
            [
                "1 connection (no limit is published)",
                "2 subscriptions (no limit is published) on each",
                FAST,
                "20 requests to subscribe or to unsubscribe in 10 s",
            ],
        ),
        (
            f"{ALOR}, symbols: [A, B, C], sharding: {{connections: 10, per_connection: 1}}",
            ["3 of 10 connections", "3 of 5000 subscriptions on each", FAST, "requests of weight 100 in 1 s"],
        ),
        (
            f"{BINANCE}, symbols: {{top: 900}}, sharding: {{connections: 300, per_connection: 3}}",
            [
                "300 connections (no limit is published)",
                "6 of 1024 subscriptions on each",
                SLOW.format(300),
                WEIGHT,
                SENT,
            ],
        ),
        (
            f"{BINANCE}, symbols: [AUSDT], budgets: {{rest_weight: {{count: 300, per_s: 30}}}}",
            ["1 connection (no limit is published)", "2 of 1024 subscriptions on each", SLOW.format(0), OWN, SENT],
        ),
    ],
)
def test_what_is_wanted_beside_what_is_allowed(keys: str, said: list[str], tmp_path: Path) -> None:
    finding = of_limits(*made(tmp_path, keys))
    assert (finding.verdict, finding.said.split("; "), finding.remedy) == ("good", said, "")


def test_a_budget_beyond_the_venues_is_worth_a_warning(tmp_path: Path) -> None:
    keys = f"{BINANCE}, symbols: [AUSDT], budgets: {{connects: {{count: 3000, per_s: 60}}}}"
    finding = of_limits(*made(tmp_path, keys))
    assert finding.verdict == "warning"
    assert "more than the venue's 300 in 300 s" in finding.remedy


def test_a_feed_in_a_line(tmp_path: Path) -> None:
    feed, account = made(tmp_path, f"{BINANCE}, symbols: [AUSDT, BUSDT]")
    assert title(feed, account) == "binance, 2 symbols on trade, bookTicker, 1 connection to wss://h/stream"
    chosen, account = made(tmp_path, f"{BINANCE}, symbols: {{top: 5}}, sharding: {{connections: 2}}")
    assert title(chosen, account).startswith("binance, the 5 with the largest turnover on trade")
    assert connections(chosen) == 2

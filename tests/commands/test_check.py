"""What `feedbus check` shows of a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from feedbus.commands.check import check
from feedbus.errors import ConfigError

FEEDS = """\
bus: {publish: "tcp://127.0.0.1:PORT"}
cache_dir: /tmp
feeds:
  one:
    venue: moex
    url: ws://127.0.0.1:1/?token=s3cret
    symbols: [TQBR.SBER, TQBR.GAZP, TQBR.LKOH]
    sharding: {connections: 2, per_connection: 2}
  all: {venue: moex, url: "ws://127.0.0.1:1/", symbols: {boards: [TQBR, TQTF]}}
  some: {venue: moex, url: "ws://127.0.0.1:1/", symbols: {boards: [TQBR], sample: 20}}
"""
ACTORS = """\
actors: {aggregator: {}, alerting: {}}
telemetry: {listen: 127.0.0.1:9469}
"""


def lines(folder: Path, text: str) -> list[str]:
    (folder / "c.yaml").write_text(text)
    return [line.replace(str(folder), "HERE") for line in check(str(folder / "c.yaml"))]


def test_it_shows_the_shard_plan_and_no_query_of_a_url(tmp_path: Path) -> None:
    assert lines(tmp_path, FEEDS.replace("PORT", "9000")) == [
        "HERE/c.yaml: good; publishes at tcp://127.0.0.1:9000",
        "one: 3 symbols over 2 connections to ws://127.0.0.1:1/",
        "  one/0     2  TQBR.SBER TQBR.LKOH",
        "  one/1     1  TQBR.GAZP",
        "all: all that is listed on TQBR, TQTF, asked at the start; 1 connections of 50 to ws://127.0.0.1:1/",
        "some: at most 20 on TQBR, asked at the start; 1 connections of 50 to ws://127.0.0.1:1/",
    ]


def test_it_shows_which_proxy_leads_where_and_not_the_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://jo:s3cret@proxy:3128")
    monkeypatch.setenv("NO_PROXY", "near.example")
    feeds = """\
bus: {publish: "inproc://x"}
feeds:
  far: {venue: moex, url: "wss://far.example/?s3cret", symbols: [TQBR.SBER]}
  near: {venue: moex, url: "wss://near.example/", symbols: [TQBR.SBER], rest: "https://127.0.0.1"}
  own: {venue: moex, url: "wss://own.example/", symbols: [TQBR.SBER], proxy: "socks5h://jo:s3cret@own"}
  off: {venue: moex, url: "wss://off.example/", symbols: [TQBR.SBER], proxy: none}
"""
    assert [line for line in lines(tmp_path, feeds) if " is reached " in line] == [
        "  far: wss://far.example/ is reached through the proxy http://proxy:3128 (HTTPS_PROXY)",
        "  far: https://iss.moex.com is reached through the proxy http://proxy:3128 (HTTPS_PROXY)",
        "  near: wss://near.example/ is reached directly (NO_PROXY)",
        "  near: https://127.0.0.1 is reached directly (a loopback address)",
        "  own: wss://own.example/ is reached through the proxy socks5h://own:1080 (proxy)",
        "  own: https://iss.moex.com is reached through the proxy socks5h://own:1080 (proxy)",
        "  off: wss://off.example/ is reached directly (proxy)",
        "  off: https://iss.moex.com is reached directly (proxy)",
    ]


def test_with_actors_it_shows_where_each_part_is_in_a_process_of_its_own(tmp_path: Path) -> None:
    found = lines(tmp_path, FEEDS.replace("PORT", "9000") + ACTORS)
    assert found[6:9] == [
        "actors: aggregator, alerting",
        "in processes of their own (--only NAME):",
        "  one  publishes at tcp://127.0.0.1:9000, metrics at 127.0.0.1:9469",
    ]
    assert [line.split()[0] for line in found[8:]] == ["one", "all", "some", "aggregator", "alerting"]


RULES = """\
  binance: {venue: binance, url: "ws://127.0.0.1:1/", symbols: [BTCUSDT]}
actors:
  alerting:
    rules:
      - {name: roubles, kind: large_trade, of: notional, threshold: 50000000}
      - {name: size, kind: large_trade, threshold: 2.5, symbols: ["binance:*"]}
      - {kind: price_jump, threshold: 5}
"""
LOTS = "price times lots times what a lot holds on moex"
COUNTS = [
    f"rule roubles: its threshold 50000000 counts price times base units on binance, {LOTS}",
    "rule size: its threshold 2.5 counts base units on binance",
]


def test_it_says_what_a_threshold_of_a_size_counts(tmp_path: Path) -> None:
    found = lines(tmp_path, FEEDS.replace("PORT", "9000") + RULES)
    at = found.index("actors: alerting") + 1
    assert found[at : at + 2] == [f"  {line}" for line in COUNTS]
    assert not found[at + 2].startswith("  rule")


def test_that_there_are_no_addresses_for_processes_is_said_and_is_no_error(tmp_path: Path) -> None:
    found = lines(tmp_path, FEEDS.replace("PORT", "0") + ACTORS)
    assert found[7].startswith("they can't run in processes of their own (--only NAME): bus.publish: port 0")
    assert len(found) == 8


def test_a_broken_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="feeds"):
        lines(tmp_path, 'bus: {publish: "ipc:///tmp/x"}\n')

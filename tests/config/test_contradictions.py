"""Keys that contradict one another, and near misses that don't. The messages are in tests/config/broken."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from feedbus.config.contradictions import refuse_contradictions
from feedbus.config.model import (
    BackoffConfig,
    BusConfig,
    Config,
    FeedConfig,
    ShardingConfig,
    TelemetryConfig,
)
from feedbus.config.yaml_text import compose
from feedbus.errors import ConfigError
from feedbus.venues.listings import Selection

FEED = FeedConfig(name="a", venue="moex", url="wss://h/", symbols=("TQBR.SBER",))
BOARDS: dict[str, Any] = {"symbols": (), "selection": Selection(("TQBR",), sample=50)}


def config(
    publish: str = "inproc://b", telemetry: str | None = None, cache_dir: str = "/c", **changes: object
) -> Config:
    feed = msgspec.structs.replace(FEED, **changes)
    served = TelemetryConfig(telemetry, insecure=True) if telemetry else None
    return Config("f", BusConfig(publish), (feed,), telemetry=served, cache_dir=cache_dir)


@pytest.mark.parametrize(
    "made",
    [
        config(),
        config(cache_dir=""),
        config(**BOARDS),
        config(**BOARDS, ca_file="x", url="ws://h/"),
        config(**BOARDS, ca_file="x", url="ws://h/", rest="https://h/"),
        config(ca_file="x"),
        config(ca_file="x", url="ws://h/", auth="https://h/"),
        config(ca_file="x", url="ws://h/", rest="https://h/"),
        config(compression=True),
        config(transport="trio-websocket"),
        config(backoff=BackoffConfig(1, 1)),
        config(symbols=("A.1", "A.2"), sharding=ShardingConfig(2, 1)),
        config("tcp://127.0.0.1:0", "127.0.0.1:0"),
        config("tcp://127.0.0.1:1", "127.0.0.1:2", url="ws://127.0.0.1:3", rest="http://127.0.0.1:4"),
        config("tcp://127.0.0.1:443", "0.0.0.0:444", url="wss://h/"),
        config("ipc:///x", "0.0.0.0:443", url="wss://h/"),
    ],
)
def test_what_agrees_is_taken(made: Config) -> None:
    refuse_contradictions(made, compose("{}", "f"))


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (config(**BOARDS, cache_dir=""), "cache_dir: is missing"),
        (config(symbols=(), selection=Selection(("TQBR",), top=51)), "51 symbols are 1 too many"),
        (config(symbols=("A.1", "A.2"), sharding=ShardingConfig(1, 1)), "2 symbols are 1 too many"),
        (config(backoff=BackoffConfig(2, 1)), "first (2 s) is above cap (1 s)"),
        (config(compression=True, transport="trio-websocket"), "trio-websocket has no compression"),
        (config(ca_file="x", url="ws://h/"), "no address of this feed is encrypted"),
        (config(**BOARDS, ca_file="x", url="ws://h/", rest="http://h/"), "no address of this feed is encrypted"),
        (config("tcp://[::1]:1", "[::]:1"), "is also the address of bus.publish"),
        (config("tcp://[::1]:1", url="ws://[::1]:1"), "is the address of bus.publish"),
        (config(telemetry="0.0.0.0:443", url="wss://localhost/"), "is the address of telemetry.listen"),
        (config(telemetry="localhost:80", rest="http://127.0.0.1"), "is the address of telemetry.listen"),
    ],
)
def test_what_contradicts_itself_is_refused(made: Config, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_contradictions(made, compose("{}", "f"))
    assert reason in str(caught.value)


def test_the_place_is_the_keys_own_or_that_of_what_could_hold_it() -> None:
    made = config(backoff=BackoffConfig(2, 1))
    for text, place in (
        ("feeds: {a: {\nbackoff: {}}}", "f:2: feeds.a.backoff: "),
        ("feeds:\n  a: {}", "f:2: feeds.a: "),
    ):
        with pytest.raises(ConfigError) as caught:
            refuse_contradictions(made, compose(text, "f"))
        assert str(caught.value).startswith(place)

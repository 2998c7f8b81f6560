"""`feedbus check`: judges a configuration and shows what it would run. Starts nothing and asks no venue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from feedbus.commands.rule_notes import rule_notes
from feedbus.config import Config, FeedConfig, environment, load
from feedbus.errors import ConfigError
from feedbus.feed import sharding
from feedbus.proxies import DIRECT
from feedbus.service import processes
from feedbus.venues import account_class


def check(path: str) -> list[str]:
    """The lines to print: the bus address, the shard plan of each feed, what rules of alerting count and wait for, and
    where each part runs on its own.

    Raises ConfigError for what is wrong in the file.
    """
    config = load(path, environment(Path.cwd()))
    lines = [f"{path}: good; publishes at {config.bus.publish}"]
    for feed in config.feeds:
        lines += _shard_plan(feed)
        lines += _routes(feed)
    if config.actors:
        lines.append(f"actors: {', '.join(config.actors)}")
        lines += [f"  {line}" for line in rule_notes(config)]
        lines += _own_processes(config)
    return lines


def _shard_plan(feed: FeedConfig) -> Iterator[str]:
    """Which connection carries which symbol, as far as that is known before a venue has said what it lists."""
    url = feed.url.partition("?")[0]  # a query may hold a token
    if feed.selection is not None:
        room = f"{feed.sharding.connections} connections of {feed.sharding.per_connection}"
        yield f"{feed.name}: {feed.selection}, asked at the start; {room} to {url}"
        return
    plan = sharding.plan(feed.symbols, feed.sharding.connections, feed.sharding.per_connection)
    yield f"{feed.name}: {len(feed.symbols)} symbols over {sum(map(bool, plan))} connections to {url}"
    for number, symbols in enumerate(filter(None, plan)):
        yield f"  {feed.name}/{number}  {len(symbols):>4}  {' '.join(symbols)}"


def _routes(feed: FeedConfig) -> Iterator[str]:
    """Which proxy leads to each address of the feed; nothing where neither the feed nor the environment names one."""
    if feed.proxies == DIRECT:
        return
    services = account_class(feed.venue).services
    for url in dict.fromkeys((feed.url, *{**services, **feed.services()}.values())):
        route = feed.proxies.route(url)
        how = "directly" if route.proxy is None else f"through the proxy {route.proxy}"
        yield f"  {feed.name}: {url.partition('?')[0]} is reached {how} ({route.why})"


def _own_processes(config: Config) -> Iterator[str]:
    """The addresses of each part when it has a process of its own.

    A configuration for which there are no such addresses is still a good one, so the reason is shown and not raised.
    """
    try:
        found = {name: processes.process(config, [name]) for name in processes.names(config)}
    except ConfigError as error:
        yield f"they can't run in processes of their own (--only NAME): {error}"
        return
    yield "in processes of their own (--only NAME):"
    for name, process in found.items():
        publishes = f"publishes at {process.publish}" if process.publish else "publishes nothing"
        metrics = f", metrics at {process.telemetry.listen}" if process.telemetry else ""
        yield f"  {name}  {publishes}{metrics}"

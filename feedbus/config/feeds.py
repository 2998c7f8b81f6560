"""The feeds of a configuration. Each feed's venue judges what is written for it. Reads the files that a feed names."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from feedbus import venues
from feedbus.config import addresses, credentials, symbols, venue_options
from feedbus.config.files import reason_of
from feedbus.config.judged import refuse_each, unsubstituted
from feedbus.config.model import FeedConfig, ShardingConfig
from feedbus.config.yaml_text import Node, YamlReader, YamlScalar, unknown
from feedbus.errors import ConfigError
from feedbus.proxies import DIRECT, Proxies
from feedbus.text import mistaken
from feedbus.urls import is_loopback
from feedbus.venues.listings import Lists
from feedbus.venues.protocol import Account
from feedbus.venues.turns import LEAST_MESSAGES

MAX_FEEDS = 100

_NAME_RULE = "a feed's name has at most 32 characters of a-z, 0-9, _ and -, and begins with a letter"
_FEED_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def read(reader: YamlReader, node: Node, directory: Path, proxies: Proxies = DIRECT) -> tuple[FeedConfig, ...]:
    """All feeds in the order of the file. The files that they name are relative to `directory`; `proxies` are those of
    the environment, for feeds that don't name one. Raises ConfigError.
    """
    entries = reader.table(node)
    if not 0 < len(entries) <= MAX_FEEDS:
        raise node.place.error(f"there are {len(entries)} feeds; there must be 1 to {MAX_FEEDS}")
    return tuple(_feed(reader, key, child, directory, proxies) for key, child in entries.items())


def _feed(reader: YamlReader, name: str, node: Node, directory: Path, proxies: Proxies) -> FeedConfig:
    if not _FEED_NAME.fullmatch(name):
        odd = mistaken(name)
        raise node.place.error(f"{_NAME_RULE}: {odd[1]}" if odd else _NAME_RULE)
    special = {
        "venue": lambda child: _venue(reader, child),
        "url": lambda child: addresses.venue_url(reader, child),
        "symbols": lambda child: symbols.read(reader, child, directory),
        "credentials": lambda child: credentials.read(reader, child, directory),
        "channels": lambda child: symbols.listed(reader, child, "channel"),
        "ca_file": lambda child: _ca_file(reader, child, directory),
        "rest": lambda child: addresses.rest_url(reader, child),
        "auth": lambda child: addresses.token_url(reader, child),
        "proxy": lambda child: addresses.proxy(reader, child),
        "options": lambda child: _options(reader, node, child),
    }
    values = reader.fields(FeedConfig, node, special, given=("name", "selection"))
    wanted: symbols.Wanted = values["symbols"]
    channels: dict[str, YamlScalar] = values.get("channels", {})
    account = _account(reader.table(node), values, channels)
    if (reason := account.check_url(values["url"])) is not None:
        raise reader.table(node)["url"].place.error(reason)
    _check_limits(account, values.get("sharding", ShardingConfig()), reader.table(node).get("sharding", node))
    _check_wanted(account, wanted, reader.table(node)["symbols"])
    if (options := reader.table(node).get("options")) is not None and "options" in values:
        venue_options.refuse_idle(reader, options, account, wanted)
    made = {"name": name, "symbols": tuple(wanted.symbols), "selection": wanted.selection, "channels": tuple(channels)}
    feed = FeedConfig(**{"proxies": proxies} | values | made)
    _check_routes(feed, account, node)
    _check_requests(feed, account, reader.table(node))
    return feed


def _check_requests(feed: FeedConfig, account: Account, entries: dict[str, Node]) -> None:
    """Raises ConfigError when the channels need requests over HTTP that can't be made, or would be of another venue,
    and when a connection may send so little that it can't subscribe."""
    heaviest: int = getattr(account, "heaviest", 0)
    if heaviest and feed.rest is None and is_loopback(urlsplit(feed.url).hostname or ""):
        raise entries["channels"].place.error(
            "needs snapshots over HTTP, and url is of this machine: name the same server's HTTP address by rest"
        )
    messages = feed.budgets.messages
    if messages is not None and messages.count < LEAST_MESSAGES:
        raise entries["budgets"].place.error(
            f"messages allows {messages.count}, and our pings and the answers to the venue's count besides requests: "
            f"allow {LEAST_MESSAGES} or more"
        )
    allowed = feed.budgets.rest_weight
    if allowed is not None and allowed.count < heaviest:
        raise entries["budgets"].place.error(
            f"rest_weight allows {allowed.count}, and one snapshot of a book costs {heaviest}: allow more, or ask for "
            "fewer snapshot_levels"
        )


def _check_routes(feed: FeedConfig, account: Account, node: Node) -> None:
    """Raises ConfigError when a proxy that the environment names for an address of this feed is none."""
    for url in (feed.url, *({**account.services, **feed.services()}.values())):
        try:
            feed.proxies.route(url)
        except ConfigError as error:
            raise node.place.error(f"the environment's proxy can't be used: {error}") from None


def _account(entries: dict[str, Node], values: dict[str, Any], channels: dict[str, YamlScalar]) -> Account:
    """The venue's Account with what is configured. Raises ConfigError for what the venue doesn't accept.

    The credentials, each channel, all channels together and the options are tried one after another: an Account says
    what is wrong but not where it is written, and so the place is known.
    """
    cls, known = venues.account_class(values["venue"]), values.get("credentials", {})
    written = entries.get("credentials", entries["venue"])
    credentials.check_keys(cls, written)
    try:
        cls(known, ())
    except ConfigError as error:
        raise written.place.error(str(error).removeprefix("credentials: ")) from None
    for channel, scalar in channels.items():
        try:
            cls(known, (channel,))
        except ConfigError as error:
            reason = str(error).removeprefix("channels: ")
            if read := mistaken(scalar.text):
                reason = f"{read[1]}; {reason}"
            raise scalar.place.error(unsubstituted(reason, channel, scalar)) from None
    try:
        cls(known, tuple(channels))
    except ConfigError as error:
        raise entries["channels"].place.error(str(error).removeprefix("channels: ")) from None
    try:
        return cls(known, tuple(channels), values.get("options"))
    except ConfigError as error:
        raise entries["options"].place.error(str(error).removeprefix("options: ")) from None


def _check_limits(account: Account, sharding: ShardingConfig, node: Node) -> None:
    """Raises ConfigError when more connections, or subscriptions on a connection, are wanted than the venue allows."""
    limits, channels = account.limits, len(account.channels)
    if limits.connections is not None and sharding.connections > limits.connections:
        raise node.place.error(f"the venue allows {limits.connections} connections, not {sharding.connections}")
    wanted = sharding.per_connection * channels
    if limits.subscriptions is not None and wanted > limits.subscriptions:
        raise node.place.error(
            f"the venue allows {limits.subscriptions} subscriptions on a connection: "
            f"{sharding.per_connection} symbols on {channels} channels are {wanted}"
        )


def _check_wanted(account: Account, wanted: symbols.Wanted, node: Node) -> None:
    """Raises ConfigError for a symbol, board, pattern or selection that the venue doesn't accept."""
    if wanted.selection is None:
        refuse_each(account.check_symbol, wanted.symbols, "symbol")
        return
    if not isinstance(account, Lists):
        raise node.place.error(f"venue {account.venue} lists no symbols: they have to be named")
    refuse_each(account.check_board, wanted.boards, "board")
    refuse_each(account.check_pattern, wanted.patterns, "pattern")
    if (reason := account.check_selection(wanted.selection)) is not None:
        raise node.place.error(reason)


def _options(reader: YamlReader, feed: Node, node: Node) -> msgspec.Struct:
    """The venue's own options. The venue is known to be a good one: fields are read in the order of FeedConfig, in
    which `venue` comes before `options`.
    """
    cls = venues.account_class(_venue(reader, reader.table(feed)["venue"]))
    return reader.struct(cls.Options, node)


def _venue(reader: YamlReader, node: Node) -> str:
    name, known = reader.text(node), venues.names()
    if name not in known:
        raise node.place.error(unknown("venue", name, known))
    return name


def _ca_file(reader: YamlReader, node: Node, directory: Path) -> str:
    """A PEM file with certificates. It is loaded here once, so that a bad one is found before anything is started."""
    path = directory / reader.text(node)
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise node.place.error("holds no certificate that can be used") from None
    except (OSError, ValueError) as error:
        raise node.place.error(f"can't be read: {reason_of(error)}") from None
    return str(path)

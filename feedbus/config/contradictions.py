"""What two keys of a configuration can't both mean. Pure."""

from __future__ import annotations

from collections import Counter

from feedbus.config.model import Config, FeedConfig
from feedbus.config.yaml_text import Node, Place, YamlMapping
from feedbus.urls import Endpoint, collide, endpoint
from feedbus.venues import account_class


def refuse_contradictions(config: Config, document: Node) -> None:
    """Raises ConfigError, with the place of one of the keys in question; `document` is what `config` was made of."""
    for feed in config.feeds:
        _within_feed(feed, document)
        if feed.name in config.actors:
            raise _place(document, "actors", feed.name).error("is the name of a feed too")
    _shared_accounts(config, document)
    _addresses(config, document)
    if not config.cache_dir and any(feed.boards for feed in config.feeds):
        reason = "is missing: lists of boards are kept in it, and CACHE_DIRECTORY, XDG_CACHE_HOME and HOME are not set"
        raise document.place.key("cache_dir").error(reason)


def _within_feed(feed: FeedConfig, document: Node) -> None:
    at = ("feeds", feed.name)
    backoff = feed.backoff
    if backoff.first > backoff.cap:
        reason = f"first ({backoff.first:g} s) is above cap ({backoff.cap:g} s)"
        raise _place(document, *at, "backoff").error(reason)
    if feed.compression and feed.transport == "trio-websocket":
        raise _place(document, *at, "compression").error("transport trio-websocket has none: sansio has")
    asked = [feed.rest or "", feed.auth or ""]
    over_tls = [
        feed.url.startswith("wss:"),
        *(each.startswith("https:") for each in asked),
        feed.boards and not feed.rest,
    ]
    if feed.ca_file and not any(over_tls):
        raise _place(document, *at, "ca_file").error("nothing is encrypted here: url is ws:// and not wss://")
    _carried(feed, _place(document, *at, *(("symbols", "sample") if feed.boards else ("sharding",))))


def _carried(feed: FeedConfig, place: Place) -> None:
    """As many symbols as are known to be wanted have to find room."""
    count = feed.boards.sample or 0 if feed.boards else len(feed.symbols)
    sharding = feed.sharding
    if count > sharding.capacity:
        room = f"{sharding.connections} connections of {sharding.per_connection} carry {sharding.capacity}"
        raise place.error(f"{count} symbols are {count - sharding.capacity} too many: {room}")


def _shared_accounts(config: Config, document: Node) -> None:
    """Feeds of one account share what the venue allows it."""
    wanted: Counter[tuple[str, frozenset[tuple[str, str]]]] = Counter()
    for feed in config.feeds:
        account = (feed.venue, frozenset(feed.credentials.items()))
        wanted[account] += feed.sharding.connections
        allowed = account_class(feed.venue).limits.connections
        if allowed is not None and wanted[account] > allowed:
            reason = (
                f"the venue allows an account {allowed} connections, and with its feeds above it has {wanted[account]}"
            )
            raise _place(document, "feeds", feed.name, "sharding").error(reason)


def _addresses(config: Config, document: Node) -> None:
    """Nobody listens at an address of another part, or connects to it."""
    ours: dict[str, Endpoint | None] = {"bus.publish": endpoint(config.bus.publish)}
    if config.telemetry is not None:
        listen = endpoint(f"tcp://{config.telemetry.listen}")
        if collide(listen, ours["bus.publish"]):
            raise _place(document, "telemetry", "listen").error("is the address of bus.publish too")
        ours["telemetry.listen"] = listen
    for name, options in config.actors.items():
        if (written := getattr(options, "listen", None)) is not None:
            listen = endpoint(f"tcp://{written}")
            taken = next((key for key, other in ours.items() if collide(listen, other)), None)
            if taken is not None:
                raise _place(document, "actors", name, "listen").error(f"is the address of {taken} too")
            ours[f"actors.{name}.listen"] = listen
    for feed in config.feeds:
        for key, url in (("url", feed.url), ("rest", feed.rest), ("auth", feed.auth)):
            for name, listens in ours.items():
                if url is not None and collide(endpoint(url), listens):
                    raise _place(document, "feeds", feed.name, key).error(f"is the address of {name}")


def _place(node: Node, *keys: str) -> Place:
    """Where a key is written; where it isn't, the innermost mapping that could hold it."""
    for key in keys:
        if not isinstance(node, YamlMapping) or key not in node.entries:
            break
        node = node.entries[key]
    return node.place

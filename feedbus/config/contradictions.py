"""Keys of a configuration that are good by themselves but contradict one another. Pure."""

from __future__ import annotations

from collections import Counter

from feedbus.config.alert_rules import refuse_unmet_rules
from feedbus.config.model import USUAL_CAP, Config, FeedConfig
from feedbus.config.yaml_text import Node, place_of
from feedbus.text import plain_decimal
from feedbus.urls import Endpoint, collide, endpoint
from feedbus.venues import account_class


def refuse_contradictions(config: Config, document: Node) -> None:
    """Raises ConfigError for the first contradiction, with the place of one of its keys.

    `document` is the YAML that `config` was read from; it knows the places.
    """
    for feed in config.feeds:
        _within_feed(feed, document)
        if feed.name in config.actors:
            raise place_of(document, "actors", feed.name).error("is also the name of a feed")
    if config.bus.linger is not None and config.bus.pace is not None:
        raise place_of(document, "bus", "linger").error("is in place of a pace: give one of the two")
    _shared_accounts(config, document)
    _addresses(config, document)
    refuse_unmet_rules(config, document)
    if not config.cache_dir and any(feed.selection for feed in config.feeds):
        reason = "is missing: lists of symbols are kept in it, and CACHE_DIRECTORY, XDG_CACHE_HOME and HOME are not set"
        raise document.place.key("cache_dir").error(reason)


def _within_feed(feed: FeedConfig, document: Node) -> None:
    """Contradictions between the keys of one feed."""
    at = ("feeds", feed.name)
    backoff = feed.backoff
    if backoff.first > backoff.cap:
        reason = f"first ({plain_decimal(backoff.first)} s) is above cap ({plain_decimal(backoff.cap)} s)"
        raise place_of(document, *at, "backoff").error(reason)
    if feed.stale_after > feed.stale_cap:
        key = "stale_after" if feed.stale_cap == USUAL_CAP else "stale_cap"
        after, cap = plain_decimal(feed.stale_after), plain_decimal(feed.stale_cap)
        raise place_of(document, *at, key).error(f"stale_after ({after} s) is above stale_cap ({cap} s)")
    if feed.compression and feed.transport == "trio-websocket":
        raise place_of(document, *at, "compression").error("transport trio-websocket has no compression: use sansio")
    asked = [feed.rest or "", feed.auth or ""]
    over_tls = [
        feed.url.startswith("wss:"),
        *(each.startswith("https:") for each in asked),
        feed.selection and not feed.rest,
    ]
    if feed.ca_file and not any(over_tls):
        raise place_of(document, *at, "ca_file").error(
            "has no effect: no address of this feed is encrypted (wss:// or https://)"
        )
    _carried(feed, document, at)


def _carried(feed: FeedConfig, document: Node, at: tuple[str, ...]) -> None:
    """Raises ConfigError when more symbols are known to be wanted than the connections can carry.

    Of a selection only the sizes `top` and `sample` are known here; what it is made from is known once the venue was
    asked.
    """
    selection, sharding = feed.selection, feed.sharding
    count = len(feed.symbols) if selection is None else selection.at_most
    if count > sharding.capacity:
        key = () if selection is None else ("symbols", "sample" if count == selection.sample else "top")
        room = f"{sharding.connections} connections of {sharding.per_connection} carry {sharding.capacity}"
        raise place_of(document, *at, *(key or ("sharding",))).error(
            f"{count} symbols are {count - sharding.capacity} too many: {room}"
        )


def _shared_accounts(config: Config, document: Node) -> None:
    """Feeds with the same venue and credentials use one account, so together they must keep to the venue's limit."""
    wanted: Counter[tuple[str, frozenset[tuple[str, str]]]] = Counter()
    for feed in config.feeds:
        account = (feed.venue, frozenset(feed.credentials.items()))
        wanted[account] += feed.sharding.connections
        allowed = account_class(feed.venue).limits.connections
        if allowed is not None and wanted[account] > allowed:
            used = f"its feeds up to this one want {wanted[account]}"
            reason = f"the venue allows an account {allowed} connections, and {used}"
            raise place_of(document, "feeds", feed.name, "sharding").error(reason)


def _addresses(config: Config, document: Node) -> None:
    """No two parts may listen at one address, and no feed may take an address of our own for its venue's."""
    ours: dict[str, Endpoint | None] = {"bus.publish": endpoint(config.bus.publish)}
    if config.telemetry is not None:
        listen = endpoint(f"tcp://{config.telemetry.listen}")
        if collide(listen, ours["bus.publish"]):
            raise place_of(document, "telemetry", "listen").error("is also the address of bus.publish")
        ours["telemetry.listen"] = listen
    for name, options in config.actors.items():
        if (written := getattr(options, "listen", None)) is not None:
            listen = endpoint(f"tcp://{written}")
            taken = next((key for key, other in ours.items() if collide(listen, other)), None)
            if taken is not None:
                raise place_of(document, "actors", name, "listen").error(f"is also the address of {taken}")
            ours[f"actors.{name}.listen"] = listen
    for feed in config.feeds:
        for key, url in (("url", feed.url), ("rest", feed.rest), ("auth", feed.auth)):
            for name, listens in ours.items():
                if url is not None and collide(endpoint(url), listens):
                    raise place_of(document, "feeds", feed.name, key).error(f"is the address of {name}")

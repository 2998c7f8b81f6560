"""The configuration as frozen structs. The types give the bounds of every number; nothing is read or checked here."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from feedbus.proxies import DIRECT, Proxies
from feedbus.venues.listings import Selection

KIB = 1024
MIB = 1024 * KIB
MAX_CONNECTIONS = 1000
MAX_PER_CONNECTION = 5000

USUAL_CAP = 14_400.0
"""Seconds. So long, an instrument may be silent at most, as long as it hasn't been silent for longer itself."""

# The lower bounds keep a number in the wrong unit from causing a flood of connects, pings or logins at the venue.
Seconds = Annotated[float, Meta(ge=0.1, le=3600)]
LongSeconds = Annotated[float, Meta(ge=1, le=86400)]


class Credentials(dict[str, str]):
    """The credentials of a venue account by name. Only the names are shown when it is printed, so no secret gets into a
    log.
    """

    def __repr__(self) -> str:
        return f"<{', '.join(self)}>"

    __str__ = __repr__


BusPace = Literal["latency", "balanced", "economy"]
PACES: dict[BusPace, float] = {"latency": 0.0, "balanced": 0.001, "economy": 0.005}
"""How long events are gathered under load at each pace, in seconds."""


class BusConfig(msgspec.Struct, frozen=True):
    """Where events are published. feedbus.service.processes says how the address of each process follows from this one.

    `pace` says how long events are gathered under load, and `linger` says it in seconds, in place of a pace; without
    either of them the pace is balanced.
    `stalled_bytes` limits the memory that is used for a subscriber that doesn't read; nng queues at most 8192 messages
    of at most 16 KiB, whatever this number is.
    """

    publish: str
    pace: BusPace | None = None
    linger: Annotated[float, Meta(ge=0, le=1)] | None = None
    stalled_bytes: Annotated[int, Meta(ge=MIB, le=8192 * 16 * KIB)] = 64 * MIB

    @property
    def gather(self) -> float:
        """How long events are gathered under load, in seconds; with 0 none is kept back."""
        return PACES[self.pace or "balanced"] if self.linger is None else self.linger


class TelemetryConfig(msgspec.Struct, frozen=True):
    """Where metrics and health are served.

    `listen` is HOST:PORT, with an IPv6 address in brackets; port 0 lets the system choose. There is neither TLS nor a
    login, so `insecure` has to be true for a host that isn't a loopback one.
    """

    listen: str
    insecure: bool = False

    @property
    def host(self) -> str:
        """The host or address, without brackets."""
        return self.listen.rpartition(":")[0].removeprefix("[").removesuffix("]")

    @property
    def port(self) -> int:
        """The port; 0 lets the system choose."""
        return int(self.listen.rpartition(":")[2])


class ShardingConfig(msgspec.Struct, frozen=True):
    """How many connections a feed has, and how many symbols each of them may carry."""

    connections: Annotated[int, Meta(ge=1, le=MAX_CONNECTIONS)] = 1
    per_connection: Annotated[int, Meta(ge=1, le=MAX_PER_CONNECTION)] = 50

    @property
    def capacity(self) -> int:
        """How many symbols all connections together may carry."""
        return self.connections * self.per_connection


class BackoffConfig(msgspec.Struct, frozen=True):
    """The parameters of feedbus.runtime.backoff.Backoff, in seconds."""

    first: Seconds = 0.5
    cap: LongSeconds = 60.0
    reset_after: Annotated[float, Meta(ge=0, le=86400)] = 30.0


class BudgetConfig(msgspec.Struct, frozen=True):
    """At most `count` in any `per_s` seconds."""

    count: Annotated[int, Meta(ge=1, le=1_000_000)]
    per_s: Annotated[float, Meta(ge=1, le=86400)]


class BudgetsConfig(msgspec.Struct, frozen=True):
    """How often a feed may ask its venue for what; None where the venue's own limit, or our default, holds.

    `connects` are attempts to connect, of all connections together and failed ones included. `rest_weight` is the
    weight of requests over HTTP, where the venue counts one. `subscribes` are requests to subscribe and to unsubscribe,
    of all connections together, and `messages` all that one connection sends, pings and pongs included.
    """

    connects: BudgetConfig | None = None
    rest_weight: BudgetConfig | None = None
    subscribes: BudgetConfig | None = None
    messages: BudgetConfig | None = None


class FeedConfig(msgspec.Struct, frozen=True):
    """One venue account and what is wanted from it. Times are in seconds, sizes in bytes.

    When `channels` is empty, the venue's usual channels are subscribed. With `selection`, `symbols` is empty, because
    they are chosen from what the venue lists at the start. `options` is the venue's own struct, None for its defaults.
    `rest` and `auth` are the base URLs of the venue's HTTP services of these names, None for the usual ones. `proxies`
    says through which proxy each address is reached; the key in the file is `proxy`. `login_retry` is the pause after
    the venue refused the credentials. `stale_after` is how long an instrument of which nothing is known may be silent,
    and `stale_cap` the most that one may be whatever was learnt of it; see feedbus.trust.tempo.
    """

    name: str
    venue: str
    url: str
    symbols: tuple[str, ...]
    credentials: dict[str, str] = {}
    channels: tuple[str, ...] = ()
    sharding: ShardingConfig = ShardingConfig()
    transport: Literal["sansio", "trio-websocket"] = "sansio"
    ca_file: str | None = None
    connect_timeout: Seconds = 10.0
    ping_interval: Seconds = 20.0
    ping_timeout: Seconds = 20.0
    max_message_size: Annotated[int, Meta(ge=KIB, le=1024 * MIB)] = 4 * MIB
    backoff: BackoffConfig = BackoffConfig()
    budgets: BudgetsConfig = BudgetsConfig()
    login_retry: LongSeconds = 900.0
    stale_after: LongSeconds = 60.0
    stale_cap: LongSeconds = USUAL_CAP
    compression: bool = False
    selection: Selection | None = None
    rest: str | None = None
    auth: str | None = None
    proxies: Proxies = msgspec.field(default=DIRECT, name="proxy")
    options: msgspec.Struct | None = None

    def __post_init__(self) -> None:
        # Tests and other code give a plain dict; printing the struct must show no secret then, either.
        msgspec.structs.force_setattr(self, "credentials", Credentials(self.credentials))

    def services(self) -> dict[str, str]:
        """The base URLs of HTTP services that replace the venue's own, by the name of the service."""
        return {name: url for name, url in (("rest", self.rest), ("auth", self.auth)) if url is not None}


class Config(msgspec.Struct, frozen=True):
    """A whole configuration.

    `path` is the name of the file as it was given. `actors` has the options of each actor by its name. `cache_dir` is
    the directory in which the lists of symbols that a venue gave are kept, "" when there is none. `proxies` are those
    of the environment, for what isn't a feed.
    """

    path: str
    bus: BusConfig
    feeds: tuple[FeedConfig, ...]
    actors: dict[str, msgspec.Struct] = {}
    telemetry: TelemetryConfig | None = None
    cache_dir: str = ""
    proxies: Proxies = DIRECT

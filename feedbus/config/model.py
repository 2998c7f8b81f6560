"""What a configuration says, as frozen structs. The types bound every number; nothing is read or checked here."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

KIB = 1024
MIB = 1024 * KIB
MAX_CONNECTIONS = 1000
MAX_PER_CONNECTION = 5000

# The lower bounds keep a mistyped unit from becoming a storm of connects, pings or logins.
Seconds = Annotated[float, Meta(ge=0.1, le=3600)]
LongSeconds = Annotated[float, Meta(ge=1, le=86400)]
Sample = Annotated[int, Meta(ge=1, le=MAX_CONNECTIONS * MAX_PER_CONNECTION)]


class Credentials(dict[str, str]):
    """What a venue wants to know of us. Shows its keys only, wherever it is printed."""

    def __repr__(self) -> str:
        return f"<{', '.join(self)}>"

    __str__ = __repr__


class BusConfig(msgspec.Struct, frozen=True):
    """Where events are published; feedbus.service.processes says how one address becomes one for each process.

    `linger` (seconds) is how long events are gathered under load. `stalled_bytes` bounds what a subscriber that doesn't
    read may cost us; nng queues at most 8192 messages of at most 16 KiB, whatever this number is."""

    publish: str
    linger: Annotated[float, Meta(ge=0, le=1)] = 0.001
    stalled_bytes: Annotated[int, Meta(ge=MIB, le=8192 * 16 * KIB)] = 64 * MIB


class TelemetryConfig(msgspec.Struct, frozen=True):
    """Where metrics and health are served: `listen` is HOST:PORT, an IPv6 address in brackets, and port 0 lets the
    system choose. There is neither TLS nor a login, so a host that isn't loopback takes `insecure`."""

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


class BoardsConfig(msgspec.Struct, frozen=True):
    """All symbols that the venue lists on these boards, or `sample` of them."""

    boards: tuple[str, ...]
    sample: Sample | None = None


class ShardingConfig(msgspec.Struct, frozen=True):
    """How many connections, and how many symbols each may carry."""

    connections: Annotated[int, Meta(ge=1, le=MAX_CONNECTIONS)] = 1
    per_connection: Annotated[int, Meta(ge=1, le=MAX_PER_CONNECTION)] = 50

    @property
    def capacity(self) -> int:
        """How many symbols all connections together may carry."""
        return self.connections * self.per_connection


class BackoffConfig(msgspec.Struct, frozen=True):
    """The numbers of feedbus.runtime.backoff, in seconds."""

    first: Seconds = 0.5
    cap: LongSeconds = 60.0
    reset_after: Annotated[float, Meta(ge=0, le=86400)] = 30.0


class FeedConfig(msgspec.Struct, frozen=True):
    """One venue account and what is wanted from it. Times are seconds, sizes bytes; no channels means the venue's
    usual ones; `options` is the venue's own struct, None for its defaults; `login_retry` is the pause after refused
    credentials. With `boards`, `symbols` is empty: the venue lists them. `rest` and `auth` are the addresses of the
    venue's HTTP services of these names (None: the venue's own)."""

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
    login_retry: LongSeconds = 900.0
    compression: bool = False
    boards: BoardsConfig | None = None
    rest: str | None = None
    auth: str | None = None
    options: msgspec.Struct | None = None

    def __post_init__(self) -> None:
        # However a Feed is made, printing it shows no secret.
        msgspec.structs.force_setattr(self, "credentials", Credentials(self.credentials))

    def services(self) -> dict[str, str]:
        """The addresses that take the place of the venue's own, by service."""
        return {name: url for name, url in (("rest", self.rest), ("auth", self.auth)) if url is not None}


class Config(msgspec.Struct, frozen=True):
    """A whole configuration; `path` is the file's name as it was given. `cache_dir` is where lists that a venue gave
    are kept; "" means nowhere. `actors` are their options by name."""

    path: str
    bus: BusConfig
    feeds: tuple[FeedConfig, ...]
    actors: dict[str, msgspec.Struct] = {}
    telemetry: TelemetryConfig | None = None
    cache_dir: str = ""

"""Which address each process of a configuration publishes at: computed from the configuration alone, so that every
process knows the addresses of all. Touches nothing.

The parts of a configuration are its feeds and then its actors, in the order of the file. Those that run in one process
share one address, that of the first of them that publishes. `bus.publish` is the address of the first part; each
further one that publishes adds `.<name>` to it (ipc, inproc) or 2, 4, … to its port (tcp). Where it holds
`{publisher}`, the name takes that place, also for the first. Metrics are served likewise: `telemetry.listen` is the
first part's, and each further part, whether it publishes or not, adds 1, 2, … to the port.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations

import msgspec

from feedbus import actors as subscribers
from feedbus.config.addresses import MAX_IPC_PATH
from feedbus.config.model import Config, TelemetryConfig
from feedbus.errors import ConfigError
from feedbus.urls import Endpoint, collide, endpoint

PUBLISHER = "{publisher}"
MAX_PORT = 65535
PORT_STEP = 2  # the port between is for what a publisher will serve beside its events


class Process(msgspec.Struct, frozen=True):
    """One process: the parts that it runs, where it publishes (None: nothing in it does) and serves metrics (None: it
    doesn't), and where all other publishers of the configuration are, if they run."""

    names: tuple[str, ...]
    publish: str | None
    others: tuple[str, ...]
    telemetry: TelemetryConfig | None


def names(config: Config) -> list[str]:
    """All parts of a configuration, in its order."""
    return [*(feed.name for feed in config.feeds), *config.actors]


def publishers(config: Config) -> list[str]:
    """Those that publish."""
    acting = (name for name in config.actors if subscribers.actor_class(name).publishes)
    return [*(feed.name for feed in config.feeds), *acting]


def address(config: Config, name: str) -> str:
    """Where one publisher is found when it has a process of its own. Raises ConfigError where there is no such address:
    the port is beyond the last, or the system would choose it."""
    base, place = config.bus.publish, publishers(config).index(name)
    if PUBLISHER in base:
        made = base.replace(PUBLISHER, name)
    elif place == 0:
        made = base
    elif base.startswith("tcp:"):
        host, _, port = base.rpartition(":")
        made = f"{host}:{_port(int(port), place * PORT_STEP, 'bus.publish', name)}"
    else:
        made = f"{base}.{name}"
    if made.startswith("ipc:") and len(made.removeprefix("ipc://").encode()) > MAX_IPC_PATH:
        raise ConfigError(f"bus.publish: the address of {name} is longer than {MAX_IPC_PATH} bytes: {made}")
    return made


def process(config: Config, only: Collection[str] = ()) -> Process:
    """The process that runs these parts; none named means all. Raises ConfigError for a name that isn't a part's, and
    for parts that can't have processes of their own."""
    known = names(config)
    for name in only:
        if name not in known:
            raise ConfigError(f"--only {name}: no such part; {config.path} has {', '.join(known)}")
    chosen = tuple(name for name in known if not only or name in only)
    publishing = [name for name in publishers(config) if name in chosen]
    if len(chosen) == len(known):
        first = publishing[0]
        base = config.bus.publish.replace(PUBLISHER, first)
        return Process(chosen, base, (), config.telemetry)
    addresses = {name: address(config, name) for name in publishers(config)}
    others = tuple(where for name, where in addresses.items() if name not in publishing)
    publish = addresses[publishing[0]] if publishing else None
    _refuse_collisions(config)
    return Process(chosen, publish, others, _telemetry(config, chosen[0]))


def subscribed(config: Config) -> tuple[str, ...]:
    """All addresses at which publishers of this configuration may be, however it is spread over processes. Those that
    can't have processes of their own are all at the first."""
    try:
        return tuple(address(config, name) for name in publishers(config))
    except ConfigError:
        return (config.bus.publish.replace(PUBLISHER, publishers(config)[0]),)


def _port(first: int, further: int, key: str, name: str) -> int:
    if first == 0:
        raise ConfigError(f"{key}: port 0 lets the system choose, so no other process would find {name}: name a port")
    if first + further > MAX_PORT:
        raise ConfigError(f"{key}: the port of {name} would be {first + further}, which is beyond {MAX_PORT}")
    return first + further


def _telemetry(config: Config, name: str) -> TelemetryConfig | None:
    """Where the process whose first part this is serves metrics; port 0 lets the system choose for each."""
    telemetry, place = config.telemetry, names(config).index(name)
    if telemetry is None or not telemetry.port or not place:
        return telemetry
    host = telemetry.listen.rpartition(":")[0]
    port = _port(telemetry.port, place, "telemetry.listen", name)
    return msgspec.structs.replace(telemetry, listen=f"{host}:{port}")


def _refuse_collisions(config: Config) -> None:
    """Raises ConfigError when two parts, each in a process of its own, would listen at one address."""
    taken: list[tuple[str, Endpoint | None]] = [
        (f"bus.publish of {name}", endpoint(address(config, name))) for name in publishers(config)
    ]
    served = {name: telemetry.listen for name in names(config) if (telemetry := _telemetry(config, name)) is not None}
    taken += [(f"telemetry.listen of {name}", endpoint(f"tcp://{listen}")) for name, listen in served.items()]
    listening = {name: getattr(options, "listen", None) for name, options in config.actors.items()}
    taken += [(f"actors.{name}.listen", endpoint(f"tcp://{listen}")) for name, listen in listening.items() if listen]
    for (one, here), (other, there) in combinations(taken, 2):
        if collide(here, there):
            raise ConfigError(f"{other} is the address of {one} too")

"""Which parts of a configuration a process runs, and at which addresses it publishes and serves metrics.

The addresses follow from the configuration alone, so that every process knows those of all others. Nothing is opened
here.

The parts of a configuration are its feeds and then its actors, in the order of the file. All parts in one process share
one address: that of the first of them that publishes. `bus.publish` is the address of the first part. Each further part
that publishes has `.<name>` appended to it (ipc, inproc), or 2, 4, … added to its port (tcp). When `bus.publish`
contains `{publisher}`, the part's name is put there instead, also for the first part. `telemetry.listen` is the first
part's as well, and each further part, whether it publishes or not, has 1, 2, … added to the port.
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
PORT_STEP = 2  # every second port stays free beside a publisher's


class Process(msgspec.Struct, frozen=True):
    """One process of a configuration.

    `names` are the parts that it runs. `publish` is the address that it publishes at, None when no part of it
    publishes. `others` are the addresses of all other publishers of the configuration, which may run or not.
    `telemetry` says where it serves metrics, None when it serves none.
    """

    names: tuple[str, ...]
    publish: str | None
    others: tuple[str, ...]
    telemetry: TelemetryConfig | None


def names(config: Config) -> list[str]:
    """The names of all parts of a configuration, in its order."""
    return [*(feed.name for feed in config.feeds), *config.actors]


def publishers(config: Config) -> list[str]:
    """The names of the parts that publish, in the order of the configuration."""
    acting = (name for name in config.actors if subscribers.actor_class(name).publishes)
    return [*(feed.name for feed in config.feeds), *acting]


def address(config: Config, name: str) -> str:
    """The address of one publisher when it has a process of its own.

    Raises ConfigError when there is no such address: the port would be above 65535 or chosen by the system, or the path
    would be too long.
    """
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
    """The process that runs the parts named by `only`, or all parts when none is named.

    Raises ConfigError for a name that isn't a part's, and for parts that can't have processes of their own.
    """
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
    """All addresses at which publishers of this configuration may be, in however many processes it runs.

    A configuration that can't be spread over processes has a single address.
    """
    try:
        return tuple(address(config, name) for name in publishers(config))
    except ConfigError:
        return (config.bus.publish.replace(PUBLISHER, publishers(config)[0]),)


def _port(first: int, further: int, key: str, name: str) -> int:
    """The port of the part `name`, which is `further` after the one that `key` says. Raises ConfigError."""
    if first == 0:
        raise ConfigError(f"{key}: port 0 lets the system choose, so no other process would find {name}: name a port")
    if first + further > MAX_PORT:
        raise ConfigError(f"{key}: the port of {name} would be {first + further}, which is beyond {MAX_PORT}")
    return first + further


def _telemetry(config: Config, name: str) -> TelemetryConfig | None:
    """Where the process whose first part is `name` serves metrics. With port 0 the system chooses one for each
    process.
    """
    telemetry, place = config.telemetry, names(config).index(name)
    if telemetry is None or not telemetry.port or not place:
        return telemetry
    host = telemetry.listen.rpartition(":")[0]
    port = _port(telemetry.port, place, "telemetry.listen", name)
    return msgspec.structs.replace(telemetry, listen=f"{host}:{port}")


def _refuse_collisions(config: Config) -> None:
    """Raises ConfigError when two parts, each in a process of its own, would listen at the same address."""
    taken: list[tuple[str, Endpoint | None]] = [
        (f"bus.publish of {name}", endpoint(address(config, name))) for name in publishers(config)
    ]
    served = {name: telemetry.listen for name in names(config) if (telemetry := _telemetry(config, name)) is not None}
    taken += [(f"telemetry.listen of {name}", endpoint(f"tcp://{listen}")) for name, listen in served.items()]
    listening = {name: getattr(options, "listen", None) for name, options in config.actors.items()}
    taken += [(f"actors.{name}.listen", endpoint(f"tcp://{listen}")) for name, listen in listening.items() if listen]
    for (one, here), (other, there) in combinations(taken, 2):
        if collide(here, there):
            raise ConfigError(f"{other} is also the address of {one}")

"""The actors of a configuration. Each actor's own class judges its options. Pure."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import msgspec

from feedbus import actors as subscribers
from feedbus.actors.protocol import ActorContext
from feedbus.config.yaml_text import Node, YamlReader, unknown
from feedbus.errors import ConfigError
from feedbus.proxies import DIRECT, Proxies


def _no_bus(topics: Any) -> Any:  # noqa: ARG001 - the Protocol's signature
    return nullcontext()


def read(reader: YamlReader, node: Node, proxies: Proxies = DIRECT) -> dict[str, msgspec.Struct]:
    """The options of each actor by its name, in the order of the file. An actor whose key has no value has its
    defaults. `proxies` are those of the environment.
    """
    return {name: _options(reader, name, child, proxies) for name, child in reader.table(node).items()}


def _options(reader: YamlReader, name: str, node: Node, proxies: Proxies) -> msgspec.Struct:
    known = subscribers.names()
    if name not in known:
        raise node.place.error(unknown("actor", name, known))
    cls = subscribers.actor_class(name)
    options = cls.Options() if reader.nothing(node) else reader.struct(cls.Options, node)
    try:
        # The actor judges its options when it is made; there is no bus behind it.
        cls(options, ActorContext(subscribe=_no_bus, publish=lambda _: None, wall_ns=lambda: 0, proxies=proxies))
    except ConfigError as error:
        raise node.place.error(str(error)) from None
    return options

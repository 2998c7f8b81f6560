"""What reads the bus: the live table, `tail`, and the subscriber actors, which are found by the names of their modules.

An actor is a module with a class `Actor` (see feedbus.subscribers.actor). Nothing else has to be edited to add one.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, cast

from feedbus.errors import ConfigError

if TYPE_CHECKING:
    from feedbus.subscribers.actor import Actor


def names() -> list[str]:
    """The names of all actors: the modules here that define an Actor of their own."""
    found = [module.name for module in pkgutil.iter_modules(__path__) if module.name != "actor"]
    return sorted(name for name in found if hasattr(importlib.import_module(f"{__name__}.{name}"), "Actor"))


def actor_class(name: str) -> type[Actor]:
    """The Actor class of one name. Raises ConfigError for a name that isn't an actor's."""
    known = names()
    if name not in known:
        raise ConfigError(f"unknown actor {name!r}; there are: {', '.join(known)}")
    return cast("type[Actor]", importlib.import_module(f"{__name__}.{name}").Actor)

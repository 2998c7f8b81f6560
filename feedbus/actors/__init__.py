"""The subscriber actors, found by name: each is a module or a package in this folder.

An actor exports the class `Actor` of feedbus.actors.protocol. Nothing else has to be edited to add one.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, cast

from feedbus.errors import ConfigError

if TYPE_CHECKING:
    from feedbus.actors.protocol import Actor

NO_ACTORS = frozenset({"protocol", "shell"})
"""What an actor is and what runs one: the modules of this folder that are no actors themselves."""


def names() -> list[str]:
    """The names of all actors, in order. No actor is imported to find them."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in NO_ACTORS)


def actor_class(name: str) -> type[Actor]:
    """The Actor class of one name. Raises ConfigError for a name that isn't an actor's."""
    known = names()
    if name not in known:
        raise ConfigError(f"unknown actor {name!r}; there are: {', '.join(known)}")
    return cast("type[Actor]", importlib.import_module(f"{__name__}.{name}").Actor)

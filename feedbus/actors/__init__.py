"""The subscriber actors. An actor is a module or a package in this folder that exports a class `Actor`, as
feedbus/actors/protocol.py describes it.

Actors are found by name: the name of the module is the actor's name and its key in the configuration. So a new actor is
one new file, and one word in pyproject.toml, in the contract that no actor imports another.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, cast

from feedbus.errors import ConfigError

if TYPE_CHECKING:
    from feedbus.actors.protocol import Actor

NOT_ACTORS = frozenset({"protocol", "shell"})
"""The modules of this folder that aren't actors themselves: what an actor is, and what runs one."""


def names() -> list[str]:
    """Returns the names of all actors, sorted. No actor is imported for this."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in NOT_ACTORS)


def actor_class(name: str) -> type[Actor]:
    """Imports an actor and returns its class. Raises ConfigError for an unknown name."""
    known = names()
    if name not in known:
        raise ConfigError(f"unknown actor {name!r}; there are: {', '.join(known)}")
    return cast("type[Actor]", importlib.import_module(f"{__name__}.{name}").Actor)

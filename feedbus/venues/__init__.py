"""The venues, found by name: each is a package in this folder. Pure.

A venue's package exports the class `Account` of feedbus.venues.protocol, and nothing but the package itself imports its
modules. A package that is put into this folder is a venue. Nothing else is edited to add one, but for its name in the
contract of pyproject.toml that no venue imports another.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import cast

from feedbus.errors import ConfigError
from feedbus.venues import trading_days
from feedbus.venues.protocol import Account


def names() -> list[str]:
    """The names of all venues, in order. No venue is imported to find them."""
    return list(_names_in(tuple(__path__)))


@lru_cache(maxsize=8)
def _names_in(path: tuple[str, ...]) -> tuple[str, ...]:
    """Looked for once: this is asked for every instrument that a subscriber sees."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(path) if module.ispkg))


def account_class(name: str) -> type[Account]:
    """The Account class of one venue. Raises ConfigError for a name that isn't a venue's."""
    known = names()
    if name not in known:
        raise ConfigError(f"unknown venue {name!r}; there are: {', '.join(known)}")
    return cast("type[Account]", importlib.import_module(f"{__name__}.{name}").Account)


def units(name: str) -> Mapping[str, str]:
    """What this venue counts volumes in, by what they are drawn from ("trades", "ticker"). Empty for an unknown one."""
    return account_class(name).units if name in names() else {}


def closed_statuses(name: str) -> Collection[str]:
    """The trading statuses at which this venue says that an instrument isn't traded. Empty for an unknown venue."""
    return account_class(name).closed_statuses if name in names() else ()


def trading_day(name: str) -> Callable[[int], int]:
    """The function that tells on which trading day of this venue a time lies. For an unknown venue it is the date in
    UTC."""
    return account_class(name).trading_day if name in names() else trading_days.utc

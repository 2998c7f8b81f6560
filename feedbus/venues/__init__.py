"""The venues, found by the names of the modules in this folder. Pure.

A venue is a module with a class `Account` (see feedbus.session). Nothing else has to be edited to add one.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import cast

from feedbus.errors import ConfigError
from feedbus.session import Account


def names() -> list[str]:
    """The names of all venues: the modules here that define an Account."""
    found = [module.name for module in pkgutil.iter_modules(__path__)]
    return sorted(name for name in found if hasattr(importlib.import_module(f"{__name__}.{name}"), "Account"))


def account_class(name: str) -> type[Account]:
    """The Account class of one venue. Raises ConfigError for a name that isn't a venue's."""
    known = names()
    if name not in known:
        raise ConfigError(f"unknown venue {name!r}; there are: {', '.join(known)}")
    module = importlib.import_module(f"{__name__}.{name}")
    return cast("type[Account]", module.Account)

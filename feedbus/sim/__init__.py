"""The simulated venues, found by name: each is a package in this folder. Pure.

What such a package exports is written down in feedbus.sim.seam. A package that is put into this folder can be
simulated by name. Two places name individual venues: feedbus/cli.py offers the options that only one venue has, and
feedbus/commands/demo.py says which venues the demo shows.

None of them imports another, except that the simulated ALOR is a broker on the simulated Moscow market, and so imports
the package moex.
"""

from __future__ import annotations

import pkgutil


def names() -> list[str]:
    """The names of all simulated venues, in order. No venue is imported to find them."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)

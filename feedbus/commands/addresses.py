"""Where the commands that subscribe, `monitor`, `book` and `tail`, find the publishers that they are to follow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from feedbus import config
from feedbus.service import processes
from feedbus.urls import usual_bus


def addresses(given: Sequence[str] | None, path: str | None) -> Sequence[str]:
    """The addresses of all publishers of the configuration at `path`; without one, the addresses that were `given`;
    without those, the address that feedbus publishes at unless a configuration says another. Raises ConfigError.
    """
    environ = config.environment(Path.cwd())
    if path is not None:
        return processes.subscribed(config.load(path, environ))
    return given or [usual_bus(environ)]

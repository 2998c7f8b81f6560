"""`feedbus run`: the service, until a signal ends it."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

from feedbus.commands.rule_notes import rule_notes
from feedbus.commands.signals import run_until_stopped, stop_signal
from feedbus.config import Config, credentials, environment, load
from feedbus.mask import Mask
from feedbus.service.tree import running
from feedbus.telemetry import logs
from feedbus.venues import account_class

log = logging.getLogger("feedbus")


def run(path: str, only: Collection[str], *, log_format: logs.Style) -> str:
    """Run the parts named by `only` of the configuration at `path`, or all parts when none is named.

    Blocks until a signal asks it to stop, and returns the final statistics. Raises ConfigError before anything is
    started.
    """
    config = load(path, environment(Path.cwd()))
    logs.to_stderr(style=log_format, mask=mask_of(config))
    return run_until_stopped(serve, config, only)


def mask_of(config: Config) -> Mask:
    """What hides the secrets of all feeds."""
    return Mask(secret for feed in config.feeds for secret in credentials.secrets(feed, account_class(feed.venue)))


async def serve(config: Config, only: Collection[str] = ()) -> str:
    """Run the service until a signal asks it to stop, and return the final statistics."""
    with stop_signal() as stop:
        async with running(config, only) as service:
            if service.publish is not None:
                log.info("publishing at %s", service.publish)
            for line in rule_notes(config):
                log.info("%s", line)
            await stop.wait()
            log.info("stopping")
    return service.summary(gaps=None)

"""All checks of a configuration, made together and shown in order. May touch whatever the checks touch."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import trio

from feedbus.config import Config, FeedConfig, credentials
from feedbus.doctor import machine
from feedbus.doctor.feed_checks import FeedChecks, MakeDial
from feedbus.doctor.findings import CheckFinding, Report, Section
from feedbus.doctor.limits import title
from feedbus.doctor.patience import AT_A_TIME, Patience
from feedbus.doctor.trial import first_of
from feedbus.doctor.words import BUG
from feedbus.errors import ConfigError
from feedbus.mask import Mask
from feedbus.venues import account_class
from feedbus.venues.protocol import Account

MACHINE = "this machine"
HANGING = "A disk hangs, perhaps one of the network (`df` shows which), or the system is overloaded."
USUAL_NTP = "pool.ntp.org"


class Wishes(msgspec.Struct, frozen=True):
    """What to look at: the feeds of these names (all when there is none), the time server, and how long to wait."""

    only: Collection[str] = ()
    ntp: str = USUAL_NTP
    patience: Patience = Patience()


class Examination:
    """The checks of one configuration. `report` fills while `run` runs; `told` is called at each new finding."""

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str],
        wishes: Wishes,
        make_dial: MakeDial,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        """`make_dial` makes the transport of a feed, as the service does. Raises ConfigError for an unknown feed."""
        self._config = config
        self._environ = environ
        self._wishes = wishes
        self._make_dial = make_dial
        self._secrets = frozenset(
            secret for feed in config.feeds for secret in credentials.secrets(feed, account_class(feed.venue))
        )
        mask = Mask(self._secrets)
        self._feeds = _chosen(config, wishes.only)
        self._machine = Section(MACHINE, "", clean=mask.hide, told=told)
        self._sections = {
            feed.name: Section(feed.name, title(feed, _account(feed)), clean=mask.hide, told=told)
            for feed in self._feeds
        }
        self.report = Report(
            config=mask.hide(config.path),
            at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time_ns() // 1_000_000_000)),
            at_most_s=wishes.patience.at_most(self._feeds),
            versions=machine.versions(),
            sections=[self._machine, *self._sections.values()],
        )

    async def run(self) -> None:
        """Make all checks. A check that crashes is a finding, and the others go on."""
        limit = trio.CapacityLimiter(AT_A_TIME)
        with _kept_logs(self._sections):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._guarded, self._of_machine, self._machine)
                for feed in self._feeds:
                    nursery.start_soon(self._of_feed, feed, limit)

    async def _of_machine(self) -> None:
        with trio.move_on_after(self._wishes.patience.machine) as scope:
            found = await trio.to_thread.run_sync(
                machine.of_machine, self._config, self._environ, self._secrets, abandon_on_cancel=True
            )
            self._machine.add(*found)
        if scope.cancelled_caught:
            said = f"no answer of files and sockets within {self._wishes.patience.machine:g} s"
            self._machine.add(CheckFinding("machine", "failed", said, "", HANGING))
        self._machine.add(await machine.of_clock(self._wishes.ntp, self._wishes.patience))

    async def _of_feed(self, feed: FeedConfig, limit: trio.CapacityLimiter) -> None:
        section = self._sections[feed.name]
        async with limit:
            checks = FeedChecks(feed, section, self._wishes.patience, self._make_dial, cache_dir=self._config.cache_dir)
            await self._guarded(checks.run, section)

    async def _guarded(self, checks: Callable[[], Awaitable[None]], section: Section) -> None:
        try:
            await checks()
        except Exception as error:
            said = f"the doctor failed: {_named(first_of(error))}"
            section.add(CheckFinding("doctor", "failed", said, "", BUG))
        section.done()


def _account(feed: FeedConfig) -> Account:
    return account_class(feed.venue)(feed.credentials, feed.channels, feed.options)


def _named(error: Exception) -> str:
    """What a bug is, and where it was met."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _chosen(config: Config, only: Collection[str]) -> list[FeedConfig]:
    names = [feed.name for feed in config.feeds]
    for name in only:
        if name not in names:
            raise ConfigError(f"--only {name}: no such feed; {config.path} has {', '.join(names)}")
    return [feed for feed in config.feeds if not only or feed.name in only]


class _Kept(logging.Handler):
    """Gives each line of a feed's log to its section."""

    def __init__(self, sections: Mapping[str, Section]) -> None:
        super().__init__(logging.WARNING)
        self._sections = sections

    def emit(self, record: logging.LogRecord) -> None:
        """Override the method that logging calls."""
        name = record.name.removeprefix("feedbus.").partition("/")[0]
        if name in self._sections:
            self._sections[name].note(f"{record.levelname.lower()} {record.name}: {record.getMessage()}")


@contextmanager
def _kept_logs(sections: Mapping[str, Section]) -> Iterator[None]:
    """Inside this context what the feeds log is kept with their findings, and written nowhere."""
    logger, handler = logging.getLogger("feedbus"), _Kept(sections)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)

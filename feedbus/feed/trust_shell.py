"""The shell around a feed's judge: publishes what it says, and calls its sweep every second.

Each connection tells it through a ConnectionTrust of its own what happens to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import trio

from feedbus.config import FeedConfig
from feedbus.feed.instruments import Publish
from feedbus.feed.tempo_file import TempoFile
from feedbus.schema.events import MarketData
from feedbus.trust.checkers import checkers_for
from feedbus.trust.judge import Facts, Judge, WordTrouble
from feedbus.trust.tempo import StaleRules
from feedbus.trust.tempos import Tempos
from feedbus.venues.protocol import Account, Confirmed, Effect, Refused, Resync, Skipped, Subscription

SWEEP_EVERY = 1.0  # seconds
SAVE_EVERY = 600.0  # seconds between two writings of what was learnt
SAVE_WITHIN = 2.0  # seconds that the last one may take


class TrustShell:
    """Runs the sweeps of one feed. Whoever repairs sets `repair`, which is given what each of them found in trouble."""

    def __init__(
        self,
        judge: Judge,
        publish: Publish,
        wall_ns: Callable[[], int],
        log: logging.Logger,
        *,
        tempos: Tempos | None = None,
        file: TempoFile | None = None,
    ) -> None:
        """`wall_ns` gives the time in nanoseconds since the epoch. `log` is the feed's. `tempos` are what the judge
        learns, and `file` keeps them for the next life of the process."""
        self.judge = judge
        self.publish = publish
        self.wall_ns = wall_ns
        self._log = log
        self._unlogged = 0
        self._tempos = tempos
        self._file = file
        self._is_loaded = False
        self.calendar_said = False  # whether it has been said that only the calendar tells when instruments are traded
        self.repair: Callable[[Sequence[WordTrouble]], None] = lambda _: None

    async def load(self) -> None:
        """Take in what an earlier life of the process has learnt. To be called before anything is judged; a second call
        does nothing."""
        if self._file is not None and not self._is_loaded:
            self._is_loaded = True
            await self._file.load()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Sweep until cancelled, and keep what is learnt: a slow disk doesn't hold up the sweeps."""
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_on)
            next_sweep = trio.current_time()
            while True:
                # After a pause of this program what came meanwhile is unread: that is read first, and judged then.
                next_sweep = max(next_sweep + SWEEP_EVERY, trio.current_time() + SWEEP_EVERY / 2)
                await trio.sleep_until(next_sweep)
                statuses, troubles = self.judge.sweep(trio.current_time(), self.wall_ns())
                self.publish(statuses)
                self._log_found()
                self.repair(troubles)

    async def _keep_on(self) -> None:
        """Write down what was learnt every SAVE_EVERY seconds, and at the end."""
        try:
            while True:
                await trio.sleep(SAVE_EVERY)
                await self._keep()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + SAVE_WITHIN):
                await self._keep()

    async def _keep(self) -> None:
        if self._tempos is not None and self._file is not None:
            self._tempos.fade(self.wall_ns())
            await self._file.save()

    def _log_found(self) -> None:
        """Log what the data has shown of losses since the last sweep. What is repaired is logged with the repair."""
        found = self.judge.found
        while found:
            symbol, word, finding = found.popleft()
            if finding.state != "gapped":
                self._log.warning("%s of %s: %s", word, symbol, finding.text)
        if (unlogged := self.judge.unlogged) > self._unlogged:
            self._log.warning("%d more findings about the data of this feed aren't logged", unlogged - self._unlogged)
            self._unlogged = unlogged

    def say_calendar(self) -> None:
        """Say once that only the calendar tells when instruments are traded, where one is needed."""
        if not self.calendar_said and self.judge.needs_calendar():
            self.calendar_said = True
            self._log.info(
                "no channel of this feed brings the trading status: the calendar says when instruments are traded, "
                "which knows no holidays"
            )

    def late(self, name: str, is_late: bool) -> None:
        """Whether the data of the connection of this name is old when it comes."""
        line = self.judge.line(name)
        if line.is_late is not is_late:
            self.publish(self.judge.late(line, is_late, self.wall_ns()))

    def moves(self, symbol: str, to: str) -> None:
        """This instrument moves to the connection of this name."""
        judge = self.judge
        self.publish(judge.carry(judge.line(to), [symbol], "moved", trio.current_time(), self.wall_ns()))

    def connection(self, name: str) -> ConnectionTrust:
        """Returns what a connection tells of itself."""
        return ConnectionTrust(self, name)


class ConnectionTrust:
    """What happens to one connection. Each call publishes what follows from it."""

    def __init__(self, shell: TrustShell, name: str) -> None:
        self._shell = shell
        self._judge = shell.judge
        self._line = shell.judge.line(name)

    def begins(self, symbols: Sequence[str]) -> None:
        """The connection is to be made, for the first time or after a crash, and carries these symbols."""
        shell = self._shell
        shell.publish(self._judge.carry(self._line, symbols, "connecting", trio.current_time(), shell.wall_ns()))
        shell.say_calendar()

    def opened(self, generation: int) -> None:
        """The connection is open, and isn't logged in yet."""
        self._judge.opened(self._line, generation)

    def ready(self) -> None:
        """The connection is logged in."""
        self._judge.ready(self._line, trio.current_time())

    def shut_out(self) -> None:
        """The venue refuses our credentials."""
        self._judge.shut_out(self._line)

    def away(self) -> None:
        """The connection is gone."""
        shell = self._shell
        shell.publish(self._judge.away(self._line, "connecting", trio.current_time(), shell.wall_ns()))

    def stopped(self) -> None:
        """The connection is given up, and nobody asks for its symbols any more."""
        self._shell.publish(self._judge.stopped(self._line, self._shell.wall_ns()))

    def take(self, events: list[MarketData], now: float) -> list[MarketData]:
        """Events that came. Returns what is to be published in their place."""
        return self._judge.take(self._line, events, now)

    def made(self, events: list[MarketData]) -> list[MarketData]:
        """Events that came of the Session alone. Returns what is to be published in their place."""
        return self._judge.made(events)

    def note(self, effect: Effect, now: float) -> list[MarketData]:
        """Something that the Session says of a subscription; other effects are passed over. Returns what is to be
        published because of it."""
        match effect:
            case Confirmed(subscription):
                self._judge.confirmed(subscription.channel, subscription.symbol, now)
            case Skipped(subscription=Subscription(channel, symbol)):
                return self._judge.damaged(channel, symbol, self._shell.wall_ns())
            case Refused(subscription):
                return self._judge.refused(subscription.channel, subscription.symbol, self._shell.wall_ns())
            case Resync(subscription):
                return self._judge.resync(subscription.channel, subscription.symbol, now, self._shell.wall_ns())
        return []


def trust_of_feed(
    account: Account,
    config: FeedConfig,
    publish: Publish,
    wall_ns: Callable[[], int],
    log: logging.Logger,
    *,
    cache_dir: str = "",
) -> TrustShell:
    """The judge of a feed, which knows what the venue's Account says of itself, and what was learnt in `cache_dir`."""
    facts = Facts(
        account.venue,
        {channel: account.kinds[channel] for channel in account.channels if channel in account.kinds},
        account.bar_periods,
        account.phases,
        account.calendar,
    )
    tempos = Tempos(account.venue, StaleRules(config.stale_after, config.stale_cap))
    judge = Judge(facts, tempos=tempos, checkers=checkers_for(account, account.channels))
    file = TempoFile(cache_dir, config.name, tempos)
    shell = TrustShell(judge, publish, wall_ns, log, tempos=tempos, file=file)
    shell.calendar_said = bool(account.status_words)
    return shell

"""The instruments of one feed: asked of the venue at the start and once a day, and published, again and again.

Where the symbols are chosen from what the venue lists, the feed has no symbols before the first list has come: they are
handed to it then. Where they are named, the connections don't wait for the list, and what isn't in it is said once, by
name. A list that doesn't come costs nothing but what it would have told: the failure is counted and logged, the venue
is asked again after a back-off, and the instruments that are known stay.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from math import inf
from typing import Protocol
from urllib.parse import urlsplit

import trio

from feedbus.config import FeedConfig
from feedbus.errors import VenueError
from feedbus.feed.budgets import Hold
from feedbus.feed.feed_logs import FeedLogs
from feedbus.feed.listing import Listed, instruments_of, symbols_of
from feedbus.runtime.backoff import Backoff
from feedbus.schema.events import Event, Instrument, MarketData, Ticker
from feedbus.urls import is_loopback
from feedbus.venues.instruments import KnownInstruments
from feedbus.venues.listings import Lists, Names, Selection
from feedbus.venues.protocol import Account, Fetch, FetchResponse

DAY = 86_400.0  # seconds; the venue is asked again after at most so many
EARLIER = 0.1  # the part of a day by which that is earlier, at most, so that not all ask at the same time of day
RETRY_FIRST, RETRY_CAP = 10.0, 1800.0  # seconds; the bounds of the pauses after failures, while nobody waits
MISSING_NAMED = 20  # how many symbols that the venue doesn't list are named in the log
REFUSED_WITHIN = 10.0  # seconds that they are not named, because the venue may refuse them in its own words
NEAREST = 3  # how many names are proposed for each of them
AT_ONCE = 100  # instruments that are published together
LATE = 60.0  # seconds by which the next lot may be late before this part counts as stuck


Publish = Callable[[Sequence[MarketData]], None]


class Asker(Protocol):
    """What asks the venue over HTTP: the feed's Fetcher."""

    async def get(self, fetch: Fetch) -> FetchResponse:
        """Send a request and wait for the response. Raises the VenueError with which it is answered otherwise."""


class InstrumentsOwner(Protocol):
    """What this part needs of its feed."""

    name: str
    account: Account
    services: dict[str, str]
    hold: Hold
    logs: FeedLogs

    @property
    def fetcher(self) -> Asker:
        """Asks the venue."""

    def publish(self, events: Sequence[MarketData]) -> None:
        """Publish events on the bus."""

    def clean(self, text: str) -> str:
        """A text that came from outside, without our secrets."""

    def draw(self) -> float:
        """A random number in [0, 1)."""

    def selected(self, symbols: Sequence[str]) -> Sequence[str]:
        """These symbols were chosen from what the venue lists. Returns those that are subscribed."""

    def unlisted(self, reason: str) -> None:
        """There are no symbols yet, for this reason."""


class InstrumentsShell:
    """Runs the questions and the publications of one feed.

    failures  how often the venue gave no list
    missing   the wanted symbols that the newest list doesn't have
    """

    def __init__(
        self,
        account: Lists,
        owner: InstrumentsOwner,
        *,
        symbols: Sequence[str],
        selection: Selection | None,
        backoff: Backoff,
        cache_dir: str,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`symbols` are those that are named; with a `selection` there are none yet. `backoff` is for the pauses while
        the feed waits for its symbols."""
        self.failures = 0
        self.missing: frozenset[str] = frozenset()
        self.known = KnownInstruments(symbols)
        self._account = account
        self._owner = owner
        self._selection = selection
        self._rest = owner.services["rest"]
        self._get = owner.fetcher.get
        self._hold = owner.hold
        self._waiting = backoff
        self._backoff = Backoff(RETRY_FIRST, RETRY_CAP, 0.0)
        self._cache_dir = cache_dir
        self._wall_ns = wall_ns
        self._ask_at = -inf  # when the venue is to be asked next; it outlives a crash of this part
        self._names: frozenset[str] = frozenset()  # all that the newest list has
        self._failed = False  # whether the venue gave no list when it was asked last
        self._reported: set[str] = set()  # the missing symbols that were named already
        self._wake = trio.Event()
        self._due = inf
        self._log = logging.getLogger(f"feedbus.{owner.name}")

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Ask and publish until cancelled."""
        task_status.started()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._publish_again)
                while True:
                    await trio.sleep_until(self._ask_at)
                    self._ask_at = trio.current_time() + await self._ask()
        except Exception:
            # A bug that every answer of the venue meets must not make this part crash without a pause.
            self._ask_at = trio.current_time() + self._pause(waits=not self.known.symbols)
            raise
        finally:
            self._due = inf

    def overdue(self, now: float) -> str | None:
        """What should have been done by `now` (trio's clock) and was not; None when nothing is late."""
        return f"{self._owner.name}: instruments aren't published" if now > self._due + LATE else None

    @property
    def is_awaited(self) -> bool:
        """Whether the venue hasn't answered the first question about its list yet, nor refused it."""
        return not self._names and not self.failures

    async def nearest(self, symbols: Sequence[str]) -> dict[str, list[str]] | None:
        """The nearest names that the venue lists, by symbol; a symbol that it lists is its own. None without a list."""
        names = self._names
        if not names:
            return None
        if not symbols:
            return {}
        # In a thread, because among tens of thousands of names this takes longer than data should have to wait.
        return await trio.to_thread.run_sync(_nearest, symbols, names, abandon_on_cancel=True)

    def hears_of_changes(self) -> bool:
        """Whether the venue's streams say that an instrument has changed."""
        kinds = (kind for channel in self._account.channels for kind in self._account.kinds.get(channel, ()))
        return bool(self._account.closed_statuses) or Instrument.WORD in kinds

    def changed(self, events: Iterable[Event]) -> list[MarketData]:
        """Look for changes in what the venue's streams say, which is published already. Returns the instruments that
        are to be published because of it. This is called for all events of a venue that says such things."""
        found: list[MarketData] = []
        for event in events:
            # By type and not by `match`, which costs six times as much: nearly all events are others.
            if type(event) is Ticker:
                if event.status is not None:
                    made = self.known.note_status(event.symbol, event.status, event.ts_event, event.ts_recv)
                    found += [] if made is None else [made]
            elif type(event) is Instrument:
                self.known.note(event)
                if self.known.next_due == inf:
                    self.known.begin(trio.current_time())
                    self._wake.set()
        return found

    async def _ask(self) -> float:
        """Ask the venue once. Returns the seconds until it is to be asked again."""
        waits = self._selection is not None and not self.known.symbols
        try:
            listed = await self._listed(waits=waits)
        except VenueError as error:
            return self._no_list(error, waits=waits)
        if waits:
            self.known.want(self._owner.selected(listed.symbols))
        await self._take(listed)
        if listed.gap is not None:
            return self._no_list(listed.gap, waits=False)
        if listed.from_cache:  # better than none, but no reason to ask no sooner than tomorrow
            self.failures += 1
            self._failed = True
            return self._pause(waits=False)
        if self._failed:
            self._failed = False
            self._log.info("the venue lists its instruments again")
        self._backoff = Backoff(RETRY_FIRST, RETRY_CAP, 0.0)
        return DAY * (1 - EARLIER * self._owner.draw())

    async def _listed(self, *, waits: bool) -> Listed:
        """The list, or while the feed waits for its symbols the copy of an earlier one. Raises VenueError."""
        account, get, name, rest = self._account, self._get, self._owner.name, self._rest
        if self._selection is None:
            return await instruments_of(account, self.known.symbols, rest=rest, get=get, name=name)
        return await symbols_of(
            account,
            self._selection,
            rest=rest,
            get=get,
            cache_dir=self._cache_dir,
            name=name,
            use_copy=waits,
            wall_ns=self._wall_ns,
        )

    def _no_list(self, error: VenueError, *, waits: bool) -> float:
        """Count and log a failure. While the feed waits for its symbols each is logged, later only the first one."""
        self.failures += 1
        pause = self._pause(waits=waits)
        reason = self._owner.clean(f"no list of symbols: {error.cause}: {error}")
        if waits:
            self._owner.unlisted(reason)
            self._log.warning("%s; next attempt in %.1f s", reason, pause)
        elif not self._failed:
            kept = "what is known of them stays" if len(self.known) else "nothing is known of them yet"
            self._log.warning("%s; the instruments are asked for again, and %s", reason, kept)
        self._failed = True
        return pause

    def _pause(self, *, waits: bool) -> float:
        """The seconds until the venue is asked again after a failure."""
        now, backoff = trio.current_time(), self._waiting if waits else self._backoff
        return max(backoff.failed(now, self._owner.draw()), self._hold.left(now), 0.0 if waits else RETRY_FIRST)

    async def _take(self, listed: Listed) -> None:
        """Publish what is new, and name what isn't there."""
        changed = self.known.take(listed.instruments, trio.current_time())
        for start in range(0, len(changed), AT_ONCE):
            self._owner.publish(changed[start : start + AT_ONCE])
            await trio.lowlevel.checkpoint()
        self._wake.set()
        if listed.gap is not None:
            return  # nobody knows what is in the rest
        names = self._names = frozenset(each.symbol for each in listed.instruments)
        wanted = frozenset(self.known.symbols)
        self.missing = wanted - names - listed.unlistable
        await self._report_missing()

    async def _report_missing(self) -> None:
        """Log the symbols that the venue doesn't list and that weren't named before, with the nearest that it does.
        Those that it refuses within REFUSED_WITHIN seconds are named by the line about that."""
        fresh = [symbol for symbol in self.known.symbols if symbol in self.missing and symbol not in self._reported]
        if not fresh:
            return
        self._reported.update(fresh)
        if fresh:
            await trio.sleep(REFUSED_WITHIN)
        fresh = self._owner.logs.refusals.name_unlisted(fresh)
        near = await self.nearest(fresh[:MISSING_NAMED])
        for symbol, found in (near or {}).items():
            hint = f": did you mean {' or '.join(found)}?" if found else ", nor anything like it"
            self._log.warning("the venue doesn't list the symbol %s%s", symbol, hint)
        if len(fresh) > MISSING_NAMED:
            self._log.warning("the venue doesn't list %d more of the symbols", len(fresh) - MISSING_NAMED)

    async def _publish_again(self) -> None:
        """Publish the instruments again, spread out evenly."""
        while True:
            self._due = self.known.next_due
            with trio.move_on_at(self.known.next_due):
                await self._wake.wait()
            self._wake = trio.Event()
            again = self.known.due(trio.current_time())
            if again:
                self._owner.publish(again)


def publishing(publish: Publish, shell: InstrumentsShell | None) -> Publish:
    """What publishes the events of a feed's connections. Where the venue's streams say that an instrument has changed,
    it is published after what said so."""
    if shell is None or not shell.hears_of_changes():
        return publish

    def publish_with_changes(events: Sequence[MarketData]) -> None:
        publish(events)
        if found := shell.changed(events):
            publish(found)

    return publish_with_changes


def instruments_of_feed(
    config: FeedConfig, owner: InstrumentsOwner, *, cache_dir: str, backoff: Backoff, wall_ns: Callable[[], int]
) -> InstrumentsShell | None:
    """The part for a feed; None where the venue can't be asked about its instruments, or shouldn't be."""
    account = owner.account
    if config.selection is None and (not isinstance(account, Lists) or _is_elsewhere(config)):
        return None
    if not isinstance(account, Lists):
        raise TypeError(f"the venue {config.venue} lists nothing")  # feedbus.config refuses such a feed
    return InstrumentsShell(
        account,
        owner,
        symbols=config.symbols,
        selection=config.selection,
        backoff=backoff,
        cache_dir=cache_dir,
        wall_ns=wall_ns,
    )


def _is_elsewhere(config: FeedConfig) -> bool:
    """Whether a feed has nothing to do with the venue itself: it connects to a server on this machine, such as a
    simulator, and names no REST service. The venue isn't asked about the instruments of another server then."""
    return config.rest is None and is_loopback(urlsplit(config.url).hostname or "")


def _nearest(missing: Sequence[str], names: Collection[str]) -> dict[str, list[str]]:
    """The nearest names that exist, by missing symbol."""
    known = Names(names)
    return {symbol: [symbol] if symbol in names else known.nearest(symbol, NEAREST) for symbol in missing}

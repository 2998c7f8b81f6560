"""One connection of a feed on trial: what its Account, its transport and its Session do is watched. May touch the
network, by way of the feed.

A Feed is run as a service runs it, with one symbol, and a TrialWatch is told what passes between it and the venue.
Nothing is changed on the way, so what holds here holds for the service. The trial is over with the first failure:
unlike a service, it doesn't come again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import msgspec
import trio

from feedbus.bus.publisher import Publisher
from feedbus.config import FeedConfig, ShardingConfig
from feedbus.doctor.trial_watch import TrialWatch
from feedbus.errors import LoginRefused, VenueError
from feedbus.feed.feed import Feed
from feedbus.schema.events import Event
from feedbus.transport import Connection, Dial, DialOptions
from feedbus.venues.protocol import (
    Account,
    AccountEffect,
    Effect,
    Fatal,
    Fetch,
    FetchResponse,
    Notice,
    Ready,
    Session,
)


@asynccontextmanager
async def on_trial(
    config: FeedConfig, symbol: str, dial: Dial, options: DialOptions
) -> AsyncIterator[tuple[TrialWatch, Feed]]:
    """Run a feed for one symbol on one connection, and watch it. The connection is closed on leaving."""
    watch = TrialWatch(symbol)
    alone = msgspec.structs.replace(
        config, symbols=(symbol,), selection=None, sharding=ShardingConfig(connections=1, per_connection=1)
    )
    feed = _TriedFeed(alone, watch, dial, options)
    async with trio.open_nursery() as nursery:
        await nursery.start(_run, feed, watch)
        yield watch, feed
        nursery.cancel_scope.cancel()


class _TriedFeed(Feed):
    """A feed whose account and transport are watched, and which publishes nothing."""

    def __init__(self, config: FeedConfig, watch: TrialWatch, dial: Dial, options: DialOptions) -> None:
        self._watch = watch
        super().__init__(config, _Unheard(config.name, _Nowhere()), _watched(dial, watch), options)

    def make_account(self, config: FeedConfig) -> Account:
        """The feed's own account, under watch."""
        made = super().make_account(config)
        self._watch.knows(made)
        return cast("Account", _WatchedAccount(made, self._watch))


async def _run(feed: Feed, watch: TrialWatch, task_status: trio.TaskStatus[None]) -> None:
    """Run the feed. A supervisor that gives up has met a bug of ours, which is a finding."""
    try:
        await feed.run(task_status=task_status)
    except* Exception as errors:
        watch.failed(first_of(errors))


def first_of(error: BaseException) -> Exception:
    """The error itself, or the first one of a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return cast("Exception", error)


class _Nowhere:
    """A bus that nobody listens to."""

    def send(self, message: bytes) -> None:
        """Take a message, and forget it."""


class _Unheard(Publisher):
    """A publisher that publishes nothing: what is learnt on trial is no market data."""

    def publish(self, events: Iterable[Event]) -> None:
        """Take events, and forget them."""


def _watched(dial: Dial, watch: TrialWatch) -> Dial:
    """A Dial that tells the TrialWatch when a connection is opened, and why it couldn't be or why it ended."""

    @asynccontextmanager
    async def watched(url: str, options: DialOptions) -> AsyncIterator[Connection]:
        watch.happened("dialled")
        try:
            async with dial(url, options) as connection:
                watch.subprotocol = str(getattr(connection, "subprotocol", None) or "")
                watch.happened("opened")
                yield connection
        except Exception as error:
            watch.failed(error)
            raise

    return watched


class _WatchedAccount:
    """An Account whose calls are passed on, and whose effects the TrialWatch is told.

    It isn't asked what the venue lists: a check of its own does that, of all symbols.
    """

    def __init__(self, account: Account, watch: TrialWatch) -> None:
        self._account = account
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        if name.startswith("listing"):
            raise AttributeError(name)
        return getattr(self._account, name)

    def session(self, symbols: Sequence[str]) -> Session:
        return cast("Session", _WatchedSession(self._account.session(symbols), self._watch))

    def start(self, now: float) -> Iterable[AccountEffect]:
        return self._seen(partial(self._account.start, now))

    def fetched(self, fetch: Fetch, answer: FetchResponse | VenueError, now: float) -> Iterable[AccountEffect]:
        effects = self._seen(partial(self._account.fetched, fetch, answer, now))
        self._watch.asked_account(fetch, answer, effects)
        return effects

    def tick(self, now: float) -> Iterable[AccountEffect]:
        return self._seen(partial(self._account.tick, now))

    def _seen(self, call: Callable[[], Iterable[AccountEffect]]) -> Sequence[AccountEffect]:
        try:
            found = list(call())
        except Exception as error:  # a bug, which is raised again
            self._watch.failed(error)
            raise
        for effect in found:
            match effect:
                case Ready():
                    self._watch.happened("prepared")
                case Fatal(reason):
                    self._watch.failed(LoginRefused(reason))
                case Notice():
                    self._watch.heard([effect])
        return found


class _WatchedSession:
    """A Session whose calls are passed on, and whose effects the TrialWatch is told."""

    def __init__(self, session: Session, watch: TrialWatch) -> None:
        self._session = session
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    @property
    def generation(self) -> int:
        return self._session.generation

    @generation.setter
    def generation(self, generation: int) -> None:
        self._session.generation = generation

    def opened(self, now: float) -> Iterable[Effect]:
        return self._seen(self._session.opened(now))

    def frame(self, data: bytes | bytearray, ts_recv: int, now: float) -> Iterable[Effect]:
        return self._seen(self._session.frame(data, ts_recv, now))

    def fetched(self, fetch: Fetch, answer: FetchResponse | VenueError, now: float) -> Iterable[Effect]:
        return self._seen(self._session.fetched(fetch, answer, now))

    def tick(self, now: float) -> Iterable[Effect]:
        return self._seen(self._session.tick(now))

    def _seen(self, effects: Iterable[Effect]) -> Sequence[Effect]:
        found = list(effects)
        self._watch.heard(found)
        return found

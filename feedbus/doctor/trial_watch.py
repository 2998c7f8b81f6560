"""What happens on trial: what the venue answered and when, and the first data of each channel. May wait, and read the
clock of trio, and nothing else.

It is told the effects of the feed's Account and Session, and what became of the connection, and wakes whoever waits for
any of it (feedbus/doctor/trial_checks.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf

import msgspec
import trio

from feedbus.errors import ConnectFailed, VenueError
from feedbus.schema.events import OLD_PICTURE, Bar, Event, MarketEvent, Status, Ticker
from feedbus.venues.protocol import (
    Account,
    AccountEffect,
    Close,
    Confirmed,
    Effect,
    Fatal,
    Fetch,
    FetchResponse,
    Notice,
    Ready,
    Refused,
    Skipped,
    Subscription,
)

MAX_TEXTS = 20
"""So many notices, and so many frames that couldn't be used, are kept."""


class Failure(msgspec.Struct, frozen=True):
    """Why the trial is over. `error` is no VenueError when feedbus itself has failed."""

    error: Exception
    at: float


class SubscriptionAnswer(msgspec.Struct, frozen=True):
    """How the venue answered a subscription, in seconds of trio's clock. `refusal` has its words, "" for none."""

    at: float
    refusal: str = ""


class FirstData(msgspec.Struct, frozen=True):
    """The first event of a channel, and when it came, in seconds of trio's clock."""

    at: float
    event: MarketEvent


class TrialWatch:
    """What happened on trial. Times are in seconds of trio's clock, infinity for what hasn't happened."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.wanted: list[Subscription] = []
        self.prepared = inf  # when the account allowed connections
        self.dialled = self.opened = self.ready = inf
        self.asked: list[Fetch] = []  # by the account, and answered
        self.answers: dict[Subscription, SubscriptionAnswer] = {}
        self.first: dict[str, FirstData] = {}  # by channel
        self.texts: list[str] = []  # notices, and what couldn't be used
        self.failure: Failure | None = None
        self.subprotocol = ""
        self.status: str | None = None  # the trading status that the venue says
        self.delays: list[float] = []  # the least and the greatest of what came later, in seconds; empty for none
        self.events = 0
        self.youngest: float | None = None  # the age in seconds of the youngest event on its arrival
        self._kinds: Mapping[str, Sequence[str]] = {}
        self._periods: Mapping[str, int] = {}
        self._news = trio.Event()

    def knows(self, account: Account) -> None:
        """The account says what is subscribed, and what becomes of it."""
        self.wanted = [Subscription(channel, self.symbol) for channel in account.channels]
        self._kinds, self._periods = account.kinds, account.bar_periods

    async def until(self, *names: str, within: float) -> bool:
        """Wait until each of the times of these names has come, or the trial is over. Returns whether they have."""
        return await self._until(lambda: all(getattr(self, name) < inf for name in names), within)

    async def until_answered(self, within: float) -> bool:
        """Wait until the venue has answered each subscription, by word or by data."""
        return await self._until(lambda: all(each in self.answers for each in self.wanted), within)

    async def until_data(self, within: float) -> bool:
        """Wait until data has come on each channel that wasn't refused."""
        return await self._until(lambda: not self.silent(), within)

    async def until_over(self, within: float) -> bool:
        """Wait so many seconds. Returns whether the trial was over before."""
        await self._until(lambda: False, within)
        return self.failure is not None

    async def until_later(self, within: float) -> bool:
        """Wait for an event that has a time and is more than the first picture of its channel."""
        return await self._until(lambda: bool(self.delays), within)

    def silent(self) -> list[str]:
        """The channels that were not refused, and on which nothing has come."""
        refused = {each.channel for each, answer in self.answers.items() if answer.refusal}
        return [each.channel for each in self.wanted if each.channel not in refused and each.channel not in self.first]

    async def _until(self, holds: Callable[[], bool], within: float) -> bool:
        with trio.move_on_after(within):
            while not holds() and self.failure is None:
                self._news = trio.Event()
                await self._news.wait()
        return holds()

    # What is told

    def failed(self, error: Exception) -> None:
        """The trial is over, unless it was already."""
        self.failure = self.failure or Failure(error, trio.current_time())
        self._news.set()

    def happened(self, name: str) -> None:
        """Something has happened, for the first time or again."""
        setattr(self, name, min(getattr(self, name), trio.current_time()))
        self._news.set()

    def heard(self, effects: Sequence[Effect | AccountEffect]) -> None:
        """A Session yields these effects."""
        for effect in effects:
            match effect:
                case MarketEvent():
                    self._data(effect)
                case Ready():
                    self.happened("ready")
                case Confirmed(subscription):
                    self.answers.setdefault(subscription, SubscriptionAnswer(trio.current_time()))
                case Refused(subscription, reason):
                    self.answers[subscription] = SubscriptionAnswer(trio.current_time(), reason or "without a reason")
                case _:
                    self._note(effect)
        self._news.set()

    def asked_account(self, fetch: Fetch, answer: FetchResponse | VenueError, effects: Sequence[AccountEffect]) -> None:
        """A request of the Account was answered, which yields these effects. What keeps it from getting ready ends the
        trial; a service would ask again."""
        if len(self.asked) < MAX_TEXTS:
            self.asked.append(fetch)
        is_judged = any(isinstance(effect, Ready | Fatal | Fetch) for effect in effects)
        if self.prepared == inf:
            if isinstance(answer, VenueError):
                self.failed(answer)
            elif not is_judged:
                self.failed(ConnectFailed(f"an answer that can't be used: HTTP {answer.status}"))
        self._news.set()

    def _note(self, effect: object) -> None:
        text = ""
        match effect:
            case Close(error):
                text = str(error)
            case Skipped(error):
                text = f"could not be used: {error}"
            case Notice(said):
                text = said
        if text and len(self.texts) < MAX_TEXTS:
            self.texts.append(text)

    def _data(self, event: MarketEvent) -> None:
        if event.symbol != self.symbol or isinstance(event, Status):
            return  # a status is ours, and no data
        self.events += 1
        now = trio.current_time()
        is_picture = False  # the venue shows first what there is, however old, and it may be many events
        for each in self.wanted:
            if self._is_of(event, each.channel):
                first = self.first.setdefault(each.channel, FirstData(now, event))
                is_picture |= first.event.ts_recv == event.ts_recv
                self.answers.setdefault(each, SubscriptionAnswer(now))
        if type(event) is Ticker and event.status is not None:
            self.status = event.status
        if not event.ts_event:
            return
        age = (event.ts_recv - event.ts_event) / 1e9
        self.youngest = age if self.youngest is None else min(age, self.youngest)
        if not is_picture and event.ts_recv - event.ts_event < OLD_PICTURE:
            self.delays = [min([age, *self.delays]), max([age, *self.delays])]

    def _is_of(self, event: Event, channel: str) -> bool:
        """Whether such an event comes of this channel, as far as the venue says what its channels become."""
        words = self._kinds.get(channel)
        period = self._periods.get(channel)
        is_period = not isinstance(event, Bar) or period is None or event.period_s == period
        return words is None or (event.WORD in words and is_period)

"""One connection on trial, step by step: what is waited for, how long, and what is said of it. Touches the clock alone.

The steps are those of feedbus/doctor/trial.py: the account is ready, the WebSocket opens, the login is accepted, each
channel is subscribed, data comes, and the delay is measured.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import trio

from feedbus.config import FeedConfig
from feedbus.doctor import remedies
from feedbus.doctor.findings import CheckFinding, Fact, Section, skipped
from feedbus.doctor.patience import Patience
from feedbus.doctor.trial_watch import TrialWatch
from feedbus.doctor.words import BUG, error_words, is_bug, seconds_words, shown_url
from feedbus.errors import LoginRefused, VenueError
from feedbus.schema.events import DELAYED_AFTER, MarketEvent
from feedbus.text import time_span
from feedbus.venues.protocol import Account, Subscription

LATE = DELAYED_AFTER / 1e9  # seconds
FUTURE = 1.0
"""Seconds by which events may come before they happen, because clocks differ and some venues write whole seconds."""

UNANSWERED = "The venue leaves the request unanswered: it is overloaded, or doesn't know what was asked."
OVERLOADED = "The venue is overloaded or under maintenance: try again in some minutes."


class TrialChecks:
    """The steps of one trial. `nearest` are names like the symbol's, where the venue doesn't list it."""

    def __init__(
        self,
        feed: FeedConfig,
        account: Account,
        watch: TrialWatch,
        section: Section,
        patience: Patience,
        nearest: Sequence[str],
    ) -> None:
        self._feed = feed
        self._account = account
        self._watch = watch
        self._section = section
        self._patience = patience
        self._nearest = nearest
        self._names = list(feed.credentials)
        public = set(account.public)
        self._is_guest = bool(public) and set(feed.credentials.values()) <= public
        self._services = {**account.services, **feed.services()}

    async def run(self) -> None:
        """Go through all steps. After one that fails, the others are skipped."""
        if not await self._prepared():
            self._section.add(skipped("handshake", "the account isn't ready"))
            self._skip_from_login("there is no connection")
        elif not await self._opened():
            self._skip_from_login("there is no connection")
        elif not await self._ready():
            self._skip_from_subscription("there is no login")
        else:
            accepted = await self._subscribed()
            await self._data(accepted)
            await self._delay()

    def _skip_from_login(self, because: str) -> None:
        self._section.add(skipped("login", because))
        self._skip_from_subscription(because)

    def _skip_from_subscription(self, because: str) -> None:
        for check in ("subscription", "data"):
            self._section.add(*(skipped(check, because, channel) for channel in self._account.channels))
        self._section.add(skipped("delay", because))

    # The connection

    async def _prepared(self) -> bool:
        """Wait for what the account needs before it connects, and say so where it had to ask for it."""
        watch, began = self._watch, trio.current_time()
        is_there = await watch.until("prepared", within=self._patience.account)
        took = trio.current_time() - began
        asked = ", ".join(
            f"{each.method} {shown_url(self._services.get(each.service, '') + each.path)}" for each in watch.asked
        )
        if is_there:
            if asked:
                said = f"the venue gave what is needed ({asked})"
                self._section.add(CheckFinding("account", "good", said, seconds=took))
            return True
        said, remedy = self._why(f"no answer within {self._patience.account:g} s", OVERLOADED)
        said = f"{said} ({asked or 'nothing was asked'})"
        self._section.add(CheckFinding("account", "failed", said, "", remedy, took))
        return False

    async def _opened(self) -> bool:
        """Wait for the WebSocket."""
        feed, watch = self._feed, self._watch
        within = min(feed.connect_timeout + 1.0, self._patience.connect)  # the transport's own words come first
        is_open = await watch.until("opened", within=within)
        began = min(watch.dialled, trio.current_time())
        shown = shown_url(feed.url)
        facts: dict[str, Fact] = {"transport": feed.transport, "subprotocol": watch.subprotocol}
        if is_open:
            said = f"open by {feed.transport}"
            said += f", subprotocol {watch.subprotocol}" if watch.subprotocol else ""
            self._section.add(CheckFinding("handshake", "good", said, shown, "", watch.opened - began, facts))
            return True
        said, remedy = self._why(f"no connection within {within:g} s", OVERLOADED)
        took = trio.current_time() - began
        self._section.add(CheckFinding("handshake", "failed", said, shown, remedy, took, facts))
        return False

    async def _ready(self) -> bool:
        """Wait for the login, where there is one."""
        watch, names = self._watch, self._names
        is_ready = await watch.until("ready", within=self._patience.login)
        who = f"by {', '.join(names)}" if names else "as a guest" if self._is_guest else "the venue asks for none"
        if is_ready:
            facts: dict[str, Fact] = {"credentials": names, "guest": self._is_guest}
            took = watch.ready - watch.opened
            self._section.add(CheckFinding("login", "good", f"accepted ({who})", "", "", took, facts))
            return True
        said, remedy = self._why(f"no answer within {self._patience.login:g} s", OVERLOADED, is_login=True)
        took = trio.current_time() - watch.opened
        self._section.add(CheckFinding("login", "failed", f"{said} ({who})", "", remedy, took))
        return False

    # Subscriptions and data

    async def _subscribed(self) -> list[Subscription]:
        """Wait for an answer about one subscription a channel. Returns those that were accepted."""
        watch, accepted = self._watch, []
        await watch.until_answered(self._patience.answer)
        for wanted in watch.wanted:
            answer, subject = watch.answers.get(wanted), str(wanted)
            if answer is None:
                said, remedy = self._why(f"no answer within {self._patience.answer:g} s", UNANSWERED)
                finding = CheckFinding("subscription", "failed", said, subject, remedy)
            elif answer.refusal:
                said, remedy = f"refused: {answer.refusal}", remedies.of_refused(self._nearest)
                finding = CheckFinding("subscription", "failed", said, subject, remedy, answer.at - watch.ready)
            else:
                accepted.append(wanted)
                finding = CheckFinding("subscription", "good", "accepted", subject, "", answer.at - watch.ready)
            self._section.add(finding)
        return accepted

    async def _data(self, accepted: Sequence[Subscription]) -> None:
        """Wait for the first data of each channel, and say how old it is."""
        await self._watch.until_data(self._patience.data)
        self._section.add(*(self._of_data(wanted, accepted) for wanted in self._watch.wanted))

    def _of_data(self, wanted: Subscription, accepted: Sequence[Subscription]) -> CheckFinding:
        watch, subject = self._watch, str(wanted)
        answer, first = watch.answers.get(wanted), watch.first.get(wanted.channel)
        if first is not None:
            return of_first(subject, first.event, first.at - watch.ready)
        if answer is None or wanted not in accepted:
            return skipped("data", "the subscription wasn't accepted", subject)
        if answer.refusal:  # some venues accept any, and refuse what is needed for its data
            said, remedy = f"refused after all: {answer.refusal}", remedies.of_refused(self._nearest)
            return CheckFinding("data", "failed", said, subject, remedy)
        is_closed = watch.status is not None and watch.status in self._account.closed_statuses
        has_others = bool(watch.first)
        silence = remedies.of_silence(has_others=has_others, is_closed=is_closed, nearest=self._nearest)
        said, remedy = self._why(f"nothing within {self._patience.data:g} s", silence)
        said += f"; the venue says that it isn't traded (status {watch.status})" if is_closed else ""
        is_quiet = (has_others or is_closed) and watch.failure is None
        return CheckFinding("data", "warning" if is_quiet else "failed", said, subject, remedy)

    async def _delay(self) -> None:
        """Measure how late events come, once there are some."""
        watch = self._watch
        if not watch.first:
            self._section.add(skipped("delay", "there is no data"))
            return
        await watch.until_over(self._patience.watch)
        await watch.until_later(self._patience.data)
        self._section.add(of_delay(watch, is_guest=self._is_guest))
        if watch.failure is not None:
            said, remedy = self._why("", "")
            self._section.add(CheckFinding("connection", "failed", f"lost while data came: {said}", "", remedy))

    # Why something didn't come

    def _why(self, late: str, remedy: str, *, is_login: bool = False) -> tuple[str, str]:
        """What ended the trial, and what to do; what is given, when nothing did and only time has passed."""
        if self._watch.failure is None:
            return late, remedy
        error = self._watch.failure.error
        if is_bug(error):
            return error_words(error), BUG
        made = error if isinstance(error, VenueError) else VenueError(str(error))
        if is_login or isinstance(made, LoginRefused):
            return error_words(error), remedies.of_login(made, self._names)
        return error_words(error), remedies.of_connection(made)


def of_first(subject: str, event: MarketEvent, took: float) -> CheckFinding:
    """The first data of a channel, which came after so many seconds."""
    kind = type(event).__name__
    if not event.ts_event:
        return CheckFinding("data", "good", f"{kind}, without a time of the venue", subject, "", took)
    age = (event.ts_recv - event.ts_event) / 1e9
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(event.ts_event // 1_000_000_000))
    said = f"{kind} of {at}, {seconds_words(age)} old"
    return CheckFinding("data", "good", said, subject, "", took, {"age_s": age})


def of_delay(watch: TrialWatch, *, is_guest: bool) -> CheckFinding:
    """How late events come. The guest's are known to be late."""
    if not watch.delays:
        return _of_pictures(watch)
    least, most = watch.delays
    said = f"events come {seconds_words(least)} to {seconds_words(most)} after their time at the venue"
    said += f" ({watch.events} events)"
    facts: dict[str, Fact] = {"least_s": least, "most_s": most, "events": watch.events}
    if least > LATE:
        said, remedy = f"late by {time_span(least)}: {said}", remedies.of_delay(is_guest=is_guest)
        return CheckFinding("delay", "warning" if is_guest else "failed", said, "", remedy, facts=facts)
    if least < -FUTURE:
        said = f"events are {seconds_words(-least)} ahead of this machine's clock: {said}"
        return CheckFinding("delay", "failed", said, "", remedies.OF_FUTURE, facts=facts)
    return CheckFinding("delay", "good", said, facts=facts)


def _of_pictures(watch: TrialWatch) -> CheckFinding:
    """How late data is isn't known: nothing came but what the venue shows first, which may be of any age."""
    facts: dict[str, Fact] = {"events": watch.events, "youngest_s": watch.youngest}
    if watch.youngest is None:
        return CheckFinding("delay", "good", "not known: the venue's events have no time", facts=facts)
    said = f"no update came after the first pictures, of which the youngest is {seconds_words(watch.youngest)} old"
    if watch.youngest <= LATE:
        return CheckFinding("delay", "good", said, facts=facts)
    remedy = "The market may be still, or the data late: look again in busy hours, or raise --wait."
    return CheckFinding("delay", "warning", said, "", remedy, facts=facts)

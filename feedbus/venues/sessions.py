"""What the Sessions of all venues have in common: they drive a subscription machine, and they count. Pure.

A venue's Session adds how its conversation opens, what a frame means, and which further deadlines there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Generic

from feedbus.errors import BadData, TimedOut
from feedbus.venues.protocol import Close, Effect, PlainSession, Ready, Skipped, Subscription
from feedbus.venues.subscriptions import Request, Subscriptions, T
from feedbus.venues.turns import Turns


class OutOfStep(BadData):
    """A message can't be applied to what we have of its subscription, so the subscription has to be made anew."""


class SubscribingSession(PlainSession, Generic[T]):
    """A Session around `subscriptions`. `counts` holds plain totals by name."""

    subscriptions: Subscriptions[T]

    def __init__(
        self, subscriptions: Subscriptions[T], symbols: Sequence[str], counts: Counter[str] | None = None
    ) -> None:
        self.subscriptions = subscriptions
        self.counts: Counter[str] = Counter() if counts is None else counts
        subscriptions.want(symbols)

    @property
    def turns(self) -> Turns:
        """This connection's turns to send."""
        return self.subscriptions.turns

    @turns.setter
    def turns(self, turns: Turns) -> None:
        self.subscriptions.turns = turns

    # What a venue may have of its own

    def deadlines(self) -> Iterable[float]:
        """When this Session wants its `tick` besides the machine's own times (`now` seconds; infinity for never)."""
        return ()

    def may_send(self, now: float) -> bool:  # noqa: ARG002 - others look at the time
        """Whether the venue accepts requests at this moment. A venue that needs a token for each overrides it."""
        return True

    def asked_in_vain(self, tracked: T) -> None:
        """The venue didn't answer, and a subscription will be asked for again. Where the venue knows it by the number
        of its request, the Session ends that one, of which data may still come.
        """

    def made_anew(self, tracked: T, now: float) -> Iterable[Effect]:  # noqa: ARG002 - others look at the time
        """A subscription is ended, and will be asked for again although nothing is wrong with the request it was asked
        for with. What still comes because of that one mustn't be taken for data of the next.
        """
        self.asked_in_vain(tracked)
        return ()

    def dropped(self, tracked: T) -> None:
        """A subscription was given up: the venue's Session forgets what it keeps about it."""

    def confirm(self, tracked: T, now: float) -> Iterable[Effect]:
        """The venue confirmed a subscription, by word or by data; it may have been confirmed before."""
        return self.subscriptions.confirm(tracked, now)

    # What the shell calls

    def opened(self, now: float) -> Iterator[Effect]:
        """The connection is open. Without a login, the venue accepts requests at once."""
        self.subscriptions.is_open = True
        yield Ready()
        yield from self.send_due(now)

    def tick(self, now: float) -> Iterator[Effect]:
        """Retries and the next requests. What isn't answered in time is asked for again; the connection is ended only
        when nothing at all progresses and more is owed than is confirmed.
        """
        self.subscriptions.tick(now)
        late = self.subscriptions.overdue(now, gently=True)
        owed = [request for request in late if request.is_open]
        if owed and self.subscriptions.stands_still(now):
            what = ", ".join(str(tracked.subscription) for tracked in owed[0].wanted[:3])
            within = self.subscriptions.pace.answer_within
            yield Close(TimedOut(f"no answer to {what} within {within:g} s"))
            return
        for request in late:
            yield from self.unanswered(request, now)
        yield from self.send_due(now)

    def unanswered(self, request: Request[T], now: float) -> Iterator[Effect]:
        """A request wasn't answered in time: what the venue still owes of it is asked for again, or counts as refused
        when it has been asked for often enough.
        """
        self.counts["unanswered"] += 1
        for tracked in self.subscriptions.owed(request):
            self.asked_in_vain(tracked)
        yield from self.subscriptions.unanswered(request, now)

    def subscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        """Take these symbols too, on every channel."""
        self.subscriptions.want(symbols)
        yield from self.send_due(now)

    def unsubscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        """Give these symbols up; what still comes for them is counted and passed over."""
        for tracked in self.subscriptions.give_up(symbols):
            self.dropped(tracked)
        yield from self.send_due(now)

    def resubscribe(self, subscriptions: Sequence[Subscription], reason: str, now: float) -> Iterator[Effect]:
        """Get these anew, and touch no other: each is ended and asked for again, through the machine, which bounds how
        often it does that. What isn't asked for at present stays as it is.
        """
        for subscription in subscriptions:
            tracked = self.subscriptions.tracked.get(subscription)
            if tracked is not None and (effects := self.subscriptions.resync(tracked, reason, now)):
                yield from effects
                yield from self.made_anew(tracked, now)
        yield from self.send_due(now)

    def absent(self, symbols: Collection[str], now: float) -> Iterator[Effect]:
        """What of these the venue has confirmed and sent nothing of counts as refused, as the machine has it."""
        yield from self.subscriptions.absent(symbols, now)
        self.subscriptions.tick(now)
        yield from self.send_due(now)

    def counters(self) -> Mapping[str, int]:
        """Plain totals since the session began, by name."""
        return dict(self.counts)

    def instruments(self) -> dict[str, int]:
        """How many symbols are in which state; a symbol counts as its least advanced channel."""
        return self.subscriptions.instruments()

    # For the methods of a venue's Session

    def settle(self, request: Request[T], refusal: str, now: float) -> Iterator[Effect]:
        """The venue answered a request: it accepted all of it, or refused all of it for the reason in `refusal`."""
        if refusal:
            yield from self.subscriptions.refused(request, refusal, now)
        else:
            for tracked in request.wanted:
                if tracked.request == request.number:  # otherwise it was ended and asked for anew meanwhile
                    yield from self.confirm(tracked, now)

    def received(self, tracked: T, events: Iterable[Effect], now: float) -> Iterator[Effect]:
        """Usable data of a subscription came, which also confirms it if the venue hasn't yet."""
        yield from self.confirm(tracked, now)
        self.subscriptions.data(tracked, now)
        yield from events

    def out_of_step(self, tracked: T, error: OutOfStep, now: float) -> Iterator[Effect]:
        """Data came that doesn't follow from what we have: get the subscription anew."""
        yield Skipped(error)
        yield from self.subscriptions.resync(tracked, error.reason, now)
        yield from self.send_due(now)

    def send_due(self, now: float) -> Iterator[Effect]:
        """Send what may go out now, and ask to be woken when the next thing is due."""
        if self.may_send(now):
            yield from self.subscriptions.send(now)
        else:
            self.turns.leave(now)
        yield from self.schedule()

    def send_early(self, now: float) -> Iterator[Effect]:
        """An answer came, and perhaps lets the next requests go out before their time."""
        if self.subscriptions.may_send_early:
            yield from self.send_due(now)

    def schedule(self) -> Sequence[Effect]:
        """Ask to be woken when the next thing is due."""
        return self.subscriptions.schedule(*self.deadlines())

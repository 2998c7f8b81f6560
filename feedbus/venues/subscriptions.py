"""The subscription machine that all venues share: what one connection wants, and how far each subscription is. Pure.

A Session tells the machine which symbols are wanted (`want`, `give_up`) and what its venue said (`confirm`, `data`,
`refuse`, `resync`, `answered`). The machine decides what to send and when: it gathers subscriptions into requests whose
number, size and pace are bounded, watches the deadlines of their answers, asks again for what wasn't answered, and
retries what was refused after pauses that grow. Only the Session knows what a request looks like: it passes `build`,
which writes one down.

A slow venue isn't asked more because it is slow: a deadline runs from the last progress, which is any answer and any
confirmation. When nothing progresses, one request is made again, then two, then four. Only a request that the venue has
passed over, by answering later ones, is made again by itself.

    wanted ──asked──▶ sent ──confirmed──▶ confirmed ──data──▶ live
      ▲                 └───────────────refused─────────────────┘
      └──retry, after a pause that doubles── refused ◀──────────

Times are `now`: seconds of the monotonic clock that the Session is called with.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from math import inf
from typing import Generic, Literal, TypeVar

import msgspec

from feedbus.venues.protocol import Confirmed, Effect, Refused, Resync, Send, Subscription, WakeAt
from feedbus.venues.turns import Turns

RETRY_FIRST = 5.0
"""Seconds until a refused subscription is asked for again. Each further refusal doubles the pause."""

RETRY_CAP = 900.0
"""The longest pause in seconds. A subscription that was live for longer than this begins with the shortest again."""

ASK_AGAIN = 2
"""How often a subscription that the venue didn't answer is asked for again, before it counts as refused."""

SPLITS = 8
"""How many requests about several subscriptions may be refused in a row and be made again at once, in halves. That is
enough to find four bad names among any number of good ones. A venue that refuses more than that, and takes none, may
mean something else than a name: it isn't asked again without a pause."""

ANY_NUMBER = 1 << 30

FIRST_DATA_WITHIN = 30.0
"""Seconds that a symbol which isn't listed has for its first data, once it was confirmed."""

UNLISTED = "not in the venue's list of symbols"
NOT_KEPT = "confirmed, but not listed as subscribed"
"""Our own words, where a venue confirms names that don't exist."""

RESYNCS = 3
"""How often one subscription may be made anew within RESYNC_PERIOD seconds because its data was out of step."""

RESYNC_PERIOD = 60.0

State = Literal["wanted", "sent", "confirmed", "live", "refused", "dropped"]
Happening = Literal["asked", "confirmed", "data", "refused", "repeat", "resync", "retry", "dropped"]

TRANSITIONS: Mapping[State, Mapping[Happening, State]] = {
    "wanted": {"asked": "sent", "dropped": "dropped"},
    "sent": {
        "confirmed": "confirmed",
        "refused": "refused",
        "repeat": "wanted",
        "resync": "wanted",
        "dropped": "dropped",
    },
    "confirmed": {
        "data": "live",
        "refused": "refused",
        "repeat": "wanted",
        "resync": "wanted",
        "dropped": "dropped",
    },
    "live": {"refused": "refused", "repeat": "wanted", "resync": "wanted", "dropped": "dropped"},
    # Some venues send data of what they have just refused: the data is believed.
    "refused": {"confirmed": "confirmed", "retry": "wanted", "dropped": "dropped"},
    "dropped": {},
}
"""State → what happens → the next state. What a state doesn't list changes nothing in it."""

PROGRESS: Sequence[State] = ("refused", "wanted", "sent", "confirmed", "live")
"""From the least advanced state to the most advanced. An instrument is as far as the least of its channels."""

_RANK: Mapping[State, int] = {state: rank for rank, state in enumerate(PROGRESS)}


class TrackedSubscription:
    """One subscription that is wanted. A venue that has more to remember about it makes a subclass, with `__slots__`.

    `request` is the number of the request by which it was last asked for, 0 before the first one. `attempts` counts the
    requests that failed since it last was live for long, `unanswered` those that weren't answered since it last was
    confirmed, and `together` is how many subscriptions such a request may hold at most. `suspect` is the number of the
    request that was refused with this one in it, 0 for none: only those of the same request are asked for with it.
    """

    __slots__ = (
        "attempts",
        "confirmed_at",
        "live_since",
        "request",
        "resynced_at",
        "retry_at",
        "state",
        "subscription",
        "suspect",
        "together",
        "unanswered",
    )

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.state: State = "wanted"
        self.request = 0
        self.attempts = 0
        self.unanswered = 0
        self.together = ANY_NUMBER
        self.suspect = 0
        self.confirmed_at = inf
        self.live_since = inf
        self.retry_at = inf
        self.resynced_at: tuple[float, ...] = ()

    def move(self, happening: Happening) -> bool:
        """Change the state as TRANSITIONS says. Returns False when this happening changes nothing in the present
        state."""
        state = TRANSITIONS[self.state].get(happening)
        if state is None:
            return False
        self.state = state
        return True


T = TypeVar("T", bound=TrackedSubscription)


class Leaving(msgspec.Struct, frozen=True):
    """A subscription that is to be ended at the venue. `request` is the number by which the venue knows it."""

    subscription: Subscription
    request: int


class Request(msgspec.Struct, Generic[T], eq=False):
    """One request to the venue. `number` is unique on this connection and counts from 1.

    `kind` is "subscribe" with `wanted`, "unsubscribe" with `leaving`, or a word of the venue's own with neither.
    It went out at `sent_at`; `late` says whether it has been found overdue.
    """

    number: int
    kind: str
    wanted: list[T] = []
    leaving: list[Leaving] = []
    sent_at: float = 0.0
    late: bool = False

    @property
    def subscriptions(self) -> list[Subscription]:
        """What it is about."""
        return [each.subscription for each in self.wanted] + [each.subscription for each in self.leaving]

    @property
    def is_open(self) -> bool:
        """True while the venue still owes us an answer about any subscription in it."""
        return any(tracked.state == "sent" and tracked.request == self.number for tracked in self.wanted)


class RequestPace(msgspec.Struct, frozen=True):
    """How fast a venue may be asked: `requests` at once every `every` seconds, `subscriptions` in one request.

    With `as_answered` each answer lets one request more go out, without waiting for its time. So a venue that has no
    budget of its own is asked as fast as it answers, and one that answers slowly, or not at all, at this pace alone.

    A request has at most `max_bytes` bytes, unless a single subscription needs more: venues have been seen to leave
    requests of more than 4096 unanswered. Its answer is due within `answer_within` seconds of the last progress;
    `answered` are the kinds of requests that are answered at all.
    """

    requests: int
    every: float
    subscriptions: int = 1
    max_bytes: int = 4000
    answer_within: float = 10.0
    answered: frozenset[str] = frozenset({"subscribe", "unsubscribe"})
    as_answered: bool = False


class Subscriptions(Generic[T]):
    """All subscriptions of one connection: each symbol on each channel.

    `track` makes the TrackedSubscription of a subscription, `build` writes a request down, and `sent` is called with
    each request that goes out. Nothing is sent while `is_open` is False; the Session sets it once the venue accepts
    requests. `turns` are the connection's turns to send, where what is sent is bounded besides by its pace.
    """

    def __init__(
        self,
        channels: Sequence[str],
        pace: RequestPace,
        *,
        track: Callable[[Subscription], T],
        build: Callable[[Request[T]], bytes | str],
        sent: Callable[[Request[T]], None] = lambda _: None,
    ) -> None:
        self.is_open = False
        self.turns = Turns()
        self.tracked: dict[Subscription, T] = {}
        self._channels = channels
        self.pace = pace
        self._track = track
        self._build = build
        self._sent = sent
        self._wanted: dict[Subscription, T] = {}  # to be asked for, in this order
        self._leaving: dict[Leaving, None] = {}  # to be ended, in this order
        self._own: deque[str] = deque()  # further requests of the venue's
        self._pending: dict[int, Request[T]] = {}  # sent, and not answered yet
        self._order: deque[int] = deque()  # the pending requests that are in time and haven't been passed over
        self._passed: deque[tuple[float, int]] = deque()  # those passed over: when each is late, the earliest first
        self._progress = -inf  # when the venue last answered or confirmed anything
        self._since = -inf  # deadlines run from here: the last progress, or when it was last found that there is none
        self._probes = 1  # how many requests are made again when nothing progresses
        self._retries: list[tuple[float, Subscription]] = []  # a heap
        self._next_send = -inf
        self._answers = 0  # answers for which no further request has gone out, at most as many as go out at once
        self._absent: dict[Subscription, None] = {}  # confirmed without data, and not listed: refused until data comes
        self._refused_in_a_row = 0  # requests about several subscriptions, since the venue last took anything
        self._last_number = 0
        self._wake = inf
        self._counted: dict[str, int] | None = None  # what `instruments` returns, None once a state has changed

    # What is wanted

    def want(self, symbols: Iterable[str]) -> None:
        """Want these symbols on every channel; what is wanted already stays as it is."""
        for symbol in symbols:
            for channel in self._channels:
                subscription = Subscription(channel, symbol)
                if subscription not in self.tracked:
                    self._counted = None
                    self.tracked[subscription] = self._wanted[subscription] = self._track(subscription)

    def give_up(self, symbols: Iterable[str]) -> list[T]:
        """Stop wanting these symbols, and ask the venue to end those that it was asked for. Returns what was
        dropped."""
        dropped = []
        for symbol in symbols:
            for channel in self._channels:
                tracked = self.tracked.pop(Subscription(channel, symbol), None)
                if tracked is not None:
                    self._wanted.pop(tracked.subscription, None)
                    self._absent.pop(tracked.subscription, None)
                    self._end(tracked)
                    self._move(tracked, "dropped")
                    dropped.append(tracked)
        return dropped

    def ask_to_end(self, leaving: Leaving) -> None:
        """Ask the venue, or ask it once more, to end something that isn't wanted."""
        self._leaving[leaving] = None

    def is_ending(self, tracked: T) -> bool:
        """True while the venue is still to be asked to end this subscription, which was given up."""
        return Leaving(tracked.subscription, tracked.request) in self._leaving

    def is_leaving(self, subscription: Subscription) -> bool:
        """True while the venue is to be asked to end this subscription, or hasn't answered that yet."""
        waiting = chain(self._leaving, *(request.leaving for request in self._pending.values()))
        return any(leaving.subscription == subscription for leaving in waiting)

    def ask_own(self, kind: str) -> None:
        """Send a request of the venue's own, before all others and at most one of each kind at a time."""
        if kind not in self._own and not any(request.kind == kind for request in self._pending.values()):
            self._own.append(kind)

    # What the venue said

    def confirm(self, tracked: T, now: float) -> Sequence[Effect]:
        """The venue confirmed a subscription, with an answer or by sending its data."""
        if not self._move(tracked, "confirmed"):
            return ()
        tracked.unanswered, tracked.together, tracked.suspect = 0, ANY_NUMBER, 0
        self._refused_in_a_row = 0
        tracked.confirmed_at = now
        self._absent.pop(tracked.subscription, None)
        self._progressed(now)
        return (Confirmed(tracked.subscription),)

    def data(self, tracked: T, now: float) -> None:
        """Usable data of a confirmed subscription came."""
        if self._move(tracked, "data"):
            tracked.live_since = now
            self._progressed(now)

    def refuse(self, tracked: T, reason: str, now: float) -> Sequence[Effect]:
        """The venue refused a subscription, or ended it: it is asked for again after a pause."""
        refused = self._refuse(tracked, reason, now)
        if refused:
            self._progressed(now)
        return refused

    def _refuse(self, tracked: T, reason: str, now: float) -> Sequence[Effect]:
        if now - tracked.live_since > RETRY_CAP:
            tracked.attempts = 0
        if not self._move(tracked, "refused"):
            return ()
        pause = min(RETRY_FIRST * 2 ** min(tracked.attempts, 16), RETRY_CAP)
        tracked.attempts += 1
        self._retry(tracked, now + pause)
        return (Refused(tracked.subscription, reason),)

    def refused(self, request: Request[T], reason: str, now: float) -> Iterator[Effect]:
        """The venue refused all that a request asks for and that no data has confirmed since.

        One subscription is refused for what it is. Of several, one may have kept the others out: they are asked for
        again at once, in two halves, and so on until the bad ones are alone. From then on each is asked for alone. When
        SPLITS requests have been refused in a row, all of their subscriptions count as refused, and the halves wait
        for their pause.
        """
        count = len(request.wanted)
        self._refused_in_a_row += count > 1
        at_once = count > 1 and self._refused_in_a_row <= SPLITS
        for tracked in self.owed(request):
            tracked.together, tracked.suspect = (count + 1) // 2, request.number
            if at_once:
                self.repeat(tracked)
            else:
                others = f" (asked for with {count - 1} others)" if count > 1 else ""
                yield from self._refuse(tracked, f"{reason}{others}", now)

    def absent(self, symbols: Collection[str], now: float) -> Iterator[Effect]:
        """The venue's list doesn't have these symbols. What it has confirmed of one, without sending anything of it on
        any channel within FIRST_DATA_WITHIN seconds, counts as refused, until data comes. It stays subscribed, so it
        isn't asked for again before the symbol is listed: when it isn't among those of a later call.
        """
        for symbol in symbols:
            known = [self.tracked.get(Subscription(channel, symbol)) for channel in self._channels]
            found = [tracked for tracked in known if tracked is not None]
            if any(tracked.state == "live" for tracked in found):
                continue
            for tracked in found:
                waited = (
                    tracked.attempts or now - tracked.confirmed_at >= FIRST_DATA_WITHIN
                )  # refused before, or by now
                if tracked.state == "confirmed" and waited:
                    self._move(tracked, "refused")
                    self._absent[tracked.subscription] = None
                    yield Refused(tracked.subscription, UNLISTED)
        for subscription in [each for each in self._absent if each.symbol not in symbols]:
            del self._absent[subscription]
            self._retry(self.tracked[subscription], now)

    def repeat(self, tracked: T) -> None:
        """A request came to nothing for a reason that isn't this subscription's: ask for it again at once."""
        if self._move(tracked, "repeat"):
            self._wanted[tracked.subscription] = tracked

    def unanswered(self, request: Request[T], now: float) -> Iterator[Effect]:
        """Wait no longer for the answer to a request, and ask for what it still owes again, in requests half as large.
        What wasn't answered more than ASK_AGAIN times counts as refused.
        """
        self.forget(request.number)
        for tracked in self.owed(request):
            tracked.unanswered += 1
            tracked.together = max(1, len(request.wanted) // 2)
            if tracked.unanswered > ASK_AGAIN:
                yield from self._refuse(tracked, f"not answered {tracked.unanswered} times", now)
            else:
                self.repeat(tracked)

    def resync(self, tracked: T, reason: str, now: float) -> Sequence[Effect]:
        """What we have of a subscription isn't right: end it, and subscribe again at once.

        That happens at most RESYNCS times within RESYNC_PERIOD seconds; a further time waits until it is allowed.
        """
        request = tracked.request
        effects = self.lost(tracked, reason, now)
        if effects:
            self.ask_to_end(Leaving(tracked.subscription, request))
        return effects

    def lost(self, tracked: T, reason: str, now: float) -> Sequence[Effect]:
        """The venue has ended a subscription without a word: subscribe again, as `resync` does, with nothing to end."""
        if not self._move(tracked, "resync"):
            return ()
        times = tracked.resynced_at
        turn = times[0] + RESYNC_PERIOD if len(times) == RESYNCS else now
        tracked.resynced_at = (*times, max(turn, now))[-RESYNCS:]
        if turn > now:
            self._retry(tracked, turn)
        else:
            self._wanted[tracked.subscription] = tracked
        return (Resync(tracked.subscription, reason),)

    def under_way(self, number: int | str | None) -> Request[T] | None:
        """The request of this number, if its answer is still to come."""
        return self._pending.get(number) if isinstance(number, int) else None

    def answered(self, number: int | str | None, now: float) -> Request[T] | None:
        """The request of this number was answered: returns it, or None when no such request is under way."""
        request = self.forget(number)
        if request is not None:
            self._progressed(now)
            self._answers = min(self._answers + 1, self.pace.requests)
            while self._order and self._order[0] <= request.number:
                self._passed.append((now + self.pace.answer_within, self._order.popleft()))
        return request

    def owed(self, request: Request[T]) -> list[T]:
        """What the venue hasn't answered of a request, and not confirmed by data either."""
        return [each for each in request.wanted if each.state == "sent" and each.request == request.number]

    def forget(self, number: int | str | None) -> Request[T] | None:
        """Wait no longer for the answer to the request of this number. Returns it, or None."""
        return self._pending.pop(number, None) if isinstance(number, int) else None

    def sole_number(self) -> int | None:
        """The number of the request under way, when there is exactly one. Some venues don't say what they answer."""
        return next(iter(self._pending)) if len(self._pending) == 1 else None

    def overdue(self, now: float, *, gently: bool) -> list[Request[T]]:
        """Requests whose answer has become late since the last call. They stay under way.

        Of those that wait because nothing progresses at all, `gently` gives one, and twice as many each further time;
        the others are given their time once more.
        """
        late = []
        while self._passed and self._passed[0][0] <= now:
            late += self._under_way([self._passed.popleft()[1]])
        waiting = self._under_way(self._order)
        due = [request for request in waiting if self._due_at(request) <= now]
        stuck = [request for request in due if request.is_open]
        later = {request.number for request in stuck[self._probes :]} if gently else set()
        late += [request for request in due if request.number not in later]
        if stuck:
            self._since = now
            self._probes *= 2
        for request in late:
            request.late = True
        self._order = deque(request.number for request in waiting if not request.late)
        return late

    def still_overdue(self) -> list[Request[T]]:
        """All requests under way that have been found overdue."""
        return [request for request in self._pending.values() if request.late]

    def stands_still(self, now: float) -> bool:
        """Whether the venue has answered and confirmed nothing within the time for an answer, and owes us more than it
        has confirmed. A new connection makes us ask for all of that again, and then costs less than it may bring.
        """
        if now - self._progress < self.pace.answer_within:
            return False
        states = Counter(tracked.state for tracked in self.tracked.values())
        return states["sent"] > states["confirmed"] + states["live"]

    # What is to be done

    def new_number(self) -> int:
        """The next number for a request. The Session may number messages of its own by the same count."""
        self._last_number += 1
        return self._last_number

    @property
    def last_number(self) -> int:
        """The newest number that was given out."""
        return self._last_number

    def tick(self, now: float) -> None:
        """Time has passed: subscriptions whose pause is over are wanted again."""
        self._wake = inf
        while self._retries and self._retries[0][0] <= now:
            tracked = self.tracked.get(heapq.heappop(self._retries)[1])
            # Entries of the heap outlive what they are about: it may have been dropped, or asked for since.
            if tracked is None or tracked.retry_at > now:
                continue
            tracked.retry_at = inf
            if self._move(tracked, "retry") or tracked.state == "wanted":
                self._wanted[tracked.subscription] = tracked

    def send(self, now: float) -> Iterator[Effect]:
        """Yields as many requests as the pace and the turns allow now, which are at most twice `requests`."""
        due = now >= self._next_send
        early = self._answers if self.may_send_early else 0
        for _ in range(early + (self.pace.requests if due else 0)):
            if not self.has_requests:
                break
            if not self.turns.take(now):
                return
            made = self._next_request(now)
            if made is None:
                return
            self._answers = 0
            if due:
                self._next_send = now + self.pace.every
            yield Send(made)
        self.turns.leave(now)  # a place in a line isn't kept by who has nothing to ask, or not yet

    @property
    def has_requests(self) -> bool:
        """Whether there is anything that the venue may be asked now, as soon as its pace and the turns allow."""
        return self.is_open and bool(self._wanted or self._leaving or self._own)

    @property
    def may_send_early(self) -> bool:
        """Whether requests may go out before their time, because others were answered. Those answers are at least half
        as many as go out at once, since a write for each of them would cost more than it gains.
        """
        return self.pace.as_answered and 2 * self._answers >= self.pace.requests

    def schedule(self, *others: float) -> Sequence[Effect]:
        """A WakeAt for whatever comes first, the Session's `others` included; nothing when that hasn't changed."""
        while self._passed and self._passed[0][1] not in self._pending:
            self._passed.popleft()
        while self._order and self._order[0] not in self._pending:
            self._order.popleft()
        wake = min(
            self._passed[0][0] if self._passed else inf,
            self._due_at(self._pending[self._order[0]]) if self._order else inf,
            self._retries[0][0] if self._retries else inf,
            max(self._next_send, self.turns.ask_at) if self.has_requests else inf,
            *others,
        )
        if wake in (self._wake, inf):
            return ()
        self._wake = wake
        return (WakeAt(wake),)

    def instruments(self) -> dict[str, int]:
        """How many symbols are in which state; a symbol counts as its least advanced channel."""
        if self._counted is not None:
            return dict(self._counted)
        least: dict[str, int] = {}
        for subscription, tracked in self.tracked.items():
            rank = _RANK[tracked.state]
            if rank < least.get(subscription.symbol, len(_RANK)):
                least[subscription.symbol] = rank
        self._counted = {PROGRESS[rank]: count for rank, count in Counter(least.values()).items()}
        return dict(self._counted)

    # Inside

    def _move(self, tracked: T, happening: Happening) -> bool:
        self._counted = None
        return tracked.move(happening)

    def _progressed(self, now: float) -> None:
        self._progress = self._since = now
        self._probes = 1

    def _due_at(self, request: Request[T]) -> float:
        """When a request is late that hasn't been passed over."""
        return max(request.sent_at, self._since) + self.pace.answer_within

    def _under_way(self, numbers: Iterable[int]) -> list[Request[T]]:
        return [request for number in numbers if (request := self._pending.get(number)) is not None]

    def _end(self, tracked: T) -> None:
        if tracked.state in ("sent", "confirmed", "live"):
            self.ask_to_end(Leaving(tracked.subscription, tracked.request))

    def _retry(self, tracked: T, when: float) -> None:
        tracked.live_since = inf
        tracked.retry_at = when
        heapq.heappush(self._retries, (when, tracked.subscription))

    def _next_request(self, now: float) -> bytes | str | None:
        """What goes out first: the venue's own requests, then what is to be ended, then what is wanted.

        So a subscription that is given up and wanted again right after is ended before it is asked for anew.
        """
        pace = self.pace
        leaving: list[Leaving] = []
        wanted: list[T] = []
        if self._own:
            kind = self._own.popleft()
        elif self._leaving:
            kind = "unsubscribe"
            leaving = list(islice(self._leaving, pace.subscriptions))
        elif self._wanted:
            kind = "subscribe"
            wanted = self._batch()
        else:
            return None
        request = Request(self.new_number(), kind, wanted, leaving, now)
        message = self._bounded(request)
        for item in request.leaving:
            del self._leaving[item]
        for tracked in request.wanted:
            del self._wanted[tracked.subscription]
            tracked.request = request.number
            self._move(tracked, "asked")
        if kind in pace.answered:
            self._pending[request.number] = request
            self._order.append(request.number)
        self._sent(request)
        return message

    def _batch(self) -> list[T]:
        """The subscriptions that have waited longest, as many as one request may hold.

        A venue that refuses a request refuses all that is in it. What failed goes in a smaller request the next time,
        and only together with what failed with it, so that one bad name doesn't keep others out.
        """
        batch: list[T] = []
        most = self.pace.subscriptions
        for tracked in self._wanted.values():
            most = min(most, tracked.together)
            if len(batch) >= most or (batch and batch[0].suspect != tracked.suspect):
                break
            batch.append(tracked)
        return batch

    def _bounded(self, request: Request[T]) -> bytes | str:
        """Writes the request down. While it is too large, what is too much is left for the next request."""
        while True:
            message = self._build(request)
            size = len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode())
            count = max(len(request.wanted), len(request.leaving))  # one of them is empty
            if size <= self.pace.max_bytes or count <= 1:
                return message
            fitting = max(1, min(count - 1, count * self.pace.max_bytes // size))
            request.wanted = request.wanted[:fitting]
            request.leaving = request.leaving[:fitting]

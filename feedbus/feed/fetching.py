"""The HTTP requests of one feed to its venue. At most AT_A_TIME are under way, and the others wait.

Those that wait go out by their urgency, then as the Account ranks them, and then in their order. Where the venue counts
the weight of requests, they wait for that budget, and what costs nothing of it goes first. What nobody waits for any
more, because its connection is gone, is dropped before it costs anything.

The client of each service is made when it is first needed, and then kept. Every Fetch that is still wanted is answered
exactly once. The answer is an error when the request fails, when too many requests are waiting, or when this part is
stopped while the request is under way. Requests that are waiting at a stop are sent when this part runs again. While
the venue wants nobody to ask (see Hold), requests wait.
"""

from __future__ import annotations

import heapq
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Protocol

import trio

from feedbus.errors import BadData, ConfigError, RateLimited, TimedOut, VenueError
from feedbus.feed.budgets import Hold
from feedbus.feed.weights import WeightBudget, WeightTurns
from feedbus.proxies import DIRECT, Proxies, Proxy
from feedbus.transport.refusals import TOO_MANY, seconds_of
from feedbus.transport.tls import tls_context
from feedbus.venues.protocol import Fetch, FetchResponse

AT_A_TIME = 8
MAX_WAITING = 4096

REFUSED = 400
"""The statuses from here on say that a request wasn't answered as wanted."""

Answered = Callable[[FetchResponse | VenueError], None]


class AnsweredRequest(Protocol):
    """What is needed of the answer to a request: its HTTP status and its body."""

    @property
    def status(self) -> int: ...

    @property
    def body(self) -> bytes: ...


class RequestClient(Protocol):
    """What is needed of a client of one service: feedbus.transport.http.HttpClient has it."""

    async def request(
        self, method: str, path: str, body: bytes = b"", *, heard: Callable[[int, Mapping[str, str]], object]
    ) -> AnsweredRequest:
        """Send one request and return its answer. `heard` is called with the status and the headers as soon as they
        have come. Raises a VenueError when there is no answer."""


OpenClient = Callable[[str, ssl.SSLContext | None, Proxy | None], AbstractAsyncContextManager[RequestClient]]
"""Opens the client of the service at this base URL. Raises ConfigError for an address that is none."""


def _over_http(
    base: str, tls: ssl.SSLContext | None, proxy: Proxy | None
) -> AbstractAsyncContextManager[RequestClient]:
    from feedbus.transport import http  # most feeds ask nothing: they start without an HTTP library

    return http.client(base, tls=tls, proxy=proxy)


RANK_EVERY = 1.0
"""Seconds after which the Account is asked anew in which order the waiting requests go out."""


@dataclass(frozen=True, eq=False)
class _WaitingFetch:
    fetch: Fetch
    answered: Answered
    is_wanted: Callable[[], bool]
    asked_at: float
    number: int


_Place = tuple[int, tuple[float, ...], int]
"""What orders the waiting requests: urgency, rank, number."""


class _Weighed:
    """One request that is sent now, as far as its weight is counted. `budget` is None when it isn't."""

    def __init__(self, budget: WeightBudget | None, weight: int) -> None:
        self._budget = budget
        self._weight = weight
        self._begun = trio.current_time()
        self._told: int | None = None
        self._is_good = False
        self._over_in: float | None = None

    def heard(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of the answer has come, which tells what was used, whatever the status."""
        if self._budget is None:
            return
        self._told = _number(headers.get(self._budget.header, ""))
        self._is_good = status < REFUSED
        if status == TOO_MANY:
            self._over_in = seconds_of(headers.get("retry-after", ""), headers.get("date", ""))

    def end(self) -> bool:
        """It has been counted, as far as it ever is. Returns whether that is news."""
        budget, self._budget = self._budget, None
        if budget is not None:
            now = trio.current_time()
            budget.end(
                self._weight, self._told, begun=self._begun, now=now, is_good=self._is_good, over_in=self._over_in
            )
        return budget is not None


def _always() -> bool:
    return True


class Fetcher:
    """Carries out Fetches. `requests` counts those that were begun, `failures` those that ended in an error, by
    cause, and `dropped` those that nobody waited for any more when their turn came. `open_client` opens what sends the
    requests to one service; it may be replaced until the first of them.
    """

    def __init__(
        self,
        services: Mapping[str, str],
        hold: Hold,
        *,
        rate_limited: Callable[[RateLimited], object],
        weights: WeightTurns | None = None,
        rank: Callable[[Fetch], tuple[float, ...]] = lambda _: (),
        ca_file: str | None = None,
        proxies: Proxies = DIRECT,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`services` has the base URL of each service by its name. `rate_limited` is called when the venue wants us to
        come later, and makes the `hold` last until then. `ca_file` is a PEM file of the only certificate
        authorities that are trusted, None for the system's. `weights` are the feed's turns in the venue's budget, None
        when it has none, and `rank` orders what waits. `proxies` says through which proxy each service is reached.
        """
        self.requests = 0
        self.dropped = 0
        self.failures: Counter[str] = Counter()
        self.open_client: OpenClient = _over_http
        self._services = services
        self._hold = hold
        self._rate_limited = rate_limited
        self._ca_file = ca_file
        self._proxies = proxies
        self._tls: ssl.SSLContext | None = None
        self._wall_ns = wall_ns
        self._weights = weights
        self._rank = rank
        self._waiting: list[tuple[_Place, _WaitingFetch]] = []  # a heap
        self._ranked_at = -inf  # when all of them were last ranked
        self._asked = 0
        self._came = trio.Event()  # set when one more waits

    def fetch(self, fetch: Fetch, answered: Answered, is_wanted: Callable[[], bool] = _always) -> None:
        """Send a request. `answered` is called exactly once, with the response or an error, and must not raise. Unless
        `is_wanted` returns False when the request's turn comes: then it is dropped, and nothing is called."""
        if len(self._waiting) >= MAX_WAITING:
            self._failed(RateLimited(f"{fetch!r}: {MAX_WAITING} other requests are waiting already"), answered)
            return
        self._asked += 1
        waiting = _WaitingFetch(fetch, answered, is_wanted, trio.current_time(), self._asked)
        heapq.heappush(self._waiting, (self._place(waiting), waiting))
        self._came.set()

    async def get(self, fetch: Fetch) -> FetchResponse:
        """Send a request and wait for the response. Raises the error with which it is answered otherwise. When this is
        cancelled before the request's turn comes, the request is dropped."""
        arrived = trio.Event()
        answers: list[FetchResponse | VenueError] = []

        def answered(answer: FetchResponse | VenueError) -> None:
            answers.append(answer)
            arrived.set()

        is_waited_for = True
        self.fetch(fetch, answered, lambda: is_waited_for)
        try:
            await arrived.wait()
        finally:
            is_waited_for = False
        if isinstance(answers[0], VenueError):
            raise answers[0]
        return answers[0]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry out requests until cancelled."""
        async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
            clients: dict[str, RequestClient] = {}
            slots, making = trio.Semaphore(AT_A_TIME), trio.Lock()
            task_status.started()
            while True:
                await slots.acquire()
                nursery.start_soon(self._carry_out, await self._next(), clients, stack, slots, making)

    async def _next(self) -> _WaitingFetch:
        """Wait until a request may be sent, and return the one whose turn it is."""
        while True:
            await self._hold.wait()
            now = trio.current_time()
            free_at = inf
            if (first := self._first(now)) is not None:
                weights, weight = self._weights, first.fetch.weight
                wait = weights.budget.wait_for(weight, now) if weights is not None and weight else 0.0
                if not wait:
                    heapq.heappop(self._waiting)
                    if weights is not None and weight:
                        weights.begin(weight, first.asked_at, now)
                        weights.waiting = len(self._waiting)
                    return first
                free_at = now + wait
            self._came = trio.Event()
            with trio.move_on_at(free_at):
                await self._came.wait()

    def _first(self, now: float) -> _WaitingFetch | None:
        """The request whose turn it is; None when none waits."""
        if now >= self._ranked_at + RANK_EVERY:
            self._ranked_at = now
            self._waiting = [(self._place(waiting), waiting) for _, waiting in self._waiting]
            heapq.heapify(self._waiting)
        while self._waiting and not self._waiting[0][1].is_wanted():
            heapq.heappop(self._waiting)
            self.dropped += 1
        if self._weights is not None:
            self._weights.waiting = len(self._waiting)
        return self._waiting[0][1] if self._waiting else None

    def _place(self, waiting: _WaitingFetch) -> _Place:
        return waiting.fetch.urgency, self._rank(waiting.fetch), waiting.number

    async def _carry_out(
        self,
        waiting: _WaitingFetch,
        clients: dict[str, RequestClient],
        stack: AsyncExitStack,
        slots: trio.Semaphore,
        making: trio.Lock,
    ) -> None:
        fetch, answered = waiting.fetch, waiting.answered
        weights = self._weights.budget if self._weights is not None and fetch.weight else None
        weighed = _Weighed(weights, fetch.weight)
        try:
            self.requests += 1
            async with making:  # so that requests that begin together share one client
                if fetch.service not in clients:
                    clients[fetch.service] = await stack.enter_async_context(self._client(fetch.service))
            client = clients[fetch.service]
            got = await client.request(fetch.method, fetch.path, fetch.body, heard=partial(self._heard, weighed))
        except VenueError as error:
            if isinstance(error, RateLimited):
                self._rate_limited(error)
            self._failed(error, answered)
        except ConfigError as error:
            self._failed(BadData("a request", str(error)), answered)
        except BaseException:
            # After a crash nothing is known of the requests under way, so without this answer whoever asked would
            # wait for ever.
            self._failed(TimedOut(f"{fetch!r}: given up before the answer came"), answered)
            raise
        else:
            answered(FetchResponse(got.status, got.body, self._wall_ns()))
        finally:
            self._end(weighed)
            slots.release()

    def _heard(self, weighed: _Weighed, status: int, headers: Mapping[str, str]) -> None:
        """The head of an answer has come. Others don't have to wait for the whole body of a good one. After any other
        it has to be seen first whether nobody may ask."""
        weighed.heard(status, headers)
        if status < REFUSED:
            self._end(weighed)

    def _end(self, weighed: _Weighed) -> None:
        if weighed.end():
            self._came.set()  # whoever waits may go now

    def _client(self, service: str) -> AbstractAsyncContextManager[RequestClient]:
        """The client of one service. Raises ConfigError for an address that is none."""
        base = self._services[service]
        return self.open_client(base, self._context(base), self._proxies.to(base))

    def _context(self, base: str) -> ssl.SSLContext | None:
        if base.startswith("https:") and self._tls is None:
            self._tls = tls_context(self._ca_file)
        return self._tls

    def _failed(self, error: VenueError, answered: Answered) -> None:
        self.failures[error.cause] += 1
        answered(error)


def _number(text: str) -> int | None:
    """What the venue says in a header, as far as it can be a weight."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= len("1000000000") else None

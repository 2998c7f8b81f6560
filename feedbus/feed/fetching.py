"""The HTTP requests of one feed to its venue. At most AT_A_TIME are under way, and the others wait in their order.

The client of each service is made when it is first needed, and then kept. Every Fetch is answered exactly once. The
answer is an error when the request fails, when too many requests are waiting, or when this part is stopped while the
request is under way. Requests that are waiting at a stop are sent when this part runs again. While the venue wants
nobody to ask (see Hold), requests wait.
"""

from __future__ import annotations

import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING

import trio

from feedbus.errors import BadData, ConfigError, RateLimited, TimedOut, VenueError
from feedbus.feed.budgets import Hold
from feedbus.proxies import DIRECT, Proxies
from feedbus.transport.tls import tls_context
from feedbus.venues.protocol import Fetch, FetchResponse

if TYPE_CHECKING:
    from feedbus.transport import http

AT_A_TIME = 4
MAX_WAITING = 1024

Answered = Callable[[FetchResponse | VenueError], None]


class Fetcher:
    """Carries out Fetches. `requests` counts those that were begun, `failures` those that ended in an error, by
    cause.
    """

    def __init__(
        self,
        services: Mapping[str, str],
        hold: Hold,
        *,
        rate_limited: Callable[[RateLimited], object],
        ca_file: str | None = None,
        proxies: Proxies = DIRECT,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`services` has the base URL of each service by its name. `rate_limited` is called when the venue wants us to
        come later, and makes the `hold` last until then. `ca_file` is a PEM file of the only certificate
        authorities that are trusted, None for the system's. `proxies` says through which proxy each service is reached.
        """
        self.requests = 0
        self.failures: Counter[str] = Counter()
        self._services = services
        self._hold = hold
        self._rate_limited = rate_limited
        self._ca_file = ca_file
        self._proxies = proxies
        self._tls: ssl.SSLContext | None = None
        self._wall_ns = wall_ns
        self._waiting, self._todo = trio.open_memory_channel[tuple[Fetch, Answered]](MAX_WAITING)

    def fetch(self, fetch: Fetch, answered: Answered) -> None:
        """Send a request. `answered` is called exactly once, with the response or an error, and must not raise."""
        try:
            self._waiting.send_nowait((fetch, answered))
        except trio.WouldBlock:
            self._failed(RateLimited(f"{fetch!r}: {MAX_WAITING} other requests are waiting already"), answered)

    async def get(self, fetch: Fetch) -> FetchResponse:
        """Send a request and wait for the response. Raises the error with which it is answered otherwise."""
        arrived = trio.Event()
        answers: list[FetchResponse | VenueError] = []

        def answered(answer: FetchResponse | VenueError) -> None:
            answers.append(answer)
            arrived.set()

        self.fetch(fetch, answered)
        await arrived.wait()
        if isinstance(answers[0], VenueError):
            raise answers[0]
        return answers[0]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry out requests until cancelled."""
        async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
            clients: dict[str, http.HttpClient] = {}
            for _ in range(AT_A_TIME):
                nursery.start_soon(self._work, clients, stack)
            task_status.started()

    async def _work(self, clients: dict[str, http.HttpClient], stack: AsyncExitStack) -> None:
        async for fetch, answered in self._todo:
            try:
                await self._hold.wait()
                self.requests += 1
                if fetch.service not in clients:
                    clients[fetch.service] = await stack.enter_async_context(self._client(fetch.service))
                got = await clients[fetch.service].request(fetch.method, fetch.path, fetch.body)
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

    def _client(self, service: str) -> AbstractAsyncContextManager[http.HttpClient]:
        """The client of one service. Raises ConfigError for an address that is none."""
        from feedbus.transport import http  # most feeds ask nothing: they start without an HTTP library

        base = self._services[service]
        return http.client(base, tls=self._context(base), proxy=self._proxies.to(base))

    def _context(self, base: str) -> ssl.SSLContext | None:
        if base.startswith("https:") and self._tls is None:
            self._tls = tls_context(self._ca_file)
        return self._tls

    def _failed(self, error: VenueError, answered: Answered) -> None:
        self.failures[error.cause] += 1
        answered(error)

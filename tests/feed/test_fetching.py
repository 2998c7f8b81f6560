"""Fetches over real sockets: a small HTTP server that answers as the test says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from feedbus.errors import BadData, ConnectFailed, RateLimited, TimedOut, VenueError
from feedbus.feed import fetching
from feedbus.feed.budgets import Hold
from feedbus.feed.fetching import AT_A_TIME, MAX_WAITING, Fetcher
from feedbus.feed.weights import WeightBudget, WeightTurns
from feedbus.venues.protocol import Fetch, FetchResponse, RestLimit

TIMEOUT = 10.0

Serve = Callable[[bytes], Awaitable[bytes]]


class Place:
    """A server, and who waits for its answers."""

    def __init__(self, serve: Serve) -> None:
        self.requests: list[bytes] = []
        self.answers: list[tuple[str, FetchResponse | VenueError]] = []
        self.limited: list[RateLimited] = []
        self.hold = Hold()
        self._serve = serve
        self._came = trio.Event()

    async def connection(self, stream: trio.SocketStream) -> None:
        received = b""
        while data := await stream.receive_some(65536):
            received += data
            head, end, body = received.partition(b"\r\n\r\n")
            if end and len(body) >= (100 if b"content-length: 100" in head.lower() else 0):
                self.requests.append(received)
                received = b""
                await stream.send_all(await self._serve(head))

    def answered(self, name: str, answer: FetchResponse | VenueError) -> None:
        self.answers.append((name, answer))
        self._came.set()

    async def wait_for(self, count: int) -> None:
        while len(self.answers) < count:
            self._came = trio.Event()
            await self._came.wait()


async def begin(
    nursery: trio.Nursery,
    place: Place,
    server: trio.Nursery | None = None,
    weights: WeightTurns | None = None,
    rank: Callable[[Fetch], tuple[float, ...]] = lambda _: (),
    **services: str,
) -> Fetcher:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    (server or nursery).start_soon(partial(trio.serve_listeners, place.connection, listeners))
    port = listeners[0].socket.getsockname()[1]
    fetcher = Fetcher(
        {"rest": f"http://127.0.0.1:{port}/base", **services},
        place.hold,
        rate_limited=place.limited.append,
        weights=weights,
        rank=rank,
        wall_ns=lambda: 42,
    )
    await nursery.start(fetcher.run)
    return fetcher


async def hello(head: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


async def test_a_get_and_a_post_are_answered_with_the_time_they_came() -> None:
    place = Place(hello)
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            fetcher = await begin(nursery, place)
            fetcher.fetch(Fetch("/a?b=1"), partial(place.answered, "get"))
            await place.wait_for(1)
            fetcher.fetch(Fetch("/c", method="POST", body=b"x" * 100), partial(place.answered, "post"))
            await place.wait_for(2)
            nursery.cancel_scope.cancel()
    assert place.answers == [("get", FetchResponse(200, b"hi", 42)), ("post", FetchResponse(200, b"hi", 42))]
    assert place.requests[0].startswith(b"GET /base/a?b=1 HTTP/1.1\r\n")
    assert place.requests[1].startswith(b"POST /base/c HTTP/1.1\r\n")
    assert place.requests[1].endswith(b"x" * 100)
    assert b"application/json" in place.requests[1]
    assert (fetcher.requests, dict(fetcher.failures)) == (2, {})


@pytest.mark.parametrize("status", [204, 301, 403, 500])
async def test_any_status_is_an_answer(status: int) -> None:
    async def serve(head: bytes) -> bytes:
        return f"HTTP/1.1 {status} X\r\nlocation: http://x/\r\ncontent-length: 0\r\n\r\n".encode()

    place = Place(serve)
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            (await begin(nursery, place)).fetch(Fetch("/"), partial(place.answered, ""))
            await place.wait_for(1)
            nursery.cancel_scope.cancel()
    assert place.answers == [("", FetchResponse(status, b"", 42))]


async def test_what_comes_of_no_answer_is_told_and_counted_and_the_next_is_asked() -> None:
    async def serve(head: bytes) -> bytes:
        if b"/limit" in head:
            return b"HTTP/1.1 429 X\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n"
        return b"no HTTP\r\n\r\n" if b"/odd" in head else await hello(head)

    place = Place(serve)
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            fetcher = await begin(nursery, place, nobody="http://127.0.0.1:1")
            for count, fetch in enumerate([Fetch("/limit"), Fetch("/odd"), Fetch("/", "nobody"), Fetch("/a\0")], 1):
                fetcher.fetch(fetch, partial(place.answered, fetch.path))
                await place.wait_for(count)
            fetcher.fetch(Fetch("/"), partial(place.answered, "good"))
            await place.wait_for(5)
            nursery.cancel_scope.cancel()
    kinds = [type(answer) for _, answer in place.answers]
    assert kinds == [RateLimited, BadData, ConnectFailed, BadData, FetchResponse]
    assert [error.retry_after for error in place.limited] == [7.0]
    assert fetcher.failures == {"rate_limited": 1, "bad_data": 2, "connect_failed": 1}


async def test_nothing_is_asked_while_the_venue_wants_a_pause() -> None:
    place = Place(hello)
    begun = trio.current_time()
    place.hold.until = begun + 0.2
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            (await begin(nursery, place)).fetch(Fetch("/"), partial(place.answered, ""))
            await place.wait_for(1)
            nursery.cancel_scope.cancel()
    assert trio.current_time() - begun >= 0.2
    assert len(place.requests) == 1


async def test_only_some_are_under_way_and_only_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_WAITING == 4096  # so many real requests would take seconds
    monkeypatch.setattr(fetching, "MAX_WAITING", 100)
    release = trio.Event()
    here = 0
    asked = 100 + AT_A_TIME + 2

    async def serve(head: bytes) -> bytes:
        nonlocal here
        here += 1
        await release.wait()
        return await hello(head)

    place = Place(serve)
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            fetcher = await begin(nursery, place)
            for number in range(asked):
                fetcher.fetch(Fetch("/"), partial(place.answered, str(number)))
            refused = len(place.answers)
            assert 2 <= refused <= 2 + AT_A_TIME  # workers that wait already take theirs at once
            assert all(isinstance(answer, RateLimited) for _, answer in place.answers)
            while here < AT_A_TIME:
                await trio.lowlevel.checkpoint()
            assert fetcher.requests == AT_A_TIME
            release.set()
            await place.wait_for(asked)
            nursery.cancel_scope.cancel()
    assert fetcher.requests == asked - refused
    assert fetcher.failures == {"rate_limited": refused}


async def test_what_is_under_way_when_it_ends_is_answered_and_what_waits_is_asked_once_it_runs_again() -> None:
    hang = True

    async def serve(head: bytes) -> bytes:
        if hang:
            await trio.sleep_forever()
        return await hello(head)

    place = Place(serve)
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as server:
            async with trio.open_nursery() as first:
                fetcher = await begin(first, place, server)
                for number in range(AT_A_TIME + 1):
                    fetcher.fetch(Fetch("/"), partial(place.answered, str(number)))
                while len(place.requests) < AT_A_TIME:
                    await trio.lowlevel.checkpoint()
                first.cancel_scope.cancel()
            assert sorted(name for name, _ in place.answers) == [str(number) for number in range(AT_A_TIME)]
            assert {type(answer) for _, answer in place.answers} == {TimedOut}
            hang = False
            await server.start(fetcher.run)
            await place.wait_for(AT_A_TIME + 1)
            server.cancel_scope.cancel()
    assert place.answers[-1] == (str(AT_A_TIME), FetchResponse(200, b"hi", 42))
    assert fetcher.failures == {"timed_out": AT_A_TIME}


def test_a_fetch_shows_neither_query_nor_body() -> None:
    fetch = Fetch("/refresh?token=hunter2", "auth", "POST", b"hunter2")
    assert "hunter2" not in f"{fetch} {fetch!r}"
    assert repr(fetch) == "Fetch(POST auth /refresh)"


def test_an_answer_does_not_show_its_body() -> None:
    answer = FetchResponse(200, b'{"AccessToken":"hunter2"}', 1)
    assert "hunter2" not in f"{answer} {answer!r}"
    assert repr(answer) == "FetchResponse(HTTP 200, 25 bytes)"


async def test_what_waits_goes_out_by_urgency_and_rank_within_the_weight_and_what_nobody_wants_is_dropped() -> None:
    """The venue says that others have used nearly all: two requests of weight 5 are left, and what weighs nothing."""

    async def serve(head: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\nX-Used: 930\r\ncontent-length: 2\r\n\r\nhi"

    place = Place(serve)
    weights = weighing()
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            fetcher = await begin(
                nursery, place, weights=weights, rank=lambda fetch: (0.0 if fetch.about == "FIRST" else 1.0,)
            )
            fetcher.fetch(Fetch("/told", weight=5, urgency=1), partial(place.answered, "told"))
            await place.wait_for(1)
            asked = [
                Fetch("/late", weight=5, urgency=3),
                Fetch("/second", weight=5, urgency=1),
                Fetch("/gone", weight=5, urgency=1, about="FIRST"),
                Fetch("/first", weight=5, urgency=1, about="FIRST"),
                Fetch("/heavy", weight=500, urgency=2),
                Fetch("/free"),
            ]
            place.hold.until = trio.current_time() + 0.05
            for fetch in asked:
                fetcher.fetch(fetch, partial(place.answered, fetch.path), partial(fetch.path.__ne__, "/gone"))
            await place.wait_for(4)
            assert (weights.waiting, fetcher.dropped, weights.taken) == (2, 1, 15)
            nursery.cancel_scope.cancel()
    paths = [request.split(b" ")[1].removeprefix(b"/base").decode() for request in place.requests]
    assert (paths[0], sorted(paths[1:])) == ("/told", ["/first", "/free", "/second"])


async def test_what_was_asked_for_by_somebody_who_gave_up_is_dropped() -> None:
    place = Place(hello)
    weights = weighing()
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            fetcher = await begin(nursery, place, weights=weights)
            place.hold.until = trio.current_time() + 0.1
            with trio.move_on_after(0.02) as scope:
                await fetcher.get(Fetch("/given-up", weight=250))
            assert scope.cancelled_caught
            assert await fetcher.get(Fetch("/wanted", weight=5)) == FetchResponse(200, b"hi", 42)
            nursery.cancel_scope.cancel()
    assert [request.split(b" ")[1] for request in place.requests] == [b"/base/wanted"]
    assert (fetcher.dropped, weights.taken) == (1, 5)


def weighing() -> WeightTurns:
    return WeightTurns(WeightBudget(RestLimit(1000, 60.0, "x-used")))


@pytest.mark.parametrize("status", [200, 404, 418, 429, 500, 503])
async def test_what_was_used_is_heard_of_answers_of_every_status(status: int) -> None:
    async def serve(head: bytes) -> bytes:
        return f"HTTP/1.1 {status} X\r\nX-Used: 930\r\nRetry-After: 7\r\ncontent-length: 0\r\n\r\n".encode()

    place, weights = Place(serve), weighing()
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            fetcher = await begin(nursery, place, weights=weights)
            fetcher.fetch(Fetch("/", weight=5), partial(place.answered, ""))
            await place.wait_for(1)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    now = trio.current_time()
    assert weights.budget.used(now) == 930
    wait = weights.budget.wait_for(100, now)
    assert 6 < wait <= 7 if status == 429 else 59 < wait <= 60  # it says when the minute is over, a ban doesn't


async def test_one_weighted_request_goes_alone_until_the_head_of_its_answer_has_come() -> None:
    finish = trio.Event()

    async def serve(head: bytes) -> bytes:
        if b"/free" not in head:
            await trio.sleep(0.05)
        return b"HTTP/1.1 200 OK\r\nX-Used: 5\r\ncontent-length: 2\r\n\r\nhi"

    class SlowBody(Place):
        async def connection(self, stream: trio.SocketStream) -> None:
            if not self.requests:
                self.requests.append(await stream.receive_some(65536))
                await trio.sleep(0.2)
                assert len(self.requests) == 2, "one goes alone, but for what weighs nothing"
                await stream.send_all(b"HTTP/1.1 200 OK\r\nX-Used: 5\r\ncontent-length: 2\r\n\r\n")
                await finish.wait()
                await stream.send_all(b"hi")
            await super().connection(stream)

    place, weights = SlowBody(serve), weighing()
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            fetcher = await begin(nursery, place, weights=weights)
            fetcher.fetch(Fetch("/first", weight=5), partial(place.answered, "first"))
            await trio.sleep(0.05)
            fetcher.fetch(Fetch("/free"), partial(place.answered, "free"))
            for _ in range(3):
                fetcher.fetch(Fetch("/other", weight=5), partial(place.answered, "other"))
            await place.wait_for(4)
            finish.set()
            await place.wait_for(5)
            nursery.cancel_scope.cancel()
    assert [name for name, _ in place.answers] == ["free", "other", "other", "other", "first"]

"""The REST interface over real sockets on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import pytest
import trio

from feedbus.sim import rest
from feedbus.sim.moex.rest import MoexRest, RestFailure
from feedbus.sim.seam import JSON, SimRequest, SimResponse
from feedbus.transport.http import client

PATH = "/iss/engines/stock/markets/shares/boards/TQBR/securities.json?iss.meta=off&iss.only=securities&limit=1"


@asynccontextmanager
async def served(failure: RestFailure = "none") -> AsyncIterator[tuple[str, rest.RestCounters]]:
    counters = rest.RestCounters()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(rest.serve, MoexRest(failure=failure), "127.0.0.1", 0, counters=counters))
            yield url, counters
            nursery.cancel_scope.cancel()


async def tcp(url: str) -> trio.SocketStream:
    place = urlsplit(url)
    return await trio.open_tcp_stream(str(place.hostname), place.port or 0)


async def said(stream: trio.SocketStream, request: bytes) -> bytes:
    """All that the server says until it closes the connection."""
    await stream.send_all(request)
    return b"".join([part async for part in stream])


async def test_requests_are_answered_one_after_the_other_on_a_connection() -> None:
    async with served() as (url, counters), client(url) as http:
        for _ in range(3):
            answer = await http.get(PATH)
            assert answer.status == 200
            assert b'["SBER","TQBR"' in answer.body
        assert (await http.get("/")).status == 404
    assert (counters.rest_requests, counters.rest_errors) == (4, 1)


async def test_the_failure_is_a_page() -> None:
    async with served("html") as (url, _), client(url) as http:
        assert (await http.get(PATH)).body.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"HTTP/1.1 404 Not Found"),
        (b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"HTTP/1.1 404 Not Found"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nxx",
            b"HTTP/1.1 405 Method Not Allowed",
        ),
        (b"nonsense\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\nHost: x\r\n\r\n", b"HTTP/1.1 404 Not Found"),
        (b"GET /?" + b"x" * 20_000, b"HTTP/1.1 431 Request Header Fields Too Large"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70_000, b"HTTP/1.1 413"),
    ],
)
async def test_what_can_not_be_answered_is_refused(request_: bytes, line: bytes) -> None:
    async with served() as (url, counters), await tcp(url) as stream:
        if b"Connection: upgrade" in request_:
            await stream.send_all(request_)
            assert (await stream.receive_some()).startswith(line)
        else:
            assert (await said(stream, request_)).startswith(line)
        assert counters.rest_errors == 1


async def test_a_head_has_no_body() -> None:
    async with served() as (url, _), await tcp(url) as stream:
        answer = await said(stream, f"HEAD {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert answer.endswith(b"\r\n\r\n")
        assert b"Content-Length: " in answer


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"]
)
async def test_a_client_that_goes_harms_nobody(sent: bytes) -> None:
    async with served() as (url, _):
        async with await tcp(url) as stream:
            await stream.send_all(sent or b"\r\n")
        async with client(url) as http:
            assert (await http.get(PATH)).status == 200


async def test_a_client_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "REQUEST_WITHIN", 0.05)
    async with served() as (url, counters), await tcp(url) as stream:
        assert await stream.receive_some() == b""
        assert counters.rest_errors == 0


async def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "MAX_CONNECTIONS", 1)
    async with served() as (url, counters), client(url) as http:
        await http.get(PATH)
        async with await tcp(url) as crowded_out:
            assert await crowded_out.receive_some() == b""
        assert (await http.get(PATH)).status == 200
    assert counters.rest_errors == 1


async def test_a_handler_is_given_the_whole_request_and_its_headers_are_sent() -> None:
    seen: list[SimRequest] = []

    def handler(request: SimRequest) -> SimResponse:
        seen.append(request)
        return SimResponse(429, JSON, b"{}", (("Retry-After", "7"),))

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(rest.serve, handler, "127.0.0.1", 0))
            async with await tcp(url) as stream:
                head = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-Key: s\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"
                answer = await said(stream, head + b"hello")
            nursery.cancel_scope.cancel()
    (request,) = seen
    assert (request.method, request.target, request.body) == ("POST", "/a?b=c", b"hello")
    assert request.headers["x-key"] == "s"
    assert request.now_ns > 0
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"Retry-After: 7\r\n" in answer


async def test_a_late_answer_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "REQUEST_WITHIN", 0.1)  # the server's own delay isn't the client's
    began = trio.Event()

    def handler(request: SimRequest) -> SimResponse:
        began.set()
        return SimResponse(200, JSON, b"{}", delay_s=0.2 if request.target == "/late" else 0.0)

    order: list[str] = []

    async def ask(url: str, path: str) -> None:
        async with client(url) as http:
            assert (await http.get(path)).status == 200
            order.append(path)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(rest.serve, handler, "127.0.0.1", 0))
            async with trio.open_nursery() as clients:
                clients.start_soon(ask, url, "/late")
                await began.wait()
                clients.start_soon(ask, url, "/prompt")
            assert order == ["/prompt", "/late"]
            nursery.cancel_scope.cancel()


async def test_a_server_that_stops_waits_for_no_late_answer() -> None:
    began = trio.Event()

    def handler(_: SimRequest) -> SimResponse:
        began.set()
        return SimResponse(200, JSON, b"{}", delay_s=600)

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(rest.serve, handler, "127.0.0.1", 0))
            async with await tcp(url) as stream:
                await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                await began.wait()
                nursery.cancel_scope.cancel()

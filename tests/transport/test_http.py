"""Requests to a scripted server on this machine: answers, limits, and every way to fail."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial

import httpx
import pytest
import trio
import trustme

from feedbus.errors import BadData, ClosedByPeer, ConfigError, ConnectFailed, RateLimited, TimedOut, VenueError
from feedbus.transport.http import MAX_SIZE, PARTS_PER_TURN, HttpClient, HttpResponse, client

Handler = Callable[[trio.abc.Stream], Awaitable[None]]


class Script:
    """Answers every request with the next of these bytes, and remembers the requests; closes when there are none."""

    def __init__(self, *answers: bytes, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._answers = [*answers]
        self._tls = tls

    async def __call__(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        if self._tls is not None:
            stream = trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True)
        try:
            while self._answers:
                request = b""
                while not is_whole(request):
                    part = await stream.receive_some()
                    if not part:
                        return
                    request += part
                self.requests.append(request)
                await stream.send_all(self._answers.pop(0))
        except trio.BrokenResourceError:
            pass


def is_whole(request: bytes) -> bool:
    """True when the head is there, and as much of a body as it says."""
    head, end, body = request.partition(b"\r\n\r\n")
    _, named, length = head.lower().partition(b"content-length:")
    return bool(end) and len(body) == (int(length.split()[0]) if named else 0)


@asynccontextmanager
async def served(handler: Handler, scheme: str = "http") -> AsyncIterator[str]:
    """The base URL of a server."""
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, handler, 0, host="127.0.0.1")
            (listener,) = await nursery.start(serve)
            yield f"{scheme}://localhost:{listener.socket.getsockname()[1]}"
            nursery.cancel_scope.cancel()


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""])
    return head.encode() + body


async def get(handler: Handler, path: str = "/x") -> HttpResponse:
    async with served(handler) as base, client(base, max_size=1000) as http:
        return await http.get(path)


async def failure(handler: Handler, within: float = 15.0) -> VenueError:
    async with served(handler) as base, client(base, answer_within=within, max_size=1000) as http:
        with pytest.raises(VenueError) as caught:
            await http.get("/a/b?token=s3cret")
    assert "s3cret" not in str(caught.value)
    assert str(caught.value).isprintable()
    return caught.value


async def test_an_answer_is_status_and_body_and_requests_share_a_connection() -> None:
    script = Script(answer(b"one"), answer(b"two", "404 Not Found"))
    async with served(script) as base, client(f"{base}/") as http:
        assert await http.get("/iss/a.json?start=0") == HttpResponse(200, b"one")
        assert await http.get("/iss/b.json") == HttpResponse(404, b"two")
    assert script.connections == 1
    assert [request.split(b"\r\n")[0] for request in script.requests] == [
        b"GET /iss/a.json?start=0 HTTP/1.1", b"GET /iss/b.json HTTP/1.1",
    ]  # fmt: skip


async def test_the_request_says_who_we_are_and_asks_for_plain_bytes() -> None:
    script = Script(answer(b""))
    await get(script)
    headers = script.requests[0].lower()
    assert b"user-agent: feedbus\r\n" in headers
    assert b"accept-encoding: identity\r\n" in headers
    assert b"cookie" not in headers


async def test_a_post_carries_its_body_and_says_what_it_is() -> None:
    script = Script(answer(b"taken", "201 Created"), answer(b""), answer(b""))
    async with served(script) as base, client(base) as http:
        assert await http.request("POST", "/token?key=1", b'{"a": 1}') == HttpResponse(201, b"taken")
        await http.request("POST", "/form", b"a=1", content_type="application/x-www-form-urlencoded")
        await http.request("POST", "/nothing")
    json, form, nothing = (request.lower() for request in script.requests)
    assert json.startswith(b"post /token?key=1 http/1.1\r\n")
    assert b"content-type: application/json\r\n" in json
    assert json.endswith(b'\r\n\r\n{"a": 1}')
    assert b"content-type: application/x-www-form-urlencoded\r\n" in form
    assert b"content-length: 0\r\n" in nothing
    assert b"content-type" not in nothing


async def test_a_post_is_not_sent_again_to_where_a_redirect_points() -> None:
    elsewhere = Script(answer(b"the other host"))
    async with served(elsewhere) as other:
        redirect = Script(answer(b"", "307 Temporary Redirect", f"Location: {other}/"))
        async with served(redirect) as base, client(base) as http:
            assert (await http.request("POST", "/", b"secret")).status == 307
    assert elsewhere.connections == 0


async def test_errors_name_no_path_where_it_is_a_secret() -> None:
    async with served(Script(answer(b"", "429 Too Many Requests"))) as base, client(base, show_paths=False) as http:
        with pytest.raises(RateLimited) as caught:
            await http.request("POST", "/s3cret?and=s3cret", b"s3cret")
        with pytest.raises(VenueError) as closed:
            await http.request("POST", "/s3cret", b"s3cret")
        with pytest.raises(ConfigError) as unusable:
            await http.request("POST", "/s3cret\n", b"")
    assert str(caught.value) == f"{base}: HTTP 429"
    assert str(unusable.value) == f"{base}: not a URL"
    assert "s3cret" not in str(closed.value)


@pytest.mark.parametrize(
    "raw",
    [b"POST /s3cret HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 s3cret\r\ncontent-encoding: s3cret\r\ncontent-length: 0\r\n\r\n"],
)
async def test_what_a_peer_echoes_is_not_shown_where_paths_are_secret(raw: bytes) -> None:
    async with served(Script(raw)) as base, client(base, show_paths=False) as http:
        with pytest.raises(BadData) as caught:
            await http.request("POST", "/s3cret", b"s3cret")
    assert "s3cret" not in str(caught.value)


async def test_a_redirect_to_a_host_that_is_no_name_is_bad_data_and_no_crash() -> None:
    found = await failure(Script(answer(b"", "302 Found", "Location: http://xn--/")))
    assert isinstance(found, BadData)
    assert "a host name that can't be written" in str(found)


async def test_a_chunked_answer_is_put_together() -> None:
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    assert await get(Script(chunks)) == HttpResponse(200, b"onetwo")


async def test_a_redirect_is_handed_back_and_not_followed() -> None:
    elsewhere = Script(answer(b"the other host"))
    async with served(elsewhere) as other:
        redirect = answer(b"", "302 Found", f"Location: {other}/")
        assert (await get(Script(redirect))).status == 302
    assert elsewhere.connections == 0


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"hello\r\n\r\n", "illegal status line"),
        (b"\x16\x03\x01" * 50 + b"\r\n\r\n", "illegal"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "without sending complete message body"),
        (b"", "without sending a response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "content-length"),
        (answer(b"abc", "200 OK", "Content-Encoding: gzip"), "content-encoding gzip, which we didn't ask for"),
        (answer(b"", "302 Found", "Location: http://[::1"), "location"),
        (answer(b"x" * 1001), "an answer of more than 1000 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001, "an answer of more than 1000 bytes"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000 + b"\r\n", "too long"),
    ],
)
async def test_what_is_no_answer_or_too_large_is_bad_data_that_names_the_place(raw: bytes, complaint: str) -> None:
    error = await failure(Script(raw))
    assert type(error) is BadData
    assert complaint.lower() in str(error).lower()
    assert str(error).startswith("http://localhost:")
    assert "/a/b" in str(error)


async def test_no_more_is_read_of_an_answer_that_is_too_large() -> None:
    stopped = trio.Event()

    async def flood(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                await stream.send_all(b"x" * 65536)
        except trio.BrokenResourceError:
            stopped.set()

    async with served(flood) as base, client(base, max_size=100_000) as http:
        with pytest.raises(BadData, match="an answer of more than 100000 bytes"):
            await http.get("/")
        await stopped.wait()


async def test_the_largest_answer_is_allowed() -> None:
    assert len((await get(Script(answer(b"x" * 1000)))).body) == 1000


@pytest.mark.parametrize(
    ("header", "complaint", "wait"),
    [
        ("", "HTTP 429", None),
        ("Retry-After: 30", "HTTP 429, to be asked again in 30 s", 30),
        ("Retry-After: soon", "HTTP 429", None),
        ("Retry-After: 123456789", "HTTP 429, to be asked again in 3 d", 259_200),
    ],
)
async def test_too_many_requests_is_rate_limited(header: str, complaint: str, wait: int | None) -> None:
    headers = [header] if header else []
    error = await failure(Script(answer(b"", "429 Too Many Requests", *headers)))
    assert type(error) is RateLimited
    assert str(error).endswith(complaint)
    assert error.retry_after == wait


@pytest.mark.parametrize(
    ("answered", "error"),
    [
        (answer(b"", "429 Slow down", "X-Used: 7"), RateLimited),
        (answer(b"", "418 Banned", "X-Used: 7"), RateLimited),
        (answer(b"x" * 2000, "429 Slow down", "X-Used: 7", "Content-Encoding: gzip"), RateLimited),
        (answer(b"x" * 2000, "500 Oh", "X-Used: 7"), BadData),
        (answer(b"", "503 Oh", "X-Used: 7"), None),
        (answer(b"", "200 OK", "X-Used: 7"), None),
    ],
)
async def test_status_and_headers_are_heard_whatever_follows(answered: bytes, error: type[VenueError] | None) -> None:
    heard: list[tuple[int, str]] = []
    async with served(Script(answered)) as base, client(base, max_size=1000) as http:
        with nullcontext() if error is None else pytest.raises(error):
            await http.request("GET", "/", heard=lambda status, headers: heard.append((status, headers["x-used"])))
    assert heard == [(int(answered[9:12]), "7")]


async def test_no_server_is_connect_failed() -> None:
    async with served(Script()) as base:
        pass
    async with client(base) as http:
        with pytest.raises(ConnectFailed, match="refused"):
            await http.get("/")


async def test_a_server_that_says_nothing_or_never_ends_is_timed_out() -> None:
    async def silent(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    async def endless(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await trio.sleep_forever()

    for handler in (silent, endless):
        error = await failure(handler, within=0.3)
        assert type(error) is TimedOut
        assert str(error).endswith("/a/b: no whole answer within 0.3 s")


async def test_a_connection_that_breaks_is_closed_by_peer() -> None:
    async def broken(stream: trio.abc.Stream) -> None:
        assert isinstance(stream, trio.SocketStream)
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    error = await failure(broken)
    assert isinstance(error, ClosedByPeer | BadData)  # a reset, or an end, whichever is seen first


async def test_cancelling_ends_a_request_at_once() -> None:
    asked = trio.Event()

    async def silent(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        asked.set()
        await trio.sleep_forever()

    async with served(silent) as base, client(base) as http, trio.open_nursery() as nursery:
        nursery.start_soon(http.get, "/")
        await asked.wait()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("base", ["ftp://iss.moex.com", "iss.moex.com", "", "file:///etc/passwd"])
async def test_another_kind_of_url_is_a_config_error(base: str) -> None:
    with pytest.raises(ConfigError, match="must be http://HOST or https://HOST"):
        async with client(base):
            raise AssertionError("not reached")


async def test_the_environment_s_proxy_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert (await get(Script(answer(b"direct")))).body == b"direct"


async def test_no_url_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await get(Script(answer(b"")), "/x?token=s3cret")
    assert "s3cret" not in caplog.text


# TLS


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's, and one that trusts it."""
    authority = trustme.CA()
    server, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(trusting)
    return server, trusting


async def test_https_is_read_when_the_certificate_is_trusted() -> None:
    server, trusting = contexts()
    async with served(Script(answer(b"safe"), tls=server), "https") as base, client(base, tls=trusting) as http:
        assert (await http.get("/")).body == b"safe"


async def test_a_certificate_of_an_unknown_authority_is_refused() -> None:
    server, _ = contexts()
    _, other = contexts()
    for tls in (None, other):
        async with served(Script(answer(b"unsafe"), tls=server), "https") as base, client(base, tls=tls) as http:
            with pytest.raises(ConnectFailed, match="certificate verify failed"):
                await http.get("/")


class TinyParts(httpx.AsyncBaseTransport, httpx.AsyncByteStream):
    """A venue whose answer comes in one read, cut into 10,000 parts."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(10_000):
            yield b"x"


async def test_other_tasks_run_while_a_body_of_many_tiny_parts_is_taken() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with httpx.AsyncClient(transport=TinyParts()) as http, trio.open_nursery() as nursery:
        nursery.start_soon(other)
        answered = await HttpClient(
            http, "http://venue.example", answer_within=10.0, max_size=MAX_SIZE, show_paths=True
        ).get("/x")
        nursery.cancel_scope.cancel()
    assert answered == HttpResponse(200, b"x" * 10_000)
    assert turns >= 10_000 // PARTS_PER_TURN - 2

"""The HTTP server over real loopback sockets, with clients of all manners."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable

import h11
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from feedbus.errors import FeedbusError
from feedbus.telemetry import server as module
from feedbus.telemetry.series import MetricGroup, MetricSeries, registry
from feedbus.telemetry.server import MAX_CONNECTIONS, MAX_HEAD, Server, exposition

Address = tuple[str, int]


class Scene:
    """A server whose figures and reasons the test sets."""

    def __init__(self) -> None:
        self.number: Callable[[], float] = lambda: 7.0
        self.not_ready: list[str] = []
        self.unhealthy: list[str] = []
        series = MetricSeries[Scene]("feedbus_test_number", "A number.", lambda scene: scene.number())
        made = registry([MetricGroup((), lambda: [((), self)], [series])])
        self.server = Server("127.0.0.1", 0, made, lambda: self.not_ready, lambda: self.unhealthy)
        self.address: Address = ("", 0)

    async def get(self, target: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
        """One request on a connection of its own."""
        lines = [f"{method} {target} HTTP/1.1", "Host: x", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return parsed(await self.exchange("\r\n".join([*lines, "", ""]).encode()), method)

    async def exchange(self, data: bytes) -> bytes:
        """Send this, and take all that comes."""
        async with await trio.open_tcp_stream(*self.address) as stream:
            await stream.send_all(data)
            return await everything(stream)


def parsed(raw: bytes, method: str = "GET") -> tuple[int, dict[str, str], str]:
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    if method != "HEAD":
        assert int(headers["content-length"]) == len(body)
    return int(status.split()[1]), headers, body.decode()


async def everything(stream: trio.SocketStream) -> bytes:
    return b"".join([chunk async for chunk in stream])


async def answer(stream: trio.SocketStream) -> tuple[int, str]:
    """The next response of a connection that stays open."""
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    http.send(h11.EndOfMessage())
    status, body = 0, b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await stream.receive_some(65536))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        else:
            assert isinstance(event, h11.EndOfMessage)
            return status, body.decode()


@pytest.fixture
async def scene(nursery: trio.Nursery) -> AsyncIterator[Scene]:
    made = Scene()
    with trio.fail_after(30):
        made.address = await nursery.start(made.server.serve)
        assert made.address == made.server.address
        yield made


@pytest.fixture
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUEST_TIMEOUT", "IDLE_TIMEOUT"):
        monkeypatch.setattr(module, name, 0.05)


async def test_metrics_are_said_in_the_text_format(scene: Scene) -> None:
    status, headers, body = await scene.get("/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    families = {family.name: family for family in parse_text(body)}
    assert families["feedbus_test_number"].samples[0].value == 7.0
    assert families["feedbus_http_connections"].samples[0].value == 1
    assert "date" in headers
    assert headers["cache-control"] == "no-store"


async def test_metrics_are_said_as_openmetrics_to_who_asks_for_it(scene: Scene) -> None:
    accept = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5"
    status, headers, body = await scene.get("/metrics", Accept=accept)
    assert status == 200
    assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert body.count("# EOF") == 1
    assert "feedbus_test_number" in {family.name for family in parse_openmetrics(body)}  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(("target", "word"), [("/readyz", "ready"), ("/healthz", "healthy")])
async def test_good_is_200_and_else_the_reasons_are_503(scene: Scene, target: str, word: str) -> None:
    assert (await scene.get(target))[::2] == (200, f"{word}\n")
    reasons = scene.not_ready if target == "/readyz" else scene.unhealthy
    reasons += ["moex: Access denied\r\nX: y", "alor: waiting"]
    assert (await scene.get(target))[::2] == (503, "moex: Access denied\\r\\nX: y\nalor: waiting\n")
    other = {"/readyz": "/healthz", "/healthz": "/readyz"}[target]
    assert (await scene.get(other))[0] == 200


@pytest.mark.parametrize("target", ["/metrics", "/healthz", "/readyz?verbose"])
async def test_head_is_get_without_the_body(scene: Scene, target: str) -> None:
    status, headers, body = await scene.get(target, "HEAD")
    assert (status, body) == (200, "")
    assert int(headers["content-length"]) > 0


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("POST", "/nothing", 404),
        ("POST", "/metrics", 405),
        ("DELETE", "/readyz", 405),
        ("OPTIONS", "/healthz", 405),
    ],
)
async def test_what_there_is_not_is_404_and_what_can_not_be_done_405(
    scene: Scene, method: str, target: str, expected: int
) -> None:
    status, headers, _ = await scene.get(target, method)
    assert status == expected
    assert headers.get("allow") == ("get, head" if expected == 405 else None)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"hello\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nA: " + b"a" * MAX_HEAD, 431),
        (b"GET /" + b"a" * 20 * MAX_HEAD, 431),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: rot13\r\n\r\n", 501),
    ],
)
async def test_what_is_no_request_is_refused_and_the_connection_closed(
    scene: Scene, data: bytes, expected: int
) -> None:
    status, headers, _ = parsed(await scene.exchange(data))
    assert (status, headers["connection"]) == (expected, "close")
    assert scene.server.answers == {str(expected): 1}


@pytest.mark.parametrize(("size", "expected"), [(MAX_HEAD, 200), (MAX_HEAD + 1, 431)])
async def test_a_head_may_be_exactly_so_long(scene: Scene, size: int, expected: int) -> None:
    start, end = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nA: ", b"\r\n\r\n"
    data = start + b"a" * (size - len(start) - len(end)) + end
    assert parsed(await scene.exchange(data))[0] == expected


async def test_a_request_with_a_body_is_answered_and_the_connection_closed(scene: Scene) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
    assert parsed(await scene.exchange(head + b"b" * 100_000))[0] == 200
    broken = b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    assert parsed(await scene.exchange(broken))[0] == 200


async def test_requests_follow_one_another_on_a_connection_also_when_sent_together(scene: Scene) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    async with await trio.open_tcp_stream(*scene.address) as stream:
        for _ in range(3):
            await stream.send_all(request)
            assert await answer(stream) == (200, "healthy\n")
    last = b"GET /nothing HTTP/1.0\r\n\r\n"
    raw = await scene.exchange(request * 2 + last)
    assert raw.count(b"HTTP/1.1 200") == 2
    assert raw.count(b"HTTP/1.1 404") == 1
    assert scene.server.answers == {"200": 5, "404": 1}


async def test_a_request_may_come_byte_by_byte(scene: Scene) -> None:
    async with await trio.open_tcp_stream(*scene.address) as stream:
        for byte in b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n":
            await stream.send_all(bytes([byte]))
        assert (await answer(stream))[0] == 200


async def test_a_client_that_goes_in_the_middle_harms_nobody(scene: Scene) -> None:
    for data in (b"", b"GET /me", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"):
        stream = await trio.open_tcp_stream(*scene.address)
        await stream.send_all(data)
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await stream.aclose()  # by a reset
    assert (await scene.get("/healthz"))[0] == 200


@pytest.mark.usefixtures("short_times")
@pytest.mark.parametrize("data", [b"", b"GET /healthz HTTP/1.1\r\nHo"])
async def test_a_client_that_does_not_finish_its_request_is_closed_and_counted(scene: Scene, data: bytes) -> None:
    assert await scene.exchange(data) == b""
    assert scene.server.timeouts == 1


@pytest.mark.usefixtures("short_times")
async def test_a_client_that_does_not_read_is_closed_and_counted(scene: Scene) -> None:
    scene.not_ready[:] = ["x" * 1_000_000] * 20
    async with await trio.open_tcp_stream(*scene.address) as stream:
        await stream.send_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        while not scene.server.timeouts:
            await trio.lowlevel.checkpoint()
    assert scene.server.timeouts == 1


async def test_a_connection_that_asks_nothing_more_is_closed_in_peace(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_TIMEOUT", 0.05)
    raw = await scene.exchange(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert raw.endswith(b"healthy\n")
    assert scene.server.timeouts == 0


async def test_when_there_are_too_many_the_longest_idle_one_makes_room(scene: Scene) -> None:
    streams: list[trio.SocketStream] = []
    while len(streams) < MAX_CONNECTIONS:  # one after the other, so that it is known who came first
        streams.append(await trio.open_tcp_stream(*scene.address))
        await until(lambda: scene.server.open == len(streams))
    await streams[0].send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await answer(streams[0]))[0] == 200  # so it isn't the longest idle one any more
    assert (await scene.get("/healthz"))[0] == 200
    assert await streams[1].receive_some(1) == b""
    assert scene.server.crowded_out == 1
    await streams[0].send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await answer(streams[0]))[0] == 200
    for stream in streams:
        await stream.aclose()


async def test_when_all_are_busy_the_new_one_is_closed(scene: Scene) -> None:
    streams = [await trio.open_tcp_stream(*scene.address) for _ in range(MAX_CONNECTIONS)]
    for stream in streams:
        await stream.send_all(b"GET /he")
    await until(lambda: scene.server.open == MAX_CONNECTIONS and not scene.server._idle)
    async with await trio.open_tcp_stream(*scene.address) as refused:
        assert await refused.receive_some(1) == b""
    assert scene.server.crowded_out == 1
    for stream in streams:
        await stream.send_all(b"althz HTTP/1.0\r\n\r\n")
        assert (await answer(stream))[0] == 200
        await stream.aclose()


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await trio.lowlevel.checkpoint()


async def test_a_bug_in_a_figure_is_500_and_in_the_log_and_the_server_goes_on(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.number = lambda: 1 / 0
    assert (await scene.get("/metrics"))[0] == 500
    assert (await scene.get("/healthz"))[0] == 200
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    scene.number = lambda: 8.0
    assert "feedbus_test_number 8.0" in (await scene.get("/metrics"))[2]


async def test_an_address_in_use_is_an_error_that_names_it(scene: Scene) -> None:
    host, port = scene.address
    second = Server(host, port, registry([]), list, list)
    with pytest.raises(FeedbusError, match=f"^can't serve telemetry at {host}:{port}: Address already in use$"):
        await second.serve()


async def test_a_host_that_is_none_is_an_error_that_names_it() -> None:
    with pytest.raises(FeedbusError, match=r"^can't serve telemetry at 256\.0\.0\.1:0: "):
        await Server("256.0.0.1", 0, registry([]), list, list).serve()


async def test_the_stop_closes_the_port_and_the_connections(scene: Scene) -> None:
    second = Scene()
    async with trio.open_nursery() as nursery:
        second.address = await nursery.start(second.server.serve)
        stream = await trio.open_tcp_stream(*second.address)
        await until(lambda: second.server.open == 1)
        nursery.cancel_scope.cancel()
    assert await stream.receive_some(1) == b""
    await stream.aclose()
    with pytest.raises(OSError, match="all attempts to connect"):
        await trio.open_tcp_stream(*second.address)


@given(st.text(st.characters(codec="latin-1")))
def test_no_accept_header_is_too_odd(accept: str) -> None:
    answer = trio.run(exposition, registry([]), accept)
    assert answer.status == 200
    assert answer.body.count(b"# TYPE feedbus_process_open_fds gauge\n") == 1


async def test_others_have_their_turn_while_metrics_are_put_together() -> None:
    async with trio.open_nursery() as nursery:
        read: list[str] = []

        async def other() -> None:
            while True:
                read.append("other")
                await trio.lowlevel.checkpoint()

        def figure(name: str) -> MetricSeries[None]:
            return MetricSeries(name, "A figure.", lambda _: read.append(name) or 0.0)  # type: ignore[func-returns-value]

        nursery.start_soon(other)
        group = MetricGroup[None]((), lambda: [((), None)], [figure(f"feedbus_{letter}") for letter in "abc"])
        await exposition(registry([group]), "")
        nursery.cancel_scope.cancel()
    assert [name for name in read if name != "other"] == ["feedbus_a", "feedbus_b", "feedbus_c"]
    assert "other" in read[read.index("feedbus_a") : read.index("feedbus_c")]


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_no_bytes_of_a_client_leave_the_connection(chunks: list[bytes]) -> None:
    async def main() -> None:
        scene = Scene()
        ours, theirs = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.server._connection, theirs)
            for chunk in [b"GET /healthz HTTP/1.1\r\n", *chunks]:
                if chunk:
                    await ours.send_all(chunk)
            await ours.send_eof()
            raw = b"".join([chunk async for chunk in ours])
        assert raw[:9] in (b"", b"HTTP/1.1 ")

    trio.run(main)

"""The HTTP server over real loopback sockets, with honest, slow, broken and hostile clients."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from feedbus.errors import CantServe
from feedbus.telemetry import server as module
from feedbus.telemetry.series import MetricGroup, MetricSeries, registry
from feedbus.telemetry.server import MAX_CONNECTIONS, MAX_HEAD, Server

Address = tuple[str, int]


class Scene:
    """A server whose figures and reasons the test sets."""

    def __init__(self, port: int = 0, families: int = 1) -> None:
        self.number: Callable[[], float] = lambda: 7.0
        self.not_ready: list[str] = []
        self.unhealthy: list[str] = []
        names = ["feedbus_test_number", *(f"feedbus_test_number_{each}" for each in range(1, families))]
        series = [MetricSeries[Scene](name, "A number.", lambda scene: scene.number()) for name in names]
        made = registry([MetricGroup((), lambda: [((), self)], series)])
        self.server = Server("127.0.0.1", port, made, lambda: self.not_ready, lambda: self.unhealthy)
        self.address: Address = ("", 0)

    async def get(self, target: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
        """Send one request on a connection of its own; return the status code, the headers and the body."""
        lines = [f"{method} {target} HTTP/1.1", "Host: x"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return parsed(await self.exchange("\r\n".join([*lines, "", ""]).encode()), method)

    async def exchange(self, data: bytes) -> bytes:
        """Send these bytes on a connection of their own, and return all that the server sends until it closes."""
        async with await trio.open_tcp_stream(*self.address) as stream:
            await stream.send_all(data)
            return await everything(stream)


def parsed(raw: bytes, method: str = "GET") -> tuple[int, dict[str, str], str]:
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert headers["connection"] == "close"
    if method != "HEAD":
        assert int(headers["content-length"]) == len(body)
    return int(status.split()[1]), headers, body.decode()


async def everything(stream: trio.SocketStream) -> bytes:
    return b"".join([chunk async for chunk in stream])


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await trio.lowlevel.checkpoint()


@pytest.fixture
async def scene(nursery: trio.Nursery) -> AsyncIterator[Scene]:
    made = Scene()
    with trio.fail_after(30):
        made.address = await nursery.start(made.server.serve)
        assert made.address == made.server.address
        yield made


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_metrics_are_answered_in_the_text_format(scene: Scene) -> None:
    status, headers, body = await scene.get("/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    families = {family.name: family for family in parse_text(body)}
    assert families["feedbus_test_number"].samples[0].value == 7.0
    assert families["feedbus_http_connections"].samples[0].value == 1
    assert "date" in headers
    assert headers["cache-control"] == "no-store"


async def test_metrics_are_answered_as_openmetrics_when_the_client_prefers_it(scene: Scene) -> None:
    accept = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5"
    status, headers, body = await scene.get("/metrics", Accept=accept)
    assert status == 200
    assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert body.count("# EOF") == 1
    assert "feedbus_test_number" in {family.name for family in parse_openmetrics(body)}  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(("target", "word"), [("/readyz", "ready"), ("/healthz", "healthy")])
async def test_reasons_turn_200_into_503(scene: Scene, target: str, word: str) -> None:
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
        ("GET", "/%ff%fe", 404),
        ("POST", "/nothing", 404),
        ("CONNECT", "x:80", 404),
        ("POST", "/metrics", 405),
        ("DELETE", "/readyz", 405),
        ("OPTIONS", "/healthz", 405),
    ],
)
async def test_an_unknown_path_is_404_and_another_method_405(
    scene: Scene, method: str, target: str, expected: int
) -> None:
    status, headers, _ = await scene.get(target, method)
    assert status == expected
    assert headers.get("allow") == ("get, head" if expected == 405 else None)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"hello\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # a TLS client
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET /healthz?\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: rot13\r\n\r\n", 501),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 1_000_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 1_000_000, 431),
    ],
)
async def test_a_malformed_or_huge_request_is_refused(scene: Scene, data: bytes, expected: int) -> None:
    assert parsed(await scene.exchange(data))[0] == expected
    assert scene.server.answers == {str(expected): 1}


async def test_a_head_of_the_allowed_size_is_answered(scene: Scene) -> None:
    assert (await scene.get("/healthz", A="a" * (MAX_HEAD - 100)))[0] == 200


UPGRADE = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "


@pytest.mark.parametrize(
    "data",
    [
        HEALTH * 3,
        b"GET /healthz HTTP/1.0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"b" * 100_000,
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        UPGRADE
        + b"websocket\r\nSec-WebSocket-Protocol: \xff\r\nSec-WebSocket-Key: x\r\n\r\n"
        + b"trailing bytes" * 100,
        UPGRADE + b"h2c\r\nHTTP2-Settings: AAA\xff\r\n\r\ntrailing bytes",
    ],
)
async def test_a_connection_has_one_answer_whatever_follows_the_head(scene: Scene, data: bytes) -> None:
    assert parsed(await scene.exchange(data))[::2] == (200, "healthy\n")
    assert scene.server.answers == {"200": 1}


async def test_a_request_may_come_byte_by_byte(scene: Scene) -> None:
    async with await trio.open_tcp_stream(*scene.address) as stream:
        for byte in HEALTH:
            await stream.send_all(bytes([byte]))
        assert parsed(await everything(stream))[0] == 200


async def test_a_client_that_resets_its_connection_harms_nobody(scene: Scene) -> None:
    for data in (b"", b"GET /me", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n") * 30:
        stream = await trio.open_tcp_stream(*scene.address)
        await stream.send_all(data)
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await stream.aclose()
    assert (await scene.get("/healthz"))[0] == 200
    await until(lambda: scene.server.open == 0)
    assert scene.server.timeouts == 0


@pytest.mark.parametrize("data", [b"", b"GET /healthz HTTP/1.1\r\nHo"])
async def test_a_client_that_does_not_finish_its_request_is_closed_and_counted(
    scene: Scene, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONNECTION_TIMEOUT", 0.05)
    assert await scene.exchange(data) == b""
    assert scene.server.timeouts == 1


async def test_a_client_that_does_not_read_is_closed_and_counted(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTION_TIMEOUT", 0.05)
    scene.not_ready[:] = ["x" * 1_000_000] * 20
    async with await trio.open_tcp_stream(*scene.address) as stream:
        await stream.send_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: scene.server.timeouts == 1)
        assert scene.server.open == 0


async def test_a_client_that_keeps_its_side_open_after_the_answer_is_closed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.05)
    async with await trio.open_tcp_stream(*scene.address) as stream:
        await stream.send_all(HEALTH)
        assert parsed(await everything(stream))[0] == 200
        await until(lambda: scene.server.open == 0)
    assert scene.server.timeouts == 0


@pytest.mark.parametrize("slow", ["silent", "half a request", "reads nothing"])
async def test_slow_clients_do_not_keep_a_health_check_out(
    scene: Scene, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONNECTION_TIMEOUT", 60)
    # More than the system buffers of a sender (4 MiB at most, by tcp(7)) and of these receivers, and not much more,
    # because MAX_CONNECTIONS of these answers are in memory at once.
    scene.not_ready[:] = ["x" * 100_000] * 50
    data = {"silent": b"", "half a request": HEALTH[:9], "reads nothing": b"GET /readyz HTTP/1.0\r\n\r\n"}[slow]
    streams: list[trio.SocketStream] = []
    for number in range(MAX_CONNECTIONS + 8):
        streams.append(await trio.open_tcp_stream(*scene.address))
        streams[-1].setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 1 << 17)
        await streams[-1].send_all(data)
        await until(lambda number=number: scene.server.open + scene.server.crowded_out == number + 1)  # type: ignore[misc]
        assert scene.server.open <= MAX_CONNECTIONS
    assert (await scene.get("/healthz"))[0] == 200
    assert (scene.server.crowded_out, scene.server.timeouts) == (9, 0)
    for stream in streams[:9]:  # the oldest made room
        with suppress(trio.BrokenResourceError):
            assert len(await everything(stream)) < 5_000_000
    for stream in streams:
        await trio.aclose_forcefully(stream)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_slow_clients_that_come_back_at_once_do_not_end_the_answer_to_an_honest_one(path: str) -> None:
    scene = Scene(families=60)  # between two of them the others have their turn
    async with trio.open_nursery() as nursery:
        scene.address = await nursery.start(scene.server.serve)

        async def slow() -> None:
            while True:
                with suppress(trio.BrokenResourceError):
                    await scene.exchange(HEALTH[:9])

        for _ in range(2 * MAX_CONNECTIONS):
            nursery.start_soon(slow)
        await until(lambda: scene.server.crowded_out > MAX_CONNECTIONS)
        assert [(await scene.get(path))[0] for _ in range(3)] == [200] * 3
        nursery.cancel_scope.cancel()


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
    with pytest.raises(CantServe, match=f"^can't serve telemetry at {host}:{port}: Address already in use$"):
        await second.serve()


async def test_a_host_that_is_none_is_an_error_that_names_it() -> None:
    with pytest.raises(CantServe, match=r"^can't serve telemetry at 256\.0\.0\.1:0: "):
        await Server("256.0.0.1", 0, registry([]), list, list).serve()


async def test_a_cancelled_server_closes_everything_at_once_and_another_one_may_take_its_port() -> None:
    port = 0
    for _ in range(2):
        scene = Scene(port)
        scene.not_ready[:] = ["x" * 1_000_000] * 20
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                scene.address = await nursery.start(scene.server.serve)
                silent, reader = [await trio.open_tcp_stream(*scene.address) for _ in range(2)]
                await reader.send_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await scene.get("/healthz"))[0] == 200
                await until(lambda: scene.server.answers["503"] == 1)  # noqa: B023
                nursery.cancel_scope.cancel()
        assert scene.server.open == 0
        assert scene.server.timeouts == 0
        assert await silent.receive_some(1) == b""
        await silent.aclose()
        await reader.aclose()
        with pytest.raises(OSError, match="all attempts to connect"):
            await trio.open_tcp_stream(*scene.address)
        port = scene.address[1]


async def test_a_long_answer_is_written_in_pieces() -> None:
    scene = Scene()
    scene.not_ready[:] = ["x" * 1000] * 1000
    ours, theirs = trio.testing.memory_stream_pair()
    sizes: list[int] = []

    class Noted(trio.abc.SendStream):
        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            sizes.append(len(data))
            await theirs.send_stream.send_all(data)

        async def wait_send_all_might_not_block(self) -> None:
            raise NotImplementedError

        async def aclose(self) -> None:
            await theirs.send_stream.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.server._connection, trio.StapledStream(Noted(), theirs.receive_stream))
        await ours.send_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        await ours.send_eof()
        assert parsed(b"".join([chunk async for chunk in ours]))[2] == f"{'x' * 1000}\n" * 1000
    assert max(sizes) <= 1 << 16


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

"""The simulators' WebSocket server over real sockets, with a venue of a trivial protocol."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise

import pytest
import trio

from feedbus.sim import server
from feedbus.sim.seam import Ending, Frame, ServerCounters
from feedbus.sim.server import WebSocketSettings, serve
from tests.sim.sockets import closed_with, raw_websocket, serving, status, tcp, upgrade, websocket


class Market:
    """Counts steps, ten milliseconds each; opened by whoever says `opened = True`."""

    def __init__(self) -> None:
        self.opened = False
        self.step = 0
        self.step_ns = 10_000_000
        self.controls: list[int] = []

    def advance(self) -> None:
        self.step += 1


class Talk:
    """Echoes. `go` opens the market, whose steps are then told; `end`, `late` and `abort` end the connection."""

    def __init__(self, market: Market, target: str) -> None:
        self.ending: Ending = ""
        self._market = market
        self._told = False
        self._late: Ending = ""
        self._target = target

    def receive(self, data: Frame, now_ns: int) -> list[Frame]:
        assert now_ns > 0
        match data:
            case "go":
                self._market.opened = self._told = True
            case "burst":
                return ["x" * 200_000] * 199
            case "target":
                return [self._target]
            case "close" | "refuse" | "abort":
                self.ending = data
            case "late close":
                self._market.opened, self._late = True, "close"
            case "close while open":
                self._market.opened, self.ending = True, "close"
        return [data]

    def due(self) -> list[Frame]:
        assert not self.ending
        self.ending = self._late
        return [f"step {self._market.step}"] if self._told or self._late else []

    def control(self, now_ns: int) -> None:
        self._market.controls.append(now_ns)

    def goodbye(self) -> list[Frame]:
        return ["goodbye", b"all"]


class Chatter(Talk):
    """Says much at every step, once its market is open."""

    def due(self) -> list[Frame]:
        return ["x" * 1000] * 100 if self._told else []


@asynccontextmanager
async def venue(
    settings: WebSocketSettings | None = None,
) -> AsyncIterator[tuple[str, Market, ServerCounters, trio.CancelScope]]:
    market, counters = Market(), ServerCounters()

    def converse(target: str, now_ns: int) -> Talk | int | None:
        assert now_ns > 0
        market.opened |= target == "/talk?go"
        if target == "/busy":
            return 503
        if target == "/chatter":
            return Chatter(market, target)
        return Talk(market, target) if target.startswith("/talk") else None

    wanted = settings or WebSocketSettings(path="/talk")
    async with serving(partial(serve, market, converse, wanted, "127.0.0.1", 0, counters=counters)) as ((url,), scope):
        yield url, market, counters, scope


@pytest.mark.parametrize("data", ["text", b"binary", "ünïcode", b"", "x" * 10_000])
async def test_text_is_sent_as_text_and_bytes_as_bytes(data: Frame) -> None:
    async with venue() as (url, _, counters, _), websocket(url) as socket:
        assert url.endswith("/talk")
        await socket.send_message(data)
        assert await socket.get_message() == data
        assert counters.frames_sent == 1


async def test_the_venue_sees_path_and_query_and_decides_what_there_is() -> None:
    async with venue() as (url, _, counters, _):
        async with websocket(url, "/talk/a?b=c") as socket:
            await socket.send_message("target")
            assert await socket.get_message() == "/talk/a?b=c"
        assert (await status(url, "/other"), await status(url, "/busy")) == (404, 503)
        assert counters.connections == 3


@pytest.mark.parametrize(("offered", "chosen"), [(("a", "c", "b"), "c"), (("a",), None), ((), None)])
async def test_the_first_subprotocol_that_both_know_is_chosen(offered: tuple[str, ...], chosen: str | None) -> None:
    settings = WebSocketSettings(path="/talk", subprotocols=("b", "c"))
    async with venue(settings) as (url, _, _, _), websocket(url, subprotocols=offered) as socket:
        assert socket.subprotocol == chosen


async def test_the_markets_clock_begins_with_the_message_that_opens_it() -> None:
    async with venue() as (url, market, counters, _), websocket(url) as socket:
        await socket.send_message("hello")
        assert await socket.get_message() == "hello"
        assert (market.step, counters.steps) == (0, 0)
        await socket.send_message("go")
        assert [await socket.get_message() for _ in range(4)] == ["go", "step 1", "step 2", "step 3"]


async def test_a_venue_may_open_its_market_when_a_client_connects() -> None:
    async with venue() as (url, market, _, _), websocket(url, "/talk?go") as socket:
        await socket.send_message("go")
        await socket.get_message()
        await socket.get_message()
        assert market.step > 0


@pytest.mark.parametrize(
    ("said", "frames", "code"),
    [
        ("close", ["close"], 1000),
        ("close while open", ["close while open"], 1000),
        ("refuse", ["refuse"], 1008),
        ("late close", ["late close", "step 1"], 1000),
    ],
)
async def test_a_conversation_ends_after_its_last_word(said: str, frames: list[Frame], code: int) -> None:
    async with venue() as (url, _, counters, _), websocket(url) as socket:
        await socket.send_message(said)
        assert await closed_with(socket) == (frames, code)
        assert counters.connections_open == 0


async def test_an_aborted_connection_has_no_closing() -> None:
    async with venue() as (url, _, _, _), websocket(url) as socket:
        await socket.send_message("abort")
        assert (await closed_with(socket))[1] == 1006


@pytest.mark.parametrize("stuck", [False, True])
async def test_a_stopping_server_says_what_the_venue_says_last_and_waits_for_nobody_stuck(stuck: bool) -> None:
    async with venue() as (url, _, counters, scope), websocket(url) as socket:
        await socket.send_message("hello")
        assert await socket.get_message() == "hello"
        if stuck:
            async with await raw_websocket(url, "/chatter", ["go"]), websocket(url) as steady:
                await steady.send_message("go")
                while not counters.conflations:
                    await steady.get_message()
                scope.cancel()
                assert (await closed_with(steady))[0][-2:] == ["goodbye", b"all"]
        scope.cancel()
        with trio.fail_after(5):
            assert await closed_with(socket) == (["goodbye", b"all"], 1001)
    assert counters.connections_open == 0


async def test_clients_are_pinged_and_those_that_do_not_answer_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PONG_S", 0.05)
    async with venue(WebSocketSettings(path="/talk", ping_every=0.01)) as (url, _, counters, _):
        async with await raw_websocket(url) as stream:
            received = b"".join([part async for part in stream])
        assert received[:1] == b"\x89"
        async with websocket(url):
            assert counters.connections_broken >= 1


async def test_a_client_that_answers_pings_stays() -> None:
    async with (
        venue(WebSocketSettings(path="/talk", ping_every=0.001)) as (url, _, counters, _),
        websocket(url) as socket,
    ):
        await socket.send_message("go")
        for _ in range(20):
            await socket.get_message()
        await socket.send_message("close")  # by the server: the library can't answer a ping while it closes
        assert (await closed_with(socket))[1] == 1000
        assert counters.connections_broken == 0


async def test_too_large_a_message_ends_the_connection() -> None:
    async with venue(WebSocketSettings(path="/talk", max_message=100)) as (url, _, _, _), websocket(url) as socket:
        await socket.send_message("x" * 101)
        assert await closed_with(socket) == ([], 1009)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\0\xff\x13nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /talk HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
        b"POST /talk HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        upgrade("/talk") + b"\xff" * 12,
        # a ping into a connection that the server is closing
        upgrade("/talk") + b"\x81\x85" + bytes(4) + b"close" + b"\x89\x80" + bytes(4),
    ],
    ids=["nothing", "nonsense", "no host", "no key", "post", "broken frames", "ping while closing"],
)
async def test_what_is_no_web_socket_ends_that_connection_only(sent: bytes) -> None:
    async with venue() as (url, _, counters, _):
        async with await tcp(url) as stream:
            await stream.send_all(sent)
            await stream.send_eof()
            while sent and await stream.receive_some():  # who says nothing isn't waited for
                pass
        async with websocket(url) as socket:
            await socket.send_message("hello")
            assert await socket.get_message() == "hello"
            assert counters.connections_open == 1


async def test_the_markets_clock_keeps_pace_with_the_wall_clock() -> None:
    async with venue() as (url, _, _, _), websocket(url) as socket:
        began = trio.current_time()  # the market opens with the message, so not before this
        await socket.send_message("go")
        while await socket.get_message() != "step 50":
            pass
        assert 0.5 <= trio.current_time() - began < 5


async def test_after_a_long_stall_the_market_hurries_on_to_the_present(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CATCH_UP_S", 0.1)
    async with venue() as (url, market, counters, _), websocket(url) as socket:
        await socket.send_message("go")
        frames = [str(await socket.get_message()) for _ in range(2)]
        time.sleep(0.5)  # noqa: ASYNC251 - the stall
        frames += [str(await socket.get_message()) for _ in range(5)]
        steps = [int(frame.removeprefix("step ")) for frame in frames[1:]]
        assert max(later - earlier for earlier, later in pairwise(steps)) > 30
        assert market.step > counters.steps_skipped > 30


@pytest.mark.parametrize("most_unsent", [2000, None])
async def test_a_client_that_does_not_read_is_cut_where_the_venue_does_so(most_unsent: int | None) -> None:
    settings = WebSocketSettings(path="/chatter", most_unsent=most_unsent)
    async with (
        venue(settings) as (url, _, counters, _),
        await raw_websocket(url, "/chatter", ["go"]),
        websocket(url, "/talk") as steady,
    ):
        await steady.send_message("go")
        while not (counters.connections_cut if most_unsent else counters.conflations > 100):
            await steady.get_message()
        assert counters.connections_cut == (most_unsent is not None)
        assert str(await steady.get_message()).startswith("step")


async def test_a_client_that_takes_nothing_of_a_burst_is_cut_though_no_more_comes() -> None:
    async with venue(WebSocketSettings(path="/talk", most_unsent=100)) as (url, _, counters, _):
        async with await raw_websocket(url, "/talk", ["burst"]) as stream, websocket(url) as steady:
            await steady.send_message("go")
            while not counters.connections_cut:
                await steady.get_message()
            end = b""
            async for part in stream:
                end = (end + part)[-4:]
        assert counters.connections_cut == 1
        assert end == b"xxxx"  # in the middle of a frame: no closing one

"""What the seam promises, for both transports, over real loopback sockets."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from math import inf
from pathlib import Path

import msgspec
import pytest
import trio
import trustme

from feedbus.errors import BadData, ClosedByPeer, ConfigError, ConnectFailed, RateLimited, TimedOut, VenueError
from feedbus.transport import Connection, Dial, DialOptions, trio_ws, websocket
from feedbus.transport.frames import most_fragments
from feedbus.transport.rounds import Rounds
from feedbus.transport.streams import background
from feedbus.transport.tls import tls_context
from tests.transport.peer import BINARY, CLOSE, CONTINUED, PING, PONG, TEXT, Frame, Peer, closing, frame, listening

LIMIT = 100_000
PATIENCE = 60
"""A bound for what takes milliseconds on a fast machine, in seconds."""

OPTIONS = DialOptions(max_message_size=LIMIT, ping_interval=inf, close_timeout=0.001)


@asynccontextmanager
async def dial_in_rounds(url: str, options: DialOptions) -> AsyncIterator[Connection]:
    """As a service dials: the sockets are read in rounds."""
    rounds = Rounds(0.001)
    try:
        async with background() as nursery:
            nursery.start_soon(rounds.run)
            async with websocket.dial(url, msgspec.structs.replace(options, rounds=rounds)) as connection:
                yield connection
    finally:
        rounds.close()


DIALS: dict[str, Dial] = {
    "sansio": websocket.dial,
    "sansio in rounds": dial_in_rounds,
    "trio-websocket": trio_ws.dial,
}


@pytest.fixture(params=DIALS)
def dial(request: pytest.FixtureRequest) -> Dial:
    return DIALS[request.param]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def server_context(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


async def hold(peer: Peer) -> None:
    """Accept, and then leave everything to the test."""
    await peer.accept()
    await trio.sleep_forever()


@asynccontextmanager
async def connected(
    dial: Dial, options: DialOptions = OPTIONS, *, lines: tuple[bytes, ...] = (), behind: bytes = b""
) -> AsyncIterator[tuple[Connection, Peer]]:
    """An open connection and its other end, which does nothing by itself."""
    peers: list[Peer] = []

    async def handler(peer: Peer) -> None:
        peers.append(peer)
        await peer.accept(*lines, behind=behind)
        await trio.sleep_forever()

    with trio.fail_after(PATIENCE):
        async with listening(handler) as place, dial(f"ws://{place}/feed", options) as connection:
            await peers[0].up.wait()
            yield connection, peers[0]


async def refused(dial: Dial, handler: Callable[[Peer], Awaitable[None]], options: DialOptions = OPTIONS) -> str:
    """Dial in vain; returns what the error says behind the place."""
    with trio.fail_after(PATIENCE):
        async with listening(handler) as place:
            with pytest.raises(ConnectFailed) as caught:
                await dial(f"ws://{place}/feed?token=hush", options).__aenter__()
    text = str(caught.value)
    assert text.startswith(f"{place}: ")
    assert "\n" not in text
    assert "hush" not in text
    return text.removeprefix(f"{place}: ")


async def receive(connection: Connection, count: int) -> list[bytes]:
    messages: list[bytes] = []
    while len(messages) < count:
        messages += [bytes(message) for message in (await connection.receive())[0]]
    return messages


async def test_bytes_go_as_binary_and_str_as_text_in_order(dial: Dial) -> None:
    async with connected(dial) as (connection, peer):
        await connection.send([b"bytes", "слова", b"", b"more", "x" * 70_000])
        assert [await peer.heard() for _ in range(5)] == [
            Frame(BINARY, b"bytes"),
            Frame(TEXT, "слова".encode()),
            Frame(BINARY, b""),
            Frame(BINARY, b"more"),
            Frame(TEXT, b"x" * 70_000),
        ]


async def test_messages_come_in_order_with_time_and_counts(dial: Dial) -> None:
    async with connected(dial) as (connection, peer):
        before = time.time_ns()
        await peer.say(frame(TEXT, "слова".encode()), frame(BINARY, b"\xff\x00"), frame(BINARY, b""))
        assert await receive(connection, 3) == ["слова".encode(), b"\xff\x00", b""]
        await peer.say(frame(TEXT, b"last"))
        messages, ts_recv = await connection.receive()
        assert [bytes(message) for message in messages] == [b"last"]
        assert before <= ts_recv <= time.time_ns()
        assert (connection.messages_received, connection.bytes_received) == (4, 12 + 4 + 2 + 6)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, LIMIT])
async def test_a_message_of_any_length_comes_out_as_it_went_in(dial: Dial, size: int) -> None:
    async with connected(dial) as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(peer.say, frame(BINARY, b"b" * size), frame(TEXT, b"t" * size))
        assert await receive(connection, 2) == [b"b" * size, b"t" * size]


async def test_messages_right_behind_the_handshake_are_received(dial: Dial) -> None:
    async with connected(dial, behind=frame(BINARY, b"early") + frame(TEXT, b"half")[:3]) as (connection, peer):
        assert await receive(connection, 1) == [b"early"]
        await peer.say(frame(TEXT, b"half")[3:])
        assert await receive(connection, 1) == [b"half"]


async def test_fragments_are_joined_with_control_frames_between_them(dial: Dial) -> None:
    word = "Сбербанк".encode()
    async with connected(dial) as (connection, peer):
        await peer.say(frame(TEXT, word[:3], fin=False), frame(PING, b"there?"), frame(CONTINUED, b"", fin=False))
        await peer.say(frame(PONG, b"unasked"), frame(CONTINUED, word[3:]), frame(BINARY, b"", fin=False))
        await peer.say(frame(CONTINUED, b"\xff" * 60_000), frame(BINARY, b"plain"))
        assert await receive(connection, 3) == [word, b"\xff" * 60_000, b"plain"]
        assert await peer.heard() == Frame(PONG, b"there?")


async def test_a_message_may_come_byte_by_byte(dial: Dial) -> None:
    data = frame(TEXT, "д".encode() * 70) + frame(PING, b"1") + frame(BINARY, b"next")
    async with connected(dial) as (connection, peer), trio.open_nursery() as nursery:

        async def trickle() -> None:
            for byte in data:
                await peer.say(bytes([byte]))

        nursery.start_soon(trickle)
        assert await receive(connection, 2) == ["д".encode() * 70, b"next"]


async def test_a_ping_of_any_length_is_answered_by_its_own_payload(dial: Dial) -> None:
    async with connected(dial) as (connection, peer):
        await peer.say(frame(PING), frame(PING, b"\xff" * 125), frame(BINARY, b"x"))
        await connection.receive()
        assert [await peer.heard(), await peer.heard()] == [Frame(PONG, b""), Frame(PONG, b"\xff" * 125)]


async def test_each_ping_and_each_pong_of_ours_is_told_and_nothing_else(dial: Dial) -> None:
    told: list[None] = []
    options = DialOptions(
        ping_interval=0.001, ping_timeout=PATIENCE, close_timeout=0.1, control_sent=lambda: told.append(None)
    )
    async with connected(dial, options) as (connection, peer):
        ping = await peer.heard()
        assert ping is not None
        assert ping.opcode == PING
        await connection.send([b"\x89\x8a", "text"])
        await peer.say(frame(PING, b"1"), frame(PING, b"2"), frame(BINARY, b"x"))
        await connection.receive()
        heard = [await peer.heard() for _ in range(4)]
        assert [each.opcode for each in heard if each is not None] == [BINARY, TEXT, PONG, PONG]
        assert len(told) == 3


BROKEN = {
    "opcode 3": (frame(3), 1002),
    "opcode 7, as a fragment": (frame(7, fin=False), 1002),
    "opcode 11": (frame(11), 1002),
    "opcode 15": (frame(15, b"x"), 1002),
    "reserved bit 1": (frame(TEXT, b"x", rsv=4), 1002),
    "reserved bit 2": (frame(BINARY, b"x", rsv=2), 1002),
    "reserved bit 3 on a ping": (frame(PING, rsv=1), 1002),
    "masked": (frame(BINARY, b"x", mask=b"\1\2\3\4"), 1002),
    "masked and empty": (frame(TEXT, mask=b"\0\0\0\0"), 1002),
    "masked and long": (frame(BINARY, b"x" * 300, mask=b"\1\2\3\4"), 1002),
    "continuation of nothing": (frame(CONTINUED, b"x"), 1002),
    "message inside a message": (frame(BINARY, b"a", fin=False) + frame(BINARY, b"b"), 1002),
    "ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "close of 126 bytes": (frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002),
    "ping in fragments": (frame(PING, fin=False), 1002),
    "close in fragments": (frame(CLOSE, b"\x03\xe8", fin=False), 1002),
    "close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "reason not UTF-8": (closing(1000, b"\xff"), 1007),
    "text not UTF-8": (frame(TEXT, b"\xff"), 1007),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "text cut inside a character": (frame(TEXT, "я".encode()[:1]), 1007),
    "fragments not UTF-8": (frame(TEXT, b"\xd0", fin=False) + frame(CONTINUED, b"x"), 1007),
    "empty last fragment inside a character": (frame(TEXT, b"\xd0", fin=False) + frame(CONTINUED), 1007),
    "too large by one byte": (frame(BINARY, b"x" * (LIMIT + 1)), 1009),
    "too large in bytes, not in characters": (frame(TEXT, "я".encode() * (LIMIT // 2 + 1)), 1009),
    "too large in fragments": (frame(BINARY, b"x" * LIMIT, fin=False) + frame(CONTINUED, b"x"), 1009),
    "too many fragments": (
        frame(BINARY, fin=False) + frame(CONTINUED, b"x", fin=False) * most_fragments(LIMIT),
        1009,
    ),
    "announces 2^40 bytes": (b"\x82\x7f" + (1 << 40).to_bytes(8), 1009),
    "announces 2^40 bytes as a fragment": (frame(TEXT, b"", fin=False) + b"\x00\x7f" + (1 << 40).to_bytes(8), 1009),
    **{
        f"close code {code}": (closing(code), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    },
}


@pytest.mark.parametrize("name", BROKEN)
async def test_bad_data_end_in_one_error_after_the_messages_before_them(dial: Dial, name: str) -> None:
    data, code = BROKEN[name]
    async with connected(dial) as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(peer.say, frame(BINARY, b"before"), data, b"" if "2^40" in name else frame(BINARY, b"after"))
        assert await receive(connection, 1) == [b"before"]
        for _ in range(2):
            with pytest.raises(BadData, match=r"^websocket: [^\n]+$") as caught:
                await connection.receive()
            assert caught.value.cause == "bad_data"
        with pytest.raises(BadData):
            await connection.send([b"too late"])
        told = await peer.heard_close()
        assert told is not None
        assert told[0] == code


async def test_a_flood_behind_bad_data_is_not_buffered(dial: Dial) -> None:
    async with connected(dial) as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(peer.say, frame(TEXT, b"\xff"), bytes(64 * 1024 * 1024))
        with pytest.raises(BadData):
            await connection.receive()
        assert await peer.heard_close() is not None
        assert connection.bytes_received <= 128 * 1024
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999]
)
async def test_the_peers_close_is_told_and_answered(dial: Dial, code: int) -> None:
    async with connected(dial) as (connection, peer):
        await peer.say(frame(BINARY, b"last"), closing(code, "żegnaj\nświat".encode()), closing(1001))
        assert await receive(connection, 1) == [b"last"]
        for _ in range(2):
            with pytest.raises(ClosedByPeer, match=rf"^closed by the venue: {code} żegnaj świat$") as caught:
                await connection.receive()
            assert (caught.value.code, caught.value.reason) == (code, "żegnaj świat")
        with pytest.raises(ClosedByPeer, match=f"{code}"):
            await connection.send([b"too late"])
        told = await peer.heard_close()
        assert told is not None
        assert told[0] == code


@pytest.mark.parametrize("before", [b"", frame(TEXT, b"half a message", fin=False)])
async def test_a_close_without_a_code_is_1005_even_inside_a_message(dial: Dial, before: bytes) -> None:
    async with connected(dial) as (connection, peer):
        await peer.say(before, frame(CLOSE))
        with pytest.raises(ClosedByPeer) as caught:
            await connection.receive()
        assert (caught.value.code, caught.value.reason) == (1005, "")
        assert await peer.heard_close() == (0, b"")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the stream ended without a close frame"),
        (frame(TEXT, b"half a message", fin=False), "the stream ended without a close frame"),
        (b"\x82", "the stream ended inside a frame"),
        (b"\x82\x7e\x01", "the stream ended inside a frame"),
        (frame(BINARY, b"torn")[:-1], "the stream ended inside a frame"),
        (frame(PING, b"torn")[:-1], "the stream ended inside a frame"),
        (closing(1000)[:-1], "the stream ended inside a frame"),
    ],
)
async def test_an_abrupt_end_is_1006_after_the_messages_before_it(dial: Dial, data: bytes, reason: str) -> None:
    async with connected(dial) as (connection, peer):
        await peer.say(frame(BINARY, b"one"), frame(TEXT, b"two"), data)
        await peer.stream.aclose()
        assert await receive(connection, 2) == [b"one", b"two"]
        for _ in range(2):
            with pytest.raises(ClosedByPeer, match=f"1006 {reason}$"):
                await connection.receive()
        with pytest.raises(ClosedByPeer, match="1006"):
            await connection.send([b"too late"])


async def test_a_reset_is_1006(dial: Dial) -> None:
    async with connected(dial) as (connection, peer), trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(ClosedByPeer, match=r"1006 Connection reset by peer$"):
                await connection.receive()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await peer.reset()


async def test_sends_into_a_broken_connection_fail_as_the_seam_says(dial: Dial) -> None:
    async with connected(dial) as (connection, peer):
        await peer.reset()
        with pytest.raises(ClosedByPeer, match="1006 "):  # noqa: PT012
            while True:  # the system takes some before it tells
                await connection.send([b"x" * 10_000])
        with pytest.raises(ClosedByPeer, match="1006 "):
            await connection.receive()


async def test_no_pong_in_time_ends_receive_and_send(dial: Dial) -> None:
    options = DialOptions(ping_interval=0.01, ping_timeout=0.05, close_timeout=0.001)
    async with connected(dial, options) as (connection, peer):
        await peer.say(frame(PONG, b"guess"))
        for _ in range(2):
            with pytest.raises(TimedOut, match=r"^no pong within 0\.05 s$"):
                await connection.receive()
        with pytest.raises(TimedOut):
            await connection.send([b"too late"])
        ping = await peer.heard()
        assert ping is not None
        assert ping.opcode == PING


async def test_pongs_keep_a_connection_open(dial: Dial) -> None:
    options = DialOptions(ping_interval=0.001, ping_timeout=PATIENCE, close_timeout=0.001)
    async with connected(dial, options) as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(receive, connection, 1)
        payloads = set()
        for _ in range(5):
            ping = await peer.heard()
            assert ping is not None
            assert ping.opcode == PING
            payloads.add(ping.data)
            await peer.say(frame(PONG, ping.data))
        assert len(payloads) == 5
        await peer.say(frame(BINARY, b"still here"))


async def test_several_tasks_may_send_and_frames_stay_whole(dial: Dial) -> None:
    sent = [bytes([number]) * (number * 1000) for number in range(20)]
    async with connected(dial) as (connection, peer), trio.open_nursery() as nursery:
        for message in sent:
            nursery.start_soon(connection.send, [message, b"|"])
        heard = [await peer.heard() for _ in range(40)]
        assert all(heard[at] == Frame(BINARY, b"|") for at in range(1, 40, 2))
        assert sorted(message.data for message in heard[::2] if message) == sent


async def test_a_receive_that_is_cancelled_loses_nothing(dial: Dial) -> None:
    data = frame(BINARY, b"a" * 1000) + frame(PING) + frame(BINARY, b"b")
    async with connected(dial) as (connection, peer):
        received: list[bytes] = []
        for at in range(0, len(data), 100):
            with trio.CancelScope() as scope:
                scope.cancel()
                received += await receive(connection, 1)
            with trio.move_on_after(0.001):
                received += await receive(connection, 1)
            await peer.say(data[at : at + 100])
        received += await receive(connection, 2 - len(received))
        assert received == [b"a" * 1000, b"b"]


async def test_a_send_cancelled_before_it_wrote_does_no_harm(dial: Dial) -> None:
    async with connected(dial) as (connection, peer):
        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.send([b"never", b"never"])
        assert scope.cancelled_caught
        await connection.send([b"this"])
        assert await peer.heard() == Frame(BINARY, b"this")


async def test_a_send_cancelled_half_way_ends_the_connection(dial: Dial) -> None:
    async with connected(dial) as (connection, peer), trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(ClosedByPeer, match="1006 a write of ours was cut short"):
                await connection.receive()

        nursery.start_soon(wait)
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_when_blocked, scope)
            await connection.send([bytes(32 * 1024 * 1024)])
        assert scope.cancelled_caught
        with pytest.raises(ClosedByPeer, match="1006 a write of ours was cut short"):
            await connection.send([b"x"])
        assert await peer.heard() is None


async def cancel_when_blocked(scope: trio.CancelScope) -> None:
    await trio.testing.wait_all_tasks_blocked(0.01)
    scope.cancel()


async def test_leaving_says_goodbye_and_waits_for_the_answer(dial: Dial) -> None:
    told: list[tuple[int, bytes] | None] = []
    answered = trio.Event()

    async def handler(peer: Peer) -> None:
        await peer.accept(behind=frame(BINARY, b"unread") * 100)
        told.append(await peer.heard_close())
        await peer.say(frame(PING, b"by the way"), frame(BINARY, b"unread"), closing(1000))
        answered.set()
        assert await peer.heard() is None

    with trio.fail_after(PATIENCE):
        async with listening(handler) as place:
            async with dial(f"ws://{place}/", DialOptions(close_timeout=inf)) as connection:
                await connection.receive()
            assert answered.is_set()
            assert told == [(1000, b"")]
            with pytest.raises(ClosedByPeer, match="closed on our side"):
                await connection.send([b"too late"])
            with pytest.raises(ClosedByPeer, match="closed on our side"):
                await connection.receive()


@pytest.mark.parametrize("behind", [b"", frame(BINARY, b"x") * 10])
async def test_leaving_a_mute_peer_takes_the_close_timeout(dial: Dial, behind: bytes) -> None:
    told: list[tuple[int, bytes] | None] = []

    async def handler(peer: Peer) -> None:
        await peer.accept(behind=behind)
        told.append(await peer.heard_close())
        assert await peer.heard() is None

    with trio.fail_after(PATIENCE):
        async with listening(handler) as place:
            async with dial(f"ws://{place}/", DialOptions(close_timeout=0.05)):
                left = trio.current_time()
            assert trio.current_time() - left >= 0.05
    assert None not in told


async def test_leaving_a_peer_that_never_stops_talking_takes_the_close_timeout(dial: Dial) -> None:
    async def handler(peer: Peer) -> None:
        await peer.accept()
        with pytest.raises(trio.BrokenResourceError):  # noqa: PT012
            while True:
                await peer.say(frame(BINARY, b"x" * 1000) * 100)

    with trio.fail_after(PATIENCE):
        async with listening(handler) as place, dial(f"ws://{place}/", OPTIONS) as connection:
            await connection.receive()


async def test_leaving_when_cancelled_says_goodbye_and_waits_for_nothing(dial: Dial) -> None:
    told: list[tuple[int, bytes] | None] = []
    done = trio.Event()

    async def handler(peer: Peer) -> None:
        await peer.accept()
        told.append(await peer.heard_close())
        assert await peer.heard() is None
        done.set()

    with trio.fail_after(PATIENCE):
        async with listening(handler) as place:
            with trio.CancelScope() as scope:
                async with dial(f"ws://{place}/", DialOptions(close_timeout=inf)):
                    scope.cancel()
                    await trio.sleep_forever()
            await done.wait()
    assert told == [(1000, b"")]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("mine"),
        BadData("book TQBR.SBER", "no bids"),
        ExceptionGroup("mine", [KeyError("x")]),
        StopIteration(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_the_body_raises_leaves_as_itself(dial: Dial, error: Exception) -> None:
    caught = None
    async with listening(hold) as place:
        try:
            async with dial(f"ws://{place}/", OPTIONS):
                raise error
        except Exception as left:
            caught = left
    assert caught is error


async def test_a_failure_of_receive_leaves_as_itself(dial: Dial) -> None:
    async def handler(peer: Peer) -> None:
        await peer.accept(behind=closing(1001))
        await peer.heard_close()

    async with listening(handler) as place:
        with pytest.raises(ClosedByPeer, match="1001"):
            async with dial(f"ws://{place}/", OPTIONS) as connection:
                await connection.receive()


async def test_a_body_error_survives_an_outer_cancellation(dial: Dial) -> None:
    async with listening(hold) as place:
        with trio.CancelScope() as scope, pytest.raises(KeyError):  # noqa: PT012
            async with dial(f"ws://{place}/", OPTIONS):
                scope.cancel()
                raise KeyError
        assert not scope.cancelled_caught


# The opening.


async def test_the_request_says_who_asks_and_for_what(dial: Dial) -> None:
    peers: list[Peer] = []

    async def handler(peer: Peer) -> None:
        peers.append(peer)
        await peer.accept(b"Sec-WebSocket-Protocol: v12.stomp")
        await peer.heard_close()

    async with listening(handler) as place:
        options = DialOptions(subprotocols=("STOMP", "v12.stomp"), close_timeout=0.001)
        async with dial(f"ws://me:hush@{place}/feed?x=%20я", options) as connection:
            assert getattr(connection, "subprotocol", "") == "v12.stomp"
    (peer,) = peers
    assert peer.request.startswith(b"GET /feed?x=%2520%D1%8F HTTP/1.1\r\n")
    assert peer.header(b"Host") == place.encode()
    assert (peer.header(b"User-Agent") or b"").startswith(b"feedbus/")
    assert peer.header(b"Authorization") == b"Basic bWU6aHVzaA=="
    assert peer.request.count(b"Authorization") == peer.request.count(b"User-Agent") == 1
    assert peer.header(b"Sec-WebSocket-Protocol") == b"STOMP, v12.stomp"
    assert peer.header(b"Sec-WebSocket-Version") == b"13"
    assert peer.header(b"Sec-WebSocket-Extensions") is None


async def test_a_server_may_choose_no_subprotocol(dial: Dial) -> None:
    async with connected(dial, DialOptions(subprotocols=("STOMP",), close_timeout=0.001)) as (connection, _):
        assert getattr(connection, "subprotocol", "") is None


GOOD = (b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade")
ANSWERS = {
    "403": ([b"HTTP/1.1 403 Forbidden", b"Content-Length: 0"], "HTTP 403"),
    "503 with a page": ([b"HTTP/1.1 503 Busy", b"Content-Length: 9", b"", b"not now.."], "HTTP 503"),
    "403 with an endless page": ([b"HTTP/1.1 403 Forbidden", b"Content-Type: text/html", b"", b"<html>"], "HTTP 403"),
    "200": ([b"HTTP/1.1 200 OK", b"Content-Length: 0"], "HTTP 200"),
    "301": ([b"HTTP/1.1 301 Moved", b"Location: /", b"Content-Length: 0"], "HTTP 301"),
    "100": ([b"HTTP/1.1 100 Continue"], "HTTP 100"),
    "another protocol": ([b"220 mail.example ESMTP"], "no WebSocket server: "),
    "bare line feeds": ([b"HTTP/1.1 101 X\nUpgrade: websocket\nConnection: Upgrade\n\n"], "no WebSocket server: "),
    "no headers": ([b"HTTP/1.1 101 X"], "bad answer to the handshake: "),
    "no upgrade": ([GOOD[0], GOOD[2], b"ACCEPT"], "bad answer to the handshake: "),
    "no accept key": ([*GOOD], "bad answer to the handshake: "),
    "wrong accept key": ([*GOOD, b"Sec-WebSocket-Accept: bm8="], "bad answer to the handshake: "),
    "accept key not ASCII": ([*GOOD, b"Sec-WebSocket-Accept: \xd0\xbd"], ""),
    "not a header": ([*GOOD, b"ACCEPT", b"what is this"], ""),
    "subprotocol not offered": (
        [*GOOD, b"ACCEPT", b"Sec-WebSocket-Protocol: other"],
        "the server chose what we did not offer: ",
    ),
    "subprotocol not ASCII": ([*GOOD, b"ACCEPT", b"Sec-WebSocket-Protocol: \xd0\xbd"], ""),
    "compression not offered": (
        [*GOOD, b"ACCEPT", b"Sec-WebSocket-Extensions: permessage-deflate"],
        "the server chose what we did not offer: ",
    ),
    "a head of 200,000 bytes": ([*GOOD, *[b"X-Filler: " + b"x" * 990] * 200, b"ACCEPT"], ""),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_another_answer_is_refused_at_once_with_a_reason(dial: Dial, name: str) -> None:
    lines, reason = ANSWERS[name]

    async def handler(peer: Peer) -> None:
        await peer.read_request()
        head = b"\r\n".join(lines).replace(b"ACCEPT", peer.accept_line())
        try:
            await peer.say(head + (b"" if b"\r\n\r\n" in head else b"\r\n\r\n"))
            await peer.heard()  # the client leaves first
        except trio.BrokenResourceError:
            pass  # it did before it had heard all

    options = DialOptions(subprotocols=("STOMP",), connect_timeout=inf)
    assert (await refused(dial, handler, options)).startswith(reason)


@pytest.mark.parametrize(
    ("lines", "wait"),
    [
        ([b"HTTP/1.1 429 Too Many Requests", b"Retry-After: 30", b"Content-Length: 0"], 30.0),
        ([b"HTTP/1.1 418 Banned", b"retry-after: 120", b"Content-Length: 9", b"", b"go away.."], 120.0),
        (
            [b"HTTP/1.1 429 X", b"Retry-After: Sun, 29 Nov 2026 12:00:07 GMT", b"Date: Sun, 29 Nov 2026 12:00:00 GMT"],
            7.0,
        ),
        ([b"HTTP/1.1 429 X", b"Content-Type: text/html", b"", b"<html>"], None),
    ],
)
async def test_an_answer_that_asks_us_to_come_later_is_rate_limited(
    dial: Dial, lines: list[bytes], wait: float | None
) -> None:
    async def handler(peer: Peer) -> None:
        await peer.read_request()
        with suppress(trio.BrokenResourceError):
            await peer.say(b"\r\n".join(lines) + (b"" if b"" in lines else b"\r\n\r\n"))
            await peer.heard()  # the client leaves first

    with trio.fail_after(PATIENCE):
        async with listening(handler) as place:
            with pytest.raises(RateLimited, match=f"^{place}: HTTP 4") as caught:
                await dial(f"ws://{place}/", DialOptions(connect_timeout=inf)).__aenter__()
    assert caught.value.retry_after == wait


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 101 Swit", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"]
)
async def test_an_end_during_the_handshake_is_told(dial: Dial, said: bytes) -> None:
    async def handler(peer: Peer) -> None:
        await peer.read_request()
        await peer.say(said)

    assert await refused(dial, handler) == "the stream ended during the handshake"


async def test_a_reset_during_the_handshake_is_told(dial: Dial) -> None:
    async def handler(peer: Peer) -> None:
        await peer.read_request()
        await peer.reset()

    assert await refused(dial, handler) == "Connection reset by peer"


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 101 Switching"])
async def test_a_server_that_stops_talking_runs_into_the_time_limit(dial: Dial, scheme: str, said: bytes) -> None:
    left = trio.Event()

    async def handler(peer: Peer) -> None:
        if scheme == "ws":
            await peer.say(said)
        async for _ in peer.stream:
            pass
        left.set()

    with trio.fail_after(PATIENCE):
        async with listening(handler) as place:
            with pytest.raises(TimedOut, match=rf"^{place}: no connection within 0\.1 s$"):
                await dial(f"{scheme}://{place}/", DialOptions(connect_timeout=0.1)).__aenter__()
            await left.wait()


async def test_a_cancelled_opening_closes_the_stream(dial: Dial) -> None:
    left = trio.Event()
    scope = trio.CancelScope()

    async def handler(peer: Peer) -> None:
        await peer.read_request()
        scope.cancel()
        assert await peer.heard() is None
        left.set()

    with trio.fail_after(PATIENCE):
        async with listening(handler) as place:
            with scope:
                await dial(f"ws://{place}/", OPTIONS).__aenter__()
            assert scope.cancelled_caught
            await left.wait()


async def test_a_refused_connection_is_told(dial: Dial) -> None:
    async with listening(hold) as place:
        pass
    with pytest.raises(ConnectFailed, match=rf"^{place}: Connection refused$"):
        await dial(f"ws://{place}/", OPTIONS).__aenter__()


async def test_an_impossible_host_name_is_told(dial: Dial) -> None:
    with pytest.raises(ConnectFailed, match=r"^x+\.example:80: "):
        await dial(f"ws://{'x' * 70}.example/", OPTIONS).__aenter__()


async def test_a_bad_url_is_the_operators_error(dial: Dial) -> None:
    with pytest.raises(ConfigError, match=r"^not a WebSocket URL: "):
        await dial("http://venue.example/", OPTIONS).__aenter__()


# TLS.


async def test_a_conversation_over_tls(dial: Dial, authority: trustme.CA, ca_file: str) -> None:
    async def handler(peer: Peer) -> None:
        await peer.accept()
        while (heard := await peer.heard()) is not None and heard.opcode != CLOSE:
            await peer.say(frame(heard.opcode, heard.data))

    sent = [b"%d" % number for number in range(100)] + [b"x" * LIMIT]
    with trio.fail_after(PATIENCE):
        options = DialOptions(tls=tls_context(ca_file), close_timeout=0.001)
        async with listening(handler, server_context(authority)) as at, dial(f"wss://{at}/", options) as connection:
            await connection.send(sent)
            assert await receive(connection, len(sent)) == sent


async def test_tls_that_ends_without_goodbye_is_an_end_without_a_close_frame(
    dial: Dial, authority: trustme.CA, ca_file: str
) -> None:
    async def handler(peer: Peer) -> None:
        await peer.accept(behind=frame(TEXT, b"last"))
        assert isinstance(peer.stream, trio.SSLStream)
        await trio.aclose_forcefully(peer.stream.transport_stream)

    options = DialOptions(tls=tls_context(ca_file))
    async with listening(handler, server_context(authority)) as place, dial(f"wss://{place}/", options) as connection:
        assert await receive(connection, 1) == [b"last"]
        with pytest.raises(ClosedByPeer, match="1006 the stream ended without a close frame"):
            await connection.receive()


@pytest.mark.parametrize("own", [True, False])
async def test_an_unknown_authority_is_refused(dial: Dial, authority: trustme.CA, tmp_path: Path, own: bool) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    tls = tls_context(str(other)) if own else None
    async with listening(hold, server_context(authority)) as place:
        with pytest.raises(ConnectFailed, match=rf"^{place}: certificate verify failed: "):
            await dial(f"wss://{place}/", DialOptions(tls=tls)).__aenter__()


async def test_a_certificate_of_another_host_is_refused(dial: Dial, authority: trustme.CA, ca_file: str) -> None:
    async with listening(hold, server_context(authority, "other.example")) as place:
        with pytest.raises(ConnectFailed, match=rf"^{place}: certificate verify failed: .*mismatch"):
            await dial(f"wss://{place}/", DialOptions(tls=tls_context(ca_file))).__aenter__()


async def test_a_server_without_tls_is_refused(dial: Dial) -> None:
    async def handler(peer: Peer) -> None:
        await peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        async for _ in peer.stream:
            pass

    async with listening(handler) as place:
        with pytest.raises(ConnectFailed, match=rf"^{place}: TLS: "):
            await dial(f"wss://{place}/", OPTIONS).__aenter__()


def test_every_error_has_a_stable_cause() -> None:
    errors: list[VenueError] = [ConnectFailed(""), TimedOut(""), BadData("", ""), ClosedByPeer(1006)]
    assert [error.cause for error in errors] == ["connect_failed", "timed_out", "bad_data", "closed_by_peer"]

"""What is particular to the Sans-I/O transport: another library's server, and compression. The seam's promises are
test_contract.py's.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio_websocket
from trio.testing import memory_stream_pair

from feedbus.errors import BadData, ClosedByPeer, ConnectFailed
from feedbus.transport import Connection, DialOptions, websocket
from feedbus.transport.frames import INFLATED_PER_TURN
from tests.transport.peer import BINARY, CONTINUED, PING, PONG, TEXT, Frame, Peer, closing, dialled, frame

LIMIT = 100_000
OPTIONS = DialOptions(max_message_size=LIMIT, close_timeout=0, compression=True)
EMPTY_BLOCK = b"\x00\x00\xff\xff"  # what RFC 7692, section 7.2.1 leaves out at the end
RSV1 = 4


async def receive(connection: Connection, count: int) -> list[bytes]:
    messages: list[bytes] = []
    while len(messages) < count:
        messages += [bytes(message) for message in (await connection.receive())[0]]
    return messages


async def converse(request: trio_websocket.WebSocketRequest) -> None:
    """Take the first subprotocol offered, and echo; the text "close" is answered by a close frame."""
    socket = await request.accept(subprotocol=request.proposed_subprotocols[0])
    try:
        while True:
            message = await socket.get_message()
            if message == "close":
                await socket.aclose(4000, "as you wish")
            await socket.send_message(message)
    except trio_websocket.ConnectionClosed:
        pass


@pytest.mark.parametrize("compression", [False, True])
async def test_a_conversation_with_another_librarys_server(compression: bool) -> None:
    options = DialOptions(subprotocols=("STOMP",), compression=compression)
    async with trio.open_nursery() as nursery:
        serve = functools.partial(trio_websocket.serve_websocket, converse, "127.0.0.1", 0, None)
        port = (await nursery.start(serve)).port
        async with websocket.dial(f"ws://127.0.0.1:{port}/feed", options) as connection:
            assert connection.subprotocol == "STOMP"
            sent = [b"%d" % number for number in range(100)] + [b"x" * 104_000]
            await connection.send(sent)
            assert await receive(connection, len(sent)) == sent
            await connection.send(["close"])
            with pytest.raises(ClosedByPeer, match="4000 as you wish"):
                await connection.receive()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def connected(parameters: bytes = b"") -> AsyncIterator[tuple[Connection, Peer]]:
    """A connection whose server took our offer of compression, with these parameters."""
    near, far = memory_stream_pair()
    peer = Peer(far)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.accept, b"Sec-WebSocket-Extensions: permessage-deflate" + parameters)
        async with dialled(websocket, near, "ws://venue.example/", OPTIONS) as connection:
            yield connection, peer


class Deflate:
    """The server's compressor, which remembers what it has sent."""

    def __init__(self) -> None:
        self.compressor = zlib.compressobj(wbits=-15)

    def __call__(self, data: bytes) -> bytes:
        return (self.compressor.compress(data) + self.compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(EMPTY_BLOCK)


async def test_the_offer_names_no_window_and_no_other_extension() -> None:
    async with connected() as (_, peer):
        assert peer.header(b"Sec-WebSocket-Extensions") == b"permessage-deflate; client_max_window_bits"


async def test_compressed_messages_come_out_as_they_were() -> None:
    deflate = Deflate()
    words = "Сбербанк ".encode() * 1000
    first, second = deflate(words), deflate(words)
    assert len(second) < 60 < len(first)
    async with connected() as (connection, peer):
        await peer.say(frame(TEXT, first, rsv=RSV1), frame(PING, b"?"), frame(TEXT, second, rsv=RSV1))
        await peer.say(frame(BINARY, b"not compressed"), frame(BINARY, deflate(b""), rsv=RSV1))
        third = deflate(b"\xff" * LIMIT)
        cut = len(third) // 2
        await peer.say(frame(BINARY, third[:cut], fin=False, rsv=RSV1), frame(PONG), frame(CONTINUED, third[cut:]))
        assert await receive(connection, 5) == [words, words, b"not compressed", b"", b"\xff" * LIMIT]
        assert await peer.heard() == Frame(PONG, b"?")


async def test_small_messages_that_inflate_to_large_ones_are_taken_in_turns() -> None:
    deflate = Deflate()
    bomb = bytes(LIMIT)
    async with connected() as (connection, peer):
        await peer.say(*(frame(BINARY, deflate(bomb), rsv=RSV1) for _ in range(100)))
        received = 0
        while received < 100:
            messages, _ = await connection.receive()
            assert all(message == bomb for message in messages)
            assert len(messages) * LIMIT < INFLATED_PER_TURN + LIMIT
            received += len(messages)


@pytest.mark.parametrize("parameters", [b"", b"; client_no_context_takeover; client_max_window_bits=9"])
async def test_our_messages_go_compressed(parameters: bytes) -> None:
    inflate = zlib.decompressobj(wbits=-15)
    async with connected(parameters) as (connection, peer):
        for sent in ("слова" * 100, b"bytes" * 100):
            await connection.send([sent])
            heard = await peer.heard()
            assert heard is not None
            assert (heard.opcode, heard.rsv) == (TEXT if isinstance(sent, str) else BINARY, RSV1)
            assert len(heard.data) < 60
            plain = inflate.decompress(heard.data + EMPTY_BLOCK)
            assert plain == (sent.encode() if isinstance(sent, str) else sent)
            if parameters:
                inflate = zlib.decompressobj(wbits=-9)


async def test_a_server_that_forgets_between_messages_is_understood() -> None:
    async with connected(b"; server_no_context_takeover; server_max_window_bits=10") as (connection, peer):
        for _ in range(2):
            compressor = zlib.compressobj(wbits=-10)
            data = compressor.compress(b"again " * 100) + compressor.flush(zlib.Z_SYNC_FLUSH)
            await peer.say(frame(BINARY, data.removesuffix(EMPTY_BLOCK), rsv=RSV1))
            assert await receive(connection, 1) == [b"again " * 100]


async def test_a_server_may_refuse_compression() -> None:
    near, far = memory_stream_pair()
    peer = Peer(far)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.accept)
        async with dialled(websocket, near, "ws://venue.example/", OPTIONS) as connection:
            await peer.say(frame(BINARY, b"plain"))
            assert await receive(connection, 1) == [b"plain"]
            await connection.send([b"plain too"])
            assert await peer.heard() == Frame(BINARY, b"plain too")


BOMB = Deflate()(bytes(64 * 1024 * 1024))  # 64 kB
SMALL_BOMB = Deflate()(bytes(LIMIT + 1))
HALF = Deflate()
HALVES = HALF(bytes(LIMIT // 2)), HALF(bytes(LIMIT // 2 + 1))
BROKEN = {
    "a bomb": (frame(BINARY, BOMB, rsv=RSV1), 1009),
    "a bomb of one byte too many": (frame(BINARY, SMALL_BOMB, rsv=RSV1), 1009),
    "a bomb in fragments": (
        frame(TEXT, HALVES[0] + EMPTY_BLOCK, fin=False, rsv=RSV1) + frame(CONTINUED, HALVES[1]),
        1009,
    ),
    "too large before it is inflated": (frame(BINARY, b"x" * (LIMIT + 1), rsv=RSV1), 1009),
    "not deflated": (frame(BINARY, b"\xff\xff\xff\xff", rsv=RSV1), 1002),
    "text that inflates to no UTF-8": (frame(TEXT, Deflate()(b"\xff"), rsv=RSV1), 1007),
    "a compressed ping": (frame(PING, b"x", rsv=RSV1), 1002),
    "a compressed continuation": (
        frame(TEXT, Deflate()(b"a"), fin=False, rsv=RSV1) + frame(CONTINUED, b"", rsv=RSV1),
        1002,
    ),
    "another reserved bit": (frame(TEXT, b"x", rsv=2), 1002),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_bad_compressed_data_end_in_the_same_error_as_any(name: str) -> None:
    data, code = BROKEN[name]
    async with connected() as (connection, peer):
        await peer.say(frame(BINARY, b"before"), data)
        assert await receive(connection, 1) == [b"before"]
        with pytest.raises(BadData, match=r"^websocket: [^\n]+$"):
            await connection.receive()
        told = await peer.heard_close()
        assert told is not None
        assert told[0] == code


async def test_a_close_frame_ends_a_compressed_connection_as_any() -> None:
    async with connected() as (connection, peer):
        await peer.say(closing(1001))
        with pytest.raises(ClosedByPeer, match="1001"):
            await connection.receive()


@pytest.mark.parametrize(
    "extension",
    [
        b"permessage-bzip2",
        b"permessage-deflate, permessage-deflate",
        b"permessage-deflate; server_max_window_bits=7",
        b"permessage-deflate; client_max_window_bits=8",
        b"permessage-deflate; client_max_window_bits",
        b"permessage-deflate; unheard_of",
        b"permessage-deflate; server_no_context_takeover=1",
        b"permessage-deflate;",
        b'"',
    ],
)
async def test_an_answer_to_our_offer_that_we_can_not_work_with_is_refused(extension: bytes) -> None:
    near, far = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Peer(far).accept, b"Sec-WebSocket-Extensions: " + extension)
        with pytest.raises(ConnectFailed, match=r"^venue\.example:80: (the server chose what|bad answer)"):
            await dialled(websocket, near, "ws://venue.example/", OPTIONS).__aenter__()

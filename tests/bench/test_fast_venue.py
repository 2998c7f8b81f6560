"""The venue over real sockets, without a process of its own."""

from __future__ import annotations

import io
import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import groupby, islice
from typing import Any

import pytest

from feedbus.bench import slotted_frames as frames
from feedbus.bench.fast_venue import Block, FastVenue, Orders, VenueClient, block_of
from feedbus.bench.priced_times import passed
from feedbus.bench.traffic import TRAFFIC, real_writes

REQUEST = b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
MASK = b"\0\0\0\0"


def masked(payload: bytes, opcode: int) -> bytes:
    plain = frames.frame(payload, opcode)
    at = len(plain) - len(payload)
    return bytes((plain[0], plain[1] | 0x80)) + plain[2:at] + MASK + payload


def orders(**changed: object) -> Orders:
    usual = {"protocol": "trades", "connections": 2, "symbols": 3, "events": 100, "rate": 0.0, "frames_per_write": 4}
    return Orders(**usual | changed)  # type: ignore[arg-type]


class Running:
    """A venue with its clients connected and subscribed."""

    def __init__(self, stack: ExitStack, what: Orders) -> None:
        self.venue = FastVenue(what)
        self.peers: list[socket.socket] = []
        for number in range(what.connections):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", self.venue.port)))
            self.peers.append(peer)
            names = [f"S{number}-{at}" for at in range(what.symbols)]
            peer.sendall(REQUEST + masked(json.dumps({"subscribe": names}).encode(), frames.TEXT))
        stack.callback(self.close)
        while sum(len(client.subscribed) for client in self.venue.clients) < what.connections * what.symbols:
            self.venue.serve_ready(timeout_ms=None)
        self.heads = [self.read(peer) for peer in self.peers]

    def close(self) -> None:
        for client in self.venue.clients:
            client.socket.close()
        self.venue.close()

    def read(self, peer: socket.socket) -> bytes:
        """What has come so far."""
        peer.settimeout(10)
        found = peer.recv(1 << 20)
        peer.setblocking(False)
        try:
            while more := peer.recv(1 << 20):
                found += more
        except BlockingIOError:
            pass
        return found


@pytest.fixture
def running() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def trades(data: bytes) -> list[dict[str, Any]]:
    found = []
    while data:
        size, at = (data[1], 2) if data[1] < 126 else (int.from_bytes(data[2:4]), 4)
        found.append(json.loads(data[at : at + size]))
        data = data[at + size :]
    return found


def test_frames_are_joined_and_stamped_where_they_are_sent() -> None:
    made = [(b"ab000cd", 2), (b"000e", 0), (b"f000", 1)]
    block = block_of([frames.SlottedFrame(*one) for one in made])
    assert block == Block(bytearray(b"ab000cd000ef000"), [2, 7, 12], [7, 11, 15])
    assert bytes(block.stamped(0, 2, b"123")) == b"ab123cd123e"
    assert bytes(block.stamped(1, 2, b"456")) == b"456e"
    assert bytes(block.stamped(2, 3, b"789")) == b"f789"
    assert block.data == b"ab123cd456ef789"


def test_subscribed_means_all_tickers_of_all_connections(
    running: ExitStack, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Running(running, orders())
    assert json.loads(capsys.readouterr().out) == {"subscribed": 6}
    assert all(b"HTTP/1.1 101" in head and b"subscribed" in head for head in found.heads)


def test_a_warm_up_is_one_event_of_every_ticker_with_the_number(running: ExitStack) -> None:
    found = Running(running, orders())
    found.venue.carry_out(["warm", "7"])
    got = [trade for peer in found.peers for trade in trades(found.read(peer))]
    assert {trade["s"] for trade in got} == {f"S{number}-{at}" for number in range(2) for at in range(3)}
    assert [trade["i"] for trade in got] == [7] * 6


@pytest.mark.parametrize("rate", [0.0, 50_000.0])
def test_exactly_so_many_events_are_sent_by_turns_over_the_connections(running: ExitStack, rate: float) -> None:
    found = Running(running, orders(events=101, rate=rate))
    sent = found.venue.send()
    got = [trades(found.read(peer)) for peer in found.peers]
    assert sent["sent"] == 101
    assert [len(each) for each in got] == [52, 49], "13 and 13 writes of 4, the last one cut"
    stamps = [trade["i"] for each in got for trade in each]
    assert all(isinstance(number, int) and number > 10**18 for number in stamps)
    assert len(set(stamps)) >= 20, "one for each write"


def test_real_traffic_is_sent_in_its_groups(running: ExitStack) -> None:
    found = Running(running, orders(connections=1, events=400, traffic="burst"))
    assert found.venue.send()["sent"] == 400
    stamps = [trade["i"] for trade in trades(found.read(found.peers[0]))]
    groups = [len(list(group)) for _, group in groupby(stamps)]
    planned = [write.frames for write in islice(real_writes(TRAFFIC["burst"], 0), len(groups))]
    assert groups[:-1] == planned[:-1], "the last one is cut"
    assert sum(groups) == 400


def test_pings_are_answered_and_a_client_that_leaves_is_forgotten(running: ExitStack) -> None:
    found = Running(running, orders(connections=1))
    peer = found.peers[0]
    peer.sendall(masked(b"hi", frames.PING))
    found.venue.serve_ready(timeout_ms=None)
    assert found.read(peer) == frames.frame(b"hi", frames.PONG)
    peer.sendall(masked(b"", frames.CLOSE))
    found.venue.serve_ready(timeout_ms=None)
    assert found.venue.clients == []
    assert found.read(peer) == frames.frame(b"", frames.CLOSE)


def test_a_client_of_binance_may_fetch_the_list_and_name_its_streams_in_the_address(running: ExitStack) -> None:
    venue = FastVenue(orders(protocol="binance", connections=1, symbols=2, events=2))
    running.callback(venue.close)
    fetching = running.enter_context(socket.create_connection(("127.0.0.1", venue.port)))
    fetching.sendall(b"GET /api/v3/exchangeInfo HTTP/1.1\r\nHost: here\r\n\r\n")
    following = running.enter_context(socket.create_connection(("127.0.0.1", venue.port)))
    streams = "btcusdt@bookTicker/ethusdt@bookTicker"
    following.sendall(REQUEST.replace(b"GET /", f"GET /stream?streams={streams}".encode()))
    while not venue.clients or len(venue.clients[0].subscribed) < 2:
        venue.serve_ready(timeout_ms=None)
    assert fetching.makefile("rb").read().count(b'"symbol":') == 2, "all of it, and then the end"
    following.settimeout(10)
    assert b"101 Switching" in following.recv(4096)
    assert venue.send()["sent"] == 2
    quotes = [quote["data"] for quote in trades(following.recv(4096))]
    assert [quote["s"] for quote in quotes] == ["BTCUSDT", "ETHUSDT"]
    assert all(passed(float(quote["b"]), time.time_ns()) < 10**10 for quote in quotes)
    venue.clients[0].socket.close()


def test_it_ends_with_its_standard_input(running: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = socket.socketpair()
    running.enter_context(reading)
    with writing:
        writing.sendall(b"warm 1\n")
    monkeypatch.setattr(sys, "stdin", reading.makefile("r"))
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    venue = FastVenue(orders())
    venue.run()
    venue.close()
    sys.stdin.close()
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [{"port": venue_port(out)}, {"warmed": 1}]


def venue_port(out: io.StringIO) -> int:
    return int(json.loads(out.getvalue().splitlines()[0])["port"])


def test_a_request_may_come_in_pieces() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as peer:
        client = VenueClient(server.accept()[0], orders())
        with client.socket:
            for piece in (REQUEST[:9], REQUEST[9:]):
                peer.sendall(piece)
                assert client.readable()
            assert b"101 Switching" in peer.recv(4096)

"""The venue's bytes, and that the real Sessions take them for what they are."""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.bench import slotted_frames as frames
from feedbus.bench.binance_listing import binance_symbol, exchange_info
from feedbus.bench.priced_times import price_of
from feedbus.bench.slotted_frames import (
    BINARY,
    PING,
    TEXT,
    ClientFrames,
    answer,
    handshake,
    market_frame,
    opening,
    slot_of,
    symbol,
)
from feedbus.schema.events import BookSnapshot, Event, Quote, Trade
from feedbus.venues.binance.account import Account as BinanceAccount
from feedbus.venues.moex.account import Account
from feedbus.venues.protocol import Confirmed, Ready, Send

TIME = 1719825533789
SEQUENCE = 1719825533789000123
VENUES = Path(__file__).parent / "venues"


def payloads(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The frames of a server, taken apart."""
    while data:
        size, at = data[1], 2
        if size == 126:
            size, at = struct.unpack(">H", data[2:4])[0], 4
        elif size == 127:
            size, at = struct.unpack(">Q", data[2:10])[0], 10
        yield data[0] & 15, data[at : at + size]
        data = data[at + size :]


def masked(payload: bytes, opcode: int) -> bytes:
    """A client's frame."""
    mask = b"\x01\x80\x37\xff"
    plain = frames.frame(payload, opcode)
    head = plain[: len(plain) - len(payload)]
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes((head[0], head[1] | 0x80)) + head[2:] + mask + body


def bench_trades() -> Any:
    spec = importlib.util.spec_from_file_location("bench_trades", VENUES / "bench_trades" / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def converse(session: Any, protocol: frames.Protocol) -> tuple[list[object], list[str]]:
    """A login and all subscriptions: what the Session yields beside its orders, and what the venue has subscribed."""
    effects: list[object] = []
    subscribed: list[str] = []
    due = list(session.opened(0.0))
    now = 0.0
    while due:
        effect = due.pop(0)
        effects.append(effect)
        if isinstance(effect, Send):
            data = effect.data.encode() if isinstance(effect.data, str) else effect.data
            said = answer(protocol, data)
            subscribed += said.subscribed
            for _, payload in payloads(said.data):
                due += session.frame(payload, 7, now)
        if not due:
            now += 0.1
            due = [effect for effect in session.tick(now) if isinstance(effect, Send)]
    return effects, subscribed


def test_the_answer_to_a_handshake_is_rfc_6455s() -> None:
    head = b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: STOMP"
    said = handshake(head).decode()
    assert "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in said
    assert "\r\nSec-WebSocket-Protocol: STOMP\r\n" in said
    assert said.endswith("\r\n\r\n")


def test_a_subprotocol_that_was_not_asked_for_is_not_chosen() -> None:
    assert b"Protocol:" not in handshake(b"GET / HTTP/1.1\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==")


def test_a_request_without_a_key_is_no_handshake() -> None:
    with pytest.raises(ValueError, match="not a WebSocket handshake"):
        handshake(b"GET / HTTP/1.1\r\nHost: here")


@given(
    st.lists(st.tuples(st.sampled_from([TEXT, BINARY, PING]), st.binary(max_size=400)), max_size=5),
    st.lists(st.integers(0, 2000), max_size=6),
)
def test_client_frames_are_the_same_wherever_the_bytes_are_cut(sent: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = b"".join(masked(payload, opcode) for opcode, payload in sent)
    reader, got, at = ClientFrames(), [], 0
    for cut in [*sorted(cuts), len(data)]:
        got += list(reader.feed(data[at:cut]))
        at = max(at, cut)
    assert got == sent


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_sizes_are_written_as_the_rfc_wants(size: int) -> None:
    payload = b"x" * size
    assert list(payloads(frames.frame(payload, BINARY))) == [(BINARY, payload)]
    assert list(ClientFrames().feed(masked(payload, TEXT))) == [(TEXT, payload)]


def test_the_product_subscribes_and_reads_the_books() -> None:
    wanted = [symbol(number) for number in range(25)]
    session = Account({}, ["orderbooks"]).session(wanted)
    effects, subscribed = converse(session, "moex")
    assert Ready() in effects
    assert sum(isinstance(effect, Confirmed) for effect in effects) == len(subscribed) == 25
    data = market_frame("moex", subscribed[3], 5, TIME, SEQUENCE).data
    ((opcode, payload),) = payloads(data)
    (book,) = (effect for effect in session.frame(payload, 7, 9.0) if isinstance(effect, Event))
    assert opcode == BINARY
    assert isinstance(book, BookSnapshot)
    assert (book.symbol, book.ts_event, book.venue_sequence) == (wanted[3], TIME * 1_000_000, SEQUENCE)
    assert (len(book.bids), len(book.asks)) == (10, 10)
    assert book.bids[0][0] < book.asks[0][0]
    assert 800 < len(data) < 1200, "as the captured ones"


def test_the_throw_away_session_subscribes_and_reads_the_trades() -> None:
    session = bench_trades().Account({}, ["trades"]).session(["A", "B"])
    effects, subscribed = converse(session, "trades")
    assert subscribed == ["A", "B"]
    assert sum(isinstance(effect, Confirmed) for effect in effects) == 2
    ((opcode, payload),) = payloads(market_frame("trades", "B", 5, TIME, SEQUENCE).data)
    assert opcode == TEXT
    (trade,) = session.frame(payload, 7, 9.0)
    assert trade == Trade("bench_trades", "B", TIME * 1_000_000, 7, 328.05, 6.0, "buy", SEQUENCE)
    assert len(payload) < 120


def test_the_product_subscribes_and_reads_best_bids_and_asks() -> None:
    wanted = [binance_symbol(number) for number in range(60)]
    session = BinanceAccount({}, ["bookTicker"]).session(wanted)
    _, subscribed = converse(session, "binance")
    assert subscribed == [f"{name.lower()}@bookTicker" for name in wanted]
    for sequence in (17, SEQUENCE):
        ((opcode, payload),) = payloads(market_frame("binance", subscribed[3], 5, TIME, sequence).data)
        assert opcode == TEXT
        (quote,) = (effect for effect in session.frame(payload, 7, 9.0) if isinstance(effect, Quote))
        assert (quote.symbol, quote.bid_size, quote.ask) == (wanted[3], 6.78826, 2_000_005.64)
        assert quote.bid == float(price_of(sequence)) < 2_000_000


def test_streams_may_be_named_in_the_address() -> None:
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    named = opening("binance", b"GET /stream?streams=btcusdt@bookTicker/ethusdt@bookTicker HTTP/1.1\r\n" + key, 9)
    assert named.subscribed == ("btcusdt@bookTicker", "ethusdt@bookTicker")
    assert b"101 Switching" in named.data
    assert opening("binance", b"GET /stream HTTP/1.1\r\n" + key, 9).subscribed == ()


def test_the_list_of_instruments_is_served_without_a_websocket() -> None:
    said = opening("binance", b"GET /api/v3/exchangeInfo?permissions=SPOT HTTP/1.1\r\nHost: here", 60)
    head, _, body = said.data.partition(b"\r\n\r\n")
    assert said.over
    assert body == exchange_info(60)
    assert f"Content-Length: {len(body)}".encode() in head
    with pytest.raises(ValueError, match="not a WebSocket handshake"):
        opening("binance", b"GET /api/v3/ping HTTP/1.1\r\nHost: here", 60)


@pytest.mark.parametrize("protocol", ["moex", "trades", "binance"])
def test_the_slot_is_where_the_sequence_is(protocol: frames.Protocol) -> None:
    made = market_frame(protocol, "12", 7, TIME, SEQUENCE)
    data = bytearray(made.data)
    slot = slot_of(protocol, SEQUENCE + 1)
    data[made.slot : made.slot + len(slot)] = slot
    assert bytes(data) == market_frame(protocol, "12", 7, TIME, SEQUENCE + 1).data


def test_goodbyes_are_not_answered() -> None:
    assert answer("moex", frames.stomp("DISCONNECT", {})) == frames.VenueReply()

"""The WebSocket frames of the benchmark's venue: those that it sends, and those that it reads from a client. Pure.

A frame with market data is built once and sent often. It has a slot, which the venue overwrites at each write with the
time (nanoseconds since the epoch). The slot is the `seqnum` of a MOEX book, the `i` of a trade, and the bid of Binance
(priced_times.py says why and how). The subscriber gets it as `venue_sequence`, `trade_id` or `bid`, and so knows how
long ago the venue wrote the frame.

Books have the form of frames captured from MOEX in 2024: STOMP, 10 levels on each side, about 900 bytes. Best bids and
asks have the form of Binance's stream `@bookTicker` on its address /stream. The trades belong to a made-up protocol
with one small JSON object in a frame. Everything is done with the standard library, so that the venue's process starts
quickly.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from collections.abc import Iterator
from typing import Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit

from feedbus.bench.binance_listing import exchange_info
from feedbus.bench.priced_times import price_of

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
LEVELS = 10  # of each side of a book

Protocol = Literal["moex", "trades", "binance"]

_SLOT_AFTER = {"moex": b'"seqnum":', "trades": b'"i":', "binance": b'"b":"'}

_HEADER = re.compile(r"^([A-Za-z-]+):(.*)$", re.MULTILINE)
_CATALOGUE = '{"structure":{"MXSE":{"streams":[{"name":"orderbooks"},{"name":"securities"}]}}}'


class SlottedFrame(NamedTuple):
    """A whole WebSocket frame, and the offset at which its slot begins."""

    data: bytes
    slot: int


def symbol(number: int) -> str:
    """The name of the benchmark's instrument with this number."""
    return f"TQBR.T{number:04d}"


def frame(payload: bytes, opcode: int) -> bytes:
    """One WebSocket frame without a mask, as servers send them (RFC 6455, section 5.1)."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65536:
        return struct.pack(">BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack(">BBQ", 0x80 | opcode, 127, size) + payload


def stomp(command: str, headers: dict[str, str], body: str = "") -> bytes:
    """One STOMP frame (STOMP 1.2), with its closing NUL."""
    return "\n".join([command, *(f"{name}:{value}" for name, value in headers.items()), "", body]).encode() + b"\0"


def market_frame(protocol: Protocol, subscription: str, number: int, time_ms: int, sequence: int) -> SlottedFrame:
    """One book, trade, or best bid and ask. `number` varies its prices and sizes. A `sequence` that is a time leaves
    room for a time; the number of a warm-up is shorter, and its frame must not be overwritten."""
    build = {"moex": _book, "trades": _trade, "binance": _best}[protocol]
    data = build(subscription, number, time_ms, sequence)
    after = _SLOT_AFTER[protocol]
    return SlottedFrame(data, data.index(after) + len(after))


def slot_of(protocol: Protocol, time_ns: int) -> bytes:
    """What is written into a slot at this time."""
    return price_of(time_ns).encode() if protocol == "binance" else b"%d" % time_ns


def _book(subscription: str, number: int, time_ms: int, sequence: int) -> bytes:
    middle = 32800 + number % 40
    rows = [
        f'["B",[{(middle - LEVELS + level) / 100:.2f},2],{100 + (number * 7 + level) % 900},null]'
        for level in range(LEVELS)
    ]
    rows += [
        f'["S",[{(middle + 1 + level) / 100:.2f},2],{100 + (number * 5 + level) % 900},null]' for level in range(LEVELS)
    ]
    properties = f'{{"type":"snapshot","seqnum":{sequence},"published":{time_ms},"timestamp":{time_ms}}}'
    columns = '["BUYSELL","PRICE","QUANTITY","REPOVALUE"]'
    body = f'{{"properties":{properties},\n"columns":{columns},\n"data":[{",".join(rows)}]}}'
    headers = {
        "content-length": str(len(body)),
        "destination": "MXSE.orderbooks",
        "subscription": subscription,
        "X-gateway-stamp": str(time_ms),
    }
    return frame(stomp("MESSAGE", headers, body), BINARY)


def _trade(subscription: str, number: int, time_ms: int, sequence: int) -> bytes:
    taker = "true" if number % 2 else "false"
    price = (32800 + number % 40) / 100
    text = f'{{"s":"{subscription}","t":{time_ms},"p":{price:.2f},"q":{1 + number % 90},"b":{taker},"i":{sequence}}}'
    return frame(text.encode(), TEXT)


def _best(stream: str, number: int, _time_ms: int, sequence: int) -> bytes:
    prices = f'"b":"{price_of(sequence)}","B":"{1 + number % 90}.78826000","a":"{2_000_000 + number % 40}.64000000"'
    name = stream.partition("@")[0].upper()
    data = f'{{"u":{50093239212 + number},"s":"{name}",{prices},"A":"{1 + number % 70}.54698000"}}'
    return frame(f'{{"stream":"{stream}","data":{data}}}'.encode(), TEXT)


# What a client sends, and its answers


def handshake(head: bytes) -> bytes:
    """The answer to a client's HTTP request for a WebSocket. Raises ValueError when it is another request."""
    key = re.search(rb"sec-websocket-key: *(\S+)", head, re.IGNORECASE)
    if key is None:
        raise ValueError("not a WebSocket handshake")
    digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
    lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"]
    if re.search(rb"sec-websocket-protocol:.*STOMP", head, re.IGNORECASE):
        lines.append(b"Sec-WebSocket-Protocol: STOMP")
    return b"\r\n".join([*lines, b"Sec-WebSocket-Accept: " + base64.b64encode(digest), b"", b""])


class ClientFrames:
    """Parses what a client sends into frames. It knows no fragments, because the benchmark's clients send none."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The (opcode, payload) of each frame that is whole by now."""
        self._buffer += data
        while (parsed := self._parse()) is not None:
            opcode, start, size = parsed
            masked = self._buffer[start : start + size]
            mask = self._buffer[start - 4 : start]
            self._buffer = self._buffer[start + size :]
            yield opcode, _unmasked(masked, mask)

    def _parse(self) -> tuple[int, int, int] | None:
        """The (opcode, offset of the payload, size of the payload) of the first frame, None until it is whole."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, at = buffer[1] & 127, 2
        if size == 126:
            size, at = int.from_bytes(buffer[2:4]), 4
        elif size == 127:
            size, at = int.from_bytes(buffer[2:10]), 10
        return None if len(buffer) < at + 4 + size else (buffer[0] & 15, at + 4, size)


def _unmasked(data: bytes, mask: bytes) -> bytes:
    size = len(data)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data) ^ int.from_bytes(repeated)).to_bytes(size)


class VenueReply(NamedTuple):
    """What the venue sends back for what a client said, the tickers that the client subscribed to by it, and whether
    the conversation is over."""

    data: bytes = b""
    subscribed: tuple[str, ...] = ()
    over: bool = False


def opening(protocol: Protocol, head: bytes, listed: int) -> VenueReply:
    """Answer a client's HTTP request, which is a handshake or, at Binance, may ask for the list of `listed`
    instruments. Raises ValueError when it is another request."""
    if protocol != "binance":
        return VenueReply(handshake(head))
    address = urlsplit(head.split(b" ", 2)[1].decode())
    if address.path == "/api/v3/exchangeInfo":
        body = exchange_info(listed)
        lines = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return VenueReply(f"{lines}Connection: close\r\n\r\n".encode() + body, over=True)
    streams = parse_qs(address.query).get("streams", [""])[0]
    return VenueReply(handshake(head), tuple(streams.split("/")) if streams else ())


def answer(protocol: Protocol, payload: bytes) -> VenueReply:
    """Answer one payload of a client: every login is accepted, and every subscription confirmed."""
    return {"moex": _answer_stomp, "trades": _answer_trades, "binance": _answer_binance}[protocol](payload)


def _answer_binance(payload: bytes) -> VenueReply:
    request = json.loads(payload)
    wanted = tuple(request["params"]) if request["method"] == "SUBSCRIBE" else ()
    return VenueReply(frame(json.dumps({"result": None, "id": request["id"]}).encode(), TEXT), wanted)


def _answer_stomp(payload: bytes) -> VenueReply:
    text = payload.decode().rstrip("\0\n")
    headers = dict(_HEADER.findall(text))
    match text.partition("\n")[0]:
        case "CONNECT":
            return VenueReply(frame(stomp("CONNECTED", {}, _CATALOGUE), BINARY))
        case "SUBSCRIBE":
            receipt = stomp("RECEIPT", {"receipt-id": headers["receipt"]}) if "receipt" in headers else b""
            return VenueReply(frame(receipt, BINARY) if receipt else b"", (headers["id"],))
        case _:
            return VenueReply()


def _answer_trades(payload: bytes) -> VenueReply:
    wanted = tuple(json.loads(payload)["subscribe"])
    return VenueReply(frame(json.dumps({"subscribed": wanted}).encode(), TEXT), wanted)

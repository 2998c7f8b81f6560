# mypy: disable-error-code="import-not-found, misc"
"""MOEX books by hand: picows + msgspec + pyzmq, one message a book. See rival.py."""

from __future__ import annotations

import asyncio  # noqa: TID251 (the rival is an asyncio program)
from collections.abc import Callable
from time import time_ns
from typing import Any, Literal

import msgspec
import picows
import rival


class Book(msgspec.Struct, array_like=True, gc=False):
    """What is published; best levels first."""

    symbol: str
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]
    ts_event: int
    ts_recv: int
    number: int


class Properties(msgspec.Struct, gc=False):
    """Of these, what is needed."""

    seqnum: int
    timestamp: int


class Body(msgspec.Struct, gc=False):
    """The body of a MESSAGE."""

    properties: Properties
    data: list[tuple[Literal["B", "S"], tuple[float, int], float, Any]]


decode_body = msgspec.json.Decoder(Body).decode
encode = msgspec.msgpack.Encoder().encode


Levels = list[tuple[float, float]]
Read = Callable[[memoryview], tuple[Levels, Levels, Properties]]


def read(data: memoryview) -> tuple[Levels, Levels, Properties]:
    """Bids and asks, best first."""
    body = decode_body(data)
    bids = [(price[0], size) for side, price, size, _ in body.data if side == "B"]
    bids.reverse()
    asks = [(price[0], size) for side, price, size, _ in body.data if side == "S"]
    return bids, asks, body.properties


class Listener(picows.WSListener):
    """One connection; `read` takes a body apart."""

    def __init__(self, symbols: list[str], send: rival.Send, read: Read) -> None:
        self.symbols = symbols
        self.send = send
        self.read = read
        self.streams: dict[bytes, tuple[str, bytes]] = {}  # by subscription: symbol and topic

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        """Log in."""
        transport.send(picows.WSMsgType.BINARY, b"CONNECT\ndomain:DEMO\nlogin:guest\npasscode:guest\n\n\0")

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """A MESSAGE goes out as a Book."""
        if frame.msg_type not in (picows.WSMsgType.BINARY, picows.WSMsgType.TEXT):
            return
        raw = frame.get_payload_as_bytes()
        if raw.startswith(b"MESSAGE"):
            ts_recv = time_ns()
            at = raw.index(b"\nsubscription:") + 14
            symbol, topic = self.streams[raw[at : raw.index(b"\n", at)]]
            bids, asks, properties = self.read(memoryview(raw)[raw.index(b"\n\n", at) + 2 : -1])
            book = Book(symbol, bids, asks, properties.timestamp * 1_000_000, ts_recv, properties.seqnum)
            self.send(topic + encode(book))
        elif raw.startswith(b"CONNECTED"):
            self.subscribe(transport)

    def subscribe(self, transport: picows.WSTransport) -> None:
        """All at once."""
        for number, symbol in enumerate(self.symbols, 1):
            self.streams[str(number).encode()] = (symbol, f"book.moex.{symbol}".encode() + b"\0")
            lines = [
                "SUBSCRIBE",
                f"id:{number}",
                f"receipt:{number}",
                "destination:MXSE.orderbooks",
                f'selector:TICKER="MXSE.{symbol}"',
                "\n\0",
            ]
            transport.send(picows.WSMsgType.BINARY, "\n".join(lines).encode())


def main(read: Read, run: rival.Run) -> None:
    """Run as the command line says."""
    decode = msgspec.msgpack.Decoder(Book).decode
    rival.main(lambda shards, send: [Listener(symbols, send, read) for symbols in shards], decode, run)


if __name__ == "__main__":
    main(read, asyncio.run)

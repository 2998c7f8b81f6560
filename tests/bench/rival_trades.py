# mypy: disable-error-code="import-not-found, misc"
"""The benchmark's trades by hand: picows + msgspec + pyzmq, one message a trade. See rival.py."""

from __future__ import annotations

import json
from time import time_ns

import msgspec
import picows
import rival


class Trade(msgspec.Struct, array_like=True, gc=False):
    """What is published."""

    symbol: str
    price: float
    size: float
    side: str
    ts_event: int
    ts_recv: int
    number: int


class Raw(msgspec.Struct, gc=False):
    """What the venue sends."""

    s: str
    t: int
    p: float
    q: float
    b: bool
    i: int


decode_raw = msgspec.json.Decoder(Raw).decode
encode = msgspec.msgpack.Encoder().encode


class Listener(picows.WSListener):
    """One connection."""

    def __init__(self, symbols: list[str], send: rival.Send) -> None:
        self.symbols = symbols
        self.send = send
        self.topics = {symbol: f"trade.bench_trades.{symbol}".encode() + b"\0" for symbol in symbols}
        self.confirmed = False

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        """Subscribe."""
        transport.send(picows.WSMsgType.TEXT, json.dumps({"subscribe": self.symbols}).encode())

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """The first text is the confirmation, all others are trades."""
        if frame.msg_type != picows.WSMsgType.TEXT:
            return
        if not self.confirmed:
            self.confirmed = True
            return
        ts_recv = time_ns()
        raw = decode_raw(frame.get_payload_as_memoryview())
        side = "buy" if raw.b else "sell"
        trade = Trade(raw.s, raw.p, raw.q, side, raw.t * 1_000_000, ts_recv, raw.i)
        self.send(self.topics[raw.s] + encode(trade))


if __name__ == "__main__":
    rival.main(
        lambda shards, send: [Listener(symbols, send) for symbols in shards], msgspec.msgpack.Decoder(Trade).decode
    )

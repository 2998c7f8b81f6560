# mypy: disable-error-code="import-not-found, misc, import-untyped"
"""The subscriber to what cryptofeed's ZeroMQ backend publishes: `zmq_subscriber.py PORT TICKERS EVENTS LATENCY`.

It binds the address, because cryptofeed's publisher connects. A message is a key, a blank and JSON.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress

import zmq

from feedbus.bench.turn import TurnOver, on_signal
from tests.bench.peers.stopwatch import Stopwatch


def receive_all(socket: zmq.Socket, stopwatch: Stopwatch) -> None:
    """Take messages without end, or until SIGUSR1."""
    while True:
        event = json.loads(socket.recv().partition(b" ")[2])
        stopwatch.take(event["symbol"], event["bid"], int(event["receipt_timestamp"] * 1e9))


def main(port: str, tickers: str, count: str, latency: str) -> None:
    """Do turn after turn, until the benchmark ends this process."""
    on_signal()
    socket = zmq.Context().socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.bind(f"tcp://127.0.0.1:{port}")
    socket.subscribe(b"")
    stopwatch = Stopwatch(int(tickers), int(count), latency == "1")
    while True:
        with suppress(TurnOver):
            receive_all(socket, stopwatch)
        stopwatch.over()


if __name__ == "__main__":
    main(*sys.argv[1:])

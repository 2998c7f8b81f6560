# mypy: disable-error-code="import-not-found, misc, import-untyped"
"""cryptofeed's Binance feed with its ZeroMQ backend: `cryptofeed_connector.py URL PORT SYMBOL …`, for 2.4 and 3.

It is as its examples set it up: best bids and asks (TICKER) of the symbols, published one by one. Its endpoints are
replaced by the benchmark's venue, and those of WebSockets once more after it has seen that they are encrypted.
"""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import urlsplit

from cryptofeed import FeedHandler
from cryptofeed.backends.zmq import TickerZMQ
from cryptofeed.defines import TICKER
from cryptofeed.exchanges import Binance


class UnencryptedBinance(Binance):
    """Binance at ws:// addresses."""

    def connect(self) -> list[tuple[Any, ...]]:
        """The connections that will be opened."""
        made: list[tuple[Any, ...]] = super().connect()
        for connection, *_ in made:
            connection.address = connection.address.replace("wss://", "ws://", 1)
        return made


def main(url: str, port: str, *symbols: str) -> None:
    """Publish until SIGTERM."""
    at = urlsplit(url).netloc
    Binance.websocket_endpoints[0].address = f"wss://{at}"
    Binance.rest_endpoints[0].address = f"http://{at}"
    names = [f"{symbol.removesuffix('USDT')}-USDT" for symbol in symbols]
    handler = FeedHandler(config={"uvloop": True, "log": {"filename": "cryptofeed.log", "level": "WARNING"}})
    backend = {TICKER: TickerZMQ(port=int(port))}
    handler.add_feed(UnencryptedBinance(symbols=names, channels=[TICKER], callbacks=backend))
    handler.run()


if __name__ == "__main__":
    main(*sys.argv[1:])

# mypy: disable-error-code="import-not-found, misc, import-untyped"
"""nautilus_trader's Binance client in a TradingNode with one actor: `nautilus.py URL TICKERS EVENTS LATENCY SYMBOL …`.

One process is connector and subscriber: the actor's `on_quote_tick` ends the measurement. The time of receipt is the
one that nautilus takes when it has decoded the frame (`ts_init`).
"""

from __future__ import annotations

import signal
import sys
from urllib.parse import urlsplit

from nautilus_trader.adapters.binance import BINANCE, BinanceDataClientConfig, BinanceLiveDataClientFactory
from nautilus_trader.common.actor import Actor
from nautilus_trader.config import InstrumentProviderConfig, LoggingConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.identifiers import InstrumentId

from tests.bench.peers.stopwatch import Stopwatch


class Follower(Actor):
    """Subscribes to the quotes of these symbols."""

    def __init__(self, stopwatch: Stopwatch, symbols: tuple[str, ...]) -> None:
        super().__init__()
        self._stopwatch = stopwatch
        self._symbols = symbols

    def on_start(self) -> None:
        """Subscribe."""
        for symbol in self._symbols:
            self.subscribe_quote_ticks(InstrumentId.from_str(f"{symbol}.{BINANCE}"))

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """One event."""
        self._stopwatch.take(tick.instrument_id.symbol.value, tick.bid_price.as_double(), tick.ts_init)


def main(url: str, tickers: str, count: str, latency: str, *symbols: str) -> None:
    """Do turn after turn, until the benchmark ends this process."""
    at = urlsplit(url).netloc
    client = BinanceDataClientConfig(
        base_url_http=f"http://{at}",
        base_url_ws=f"ws://{at}",
        instrument_provider=InstrumentProviderConfig(load_all=True),
    )
    node = TradingNode(TradingNodeConfig(logging=LoggingConfig(log_level="ERROR"), data_clients={BINANCE: client}))
    stopwatch = Stopwatch(int(tickers), int(count), latency == "1")
    node.trader.add_actor(Follower(stopwatch, symbols))
    node.add_data_client_factory(BINANCE, BinanceLiveDataClientFactory)
    node.build()
    node.get_event_loop().add_signal_handler(signal.SIGUSR1, stopwatch.over)
    try:
        node.run()
    finally:
        node.dispose()


if __name__ == "__main__":
    main(*sys.argv[1:])

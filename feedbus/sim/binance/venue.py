"""The options of the simulated Binance, and what all its connections and its REST interface share. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakValueDictionary

from feedbus.sim.binance.catalogue import Pair, pairs
from feedbus.sim.binance.market import BinanceMarket
from feedbus.sim.binance.streams import BinanceStream, stream_named
from feedbus.sim.seam import ServerCounters, SimOptions


class BinanceSimOptions(SimOptions, frozen=True, kw_only=True):
    """How the venue behaves. With all pairs, about thirty trades happen at each market step. Raises ValueError for a
    limit below 1."""

    rate: float = 10.0
    max_messages: int = 5
    """How many messages a client may send in a second; one more, and it is disconnected. Pings and pongs, which the
    venue counts too, aren't counted here."""
    max_streams: int = 1024
    """How many streams a connection may have; a client that asks for more is disconnected."""
    max_age_s: float = 86_400.0
    """Seconds by the market's clock, after which a connection is sent serverShutdown and closed."""
    ping_every: float | None = 20.0
    """Seconds between the server's pings; None: it sends none."""
    weight_limit: int = 6000
    """Request weight a minute over REST; beyond it the answer is HTTP 429."""
    max_frame: int = 64 * 1024
    """The largest message taken from a client, in bytes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.max_messages, self.max_streams, self.weight_limit) < 1:
            raise ValueError("max_messages, max_streams, weight_limit: 1 or more")


class BinanceCounters(ServerCounters):
    """Plain totals over all connections."""

    def __init__(self) -> None:
        super().__init__()
        self.clients_over_limit = 0
        self.clients_too_slow = 0


class BinanceVenue:
    """The market, and the streams to which a connection is subscribed. It is the MarketClock of its server."""

    def __init__(
        self, options: BinanceSimOptions, counters: BinanceCounters | None = None, listed: Iterable[Pair] | None = None
    ) -> None:
        self.options = options
        self.counters = counters or BinanceCounters()
        step_ns = round(1_000_000_000 / options.rate)
        self.market = BinanceMarket(options.seed, options.start_ns, step_ns, listed or pairs())
        self._streams: WeakValueDictionary[tuple[str, int], BinanceStream] = WeakValueDictionary()
        """By (name, unit of time). The conversations own the streams: one without a subscriber is not written."""

    @property
    def opened(self) -> bool:
        return self.market.opened

    @property
    def step(self) -> int:
        return self.market.step

    @property
    def step_ns(self) -> int:
        return self.market.step_ns

    def advance(self) -> None:
        """Advance the market by one step, and write what it brings into the subscribed streams."""
        self.market.advance()
        for each in list(self._streams.values()):
            each.write(each)

    def stream(self, name: str, unit: int) -> BinanceStream | None:
        """The stream of this name; None when there is no such stream."""
        found = self._streams.get((name, unit))
        if found is None and (found := stream_named(name, self.market, unit)) is not None:
            self._streams[name, unit] = found
        return found

    def now_ns(self, now_ns: int) -> int:
        """The market's time. Before it opens that is its start, or `now_ns` (the wall clock) when it has none yet."""
        if self.market.opened or self.market.start_ns is not None:
            return self.market.now_ns
        return now_ns

"""The options of the simulated Binance, and what all its connections and its REST interface share. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from feedbus.sim.binance import fault_requests
from feedbus.sim.binance.catalogue import Pair, pairs
from feedbus.sim.binance.fault_requests import FaultRequest
from feedbus.sim.binance.faults import BinanceFaults
from feedbus.sim.binance.market import LEVELS, MAX_LEVELS, TRADING, BinanceMarket
from feedbus.sim.binance.streams import BinanceStream, stream_named
from feedbus.sim.binance.weights import UsedWeight
from feedbus.sim.limits import ClientLimits
from feedbus.sim.seam import Ending, ServerCounters, SimOptions


class BinanceSimOptions(SimOptions, frozen=True, kw_only=True):
    """How the venue behaves. With all pairs, about thirty trades happen at each market step. Raises ValueError for a
    value outside its bounds."""

    rate: float = 10.0
    levels: int = LEVELS
    """How many levels a book has on each side at most, 1 to 5000. A cheap pair may have fewer bids."""
    max_messages: int | None = 5
    """How many messages, pings and pongs a client may send in a second; one more, and it is disconnected."""
    max_connects: int | None = 300
    connects_s: float = 300.0
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
    faults: str | None = None
    """The faults that are armed from the start: JSON, as /sim/faults takes it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.max_streams, self.weight_limit) < 1:
            raise ValueError("max_streams, weight_limit: 1 or more")
        if not 1 <= self.levels <= MAX_LEVELS:
            raise ValueError(f"levels: from 1 to {MAX_LEVELS}")


class BinanceCounters(ServerCounters):
    """Plain totals over all connections."""

    def __init__(self) -> None:
        super().__init__()
        self.clients_too_slow = 0
        self.heaviest_minute = 0
        """The greatest request weight of any minute."""


class BinanceVenue:
    """The market, and the streams to which a connection is subscribed. It is the MarketClock of its server."""

    def __init__(
        self, options: BinanceSimOptions, counters: BinanceCounters | None = None, listed: Iterable[Pair] | None = None
    ) -> None:
        self.options = options
        self.counters = counters or BinanceCounters()
        step_ns = round(1_000_000_000 / options.rate)
        self.market = BinanceMarket(
            options.seed, options.start_ns, step_ns, listed or pairs(), options.levels, options.acts_every
        )
        self.faults = BinanceFaults(self.market.instruments)
        self.weights = UsedWeight(options.weight_limit, options.ban_s, self._banned)
        self.limits = ClientLimits(options, self.counters, partial(self.weights.ban, options.ban_s))
        self.cuts = 0
        """How often all connections were ended at once, and how it was done the last time."""
        self.cut_ending: Ending = ""
        self._streams: WeakValueDictionary[tuple[str, int], BinanceStream] = WeakValueDictionary()
        """By (name, unit of time). The conversations own the streams: one without a subscriber is not written."""
        if options.faults is not None:
            self.arm(fault_requests.parse(options.faults), 0)

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
            found.spoil = self.faults.spoiler(name)
            self._streams[name, unit] = found
        return found

    def now_ns(self, now_ns: int) -> int:
        """The market's time. Before it opens that is its start, or `now_ns` (the wall clock) when it has none yet."""
        if self.market.opened or self.market.start_ns is not None:
            return self.market.now_ns
        return now_ns

    def arm(self, requests: Sequence[FaultRequest], now_ns: int) -> None:
        """Do what is asked for. Raises ValueError for a pair that isn't listed, and then nothing of it is done."""
        for request in requests:
            self.faults.check(request)
        for request in requests:
            self._arm(request, now_ns)

    def _arm(self, request: FaultRequest, now_ns: int) -> None:
        instruments, done = self.market.instruments, self.faults.done
        if request.clear:
            self.faults.clear()
            self.weights.use_elsewhere(0, now_ns)
            for instrument in instruments.values():
                instrument.status = TRADING
        self.faults.arm(request)
        if (restart := request.restart_ids) is not None:
            for symbol in self.faults.symbols(restart.symbol):
                instruments[symbol].restart_ids()
                done["restart_ids"] += 1
        if (changed := request.status) is not None:
            for symbol in self.faults.symbols(changed.symbol):
                instruments[symbol].status = changed.status
                done["status"] += 1
        if request.foreign_weight is not None:
            self.weights.use_elsewhere(request.foreign_weight, now_ns)
            done["foreign_weight"] += 1
        if request.ban_s is not None:
            self.weights.ban(request.ban_s, now_ns)
            done["ban_s"] += 1
        if request.cut_connections:
            self._cut("abort")
            done["cut_connections"] += 1

    def faults_told(self) -> dict[str, Any]:
        """What is armed, what was done, and the weight: what /sim/faults answers."""
        armed = self.faults.armed()
        halted = {symbol: each.status for symbol, each in self.market.instruments.items() if each.status != TRADING}
        if halted:
            armed["status"] = halted
        if self.weights.foreign:
            armed["foreign_weight"] = self.weights.foreign
        weight = {"used": self.weights.used, "heaviest_minute": self.weights.heaviest, "bans": self.weights.bans}
        return {"armed": armed, "done": dict(sorted(self.faults.done.items())), "weight": weight}

    def _banned(self) -> None:
        self.counters.clients_banned += 1
        self._cut("refuse")

    def _cut(self, ending: Ending) -> None:
        """End every open connection."""
        self.cuts += 1
        self.cut_ending = ending

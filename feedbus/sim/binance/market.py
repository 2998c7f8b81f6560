"""A spot market that trades by itself, step by step: books, trades, candles and statistics of each pair. Pure.

The state of a pair after step n depends on the seed, the pair, the start and n alone, never on who is subscribed. What
happened in the newest step is in each instrument's `fills`, `tops` and `changes`. Each change of a book's level has the
next update id. Prices and quantities are whole numbers of 10^-8, times are ns since the epoch.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate, takewhile
from random import Random
from typing import NamedTuple

from feedbus.sim.binance.candles import BinanceCandleBuilder, BinanceTrade
from feedbus.sim.binance.catalogue import SCALE, Pair
from feedbus.sim.binance.rolling_day import RollingDay
from feedbus.sim.binance.windows import BinanceWindows

LEVELS = 100
"""How many levels a side has at most, unless the market is made with another number. Such a book fits into a snapshot
of 100 levels."""
MAX_LEVELS = 5000
TRADING = "TRADING"
_BUSY_LEVELS = 128  # of a deeper book most changes are to these

# By tier: the chance to act at a step, and the most acts of a step.
_CHANCE = (1.0, 0.6, 0.25)
_ACTS = (4, 2, 1)
# Of 256 acts, those below 80 are a taker's order, those below 200 resize a level, the others add or remove a best one.
_ORDERS, _RESIZES = 80, 200
_SWEEP = 3  # the most levels that an order takes
_WIDEST = 6  # the widest spread, in usual gaps between levels
_LEVEL_VALUE = {"BTC": 1, "TRY": 1_200_000}  # of a large level, in the quote currency
_USUAL_VALUE = 40_000  # the same for the other quote currencies, which are worth about a dollar


class BinanceFill(NamedTuple):
    """The trades of one taker's order at one price (the venue's "aggregate trade")."""

    id: int
    trades: tuple[BinanceTrade, ...]


class Top(NamedTuple):
    """The best bid and ask after they changed, and the update id of the change."""

    update: int
    bid: int
    bid_size: int
    ask: int
    ask_size: int


class BinanceBookSide:
    """One side of a book, best level first. `outward` is +1 for asks and -1 for bids."""

    __slots__ = ("outward", "prices", "sizes")

    def __init__(self, outward: int, prices: list[int], sizes: list[int]) -> None:
        self.outward = outward
        self.prices = prices
        self.sizes = sizes

    def size_at(self, price: int) -> int:
        """The size of the level at this price, 0 where there is none."""
        prices = self.prices
        at = bisect_left(prices, price) if self.outward > 0 else bisect_left(prices, -price, key=_negated)
        return self.sizes[at] if at < len(prices) and prices[at] == price else 0


class BinanceInstrument:
    """One pair: its book, statistics and candles, and what the newest step did to them."""

    __slots__ = (
        "_acts",
        "_band",
        "_chance",
        "_gap",
        "_levels",
        "_orders",
        "_quiet",
        "_reference",
        "_rng",
        "_size",
        "_tick",
        "asks",
        "bids",
        "candle_builder",
        "changes",
        "day",
        "fills",
        "moved_at",
        "pair",
        "status",
        "tops",
        "traded_at",
        "traded_ns",
        "update",
        "windows",
    )  # fmt: skip

    def __init__(
        self,
        pair: Pair,
        seed: int,
        start_ns: int,
        quiet: int,
        levels: int = LEVELS,
        acts_every: float | None = None,
    ) -> None:
        self._levels = levels
        self._rng = rng = Random(f"{seed}/{pair.symbol}")
        self.pair = pair
        self.status = TRADING
        """A pair of another status doesn't trade, and its book stands still."""
        self._tick = pair.tick
        self._gap = max(1, pair.price // pair.tick // 200_000)
        value = _LEVEL_VALUE.get(pair.quote, _USUAL_VALUE)
        self._size = max(8, value * SCALE * SCALE // pair.price // pair.lot)
        self._chance, self._acts = _CHANCE[pair.tier], _ACTS[pair.tier]
        if acts_every is not None:
            self._chance, self._acts, quiet = 1 / acts_every, 1, round(2 * acts_every)
        self._quiet = quiet
        self._reference = pair.price + rng.randrange(-8, 9) * pair.tick
        self._band = max(20, pair.price // pair.tick // 50) * pair.tick
        self.bids = self._side(-1)
        self.asks = self._side(+1)
        self.update = rng.randrange(1_000_000, 60_000_000_000)
        """The update id of the book's last change."""
        self.day = RollingDay(rng, pair, self.bids.prices[0], self._size)
        self._orders = rng.randrange(1_000_000, 3_000_000_000)
        self.candle_builder = BinanceCandleBuilder(start_ns, self.day.close)
        self.moved_at = -rng.randrange(quiet)
        """The step of the book's last change."""
        self.traded_at = 0
        """The step of the last trade."""
        self.traded_ns = 0
        """The time of the last trade."""
        self.windows = BinanceWindows()
        self.fills: list[BinanceFill] = []
        self.tops: list[Top] = []
        self.changes: list[tuple[bool, int]] = []
        """(is a bid, price) of each changed level. Each has an update id of its own, and they are in that order."""

    def open(self, start_ns: int) -> None:
        """Begin the candles at the market's start."""
        self.candle_builder = BinanceCandleBuilder(start_ns, self.day.close)

    def advance(self, step: int, before_ns: int, now_ns: int) -> None:
        """Trade from `before_ns` (exclusive) to `now_ns` (inclusive), which is the step's time."""
        self.fills, self.tops, self.changes = [], [], []
        self.candle_builder.ended = []
        acts = 0
        if self.status == TRADING and (self._rng.random() < self._chance or step - self.moved_at >= self._quiet):
            acts = 1 + self._rng.getrandbits(8) % self._acts
        for act in range(1, acts + 1):
            self._act(before_ns + (now_ns - before_ns) * act // acts)
        self.candle_builder.roll(now_ns)
        if self.candle_builder.ended:
            self.windows.keep(self.candle_builder)
        if acts:
            self.moved_at = step
        if self.fills:
            self.traded_at = step
            self.traded_ns = self.fills[-1].trades[-1].time_ns

    def restart_ids(self) -> None:
        """Let the update ids go on from a much smaller number, as when a venue begins to count anew."""
        self.update //= 2

    def top(self) -> Top:
        """The best bid and ask as of the book's last change."""
        bids, asks = self.bids, self.asks
        return Top(self.update, bids.prices[0], bids.sizes[0], asks.prices[0], asks.sizes[0])

    def _act(self, time_ns: int) -> None:
        draw = self._rng.getrandbits(64)
        before = self.top()
        roll = draw & 255
        if roll < _ORDERS:
            self._order(draw >> 8, time_ns)
        elif roll < _RESIZES:
            self._resize(draw >> 8)
        else:
            self._move(draw >> 8)
        after = self.top()
        if after[1:] != before[1:]:
            self.tops.append(after)

    def _side(self, outward: int) -> BinanceBookSide:
        steps = [outward * self._tick * self._ticks(self._rng.getrandbits(16)) for _ in range(self._levels)]
        # A cheap pair has fewer levels than were asked for below its price.
        prices = list(takewhile(_positive, [self._reference + distance for distance in accumulate(steps)]))
        return BinanceBookSide(outward, prices, [self._new_size(self._rng.getrandbits(10)) for _ in prices])

    def _ticks(self, draw: int) -> int:
        """How many ticks a level is away from the one before it."""
        return 1 + draw % self._gap + (draw & 7 == 0)

    def _new_size(self, draw: int) -> int:
        part = draw & 1023
        return (1 + (self._size * part * part >> 20)) * self.pair.lot

    def _changed(self, side: BinanceBookSide, price: int) -> None:
        self.update += 1
        self.changes.append((side is self.bids, price))

    def _upward(self, draw: int) -> bool:
        """Whether the price tends upward: at random near its reference, and back to it from far away."""
        pull = (self.asks.prices[0] - self._reference) * 256 // self._band
        return (draw & 511) > 256 + pull

    def _order(self, draw: int, time_ns: int) -> None:
        """A taker's order, which may sweep several levels."""
        buys = self._upward(draw)
        side = self.asks if buys else self.bids
        lot = self.pair.lot
        wanted = 1 + (draw >> 9 & 0xFFFF) % (side.sizes[0] // lot * 5 // 4 + 1)
        for level in range(_SWEEP):
            offered = side.sizes[0] // lot
            taken = min(wanted, offered)
            self._fill(side.prices[0], taken, 1 + (draw >> 25 + 2 * level & 3), time_ns, maker=not buys)
            wanted -= taken
            if taken < offered:
                side.sizes[0] -= taken * lot
                self._changed(side, side.prices[0])
                return
            self._retreat(side, draw >> 31 + 3 * level)
            if not wanted:
                return

    def _fill(self, price: int, lots: int, makers: int, time_ns: int, *, maker: bool) -> None:
        makers = min(makers, lots)
        trades = []
        for number in range(makers):
            part = lots // makers if number else lots - (makers - 1) * (lots // makers)
            trade = BinanceTrade(self.day.last + 1, time_ns, price, part * self.pair.lot, maker)
            self.day.add(trade)
            self.candle_builder.add(trade)
            trades.append(trade)
        self._orders += 1
        self.fills.append(BinanceFill(self._orders, tuple(trades)))

    def _resize(self, draw: int) -> None:
        side = self.bids if draw & 1 else self.asks
        level = min(draw >> 1 & 127, draw >> 8 & 127) % len(side.prices)  # levels near the best one change more often
        if len(side.prices) > _BUSY_LEVELS and not draw >> 40 & 3:
            level = (draw >> 42) % len(side.prices)
        lot, size = self.pair.lot, side.sizes[level]
        change = (1 + (draw >> 15 & 0xFFF) % (1 + size // lot // 4)) * lot
        side.sizes[level] = size - change if draw >> 27 & 1 and change < size else size + change
        if side.sizes[level] > 4 * self._size * lot:
            side.sizes[level] = self._new_size(draw >> 28)
        self._changed(side, side.prices[level])

    def _move(self, draw: int) -> None:
        """A side gets a new best level, or loses its best one."""
        upward = self._upward(draw)
        spread = self._spread()
        if spread > 1 and (draw >> 9 & 3 or spread > _WIDEST * self._gap):
            side = self.bids if upward else self.asks
            self._improve(side, spread - 1 if draw >> 11 & 1 else 1 + (draw >> 12) % (spread - 1), draw >> 30)
        else:
            self._retreat(self.asks if upward else self.bids, draw >> 12)

    def _spread(self) -> int:
        return (self.asks.prices[0] - self.bids.prices[0]) // self._tick

    def _retreat(self, side: BinanceBookSide, draw: int) -> None:
        """A side loses its best level, and gets a new one at the far end. When the spread becomes too wide, the other
        side follows."""
        price = side.prices[-1] + side.outward * self._tick * self._ticks(draw)
        self._remove(side, 0)
        if price > 0:
            self._add(side, len(side.prices), price, draw >> 8)
        spread = self._spread()
        if spread > _WIDEST * self._gap + 1:
            self._improve(self.asks if side is self.bids else self.bids, spread - 1 - self._gap, draw >> 18)

    def _improve(self, side: BinanceBookSide, ticks: int, draw: int) -> None:
        """A side gets a new best level this many ticks inward; its farthest level goes when there are too many."""
        self._add(side, 0, side.prices[0] - side.outward * self._tick * ticks, draw)
        if len(side.prices) > self._levels:
            self._remove(side, self._levels)

    def _add(self, side: BinanceBookSide, level: int, price: int, draw: int) -> None:
        side.prices.insert(level, price)
        side.sizes.insert(level, self._new_size(draw))
        self._changed(side, price)

    def _remove(self, side: BinanceBookSide, level: int) -> None:
        price = side.prices.pop(level)
        side.sizes.pop(level)
        self._changed(side, price)


def _negated(price: int) -> int:
    return -price


def _positive(price: int) -> bool:
    return price > 0


class BinanceMarket:
    """All pairs, which advance together. Step 0 is at `start_ns`, or without it at the time of `open`. They act every
    `acts_every` steps or so, and at a tempo of their own where that is None."""

    def __init__(
        self,
        seed: int,
        start_ns: int | None,
        step_ns: int,
        pairs: Iterable[Pair],
        levels: int = LEVELS,
        acts_every: float | None = None,
    ) -> None:
        quiet = max(1, 900_000_000 // step_ns)
        self.instruments = {
            pair.symbol: BinanceInstrument(pair, seed, start_ns or 0, quiet, levels, acts_every) for pair in pairs
        }
        self.start_ns = start_ns
        self.step_ns = step_ns
        self.step = 0
        self.opened = False

    def open(self, now_ns: int) -> None:
        """Open the market. Step 0 is at `now_ns` unless a start time was given. Later calls do nothing."""
        if self.opened:
            return
        self.opened = True
        if self.start_ns is None:
            self.start_ns = now_ns
        for instrument in self.instruments.values():
            instrument.open(self.start_ns)

    def advance(self) -> None:
        """Advance all pairs by one step."""
        self.step += 1
        before_ns, now_ns = self.time_ns(self.step - 1), self.time_ns(self.step)
        for instrument in self.instruments.values():
            instrument.advance(self.step, before_ns, now_ns)

    @property
    def now_ns(self) -> int:
        """The market's time at its newest step."""
        return self.time_ns(self.step)

    def time_ns(self, step: int) -> int:
        """The market's time at a step. Before the market has a start its step 0 is at the epoch."""
        return (self.start_ns or 0) + step * self.step_ns

    def passed(self, period_ns: int) -> bool:
        """Whether the newest step passed a multiple of the period."""
        return self.time_ns(self.step) // period_ns != self.time_ns(self.step - 1) // period_ns

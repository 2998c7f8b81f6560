"""A market that trades by itself, step by step. Pure: its time is a step number.

The state of an instrument after step n depends on the seed, the instrument and n alone, never on who watches.
Each instrument has a random generator of its own and draws from it only when it acts: the busy ones at nearly
every step, and every one at least once a second. Prices are whole numbers of 10^-decimals of the paper.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from feedbus.sim.moex.candles import MoexCandleTape, moscow_minute
from feedbus.sim.moex.catalogue import Share

DEPTH = 10
WIDEST_SPREAD = 6
# By tier: the chance to act at a step, of 256 acts those that are trades, and the lots of a usual level.
_CHANCE = (0.93, 0.5, 0.0)
_TRADES = (70, 40, 14)
_LOTS = (2400, 500, 90)
_RESIZES = 216  # of 256 acts, up to here levels change size; beyond, levels come and go


class Pace:
    """How many steps make the market's promises: a book every second, `securities` every three."""

    def __init__(self, rate: float) -> None:
        second = max(1, int(rate))
        self.quiet = max(1, second - 1)
        self.after_trade = second
        self.at_latest = 2 * second


class Print(NamedTuple):
    """What one aggressive order traded: `lots` at one price, in so many deals. The last of them is the day's
    `number`th; `step` is when."""

    number: int
    step: int
    price: int
    lots: int
    deals: int
    buy: bool


class MoexBookSide:
    """One side of a book, best level first. `outward` is +1 for asks and -1 for bids."""

    __slots__ = ("outward", "prices", "sizes")

    def __init__(self, outward: int, prices: list[int], sizes: list[int]) -> None:
        self.outward = outward
        self.prices = prices
        self.sizes = sizes

    def drop_best(self, tick: int, gap: int, size: int) -> None:
        """The best level goes; a new one appears at the far end, so that there are always as many."""
        del self.prices[0], self.sizes[0]
        self.prices.append(self.prices[-1] + self.outward * tick * gap)
        self.sizes.append(size)

    def improve(self, tick: int, ticks: int, size: int) -> None:
        """A new best level, so many ticks inward; the farthest one goes."""
        self.prices.insert(0, self.prices[0] - self.outward * tick * ticks)
        self.sizes.insert(0, size)
        del self.prices[-1], self.sizes[-1]


class MoexInstrument:
    """One paper's book and its statistics of the day."""

    __slots__ = (
        "_act_chance", "_band", "_lots", "_pace", "_quiet", "_reference", "_rng", "_tick", "_trade_share", "asks",
        "bids", "current", "high", "high_bid", "index", "last", "low", "low_offer", "moved_at", "opening", "paper",
        "prints", "quantity", "tape", "ticked_at", "traded_at", "trades", "turnover", "volume",
    )  # fmt: skip

    def __init__(self, paper: Share, index: int, seed: int, pace: Pace, prints: int = 0) -> None:
        self._rng = rng = random.Random(f"{seed}/{paper.symbol}")
        self.paper = paper
        self.index = index
        self._pace = pace
        self._quiet = pace.quiet
        self._act_chance = _CHANCE[paper.tier]
        self._trade_share = _TRADES[paper.tier]
        self._lots = _LOTS[paper.tier]
        self._tick = paper.tick
        self._reference = paper.price // paper.tick * paper.tick + rng.randrange(-8, 9) * paper.tick
        self._band = max(20, paper.price // paper.tick // 25) * paper.tick
        self.bids = self._side(-1)
        self.asks = self._side(+1)
        self.moved_at = -rng.randrange(pace.quiet)
        """The step of the last change: the book's and, behind it, everything's."""
        self.ticked_at = -rng.randrange(pace.at_latest)
        """The last step at which the statistics were due to be sent."""
        self.traded_at = 0
        self._open_day()
        self.opening = self.last
        """The last price before the market's first step."""
        self.tape = MoexCandleTape()
        self.prints: deque[Print] | None = deque(maxlen=prints) if prints else None
        """The newest of what was traded, oldest first; None when the market keeps none."""

    def _side(self, outward: int) -> MoexBookSide:
        price, prices = self._reference, []
        for _ in range(DEPTH):
            price += outward * self._tick * (1 + (self._rng.random() < 0.2))
            prices.append(price)
        return MoexBookSide(outward, prices, [self._new_size(self._rng.getrandbits(10)) for _ in range(DEPTH)])

    def _open_day(self) -> None:
        """Statistics as of a morning that has gone before."""
        rng, last = self._rng, self.bids.prices[0]
        self.last = self.current = last
        self.high = last + rng.randrange(4, 40) * self._tick
        self.low = last - rng.randrange(4, 40) * self._tick
        self.high_bid = self.high
        self.low_offer = self.low
        self.trades = rng.randrange(10, 400) * (1, 8, 40)[2 - self.paper.tier]
        self.quantity = 1 + rng.randrange(self._lots)
        self.volume = (self.trades * (1 + rng.randrange(self._lots // 8)) + self.quantity) * self.paper.lot
        self.turnover = self.volume * last

    def due(self, step: int) -> bool:
        """True when the instrument acts at this step. To be asked once a step: it may draw."""
        if step - self.moved_at >= self._quiet:
            return True
        return self._act_chance > 0 and self._rng.random() < self._act_chance

    def act(self, step: int, minute: int) -> None:
        """One thing happens: a trade, levels that change size, or a level that comes or goes. `minute` is the one that
        the step is in, by Moscow's clock."""
        draw = self._rng.getrandbits(64)
        self.moved_at = step
        roll = draw & 255
        if roll < self._trade_share:
            self._trade(draw >> 8, minute)
            self.traded_at = step
        elif roll < _RESIZES:
            self._resize(draw >> 8)
            if draw & 256:
                self._resize(draw >> 32)
        else:
            self._shift(draw >> 8)
        waited = step - self.ticked_at
        if waited >= self._pace.at_latest or (waited >= self._pace.after_trade and self.traded_at > self.ticked_at):
            self.ticked_at = step

    def _new_size(self, draw: int) -> int:
        part = draw & 1023
        return 1 + (self._lots * part * part >> 20)

    def _upward(self, draw: int) -> bool:
        """Which way the price leans: at random near its reference, and back to it from afar."""
        pull = (self.asks.prices[0] - self._reference) * 256 // self._band
        return (draw & 511) > 256 + pull

    def _trade(self, draw: int, minute: int) -> None:
        side = self.asks if self._upward(draw) else self.bids
        price, there = side.prices[0], side.sizes[0]
        lots = 1 + (draw >> 9 & 0xFFFF) % there
        if lots * 4 > there * 3:
            lots = there
        deals = 1 + (draw >> 25 & 3) if lots > 3 else 1
        self._count(price, lots, deals)
        self.tape.trade(minute, price, lots * self.paper.lot)
        if self.prints is not None:
            self.prints.append(Print(self.trades, self.moved_at, price, lots, deals, side is self.asks))
        side.sizes[0] -= lots
        if not side.sizes[0]:
            self._retreat(side, draw >> 27)

    def _count(self, price: int, lots: int, deals: int) -> None:
        units = lots * self.paper.lot
        self.last = price
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.current += (price - self.current) // 4
        self.quantity = lots - (deals - 1) * (lots // deals)
        self.trades += deals
        self.volume += units
        self.turnover += units * price

    def _resize(self, draw: int) -> None:
        sizes = (self.bids if draw & 1 else self.asks).sizes
        level = (draw >> 1 & 255) % DEPTH
        size = sizes[level]
        change = 1 + (draw >> 9 & 0xFFF) % (1 + size // 4)
        sizes[level] = size - change if draw >> 21 & 1 and change < size else size + min(change, self._lots)
        if sizes[level] > 8 * self._lots:
            sizes[level] = self._new_size(draw >> 10)

    def _shift(self, draw: int) -> None:
        upward = self._upward(draw)
        spread = self._spread()
        if spread > 1 and (spread > 3 or draw >> 9 & 1):
            self._advance(self.bids if upward else self.asks, 1 + (draw >> 10) % (spread - 1), draw >> 20)
        else:
            self._retreat(self.asks if upward else self.bids, draw >> 10)

    def _spread(self) -> int:
        return (self.asks.prices[0] - self.bids.prices[0]) // self._tick

    def _retreat(self, side: MoexBookSide, draw: int) -> None:
        """A side loses its best level. When the spread becomes too wide the other side follows, and it returns."""
        side.drop_best(self._tick, 1 + (draw & 7 == 0), self._new_size(draw >> 3))
        if self._spread() > WIDEST_SPREAD:
            self._advance(self.asks if side is self.bids else self.bids, 1 + (draw >> 13 & 1), draw >> 14)
        if (spread := self._spread()) > WIDEST_SPREAD:
            self._advance(side, spread - 2, draw >> 24)

    def _advance(self, side: MoexBookSide, ticks: int, draw: int) -> None:
        side.improve(self._tick, ticks, self._new_size(draw))
        self.high_bid = max(self.high_bid, self.bids.prices[0])
        self.low_offer = min(self.low_offer, self.asks.prices[0])


class MoexMarket:
    """All instruments, in step. Step 0 is at `start_ns`; without one, at the time of `open`. Each instrument keeps its
    newest `prints`."""

    def __init__(
        self, seed: int, start_ns: int | None, step_ns: int, papers: Iterable[Share], *, prints: int = 0
    ) -> None:
        pace = Pace(1_000_000_000 / step_ns)
        self.instruments = {
            paper.symbol: MoexInstrument(paper, index, seed, pace, prints) for index, paper in enumerate(papers)
        }
        self._all = tuple(self.instruments.values())
        self.start_ns = start_ns or 0
        self.step_ns = step_ns
        self.step = 0
        self.opened = False
        self._has_start = start_ns is not None

    def open(self, now_ns: int) -> None:
        """Step 0 is now, unless a start time was given. Later calls do nothing."""
        if not self.opened:
            self.opened = True
            self.start_ns = self.start_ns if self._has_start else now_ns

    def await_opening(self, now_ns: int) -> None:
        """As long as it isn't open, step 0 is now: for who looks at the market before anybody trades."""
        if not self.opened and not self._has_start:
            self.start_ns = now_ns

    def advance(self) -> None:
        """One step."""
        self.step = step = self.step + 1
        minute = self.minute(step)
        for instrument in self._all:
            if instrument.due(step):
                instrument.act(step, minute)

    def minute(self, step: int) -> int:
        """The minute that a step is in, counted by Moscow's clock."""
        return moscow_minute(self.start_ns + step * self.step_ns)

    def time_ms(self, step: int) -> int:
        """Milliseconds since the epoch at a step, by the market's clock."""
        return (self.start_ns + step * self.step_ns) // 1_000_000

"""A market that trades by itself, step by step. Pure: its time is a step number.

The state of an instrument after step n depends on the seed, the instrument and n alone, never on who is subscribed.
Each instrument has a random generator of its own, from which it draws only when it acts: a busy instrument acts at
nearly every step, and every instrument at least once a second. Prices are whole numbers of 10^-decimals of the
security.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from random import Random
from typing import NamedTuple

from feedbus.sim.moex.candles import MoexCandleBuilder, moscow_minute
from feedbus.sim.moex.catalogue import Security

DEPTH = 10  # levels of each side
WIDEST_SPREAD = 6  # ticks
# By tier: the chance to act at a step, how many of 256 acts are trades, and the lots of a large level.
_CHANCE = (0.93, 0.5, 0.0)
_TRADES = (70, 40, 14)
_LOTS = (2400, 500, 90)
_RESIZES = 216  # of 256 acts, those below are a trade or resize levels; the others add or remove a best level


class Pace:
    """How many steps may pass between two messages, at `rate` steps a second: the market promises a book every second
    and a `securities` message every three seconds."""

    def __init__(self, rate: float) -> None:
        second = max(1, int(rate))
        self.quiet = max(1, second - 1)
        self.after_trade = second
        self.at_latest = 2 * second


class MoexFill(NamedTuple):
    """The trades of one aggressive order: `lots` in all at one price, in `trades` trades at a step. `number` is the
    number of the last of them, counted from the beginning of the day; `buy` is true when the aggressor bought."""

    number: int
    step: int
    price: int
    lots: int
    trades: int
    buy: bool


class MoexBookSide:
    """One side of a book, best level first. `outward` is +1 for asks and -1 for bids."""

    __slots__ = ("outward", "prices", "sizes")

    def __init__(self, outward: int, prices: list[int], sizes: list[int]) -> None:
        self.outward = outward
        self.prices = prices
        self.sizes = sizes

    def drop_best(self, tick: int, gap: int, size: int) -> None:
        """Remove the best level, and add one at the far end, so that the number of levels stays the same."""
        del self.prices[0], self.sizes[0]
        self.prices.append(self.prices[-1] + self.outward * tick * gap)
        self.sizes.append(size)

    def improve(self, tick: int, ticks: int, size: int) -> None:
        """Add a new best level, this many ticks inward, and remove the farthest level."""
        self.prices.insert(0, self.prices[0] - self.outward * tick * ticks)
        self.sizes.insert(0, size)
        del self.prices[-1], self.sizes[-1]


class MoexInstrument:
    """One security's book and statistics of the day. Volumes are units, a turnover is price times units."""

    __slots__ = (
        "_act_chance",
        "_band",
        "_lots",
        "_pace",
        "_quiet",
        "_reference",
        "_rng",
        "_tick",
        "_trade_share",
        "asks",
        "bids",
        "candle_builder",
        "current",
        "fills",
        "high",
        "high_bid",
        "index",
        "last",
        "low",
        "low_offer",
        "moved_at",
        "opening",
        "quantity",
        "security",
        "ticked_at",
        "traded_at",
        "trades",
        "turnover",
        "volume",
    )  # fmt: skip

    def __init__(
        self, security: Security, index: int, seed: int, pace: Pace, fills: int = 0, acts_every: float | None = None
    ) -> None:
        self._rng = rng = Random(f"{seed}/{security.symbol}")
        self.security = security
        self.index = index
        self._pace = pace
        self._quiet = pace.quiet
        self._act_chance = _CHANCE[security.tier]
        if acts_every is not None:
            self._quiet, self._act_chance = round(2 * acts_every), 1 / acts_every
        self._trade_share = _TRADES[security.tier]
        self._lots = _LOTS[security.tier]
        self._tick = security.tick
        self._reference = security.price // security.tick * security.tick + rng.randrange(-8, 9) * security.tick
        self._band = max(20, security.price // security.tick // 25) * security.tick
        self.bids = self._side(-1)
        self.asks = self._side(+1)
        self.moved_at = -rng.randrange(pace.quiet)
        """The step of the last act, at which the book changed."""
        self.ticked_at = -rng.randrange(pace.at_latest)
        """The newest step at which the statistics fell due to be sent."""
        self.traded_at = 0
        self._open_day()
        self.opening = self.last
        """The last price before the market's first step."""
        self.candle_builder = MoexCandleBuilder()
        self.fills: deque[MoexFill] | None = deque(maxlen=fills) if fills else None
        """The newest fills, oldest first; None when the market keeps none."""

    def _side(self, outward: int) -> MoexBookSide:
        price, prices = self._reference, []
        for _ in range(DEPTH):
            price += outward * self._tick * (1 + (self._rng.random() < 0.2))
            prices.append(price)
        return MoexBookSide(outward, prices, [self._new_size(self._rng.getrandbits(10)) for _ in range(DEPTH)])

    def _open_day(self) -> None:
        """Make up the statistics of the morning before the market's first step."""
        rng, last = self._rng, self.bids.prices[0]
        self.last = self.current = last
        self.high = last + rng.randrange(4, 40) * self._tick
        self.low = last - rng.randrange(4, 40) * self._tick
        self.high_bid = self.high
        self.low_offer = self.low
        self.trades = rng.randrange(10, 400) * (1, 8, 40)[2 - self.security.tier]
        self.quantity = 1 + rng.randrange(self._lots)
        self.volume = (self.trades * (1 + rng.randrange(self._lots // 8)) + self.quantity) * self.security.lot
        self.turnover = self.volume * last

    def due(self, step: int) -> bool:
        """Whether the instrument acts at this step. Call it once a step, as it may draw a random number."""
        if step - self.moved_at >= self._quiet:
            return True
        return self._act_chance > 0 and self._rng.random() < self._act_chance

    def act(self, step: int, minute: int) -> None:
        """Act once: trade, resize levels, or add or remove a best level. `minute` is the step's minute by Moscow's
        clock."""
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
        """Whether the price tends upward: at random near its reference, and back to it from far away."""
        pull = (self.asks.prices[0] - self._reference) * 256 // self._band
        return (draw & 511) > 256 + pull

    def _trade(self, draw: int, minute: int) -> None:
        side = self.asks if self._upward(draw) else self.bids
        price, offered = side.prices[0], side.sizes[0]
        lots = 1 + (draw >> 9 & 0xFFFF) % offered
        if lots * 4 > offered * 3:
            lots = offered
        trades = 1 + (draw >> 25 & 3) if lots > 3 else 1
        self._count(price, lots, trades)
        self.candle_builder.trade(minute, price, lots * self.security.lot)
        if self.fills is not None:
            self.fills.append(MoexFill(self.trades, self.moved_at, price, lots, trades, side is self.asks))
        side.sizes[0] -= lots
        if not side.sizes[0]:
            self._retreat(side, draw >> 27)

    def _count(self, price: int, lots: int, trades: int) -> None:
        units = lots * self.security.lot
        self.last = price
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.current += (price - self.current) // 4
        self.quantity = lots - (trades - 1) * (lots // trades)
        self.trades += trades
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
        """A side loses its best level. When the spread becomes too wide the other side follows, and if that isn't
        enough the side gets a new best level."""
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
    """All instruments, which advance together. Step 0 is at `start_ns`, or without it at the time of `open`. Each
    instrument keeps this many of its newest `fills`. They act every `acts_every` steps or so, and at a tempo of their
    own where that is None."""

    def __init__(
        self,
        seed: int,
        start_ns: int | None,
        step_ns: int,
        securities: Iterable[Security],
        *,
        fills: int = 0,
        acts_every: float | None = None,
    ) -> None:
        pace = Pace(1_000_000_000 / step_ns)
        self.instruments = {
            each.symbol: MoexInstrument(each, index, seed, pace, fills, acts_every)
            for index, each in enumerate(securities)
        }
        self._all = tuple(self.instruments.values())
        self.start_ns = start_ns or 0
        self.step_ns = step_ns
        self.step = 0
        self.opened = False
        self._has_start = start_ns is not None

    def open(self, now_ns: int) -> None:
        """Open the market. Step 0 is at `now_ns` unless a start time was given. Later calls do nothing."""
        if not self.opened:
            self.opened = True
            self.start_ns = self.start_ns if self._has_start else now_ns

    def await_opening(self, now_ns: int) -> None:
        """Set step 0 to `now_ns` while the market isn't open and has no start time. It serves requests about the market
        before the first subscription."""
        if not self.opened and not self._has_start:
            self.start_ns = now_ns

    def advance(self) -> None:
        """Advance all instruments by one step."""
        self.step = step = self.step + 1
        minute = self.minute(step)
        for instrument in self._all:
            if instrument.due(step):
                instrument.act(step, minute)

    def minute(self, step: int) -> int:
        """The minute of a step, in minutes since the epoch by Moscow's clock."""
        return moscow_minute(self.start_ns + step * self.step_ns)

    def time_ms(self, step: int) -> int:
        """The market's time at a step, in milliseconds since the epoch."""
        return (self.start_ns + step * self.step_ns) // 1_000_000

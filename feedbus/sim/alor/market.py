"""The instruments that the simulated ALOR lists, and what it publishes of each. Pure.

The market is the simulated Moscow Exchange's, with some futures besides. Futures have trade numbers beyond 2^53, which
a double can't hold, and prices with five decimals, as on ALOR's wire. The trades and candles of the day before the
market's first step are made up: as many trades as the day's count says.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

import msgspec

from feedbus.sim.alor import wire
from feedbus.sim.alor.candles import AlorCandles
from feedbus.sim.moex.catalogue import Security
from feedbus.sim.moex.market import MoexFill, MoexInstrument, MoexMarket

if TYPE_CHECKING:
    from feedbus.sim.alor.venue import AlorSimOptions

EXCHANGE = "MOEX"
TYPES = {"share": "CS", "fund": "MF", "bond": "CORP", "future": "FUT"}
"""ALOR's type of an instrument, by the kind of security."""
FILLS = 1024
"""How many fills an instrument keeps: the most that a request for past trades, or a slow client, gets of live ones."""

_SHARE_IDS, _FUTURE_IDS = 9_200_000_000, 2_022_426_556_000_000_000
_INSTRUMENTS = 4096  # more than there are, so that no two instruments have a trade's number in common
_PAUSE_US = (400_000, 4_000_000, 60_000_000)  # by tier: half the longest time between two made-up trades
_LOTS = (600, 120, 20)  # by tier: the most lots of a made-up trade
_OPEN_INTEREST = 9_000_000
_DAY_MS, _EVENING_MS = 86_400_000, 75_002_393  # books are cleared at 23:50:02 in Moscow


def futures() -> list[Security]:
    """The futures that are listed besides the securities of the exchange's catalogue."""
    rows = (
        ("CNY-12.26", "Фьючерс на юань|CNY futures", 1_131_500, 100, 0),
        ("Si-12.26", "Фьючерс на доллар|USD futures", 8_145_700_000, 100_000, 0),
        ("BR-12.26", "Фьючерс на нефть Brent|Brent futures", 6_312_000, 1000, 0),
        ("GOLD-12.26", "Фьючерс на золото|Gold futures", 412_350_000, 10_000, 1),
    )
    return [
        Security(
            secid=secid,
            board="RFUD",
            kind="future",
            name=names.partition("|")[0],
            latin_name=names.partition("|")[2],
            isin=None,
            price=price,
            tick=tick,
            decimals=5,
            lot=1,
            face=0,
            issue_size=0,
            tier=tier,
        )
        for secid, names, price, tick, tier in rows
    ]


class AlorListing:
    """One instrument at the market's newest step, in ALOR's terms."""

    def __init__(self, instrument: MoexInstrument, market: MoexMarket, options: AlorSimOptions) -> None:
        self.instrument = instrument
        self.security = security = instrument.security
        self.market = market
        self.options = options
        self._opening_number = instrument.trades
        self._candles = AlorCandles(instrument, market, options.seed, FILLS)
        board = wire.text(security.board) if options.trade_board else None
        order = "0" if options.order_numbers == "number" else '"0"'
        self.trade_writer = wire.AlorTradeWriter(
            wire.text(security.secid), board, security.decimals, order=order, suffix=options.time_suffix
        )

    def book(self, depth: int, *, existing: bool) -> wire.AlorBook:
        """The best `depth` levels of both sides, or as many as there are."""
        sides, instrument = self.options.book_sides, self.instrument
        bid_prices = instrument.bids.prices[:depth] if sides in ("both", "bids") else []
        ask_prices = instrument.asks.prices[:depth] if sides in ("both", "asks") else []
        yields = None
        if self.security.kind == "bond":
            yields = [_yield(each) for each in bid_prices], [_yield(each) for each in ask_prices]
        return wire.AlorBook(
            self._levels(bid_prices, instrument.bids.sizes),
            self._levels(ask_prices, instrument.asks.sizes),
            _evening(self.market.time_ms(0)) if sides == "none" else self.market.time_ms(instrument.moved_at),
            existing,
            yields,
        )

    def _levels(self, prices: list[int], sizes: list[int]) -> list[tuple[str, int]]:
        decimals = self.security.decimals
        return [(wire.short(price, decimals), size) for price, size in zip(prices, sizes, strict=False)]

    @property
    def number(self) -> int:
        """The number of the newest trade."""
        return self.instrument.trades

    def trades_after(self, number: int) -> list[wire.AlorTrade]:
        """The trades after this number, oldest first. The oldest may be missing, as only the newest fills are kept."""
        trades: list[wire.AlorTrade] = []
        for fill in reversed(self.instrument.fills or ()):
            if fill.number <= number:
                break
            trades.extend(trade for at, trade in self._trades(fill) if at > number)
        trades.reverse()
        return trades

    def newest_trades(self, count: int) -> list[wire.AlorTrade]:
        """The last `count` trades, or as many as there were today, oldest first."""
        live = self.trades_after(max(self._opening_number, self.number - count))
        if len(live) < count and len(self.instrument.fills or ()) < FILLS:
            live = [*self._trades_before(count - len(live)), *live]
        return live[-count:] if count else []

    def _trades(self, fill: MoexFill) -> Iterator[tuple[int, wire.AlorTrade]]:
        """(number, trade) of each trade of one fill, newest first. The lots are divided evenly, and the last trade has
        the rest."""
        part = fill.lots // fill.trades
        time_us = self._time_us(fill.step)
        for place in reversed(range(fill.trades)):
            lots = part if place < fill.trades - 1 else fill.lots - part * (fill.trades - 1)
            number = fill.number - fill.trades + 1 + place
            yield number, self._trade(number, time_us + 137 * place, fill.price, lots, buy=fill.buy)

    def _trades_before(self, count: int) -> list[wire.AlorTrade]:
        """The newest `count` trades before the first step, oldest first. They are made up, and every `count` gives the
        same trades."""
        security = self.security
        # A new generator each time, so that all calls draw the same numbers.
        rng = Random(f"{self.options.seed}/{security.symbol}/deals")
        trades: list[wire.AlorTrade] = []
        time_us = self._time_us(0)
        for number in range(self._opening_number, max(0, self._opening_number - count), -1):
            draw = rng.getrandbits(64)
            time_us -= 1 + (draw & 0xFFFFFFFF) % (2 * _PAUSE_US[security.tier])
            price = self.instrument.opening + ((draw >> 32 & 0xFF) % 7 - 3) * security.tick
            lots = 1 + (draw >> 40 & 0xFFFF) % _LOTS[security.tier]
            trades.append(self._trade(number, time_us, price, lots, buy=bool(draw >> 63)))
        trades.reverse()
        return trades

    def _trade(self, number: int, time_us: int, price: int, lots: int, *, buy: bool) -> wire.AlorTrade:
        base = _FUTURE_IDS if self.security.kind == "future" else _SHARE_IDS
        return wire.AlorTrade(
            base + number * _INSTRUMENTS + self.instrument.index, time_us, price, lots, buy, self.open_interest(number)
        )

    def open_interest(self, number: int) -> int | None:
        """The open interest after this trade, which only futures have. It goes up and down."""
        if self.security.kind == "future":
            return _OPEN_INTEREST + abs(number % 2000 - 1000) * 2
        return 0 if self.options.share_open_interest == "zero" else None

    def _time_us(self, step: int) -> int:
        return (self.market.start_ns + step * self.market.step_ns) // 1000

    def bars(self, seconds: int, since_s: int) -> list[wire.AlorBar]:
        """The known candles of this length that begin at `since_s` or later, oldest first, the open one last."""
        return self._candles.bars(seconds, since_s)

    def quote(self) -> wire.Values:
        """The values of a quote, by the names that wire.quote takes."""
        now, security, price = self.instrument, self.security, self._price
        previous = security.price // security.tick * security.tick
        interest = self.open_interest(self.number) if security.kind == "future" else None
        return {
            "symbol": security.secid,
            "exchange": EXCHANGE,
            "description": security.name,
            "currency": "RUB",
            "previous": price(previous),
            "last": price(now.last),
            "traded_s": self.market.time_ms(now.traded_at) // 1000,
            "high": price(now.high),
            "low": price(now.low),
            "accrued": 0,
            "volume": now.volume // security.lot,
            "interest": interest,
            "ask": price(now.asks.prices[0]),
            "bid": price(now.bids.prices[0]),
            "ask_lots": now.asks.sizes[0],
            "bid_lots": now.bids.sizes[0],
            "book_ms": None,
            "opening": price(now.opening),
            "yield": None,
            "lot": security.lot,
            "lot_value": price(now.last * security.lot),
            "face": security.face or None,
            "type": TYPES[security.kind],
            "all_bids": 3 * sum(now.bids.sizes),
            "all_asks": 3 * sum(now.asks.sizes),
            "change": price(now.last - previous),
            "change_percent": round((now.last - previous) / previous * 100, 2),
        }

    def state(self) -> wire.Values:
        """The values of InstrumentsGetAndSubscribeV2, by the names that wire.instrument takes."""
        security, last, tick = self.security, self.instrument.last, self.security.tick
        return {
            "symbol": security.secid,
            "exchange": EXCHANGE,
            "board": security.board,
            "status": 17,
            "status_text": "нормальный период торгов",
            "price_min": self._price(last * 9 // 10 // tick * tick),
            "price_max": self._price(last * 11 // 10 // tick * tick),
        }

    def _price(self, value: int) -> msgspec.Raw:
        return wire.raw(wire.short(value, self.security.decimals))


def _evening(time_ms: int) -> int:
    """When the books were last cleared."""
    return (time_ms - _EVENING_MS) // _DAY_MS * _DAY_MS + _EVENING_MS


def _yield(price: int) -> str:
    """A made-up yield in per cent. It falls as the price, a whole number of 0.01, rises."""
    return wire.short(max(0, 26_000 - price) // 10, 2)

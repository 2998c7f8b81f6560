"""The simulated ALOR's market: what is listed, and what each instrument has to tell. Pure.

It is the market of the other simulated venues, with some futures besides: their trade numbers are beyond 2^53, and
their prices have five decimals, as on the wire. Of the day before the first step there are trades and candles too, made
up: as many trades as the day's count says.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from feedbus.sim.alor import wire
from feedbus.sim.alor.tokens import TokenIssuer
from feedbus.sim.moex import catalogue
from feedbus.sim.moex.candles import MINUTES, MOSCOW_AHEAD, MoexCandle, continued, folded, past
from feedbus.sim.moex.catalogue import Share
from feedbus.sim.moex.market import MoexInstrument, MoexMarket, Print
from feedbus.sim.seam import ServerCounters

EXCHANGE = "MOEX"
PRINTS = 1024
"""How many prints an instrument keeps: what a `depth` of trades and a client that falls behind can be told of live."""
_SHARE_IDS, _FUTURE_IDS = 9_200_000_000, 2_022_426_556_000_000_000
_NUMBERS = 4096  # more than there are instruments, so that no two share a trade's number
TYPES = {"share": "CS", "fund": "MF", "bond": "CORP", "future": "FUT"}
_PAUSE_US = (400_000, 4_000_000, 60_000_000)  # by tier: half the longest time between two made-up trades
_LOTS = (600, 120, 20)
_OPEN_INTEREST = 9_000_000
_DAY_MS, _EVENING_MS = 86_400_000, 75_002_393  # books are cleared at 23:50:02 in Moscow


class AlorSimOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the venue behaves. `start_ns` fixes the market's clock (else it begins when the first client subscribes);
    `rate` is market steps a second, and nothing is sent more often. Tokens expire by the wall clock."""

    seed: int = 1
    start_ns: int | None = None
    rate: float = 20.0
    refresh_tokens: tuple[str, ...] = ()
    """The refresh tokens that are good; when there are none, every one is but an empty one."""
    token_s: int = 1800
    """How long an access token is good."""
    refresh_failure: Literal["none", "500"] = "none"
    ack: Literal["seed", "first", "last"] = "seed"
    """Whether a subscription is acknowledged before or after its first data; by the seed and the guid, or always so."""
    spacing: wire.Spacing = "wide"
    time_suffix: Literal["Z", ""] = "Z"
    """What ends the times of trades."""
    trade_board: bool = True
    """Whether trades name their board."""
    order_numbers: Literal["number", "text"] = "number"
    """What a trade's `orderno` is: a number as captured, or text as specified."""
    share_open_interest: Literal["zero", "null"] = "zero"
    repeated_trades: int = 0
    """How many of a `depth`'s newest trades come again as live ones."""
    book_sides: Literal["both", "bids", "asks", "none"] = "both"
    """What books hold. Without either side they are as after the evening: empty, of a time long past, and silent."""
    late_frames: int = 0
    """How many more frames, at most, come after an unsubscribe."""
    unknown_unsubscribe: Literal[200, 400] = 200
    """The answer to an unsubscribe of what isn't subscribed."""
    max_connections: int = 10
    connection_refusal: int | None = None
    """The HTTP status for a connection too many; None: it is taken, and closed with code 1008."""
    max_subscriptions: int = 5000
    """Of a connection."""
    max_unsent: int = 5000
    """A client for which so many messages wait, and that takes none, is cut without a closing frame. One that takes
    some misses books, not trades."""
    max_frame: int = 64 * 1024
    """The largest message taken from a client, in bytes."""

    def __post_init__(self) -> None:
        if not 1.0 <= self.rate <= 1000.0:
            raise ValueError("rate: from 1 to 1000 market steps a second")


class AlorCounters(ServerCounters):
    """Plain totals over all connections, and of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens_issued = 0
        self.tokens_refused = 0
        self.connections_refused = 0


def futures() -> list[Share]:
    """The futures that are listed besides the papers of the catalogue."""
    rows = (
        ("CNY-12.26", "Фьючерс на юань|CNY futures", 1_131_500, 100, 0),
        ("Si-12.26", "Фьючерс на доллар|USD futures", 8_145_700_000, 100_000, 0),
        ("BR-12.26", "Фьючерс на нефть Brent|Brent futures", 6_312_000, 1000, 0),
        ("GOLD-12.26", "Фьючерс на золото|Gold futures", 412_350_000, 10_000, 1),
    )
    return [
        Share(
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


class AlorVenue:
    """What all conversations and the REST interface share."""

    def __init__(
        self, options: AlorSimOptions, counters: AlorCounters | None = None, papers: Iterable[Share] | None = None
    ) -> None:
        self.options = options
        self.counters = counters or AlorCounters()
        self.tokens = TokenIssuer(f"alor/{options.seed}", options.token_s)
        listed = [*catalogue.papers(), *futures()] if papers is None else papers
        step_ns = round(1_000_000_000 / options.rate)
        self.market = MoexMarket(options.seed, options.start_ns, step_ns, listed, prints=PRINTS)
        self.listings: dict[str, list[AlorListing]] = {}
        for instrument in self.market.instruments.values():
            self.listings.setdefault(instrument.paper.secid, []).append(AlorListing(instrument, self.market, options))

    def find(self, exchange: object, code: object, board: object = None) -> AlorListing | None:
        """The instrument of this code; without a board, on its primary one, which is the one listed first."""
        if exchange != EXCHANGE or not isinstance(code, str):
            return None
        listings = self.listings.get(code, ())
        return next((each for each in listings if board in (None, "", each.paper.board)), None)


class AlorListing:
    """One instrument, as ALOR tells of it at the market's newest step."""

    def __init__(self, instrument: MoexInstrument, market: MoexMarket, options: AlorSimOptions) -> None:
        self.instrument = instrument
        self.paper = paper = instrument.paper
        self.market = market
        self.options = options
        self._opening_number = instrument.trades
        self._past: dict[str, list[MoexCandle]] = {}
        board = wire.text(paper.board) if options.trade_board else None
        order = "0" if options.order_numbers == "number" else '"0"'
        self.tape = wire.AlorTape(
            wire.text(paper.secid), board, paper.decimals, order=order, suffix=options.time_suffix
        )

    def book(self, depth: int, *, existing: bool) -> wire.AlorBook:
        """The best `depth` levels of both sides, as far as there are so many."""
        sides, instrument = self.options.book_sides, self.instrument
        bid_prices = instrument.bids.prices[:depth] if sides in ("both", "bids") else []
        ask_prices = instrument.asks.prices[:depth] if sides in ("both", "asks") else []
        yields = None
        if self.paper.kind == "bond":
            yields = [_yield(each) for each in bid_prices], [_yield(each) for each in ask_prices]
        return wire.AlorBook(
            self._levels(bid_prices, instrument.bids.sizes),
            self._levels(ask_prices, instrument.asks.sizes),
            _evening(self.market.time_ms(0)) if sides == "none" else self.market.time_ms(instrument.moved_at),
            existing,
            yields,
        )

    def _levels(self, prices: list[int], sizes: list[int]) -> list[tuple[str, int]]:
        decimals = self.paper.decimals
        return [(wire.short(price, decimals), size) for price, size in zip(prices, sizes, strict=False)]

    @property
    def number(self) -> int:
        """The number of the newest trade."""
        return self.instrument.trades

    def deals_after(self, number: int) -> list[wire.AlorDeal]:
        """The trades of the market since that one, oldest first; the oldest may be forgotten."""
        deals: list[wire.AlorDeal] = []
        for each in reversed(self.instrument.prints or ()):
            if each.number <= number:
                break
            deals.extend(deal for at, deal in self._deals(each) if at > number)
        deals.reverse()
        return deals

    def newest_deals(self, count: int) -> list[wire.AlorDeal]:
        """The last `count` trades, as far as there were so many today, oldest first."""
        live = self.deals_after(max(self._opening_number, self.number - count))
        if len(live) < count and len(self.instrument.prints or ()) < PRINTS:
            live = [*self._deals_before(count - len(live)), *live]
        return live[-count:] if count else []

    def _deals(self, each: Print) -> Iterator[tuple[int, wire.AlorDeal]]:
        """What one print consists of, newest first, with the numbers: its lots are shared out evenly, and the last one
        has the rest."""
        part = each.lots // each.deals
        time_us = self._time_us(each.step)
        for place in reversed(range(each.deals)):
            lots = part if place < each.deals - 1 else each.lots - part * (each.deals - 1)
            number = each.number - each.deals + 1 + place
            yield number, self._deal(number, time_us + 137 * place, each.price, lots, buy=each.buy)

    def _deals_before(self, count: int) -> list[wire.AlorDeal]:
        """The newest trades before the first step: made up, and the same however many are asked for."""
        paper = self.paper
        rng = random.Random(f"{self.options.seed}/{paper.symbol}/deals")  # the same ones every time
        deals: list[wire.AlorDeal] = []
        time_us = self._time_us(0)
        for number in range(self._opening_number, max(0, self._opening_number - count), -1):
            draw = rng.getrandbits(64)
            time_us -= 1 + (draw & 0xFFFFFFFF) % (2 * _PAUSE_US[paper.tier])
            price = self.instrument.opening + ((draw >> 32 & 0xFF) % 7 - 3) * paper.tick
            lots = 1 + (draw >> 40 & 0xFFFF) % _LOTS[paper.tier]
            deals.append(self._deal(number, time_us, price, lots, buy=bool(draw >> 63)))
        deals.reverse()
        return deals

    def _deal(self, number: int, time_us: int, price: int, lots: int, *, buy: bool) -> wire.AlorDeal:
        base = _FUTURE_IDS if self.paper.kind == "future" else _SHARE_IDS
        return wire.AlorDeal(
            base + number * _NUMBERS + self.instrument.index, time_us, price, lots, buy, self.open_interest(number)
        )

    def open_interest(self, number: int) -> int | None:
        """After that trade: of futures a number that goes up and down, of all else none."""
        if self.paper.kind == "future":
            return _OPEN_INTEREST + abs(number % 2000 - 1000) * 2
        return 0 if self.options.share_open_interest == "zero" else None

    def _time_us(self, step: int) -> int:
        return (self.market.start_ns + step * self.market.step_ns) // 1000

    def bars(self, minutes: int, since_s: int) -> list[wire.AlorBar]:
        """The candles of so many minutes that begin at `since_s` (seconds since the epoch) or later, as far as they
        are known, oldest first, the forming one last. `minutes` divide a day."""
        interval = next(name for name, each in reversed(MINUTES.items()) if minutes % each == 0)
        since = -(-since_s // 60) + MOSCOW_AHEAD
        since = -(-since // minutes) * minutes
        live = self.instrument.tape.candles(interval, since)
        before = self._before(interval)
        if since <= before[-1].start:
            candles = folded(continued([each for each in before if each.start >= since], live), minutes)
            if since < before[0].start and candles[0].start < before[0].start:
                del candles[0]  # it lacks its beginning
        else:
            candles = folded(live, minutes)
        return [self._bar(candle) for candle in candles if candle.start >= since]

    def _before(self, interval: str) -> list[MoexCandle]:
        """The candles before the first step; made when they are first asked for once it is known when that was."""
        if (before := self._past.get(interval)) is None:
            opening, minute = self.instrument.opening, self.market.minute(0)
            before = past(self.paper, self.options.seed, opening, minute, interval)
            if self.market.opened:
                self._past[interval] = before
        return before

    def _bar(self, candle: MoexCandle) -> wire.AlorBar:
        start = (candle.start - MOSCOW_AHEAD) * 60
        volume = candle.volume // self.paper.lot
        return wire.AlorBar(start, candle.open, candle.high, candle.low, candle.close, volume)

    def quote(self) -> wire.Values:
        """What a quote tells, by name."""
        now, paper, price = self.instrument, self.paper, self._price
        previous = paper.price // paper.tick * paper.tick
        interest = self.open_interest(self.number) if paper.kind == "future" else None
        return {
            "symbol": paper.secid,
            "exchange": EXCHANGE,
            "description": paper.name,
            "currency": "RUB",
            "previous": price(previous),
            "last": price(now.last),
            "traded_s": self.market.time_ms(now.traded_at) // 1000,
            "high": price(now.high),
            "low": price(now.low),
            "accrued": 0,
            "volume": now.volume // paper.lot,
            "interest": interest,
            "ask": price(now.asks.prices[0]),
            "bid": price(now.bids.prices[0]),
            "ask_lots": now.asks.sizes[0],
            "bid_lots": now.bids.sizes[0],
            "book_ms": None,
            "opening": price(now.opening),
            "yield": None,
            "lot": paper.lot,
            "lot_value": price(now.last * paper.lot),
            "face": paper.face or None,
            "type": TYPES[paper.kind],
            "all_bids": 3 * sum(now.bids.sizes),
            "all_asks": 3 * sum(now.asks.sizes),
            "change": price(now.last - previous),
            "change_percent": round((now.last - previous) / previous * 100, 2),
        }

    def state(self) -> wire.Values:
        """What InstrumentsGetAndSubscribeV2 tells, by name."""
        paper, last, tick = self.paper, self.instrument.last, self.paper.tick
        return {
            "symbol": paper.secid,
            "exchange": EXCHANGE,
            "board": paper.board,
            "status": 17,
            "status_text": "нормальный период торгов",
            "least": self._price(last * 9 // 10 // tick * tick),
            "most": self._price(last * 11 // 10 // tick * tick),
        }

    def _price(self, value: int) -> msgspec.Raw:
        return wire.raw(wire.short(value, self.paper.decimals))


def _evening(time_ms: int) -> int:
    """When books were last cleared."""
    return (time_ms - _EVENING_MS) // _DAY_MS * _DAY_MS + _EVENING_MS


def _yield(price: int) -> str:
    """Made up, in per cent; it falls as the price, which has two decimals, rises."""
    return wire.short(max(0, 26_000 - price) // 10, 2)

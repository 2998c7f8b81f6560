"""The wire format of the simulated exchange: MESSAGE frames and their JSON bodies. Pure.

The exchange writes numbers with their precision (`[328.00,2]`), which no JSON encoder does, so bodies are put together
as text. The body of an instrument at a market step is made once, however many connections are sent it.

The snapshot of `candles` has the newest 256 candles. An update has the rows that changed since the last message: the
open candle, whose TILL moves, and those that were open then and have ended. The updates of an instrument's candles fall
due at the same steps on all connections.
"""

from __future__ import annotations

import datetime as dt
import functools

import msgspec

from feedbus.sim.moex.candles import MINUTES, MOSCOW_AHEAD, ROWS, MoexCandle, continued, past
from feedbus.sim.moex.catalogue import MARKET, Security
from feedbus.sim.moex.market import MoexInstrument, MoexMarket

BOOK_COLUMNS = ("BUYSELL", "PRICE", "QUANTITY", "REPOVALUE")
_SECURITIES = """
TICKER CAPTION LAST CHANGE BID OFFER HIGH LOW HIGHBID LOWOFFER BIDDEPTHT OFFERDEPTHT VOLTODAY VALTODAY NUMTRADES
LCLOSEPRICE LCURRENTPRICE PREVPRICE WAPRICE PREVWAPRICE PRICEMINUSPREVWAPRICE QTY VALUE BASEPRICE MARKETPRICE
CURRENCYID SETTLECODE SETTLEDATE1 SETTLEDATE2 LOTSIZE FACEUNIT FACEVALUE ISSUESIZE ADMITTEDQUOTE TRADINGSTATUS
STATUS DPVALINDICATORBUY DPVALINDICATORSELL TIME MINSTEP PRICEMINSTEP
"""
_SEARCH = """ticker secid boardid board_name marketplace shortname latname name isin regnumber primary_boardid
emitent_id emitent_title emitent_inn emitent_okpo"""
SECURITIES_COLUMNS = tuple(_SECURITIES.split())
SEARCH_COLUMNS = tuple(_SEARCH.split())
CANDLE_COLUMNS = ("FROM", "TILL", "OPEN", "HIGH", "LOW", "CLOSE", "VALUE", "VOLUME")
UPDATE_S = 5
"""Seconds between two updates of a subscription to candles."""
_BOARD_NAMES = {
    "TQBR": "Board of shares, settled next day",
    "TQTF": "Board of funds, settled next day",
    "TQCB": "Board of bonds, settled next day",
}
Row = tuple[str, ...]
"""The cells of a row, as JSON."""

BODIES = 2 + len(MINUTES)
"""How many bodies an instrument may have at a step: its book, its `securities` row, and candles of each interval."""

_SEQNUM_BASE = 570_000_000_000_000_000
_SEQNUM_EPOCH = 1_700_000_000
_MOSCOW = dt.timezone(dt.timedelta(hours=3))
_TICKER, _CAPTION, _BID_DEPTH = 0, 1, SECURITIES_COLUMNS.index("BIDDEPTHT")
_BOOK_HEAD = '"columns":["BUYSELL","PRICE","QUANTITY","REPOVALUE"],\n"data":['
_ALL_COLUMNS = '"columns":["' + '","'.join(SECURITIES_COLUMNS) + '"],\n"data":[['
_CANDLE_HEAD = '"columns":["' + '","'.join(CANDLE_COLUMNS) + '"],\n"data":['
_INTERVALS = tuple(MINUTES)
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 (Moscow's, like the times that are counted from it)
_CACHED_PRICES = 65536


def number(value: int, decimals: int) -> str:
    """A whole number of 10^-decimals as text: number(32800, 2) == "328.00"."""
    if not decimals:
        return str(value)
    digits = f"{abs(value):0{decimals + 1}d}"
    return f"{'-' if value < 0 else ''}{digits[:-decimals]}.{digits[-decimals:]}"


def fixed(value: int, decimals: int) -> str:
    """A cell of type `fixed`: fixed(32800, 2) == "[328.00,2]"."""
    return f"[{number(value, decimals)},{decimals}]"


price_cell = functools.lru_cache(maxsize=_CACHED_PRICES)(fixed)
"""`fixed` with a cache for prices, which recur."""


def cents(security: Security, turnover: int) -> int:
    """The value of a turnover (units times price), in hundredths of the currency. A bond's price is in per cent of its
    face value."""
    factor: int = security.face if security.kind == "bond" else 100
    return int(turnover * factor // 10**security.decimals)


def text(value: str | None) -> str:
    """A JSON string, or null."""
    return msgspec.json.encode(value).decode()


def message(destination: str, subscription: str, stamp_ms: int, body: bytes) -> bytes:
    """A MESSAGE frame, with its headers in the exchange's order."""
    head = (
        f"MESSAGE\ncontent-length:{len(body)}\ndestination:{destination}\n"
        f"subscription:{subscription}\nX-gateway-stamp:{stamp_ms}\n\n"
    )
    return b"%b%b\0" % (head.encode(), body)


class Sequencer:
    """The time stamps and sequence numbers of a market step, which are the same for all connections."""

    def __init__(self, market: MoexMarket) -> None:
        self._market = market
        self._stride = BODIES * len(market.instruments) + 96

    def stamp_ms(self) -> int:
        """The gateway's time stamp (ms since the epoch) at the newest step, a millisecond after the publication."""
        return self._market.time_ms(self._market.step) + 1

    def properties(self, kind: str, place: int) -> str:
        """The first line of a body. Each body of a step has a `place` of its own, and by it a `seqnum`."""
        market = self._market
        time_ms = market.time_ms(market.step)
        before = (market.start_ns // 1_000_000_000 - _SEQNUM_EPOCH) * -(-1_000_000_000 // market.step_ns)
        seqnum = _SEQNUM_BASE + (before + market.step) * self._stride + place
        return f'{{"properties":{{"type":"{kind}","seqnum":{seqnum},"published":{time_ms},"timestamp":{time_ms}}},\n'


class InstrumentBodies:
    """The bodies of one instrument's `orderbooks` and `securities`, at the market's newest step."""

    def __init__(self, instrument: MoexInstrument, market: MoexMarket, sequencer: Sequencer) -> None:
        self.instrument = instrument
        self._market = market
        self._sequencer = sequencer
        self._fixed_cells: dict[str, str] = {}
        self._book: tuple[int, bytes] = (-1, b"")
        self._row: tuple[int, Row] = (-1, ())
        self._update: tuple[int, Row, bytes] = (-1, (), b"")

    def book(self) -> bytes:
        """The body of an `orderbooks` message: the bids, then the asks, both by ascending price."""
        step = self._market.step
        if self._book[0] != step:
            bids, asks = self.instrument.bids, self.instrument.asks
            price = self._price
            rows = [f'["B",{price(p)},{q},null]' for p, q in zip(bids.prices, bids.sizes, strict=True)]
            rows.reverse()
            rows += [f'["S",{price(p)},{q},null]' for p, q in zip(asks.prices, asks.sizes, strict=True)]
            properties = self._sequencer.properties("snapshot", BODIES * self.instrument.index)
            self._book = (step, f"{properties}{_BOOK_HEAD}{','.join(rows)}]}}".encode())
        return self._book[1]

    def snapshot(self, language: str | None) -> bytes:
        """The body of the first `securities` message, with all columns."""
        row = list(self.row())
        if language == "ru":
            row[_CAPTION] = text(self.instrument.security.name)
        properties = self._sequencer.properties("snapshot", BODIES * self.instrument.index + 1)
        return f"{properties}{_ALL_COLUMNS}{','.join(row)}]]}}".encode()

    def update(self, since: Row) -> bytes:
        """The body of a later `securities` message: the columns in which the row differs from `since`, the row that was
        sent before. It is never empty: when nothing has changed, and at times when something has, it has BIDDEPTHT with
        its old value."""
        step = self._market.step
        if self._update[0] == step and self._update[1] is since:
            return self._update[2]
        row = self.row()
        pairs = enumerate(zip(since, row, strict=True))
        changed = [place for place, (old, new) in pairs if old is not new and old != new]
        if _BID_DEPTH not in changed and (not changed or step % 5 == 0):
            changed = sorted([*changed, _BID_DEPTH])
        columns = '","'.join([SECURITIES_COLUMNS[place] for place in (_TICKER, *changed)])
        cells = ",".join([row[place] for place in (_TICKER, *changed)])
        properties = self._sequencer.properties("updates", BODIES * self.instrument.index + 1)
        body = f'{properties}"columns":["{columns}"],\n"data":[[{cells}]]}}'.encode()
        self._update = (step, since, body)
        return body

    def row(self) -> Row:
        """The row with all 41 columns."""
        moved_at = self.instrument.moved_at
        if self._row[0] != moved_at or not self._row[1]:
            if not self._fixed_cells:
                self._fixed_cells = self._constant_cells()
            cells = self._fixed_cells | self._changing_cells()
            self._row = (moved_at, tuple([cells.get(column, "null") for column in SECURITIES_COLUMNS]))
        return self._row[1]

    def _price(self, value: int) -> str:
        return price_cell(value, self.instrument.security.decimals)

    def _constant_cells(self) -> dict[str, str]:
        security, price = self.instrument.security, self._price
        day = self._moscow_time(0).date() + dt.timedelta(days=1)
        while day.weekday() > 4:
            day += dt.timedelta(days=1)
        return {
            "TICKER": text(security.ticker),
            "CAPTION": text(security.latin_name),
            "PREVPRICE": price(security.price // security.tick * security.tick),
            "PREVWAPRICE": price(security.price),
            "MARKETPRICE": price(security.price),
            "CURRENCYID": '"SUR"',
            "SETTLECODE": '"Y1"',
            "SETTLEDATE1": f'"{day}"',
            "LOTSIZE": str(security.lot),
            "FACEUNIT": '"SUR"',
            "FACEVALUE": fixed(security.face, 0) if security.face else "null",
            "ISSUESIZE": str(security.issue_size),
            "TRADINGSTATUS": '"T"',
            "STATUS": '"A"',
            "MINSTEP": price(security.tick),
            "PRICEMINSTEP": price(security.tick),
        }

    def _changing_cells(self) -> dict[str, str]:
        now, price, security = self.instrument, self._price, self.instrument.security
        average = (2 * now.turnover + now.volume) // (2 * now.volume)
        return {
            "LAST": price(now.last),
            "CHANGE": fixed(now.last - security.price // security.tick * security.tick, security.decimals),
            "BID": price(now.bids.prices[0]),
            "OFFER": price(now.asks.prices[0]),
            "HIGH": price(now.high),
            "LOW": price(now.low),
            "HIGHBID": price(now.high_bid),
            "LOWOFFER": price(now.low_offer),
            "BIDDEPTHT": str(3 * sum(now.bids.sizes)),
            "OFFERDEPTHT": str(3 * sum(now.asks.sizes)),
            "VOLTODAY": fixed(now.volume, 0),
            "VALTODAY": str(cents(security, now.turnover) // 100),
            "NUMTRADES": str(now.trades),
            "LCURRENTPRICE": price(now.current),
            "WAPRICE": price(average),
            "PRICEMINUSPREVWAPRICE": fixed(now.last - security.price, security.decimals),
            "QTY": str(now.quantity),
            "VALUE": fixed(cents(security, now.last * now.quantity * security.lot), 2),
            "TIME": f'"{self._moscow_time(now.traded_at):%H:%M:%S}"',
        }

    def _moscow_time(self, step: int) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._market.time_ms(step) // 1000, _MOSCOW)


class CandleBodies:
    """The bodies of one instrument's `candles`, at the market's newest step."""

    def __init__(self, instrument: MoexInstrument, market: MoexMarket, sequencer: Sequencer, seed: int) -> None:
        self.instrument = instrument
        self._market = market
        self._sequencer = sequencer
        self._seed = seed
        self._every = max(1, round(UPDATE_S * 1_000_000_000 / market.step_ns))
        self._before: dict[str, MoexCandle] = {}
        """The last candle before the market's first step, by interval: the first trades may belong to its period."""
        self._update: dict[str, tuple[int, int, bytes]] = {}
        """The update that was made last, by interval: (step, step since which it is, body)."""

    @property
    def due_at(self) -> int:
        """The newest step at which an update fell due."""
        step = self._market.step
        return step - (step + self.instrument.index) % self._every

    def snapshot(self, interval: str) -> bytes:
        """The body of the first `candles` message."""
        live = self.instrument.candle_builder.candles(interval)
        candles = continued(self._past(interval), live) if len(live) < ROWS else live
        return self._body("snapshot", interval, candles[-ROWS:])

    def update(self, interval: str, since: int) -> bytes:
        """The body of a later `candles` message: the candles that changed since this step."""
        step = self._market.step
        made = self._update.get(interval)
        if made is None or made[:2] != (step, since):
            current_then = self._market.minute(since) // MINUTES[interval] * MINUTES[interval]
            live = self.instrument.candle_builder.candles(interval, current_then)
            candles = continued([self._before.get(interval) or self._past(interval)[-1]], live)
            changed = [candle for candle in candles if candle.start >= current_then] or candles[-1:]
            made = self._update[interval] = (step, since, self._body("updates", interval, changed))
        return made[2]

    def _past(self, interval: str) -> list[MoexCandle]:
        """The candles before the market's first step. They are made for each snapshot anew, as those of all securities
        would fill the memory."""
        instrument = self.instrument
        before = past(instrument.security, self._seed, instrument.opening, self._market.minute(0), interval)
        self._before[interval] = before[-1]
        return before

    def _body(self, kind: str, interval: str, candles: list[MoexCandle]) -> bytes:
        place = BODIES * self.instrument.index + 2 + _INTERVALS.index(interval)
        now_s = self._market.time_ms(self._market.step) // 1000 + 60 * MOSCOW_AHEAD
        rows = ",".join([self._row(candle, MINUTES[interval], now_s) for candle in candles])
        return f"{self._sequencer.properties(kind, place)}{_CANDLE_HEAD}{rows}]}}".encode()

    def _row(self, candle: MoexCandle, minutes: int, now_s: int) -> str:
        start, opened, high, low, close, volume, turnover = candle
        price, value = self._price, cents(self.instrument.security, turnover)
        times = _times(start * 60, min(now_s, (start + minutes) * 60 - 1))
        prices = f"{price(opened)},{price(high)},{price(low)},{price(close)}"
        return f"[{times},{prices},[{value // 100}.{value % 100:02d},2],{volume}]"

    def _price(self, value: int) -> str:
        return price_cell(value, self.instrument.security.decimals)


@functools.lru_cache(maxsize=8192)
def _times(start_s: int, end_s: int) -> str:
    """FROM and TILL of seconds since the epoch by Moscow's clock. Cached, as all securities have the same times."""
    return f'"{_EPOCH + dt.timedelta(seconds=start_s)}","{_EPOCH + dt.timedelta(seconds=end_s)}"'


def search_body(found: list[Security]) -> bytes:
    """The body of a REPLY to SEARCH.ticker."""
    rows = [
        [
            each.ticker, each.secid, each.board, _BOARD_NAMES[each.board], MARKET, each.name, each.latin_name,
            each.name, each.isin, None, each.board, None, None, None, None,
        ]
        for each in found
    ]  # fmt: skip
    columns, data = msgspec.json.encode(SEARCH_COLUMNS), msgspec.json.encode(rows)
    return b'{"properties":{"type":"snapshot"},\n"columns":%b,\n"data":%b}' % (columns, data)

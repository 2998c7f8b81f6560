"""How the simulated venue writes an instrument down: JSON bodies and MESSAGE frames. Pure.

Numbers are printed as the exchange prints them, with their precision (`[328.00,2]`), which no JSON encoder does;
so bodies are put together as text. What one instrument looks like at one step is made once, however many
connections ask for it.
"""

from __future__ import annotations

import datetime as dt
import functools

import msgspec

from feedbus.sim.moex.candles import MINUTES
from feedbus.sim.moex.catalogue import MARKET, Share
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
_BOARD_NAMES = {
    "TQBR": "Board of shares, settled next day",
    "TQTF": "Board of funds, settled next day",
    "TQCB": "Board of bonds, settled next day",
}
Row = tuple[str, ...]

BODIES = 2 + len(MINUTES)
"""How many bodies an instrument may have at one step: its book, its row, and candles of each interval."""

_SEQNUM_BASE = 570_000_000_000_000_000
_SEQNUM_EPOCH = 1_700_000_000
_MOSCOW = dt.timezone(dt.timedelta(hours=3))
_TICKER, _CAPTION, _BID_DEPTH = 0, 1, SECURITIES_COLUMNS.index("BIDDEPTHT")
_BOOK_HEAD = '"columns":["BUYSELL","PRICE","QUANTITY","REPOVALUE"],\n"data":['
_ALL_COLUMNS = '"columns":["' + '","'.join(SECURITIES_COLUMNS) + '"],\n"data":[['
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
"""`fixed` for prices, which come again and again."""


def cents(paper: Share, turnover: int) -> int:
    """Units times price, in hundredths of the currency. A bond's price is in per cent of its face value."""
    factor: int = paper.face if paper.kind == "bond" else 100
    return int(turnover * factor // 10**paper.decimals)


def text(value: str | None) -> str:
    """A JSON string, or null."""
    return msgspec.json.encode(value).decode()


def message(destination: str, subscription: str, stamp_ms: int, body: bytes) -> bytes:
    """A MESSAGE frame, its headers in the venue's order."""
    head = (
        f"MESSAGE\ncontent-length:{len(body)}\ndestination:{destination}\n"
        f"subscription:{subscription}\nX-gateway-stamp:{stamp_ms}\n\n"
    )
    return b"%b%b\0" % (head.encode(), body)


class Clock:
    """The venue's numbers at a market step: time stamps and sequence numbers, the same for every connection."""

    def __init__(self, market: MoexMarket) -> None:
        self._market = market
        self._stride = BODIES * len(market.instruments) + 96

    def stamp_ms(self) -> int:
        """When the gateway lets the newest step go: a millisecond after it was published."""
        return self._market.time_ms(self._market.step) + 1

    def properties(self, kind: str, place: int) -> str:
        """The first line of a body. `place` tells the bodies of one step apart."""
        market = self._market
        time_ms = market.time_ms(market.step)
        before = (market.start_ns // 1_000_000_000 - _SEQNUM_EPOCH) * -(-1_000_000_000 // market.step_ns)
        seqnum = _SEQNUM_BASE + (before + market.step) * self._stride + place
        return f'{{"properties":{{"type":"{kind}","seqnum":{seqnum},"published":{time_ms},"timestamp":{time_ms}}},\n'


class Sheet:
    """One instrument on the wire, at the market's newest step."""

    def __init__(self, instrument: MoexInstrument, market: MoexMarket, clock: Clock) -> None:
        self.instrument = instrument
        self._market = market
        self._clock = clock
        self._fixed_cells: dict[str, str] = {}
        self._book: tuple[int, bytes] = (-1, b"")
        self._row: tuple[int, Row] = (-1, ())
        self._update: tuple[int, Row, bytes] = (-1, (), b"")

    def book(self) -> bytes:
        """The body of an `orderbooks` message: bids, then asks, each ascending."""
        step = self._market.step
        if self._book[0] != step:
            bids, asks = self.instrument.bids, self.instrument.asks
            price = self._price
            rows = [f'["B",{price(p)},{q},null]' for p, q in zip(bids.prices, bids.sizes, strict=True)]
            rows.reverse()
            rows += [f'["S",{price(p)},{q},null]' for p, q in zip(asks.prices, asks.sizes, strict=True)]
            properties = self._clock.properties("snapshot", BODIES * self.instrument.index)
            self._book = (step, f"{properties}{_BOOK_HEAD}{','.join(rows)}]}}".encode())
        return self._book[1]

    def snapshot(self, language: str | None) -> bytes:
        """The body of the first `securities` message: every column."""
        row = list(self.row())
        if language == "ru":
            row[_CAPTION] = text(self.instrument.paper.name)
        properties = self._clock.properties("snapshot", BODIES * self.instrument.index + 1)
        return f"{properties}{_ALL_COLUMNS}{','.join(row)}]]}}".encode()

    def update(self, since: Row) -> bytes:
        """The body of a later one: the columns that differ from the row sent before. Never none: when nothing
        changed, and now and then when something did, BIDDEPTHT goes out though its value is the same."""
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
        properties = self._clock.properties("updates", BODIES * self.instrument.index + 1)
        body = f'{properties}"columns":["{columns}"],\n"data":[[{cells}]]}}'.encode()
        self._update = (step, since, body)
        return body

    def row(self) -> Row:
        """The 41 cells, as JSON texts."""
        moved_at = self.instrument.moved_at
        if self._row[0] != moved_at or not self._row[1]:
            if not self._fixed_cells:
                self._fixed_cells = self._constant_cells()
            cells = self._fixed_cells | self._changing_cells()
            self._row = (moved_at, tuple([cells.get(column, "null") for column in SECURITIES_COLUMNS]))
        return self._row[1]

    def _price(self, value: int) -> str:
        return price_cell(value, self.instrument.paper.decimals)

    def _constant_cells(self) -> dict[str, str]:
        paper, price = self.instrument.paper, self._price
        day = self._moscow_time(0).date() + dt.timedelta(days=1)
        while day.weekday() > 4:
            day += dt.timedelta(days=1)
        return {
            "TICKER": text(paper.ticker),
            "CAPTION": text(paper.latin_name),
            "PREVPRICE": price(paper.price // paper.tick * paper.tick),
            "PREVWAPRICE": price(paper.price),
            "MARKETPRICE": price(paper.price),
            "CURRENCYID": '"SUR"',
            "SETTLECODE": '"Y1"',
            "SETTLEDATE1": f'"{day}"',
            "LOTSIZE": str(paper.lot),
            "FACEUNIT": '"SUR"',
            "FACEVALUE": fixed(paper.face, 0) if paper.face else "null",
            "ISSUESIZE": str(paper.issue_size),
            "TRADINGSTATUS": '"T"',
            "STATUS": '"A"',
            "MINSTEP": price(paper.tick),
            "PRICEMINSTEP": price(paper.tick),
        }

    def _changing_cells(self) -> dict[str, str]:
        now, price, paper = self.instrument, self._price, self.instrument.paper
        average = (2 * now.turnover + now.volume) // (2 * now.volume)
        return {
            "LAST": price(now.last),
            "CHANGE": fixed(now.last - paper.price // paper.tick * paper.tick, paper.decimals),
            "BID": price(now.bids.prices[0]),
            "OFFER": price(now.asks.prices[0]),
            "HIGH": price(now.high),
            "LOW": price(now.low),
            "HIGHBID": price(now.high_bid),
            "LOWOFFER": price(now.low_offer),
            "BIDDEPTHT": str(3 * sum(now.bids.sizes)),
            "OFFERDEPTHT": str(3 * sum(now.asks.sizes)),
            "VOLTODAY": fixed(now.volume, 0),
            "VALTODAY": str(cents(paper, now.turnover) // 100),
            "NUMTRADES": str(now.trades),
            "LCURRENTPRICE": price(now.current),
            "WAPRICE": price(average),
            "PRICEMINUSPREVWAPRICE": fixed(now.last - paper.price, paper.decimals),
            "QTY": str(now.quantity),
            "VALUE": fixed(cents(paper, now.last * now.quantity * paper.lot), 2),
            "TIME": f'"{self._moscow_time(now.traded_at):%H:%M:%S}"',
        }

    def _moscow_time(self, step: int) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._market.time_ms(step) // 1000, _MOSCOW)


def search_body(found: list[Share]) -> bytes:
    """The body of a REPLY to SEARCH.ticker."""
    rows = [
        [
            paper.ticker, paper.secid, paper.board, _BOARD_NAMES[paper.board], MARKET, paper.name, paper.latin_name,
            paper.name, paper.isin, None, paper.board, None, None, None, None,
        ]
        for paper in found
    ]  # fmt: skip
    columns, data = msgspec.json.encode(SEARCH_COLUMNS), msgspec.json.encode(rows)
    return b'{"properties":{"type":"snapshot"},\n"columns":%b,\n"data":%b}' % (columns, data)

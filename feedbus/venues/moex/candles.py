"""MOEX candles: the messages of one subscription to `<MARKET>.candles`, and the bars that they become. Pure.

    {"properties":{"type":"updates","seqnum":569811206658952028,"published":1769065132000,"timestamp":1769065132000},
    "columns":["FROM","TILL","OPEN","HIGH","LOW","CLOSE","VALUE","VOLUME"],
    "data":[["2026-01-22 00:00:00","2026-01-22 09:58:52",[306.60,2],[307.00,2],[305.89,2],[305.98,2],
             [445852749.85,2],1454976]]}

First a snapshot (256 rows as a rule), then about every 5 s `updates` with the current candle. A row is known by its
FROM. FROM and TILL are Moscow time, taken as UTC+3 all along: so it has been since 2014-10-26, and bars from before
would begin an hour or two beside the truth.

What is published, as events.Bar with source "venue":
  the first snapshot   every row; all but the newest are final
  a later snapshot     after a reconnect, or a subscription made anew: what is new or has changed since, which is the
                       bar that was forming, those that began meanwhile, and always the newest one
  an update            each bar that it changes
`final` is said once a later FROM has come: the newest bar of the night stays open until the morning. `revision` counts
the versions of a bar that were published before this one. `complete` is False in one case: a later FROM came, the
venue hasn't restated the earlier candle with it or since, and its last TILL lies before its last second, so that the
trades of its last seconds may be missing.

To know what is new, the two newest bars are kept in a `NewestBars`, which outlives the subscription. A later snapshot
passes over whatever is older than these two, and an update of an older bar is reported as BadData. A removal empties a
bar that is kept; that older ones leave the venue's table as time passes means nothing. When a snapshot ends before the
bars that are kept, the venue's table has begun anew, and so do we.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from feedbus.errors import BadData
from feedbus.schema.events import Bar
from feedbus.text import quoted
from feedbus.venues.moex.message_order import MessageOrder, StaleMessage
from feedbus.venues.moex.tables import (
    VENUE,
    Cell,
    MoexTable,
    ReadCell,
    column,
    price_of,
    read_table,
    size_of,
)
from feedbus.venues.problems import Problems
from feedbus.venues.sessions import OutOfStep

PERIODS = {"candles.M1": 60, "candles.M10": 600, "candles.H1": 3600, "candles.D1": 86400}
"""Seconds, by channel. The venue's longer intervals (W1, m1, m3, Q1) have no fixed length, so they are no bars."""

BARS_KEPT = 2
_TOO_OLD = f"a change to a candle before the newest {BARS_KEPT}"

_MOSCOW_AHEAD = 3 * 3600  # seconds
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 (Moscow's, like the times that are counted from it)
_YEARS = range(1971, 2200)  # whose nanoseconds fit 64 bits
_NO_TIME = "not a time that can be used"
_CELLS: dict[str, tuple[str, ReadCell]] = {
    "OPEN": ("open", price_of),
    "HIGH": ("high", price_of),
    "LOW": ("low", price_of),
    "CLOSE": ("close", price_of),
    "VOLUME": ("volume", size_of),
    "VALUE": ("turnover", size_of),
}


class CandleRow(msgspec.Struct, frozen=True, gc=False):
    """What one row of a message says: the fields of a Bar that it names, and TILL (ns, UTC)."""

    values: dict[str, float | None]
    till: int | None


class CandleState(msgspec.Struct, frozen=True, gc=False):
    """One bar as it was published last, and its TILL."""

    values: dict[str, float | None]
    till: int | None
    final: bool
    complete: bool
    revision: int


class NewestBars:
    """The newest bars of one channel and symbol, by their start. They outlive the subscriptions."""

    def __init__(self) -> None:
        self.candles: dict[int, CandleState] = {}

    def keep(self, start: int, candle: CandleState) -> None:
        """Keeps this version of a bar, and drops the oldest bar when there are more than two."""
        self.candles[start] = candle
        if len(self.candles) > BARS_KEPT:
            del self.candles[min(self.candles)]


class Candles:
    """Decodes and merges the messages of one subscription.

    The venue sends a change only once. So a message that can't be applied raises OutOfStep, after which the
    subscription is made anew. A cell that can't be read becomes None, and `problems` has a BadData about it.
    """

    def __init__(self, channel: str, symbol: str, newest_bars: NewestBars) -> None:
        self.symbol = symbol
        self.place = f"{channel} {symbol}"
        self.problems: Sequence[BadData] = ()  # of the last message
        self._order = MessageOrder()
        self.seqnum_regressions = 0
        self.values_left_out = self.levels_left_out = 0
        self._period = PERIODS[channel]
        self._newest_bars = newest_bars
        self._begun = False

    def decode(self, body: bytes | bytearray, ts_recv: int) -> list[Bar]:
        """The bars that are new or have changed, oldest first. Raises OutOfStep, and StaleMessage for a message that
        came before, which changes nothing."""
        problems = Problems(self.place, below_zero=True)
        self.problems = ()
        try:
            table = read_table(body, self.place)
            changes = self._take(table, problems)
        except StaleMessage:
            raise
        except BadData as error:
            raise OutOfStep(error.place, error.reason) from None
        if problems:
            self.problems = problems.errors()
        self.values_left_out += problems.values
        ts_event = table.properties.timestamp * 1_000_000
        return [self._bar(start, candle, ts_event, ts_recv) for start, candle in changes]

    def _take(self, table: MoexTable, problems: Problems) -> list[tuple[int, CandleState]]:
        """Applies one message to the bars that are kept, and returns those to publish. When it raises BadData, nothing
        has changed."""
        kind = table.properties.type
        if kind not in ("snapshot", "updates", "removal"):
            raise BadData(self.place, f"unknown type {quoted(kind)}")
        if kind != "snapshot" and not self._begun:
            raise BadData(self.place, f"{kind} before a snapshot")
        rows = self._read_rows(table, problems)
        self.seqnum_regressions += self._order.stepped_back(table.properties, self.place)
        self._begun = True
        kept = self._newest_bars.candles
        if kind == "removal":
            rows = {start: _REMOVED for start in rows if start in kept}
        elif kind == "snapshot" and rows and max(rows) < max(kept, default=0):
            kept.clear()
        return self._changes(kind, rows, problems)

    def _changes(self, kind: str, rows: Mapping[int, CandleRow], problems: Problems) -> list[tuple[int, CandleState]]:
        kept = self._newest_bars.candles
        oldest, newest = min(kept, default=0), max([*rows, *kept], default=0)
        changes = []
        for start in sorted({*rows, *kept}):
            before = kept.get(start)
            if before is None and start < oldest:
                if kind == "updates":
                    problems.note("", _TOO_OLD)
                continue
            candle = self._merged(start, before, rows.get(start), whole=kind == "snapshot", final=start < newest)
            self._newest_bars.keep(start, candle)
            if before is None or candle.revision > before.revision or (kind == "snapshot" and start == newest):
                changes.append((start, candle))
        return changes

    def _merged(
        self, start: int, before: CandleState | None, row: CandleRow | None, *, whole: bool, final: bool
    ) -> CandleState:
        """Returns a bar after a message. `row` is what the message says about it, None for nothing; with `whole` the
        row replaces the bar, otherwise it changes the cells that it names."""
        values = {} if before is None else before.values
        till = None if before is None else before.till
        stated = before is not None and before.final and before.complete
        if row is not None:
            values = row.values if whole else {**values, **row.values}
            till = till if row.till is None else row.till
            stated = True
        covered = till is not None and till >= start + (self._period - 1) * 1_000_000_000
        complete = not final or stated or covered
        if before is None:
            return CandleState(values, till, final, complete, 0)
        changed = (values, final, complete) != (before.values, before.final, before.complete)
        return CandleState(values, till, final, complete, before.revision + changed)

    def _read_rows(self, table: MoexTable, problems: Problems) -> dict[int, CandleRow]:
        """Returns the rows by their start. When two rows have the same FROM, the later one counts."""
        from_at = column(table, "FROM", self.place)
        till_at = table.columns.index("TILL") if "TILL" in table.columns else None
        known = [(at, *_CELLS[name], name) for at, name in enumerate(table.columns) if name in _CELLS]
        rows: dict[int, CandleRow] = {}
        for cells in table.data:
            start = _moscow_time(cells[from_at])
            if start is None:
                raise BadData(f"{self.place} FROM", f"{_NO_TIME}: {quoted(cells[from_at])}")
            values = {field: read(cells[at], name, problems) for at, field, read, name in known}
            till = None if till_at is None else self._till(cells[till_at], problems)
            rows[start] = CandleRow(values, till)
        return rows

    def _till(self, cell: Cell, problems: Problems) -> int | None:
        till = _moscow_time(cell)
        if till is None and cell is not None:
            problems.note("TILL", _NO_TIME, cell)
        return till

    def _bar(self, start: int, candle: CandleState, ts_event: int, ts_recv: int) -> Bar:
        value = candle.values.get
        return Bar(
            VENUE,
            self.symbol,
            ts_event,
            ts_recv,
            "venue",
            self._period,
            start,
            value("open"),
            value("high"),
            value("low"),
            value("close"),
            value("volume"),
            value("turnover"),
            trades=None,
            buy_volume=None,
            sell_volume=None,
            vwap=None,
            final=candle.final,
            revision=candle.revision,
            complete=candle.complete,
            turnover_currency=value("turnover"),
        )


_REMOVED = CandleRow({field: None for field, _ in _CELLS.values()}, None)


def _moscow_time(cell: Cell) -> int | None:
    """Nanoseconds since the epoch, UTC, of "2026-01-22 09:58:52" in Moscow; None for anything else."""
    return _parsed(cell) if type(cell) is str and len(cell) == 19 else None


@lru_cache(maxsize=8192)
def _parsed(text: str) -> int | None:
    """Cached, because all symbols have candles of the same times."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    if text[4::3] != "-- ::" or moment.year not in _YEARS:
        return None
    return (int((moment - _EPOCH).total_seconds()) - _MOSCOW_AHEAD) * 1_000_000_000

"""MOEX securities: the day's figures, and the messages of one subscription to `securities`. Pure.

    {"properties":{"type":"updates",…},"columns":["TICKER","LAST"],"data":[["MXSE.TQBR.SBER",[327.95,2]]]}

A snapshot brings every cell of the one row, updates bring the cells that changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feedbus.errors import BadData
from feedbus.schema.events import Ticker
from feedbus.text import quoted
from feedbus.venues.moex.message_order import MessageOrder, StaleMessage
from feedbus.venues.moex.symbols import ticker as ticker_of
from feedbus.venues.moex.tables import (
    VENUE,
    MoexTable,
    ReadCell,
    column,
    count_of,
    price_of,
    read_table,
    size_of,
    word_of,
)
from feedbus.venues.moex.trade_times import TradeTimes
from feedbus.venues.problems import Problems
from feedbus.venues.sessions import OutOfStep

_CELLS: dict[str, tuple[str, ReadCell]] = {
    "BID": ("bid", price_of),
    "OFFER": ("ask", price_of),
    "LAST": ("last", price_of),
    "HIGH": ("high", price_of),
    "LOW": ("low", price_of),
    "PREVPRICE": ("previous_close", price_of),
    "VOLTODAY": ("volume", size_of),
    "VALTODAY": ("turnover", size_of),
    "NUMTRADES": ("trades", count_of),
    "TRADINGSTATUS": ("status", word_of),
}


class OtherTicker(OutOfStep):
    """A row is about another instrument than the one subscribed."""


class Securities:
    """Decodes and merges the messages of one subscription to `securities`: one row, known by its TICKER.

    A snapshot replaces the row, and one without rows empties it. Updates change the cells that they name, and create
    the row when there is none. A removal empties it. The venue sends a change only once, so a message that can't be
    read at all raises OutOfStep, after which the subscription is made anew. A cell that can't be read becomes None,
    because its former value is no longer true, and `problems` has a BadData about it.
    """

    def __init__(self, symbol: str, times: TradeTimes | None = None) -> None:
        """The times of new trades are added to `times`."""
        self.symbol = symbol
        self.place = f"securities {symbol}"
        self.problems: Sequence[BadData] = ()  # of the last message
        self._order = MessageOrder()
        self.seqnum_regressions = 0
        self.values_left_out = self.levels_left_out = 0
        self._ticker = ticker_of(symbol).casefold()
        self._begun = False
        self._key: str | None = None
        self._row: dict[str, Any] = {}
        self._times = times or TradeTimes()

    def decode(self, body: bytes | bytearray, ts_recv: int) -> Ticker | None:
        """The merged row after this message, or None when it changed none. Raises OutOfStep, and StaleMessage for one
        that came before, which changes nothing."""
        self.problems = ()
        try:
            return self._decode(body, ts_recv)
        except (OtherTicker, StaleMessage):
            raise
        except BadData as error:
            raise OutOfStep(error.place, error.reason) from None

    def _decode(self, body: bytes | bytearray, ts_recv: int) -> Ticker | None:
        table = read_table(body, self.place)
        problems = Problems(self.place, below_zero=True)
        kind = table.properties.type
        if kind not in ("snapshot", "updates", "removal"):
            raise BadData(self.place, f"unknown type {quoted(kind)}")
        if kind != "snapshot" and not self._begun:
            raise BadData(self.place, f"{kind} before a snapshot")
        key, cells = self._read_rows(table, problems)
        self.seqnum_regressions += self._order.stepped_back(table.properties, self.place)
        trades = self._row.get("trades")
        changed = self._merge(kind, key, cells)
        if kind == "updates" and trades is not None and (cells.get("trades") or 0) > trades:
            self._note_trade(table, ts_recv)
        if problems:
            self.problems = problems.errors()
        self.values_left_out += problems.values
        if not changed:
            return None
        return Ticker(VENUE, self.symbol, table.properties.timestamp * 1_000_000, ts_recv, **self._row)

    def _note_trade(self, table: MoexTable, ts_recv: int) -> None:
        if table.data and "TIME" in table.columns:
            time = table.data[-1][table.columns.index("TIME")]
            self._times.add(time, table.properties.timestamp * 1_000_000, ts_recv)

    def _merge(self, kind: str, key: str | None, cells: dict[str, Any]) -> bool:
        """Applies one message to the row. Returns False when the message has no row."""
        held = self._key is not None
        self._begun = True
        if kind == "snapshot":
            self._key, self._row = key, cells
            return held or key is not None
        if key is None or (kind == "removal" and not held):
            return False
        if kind == "updates":
            self._key = key
            self._row.update(cells)
        else:
            self._key, self._row = None, {}
        return True

    def _read_rows(self, table: MoexTable, problems: Problems) -> tuple[str | None, dict[str, Any]]:
        """Returns the TICKER of the rows, and the cells that we know. Of several rows the later ones count."""
        key_at = column(table, "TICKER", self.place)
        key: str | None = None
        cells: dict[str, Any] = {}
        for row in table.data:
            ticker = row[key_at]
            if type(ticker) is not str or (key is not None and ticker != key):
                raise BadData(self.place, "TICKER is not the same text in every row")
            key = ticker
            for name, cell in zip(table.columns, row, strict=True):
                if (known := _CELLS.get(name)) is not None:
                    cells[known[0]] = known[1](cell, name, problems)
        if key is not None and key.casefold() != self._ticker:
            raise OtherTicker(self.place, f"a row of another TICKER: {quoted(key)}")
        return key, cells

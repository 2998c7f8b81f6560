"""What a client can subscribe, and what each subscription is sent. Pure.

`changed_at` is the last step at which something was due to be sent; `first` is the body of the snapshot, `next` that of
a later message, at the market's newest step.
"""

from __future__ import annotations

from typing import Protocol

from feedbus.sim.moex.candle_sheet import CandleSheet
from feedbus.sim.moex.market import MoexMarket
from feedbus.sim.moex.wire import Row, Sheet


class MoexStream(Protocol):
    """One subscription's source of bodies."""

    @property
    def changed_at(self) -> int: ...

    def first(self) -> bytes: ...

    def next(self) -> bytes: ...


class OrderbooksStream:
    """`orderbooks`: the whole book, every time."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet

    @property
    def changed_at(self) -> int:
        return self._sheet.instrument.moved_at

    def first(self) -> bytes:
        return self._sheet.book()

    next = first


class SecuritiesStream:
    """`securities`: every column, then those that differ from what this subscription was sent before."""

    def __init__(self, sheet: Sheet, language: str) -> None:
        self._sheet = sheet
        self._language = language
        self._row: Row = ()

    @property
    def changed_at(self) -> int:
        return self._sheet.instrument.ticked_at

    def first(self) -> bytes:
        self._row = self._sheet.row()
        return self._sheet.snapshot(self._language)

    def next(self) -> bytes:
        body = self._sheet.update(self._row)
        self._row = self._sheet.row()
        return body


class CandlesStream:
    """`candles` of one interval: 256 of them, then what has changed of them, every 5 s."""

    def __init__(self, sheet: CandleSheet, interval: str, market: MoexMarket) -> None:
        self._sheet = sheet
        self._interval = interval
        self._market = market
        self._sent_at = 0

    @property
    def changed_at(self) -> int:
        return self._sheet.due_at

    def first(self) -> bytes:
        self._sent_at = self._market.step
        return self._sheet.snapshot(self._interval)

    def next(self) -> bytes:
        body = self._sheet.update(self._interval, self._sent_at)
        self._sent_at = self._market.step
        return body

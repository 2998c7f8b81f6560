"""The streams of the simulated exchange: what each kind of subscription is sent. Pure.

`changed_at` is the newest step at which a message fell due. `first` returns the body of the snapshot and `next` that of
a later message, both at the market's newest step.
"""

from __future__ import annotations

from typing import Protocol

from feedbus.sim.moex.market import MoexMarket
from feedbus.sim.moex.wire import CandleBodies, InstrumentBodies, Row


class MoexStream(Protocol):
    """The bodies of one subscription."""

    @property
    def changed_at(self) -> int: ...

    def first(self) -> bytes: ...

    def next(self) -> bytes: ...


class MoexBookStream:
    """`orderbooks`: every message is the whole book."""

    def __init__(self, bodies: InstrumentBodies) -> None:
        self._bodies = bodies

    @property
    def changed_at(self) -> int:
        return self._bodies.instrument.moved_at

    def first(self) -> bytes:
        return self._bodies.book()

    next = first


class MoexSecuritiesStream:
    """`securities`: all columns first, then those that changed since the subscription's last message."""

    def __init__(self, bodies: InstrumentBodies, language: str) -> None:
        self._bodies = bodies
        self._language = language
        self._row: Row = ()

    @property
    def changed_at(self) -> int:
        return self._bodies.instrument.ticked_at

    def first(self) -> bytes:
        self._row = self._bodies.row()
        return self._bodies.snapshot(self._language)

    def next(self) -> bytes:
        body = self._bodies.update(self._row)
        self._row = self._bodies.row()
        return body


class MoexCandleStream:
    """`candles` of one interval: 256 candles first, then every 5 s those that changed."""

    def __init__(self, bodies: CandleBodies, interval: str, market: MoexMarket) -> None:
        self._bodies = bodies
        self._interval = interval
        self._market = market
        self._sent_at = 0

    @property
    def changed_at(self) -> int:
        return self._bodies.due_at

    def first(self) -> bytes:
        self._sent_at = self._market.step
        return self._bodies.snapshot(self._interval)

    def next(self) -> bytes:
        body = self._bodies.update(self._interval, self._sent_at)
        self._sent_at = self._market.step
        return body

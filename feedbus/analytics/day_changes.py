"""What was traded between two tickers of an instrument, drawn from the sums of the day that they carry. Pure.

The first ticker is where it begins: of what was traded before it, nothing is known. From then on something was traded
when the last price is another, or a sum (volume, turnover, trades) has risen.

A sum that falls to less than half begins a new day: all of it was traded since. One that falls less was corrected: how
much was traded isn't known then, until a new day begins. Of a window that rolls (`window_s`) it is never known: what is
traded comes in as what is old goes out.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from feedbus.schema.events import Ticker

N = TypeVar("N", int, float)


class Change(msgspec.Struct, frozen=True, gc=False):
    """Traded at `price`, the last one: so much, in the units of the ticker's sums. None: not known."""

    price: float
    volume: float | None
    turnover: float | None
    trades: int | None


class DayChanges:
    """The tickers of one instrument, in order."""

    __slots__ = ("_begun", "_last", "_trades", "_trusted", "_turnover", "_volume")

    def __init__(self) -> None:
        self._begun = False
        self._trusted = True
        self._last: float | None = None
        self._volume: float | None = None
        self._turnover: float | None = None
        self._trades: int | None = None

    def change(self, ticker: Ticker) -> Change | None:
        """What was traded since the ticker before; None for nothing that is known of.

        A ticker without a last price says no price that anything was traded at: its sums are left to the next one."""
        if ticker.last is None:
            return None
        if ticker.window_s is not None:
            return self._rolled(ticker)
        new_day = self._is_new_day(ticker)
        volume = self._risen(self._volume, ticker.volume, new_day=new_day)
        turnover = self._risen(self._turnover, ticker.turnover, new_day=new_day)
        trades = self._risen(self._trades, ticker.trades, new_day=new_day)
        traded = ticker.last != self._last or bool(volume) or bool(turnover) or bool(trades)
        begun, self._begun = self._begun, True
        self._last = ticker.last
        self._volume = self._volume if ticker.volume is None else ticker.volume
        self._turnover = self._turnover if ticker.turnover is None else ticker.turnover
        self._trades = self._trades if ticker.trades is None else ticker.trades
        return Change(ticker.last, volume, turnover, trades) if begun and traded else None

    def _is_new_day(self, ticker: Ticker) -> bool:
        """True when a sum has begun anew. Whether sums can be trusted is found out here too."""
        new_day = fell = False
        for before, now in (
            (self._volume, ticker.volume),
            (self._turnover, ticker.turnover),
            (self._trades, ticker.trades),
        ):
            if before is not None and now is not None and now < before:
                new_day = new_day or now * 2 < before
                fell = True
        if new_day:
            self._trusted = True
        elif fell:
            self._trusted = False
        return new_day

    def _risen(self, before: N | None, now: N | None, *, new_day: bool) -> N | None:
        if before is None or now is None or not self._trusted:
            return None
        return now if new_day else now - before

    def _rolled(self, ticker: Ticker) -> Change | None:
        """What a ticker of a window that rolls says: whether the last price is another."""
        begun, self._begun = self._begun, True
        moved, self._last = ticker.last != self._last, ticker.last
        return Change(ticker.last, None, None, None) if begun and moved and ticker.last is not None else None

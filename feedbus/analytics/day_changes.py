"""What was traded between two tickers of an instrument, derived from the sums of the day that tickers carry.

A ticker isn't a trade, but two tickers in a row show that something was traded: the last price differs, or one of the
sums of the day (volume, turnover, trades) has risen. How far a sum rose is what was traded in between. The first ticker
only gives the starting point, since nothing is known of what was traded before it.

Sums don't always rise:

- A sum that falls to less than half has begun a new day, and all of it was traded since then.
- A sum that falls by less was corrected by the venue. How much was traded is unknown then, until a new day begins.
- A ticker of a rolling window (`window_s`, the last 24 hours on Binance) never tells how much was traded, because old
  trades leave its sums while new ones enter. There only another last price shows a trade.

The module is pure.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from feedbus.schema.events import Ticker

N = TypeVar("N", int, float)


class Change(msgspec.Struct, frozen=True, gc=False):
    """What was traded between two tickers. `price` is the last price; `volume`, `turnover` and `trades` are in the
    units of the ticker's own sums, and None where the amount is unknown."""

    price: float
    volume: float | None
    turnover: float | None
    trades: int | None


class DayChanges:
    """Compares the tickers of one instrument, which must come in the order of their times."""

    __slots__ = ("_last", "_started", "_sums_trusted", "_trades", "_turnover", "_volume")

    def __init__(self) -> None:
        self._started = False  # True once there has been a ticker to compare with
        self._sums_trusted = True  # False from a correction of a sum until a new day begins
        self._last: float | None = None
        self._volume: float | None = None
        self._turnover: float | None = None
        self._trades: int | None = None

    def change(self, ticker: Ticker) -> Change | None:
        """Returns what was traded since the ticker before, or None when no trade can be seen.

        A ticker without a last price doesn't say at what price something was traded. It is skipped, and the next
        ticker's sums include what it would have shown.
        """
        if ticker.last is None:
            return None
        if ticker.window_s is not None:
            return self._change_in_rolling_window(ticker)
        new_day = self._check_sums(ticker)
        volume = self._increase(self._volume, ticker.volume, new_day=new_day)
        turnover = self._increase(self._turnover, ticker.turnover, new_day=new_day)
        trades = self._increase(self._trades, ticker.trades, new_day=new_day)
        traded = ticker.last != self._last or bool(volume) or bool(turnover) or bool(trades)
        started, self._started = self._started, True
        self._last = ticker.last
        self._volume = self._volume if ticker.volume is None else ticker.volume
        self._turnover = self._turnover if ticker.turnover is None else ticker.turnover
        self._trades = self._trades if ticker.trades is None else ticker.trades
        return Change(ticker.last, volume, turnover, trades) if started and traded else None

    def _check_sums(self, ticker: Ticker) -> bool:
        """Returns True when a new day has begun, and notes whether the sums can be trusted from now on."""
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
            self._sums_trusted = True
        elif fell:
            self._sums_trusted = False
        return new_day

    def _increase(self, before: N | None, now: N | None, *, new_day: bool) -> N | None:
        """How far a sum has risen; None when that isn't known."""
        if before is None or now is None or not self._sums_trusted:
            return None
        return now if new_day else now - before

    def _change_in_rolling_window(self, ticker: Ticker) -> Change | None:
        """The change that another last price shows: its amounts are unknown."""
        started, self._started = self._started, True
        moved, self._last = ticker.last != self._last, ticker.last
        return Change(ticker.last, None, None, None) if started and moved and ticker.last is not None else None

"""Indicators over the closes of final bars: simple and exponential moving averages. Pure.

sma  of n bars: the mean of the last n closes.
ema  of n bars: e = e' + a (close - e') with a = 2 / (n + 1), where e' is the value before. It begins as the mean of the
     first n closes, the usual seed, so that it doesn't lean on a single one.

Both are None until there have been n closes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import fsum
from typing import Literal, Protocol, get_args

Name = Literal["sma", "ema"]
NAMES: tuple[Name, ...] = get_args(Name)


class MovingAverage(Protocol):
    """One indicator of one instrument and period."""

    window: int

    def add(self, close: float) -> float | None:
        """One more final bar; the value then."""

    def replace(self, close: float) -> float | None:
        """The last bar was corrected: its close is another; the value then. Only after `add`."""


class Sma:
    """The mean of the last `window` closes, summed up anew each time: it never drifts."""

    __slots__ = ("_closes", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self._closes: deque[float] = deque(maxlen=window)

    def add(self, close: float) -> float | None:
        """See MovingAverage."""
        self._closes.append(close)
        return self._value()

    def replace(self, close: float) -> float | None:
        """See MovingAverage."""
        self._closes[-1] = close
        return self._value()

    def _value(self) -> float | None:
        return fsum(self._closes) / self.window if len(self._closes) == self.window else None


class Ema:
    """The exponential moving average, seeded with the mean of the first `window` closes."""

    __slots__ = ("_alpha", "_before", "_seed", "_value", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self._alpha = 2 / (window + 1)
        self._seed: list[float] = []  # the first closes, until there are enough of them
        self._value: float | None = None
        self._before: float | None = None  # the value before the last close

    def add(self, close: float) -> float | None:
        """See MovingAverage."""
        self._before = self._value
        if self._before is None:
            self._seed.append(close)
        else:
            self._seed.clear()
        return self._with(close)

    def replace(self, close: float) -> float | None:
        """See MovingAverage."""
        if self._before is None:
            self._seed[-1] = close
        return self._with(close)

    def _with(self, close: float) -> float | None:
        if self._before is not None:
            self._value = self._before + self._alpha * (close - self._before)
        elif len(self._seed) == self.window:
            self._value = fsum(self._seed) / self.window
        return self._value


KINDS: dict[Name, Callable[[int], MovingAverage]] = {"sma": Sma, "ema": Ema}
"""What each name makes, given the window."""

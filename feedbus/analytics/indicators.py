"""Moving averages over the closes of final bars: simple (sma) and exponential (ema).

sma  The mean of the last n closes.
ema  e = e' + a * (close - e') with a = 2 / (n + 1), where e' is the value before this close. The first value is the
     mean of the first n closes, which is the usual seed, so that it doesn't depend on a single close.

Both are None until there have been n closes. The module is pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import fsum
from typing import Literal, Protocol

IndicatorName = Literal["sma", "ema"]

WINDOWS_OF_EMA = 3
"""Of so many windows the closes count in an exponential average. The weight of all before them together is
(1 - 2 / (n + 1)) ** (3 * n), which is less than exp(-6), 0.25 %, for every n."""


class MovingAverage(Protocol):
    """One indicator of one instrument and period. `window` is the number of closes that it averages, and `reach` the
    number of closes that count in it: all that came before weigh nothing, or next to nothing."""

    window: int
    reach: int

    def add(self, close: float) -> float | None:
        """Takes in the close of one more final bar and returns the new value; None while there are too few closes."""

    def replace(self, close: float) -> float | None:
        """Replaces the close that was added last, because its bar was corrected, and returns the new value. Must not be
        called before `add`."""


class Sma:
    """The mean of the last `window` closes. It is summed up anew each time, so that rounding errors don't add up."""

    __slots__ = ("_closes", "reach", "window")

    def __init__(self, window: int) -> None:
        self.window = self.reach = window
        self._closes: deque[float] = deque(maxlen=window)

    def add(self, close: float) -> float | None:
        """Takes in one more close and returns the mean; None while there are too few closes."""
        self._closes.append(close)
        return self._value()

    def replace(self, close: float) -> float | None:
        """Replaces the last close and returns the mean."""
        self._closes[-1] = close
        return self._value()

    def _value(self) -> float | None:
        return fsum(self._closes) / self.window if len(self._closes) == self.window else None


class Ema:
    """The exponential moving average, seeded with the mean of the first `window` closes."""

    __slots__ = ("_alpha", "_previous", "_seed", "_value", "reach", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self.reach = WINDOWS_OF_EMA * window
        self._alpha = 2 / (window + 1)
        self._seed: list[float] = []  # the first closes, until there are `window` of them
        self._value: float | None = None
        self._previous: float | None = None  # the value before the last close, which `replace` starts from again

    def add(self, close: float) -> float | None:
        """Takes in one more close and returns the average; None while there are too few closes."""
        self._previous = self._value
        if self._previous is None:
            self._seed.append(close)
        else:
            self._seed.clear()
        return self._update(close)

    def replace(self, close: float) -> float | None:
        """Replaces the last close and returns the average."""
        if self._previous is None:
            self._seed[-1] = close
        return self._update(close)

    def _update(self, close: float) -> float | None:
        if self._previous is not None:
            self._value = self._previous + self._alpha * (close - self._previous)
        elif len(self._seed) == self.window:
            self._value = fsum(self._seed) / self.window
        return self._value


INDICATORS: dict[IndicatorName, Callable[[int], MovingAverage]] = {"sma": Sma, "ema": Ema}
"""The class of each indicator, by its name in the configuration. Each takes the window."""

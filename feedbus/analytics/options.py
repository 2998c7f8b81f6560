"""What the aggregator can be told, and what it counts. Pure."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from feedbus.analytics.indicators import Name
from feedbus.errors import ConfigError

PeriodSeconds = Annotated[int, Meta(ge=1, le=86400)]
LevelCount = Annotated[int, Meta(ge=1, le=1000)]
Pause = Annotated[float, Meta(ge=0, le=3600)]


class IndicatorOptions(msgspec.Struct, frozen=True):
    """An indicator that each period has: its name, and over how many bars."""

    name: Name
    window: Annotated[int, Meta(ge=1, le=1000)]


USUAL_INDICATORS = (IndicatorOptions("sma", 20), IndicatorOptions("ema", 20))


class Options(msgspec.Struct, frozen=True):
    """The aggregator's key in the configuration. Times are seconds.

    `forming_every` and `book_every` say how often the bars that are being made, and the metrics of a book, are
    published at most, each for one instrument; with 0, after each message off the bus, and for each book. `grace` is
    how long after its end a bar stays open for trades that come late. With `empty` a period without trades has a bar,
    but no more than `max_empty` in a row. `max_instruments` bounds those with bars, and those with books.
    """

    periods: Annotated[tuple[PeriodSeconds, ...], Meta(max_length=16)] = (60, 300, 900)
    indicators: Annotated[tuple[IndicatorOptions, ...], Meta(max_length=16)] = USUAL_INDICATORS
    forming_every: Pause = 1.0
    grace: Annotated[float, Meta(ge=0, le=60)] = 1.0
    empty: bool = False
    max_empty: Annotated[int, Meta(ge=1, le=10_000)] = 60
    levels: Annotated[tuple[LevelCount, ...], Meta(min_length=1, max_length=16)] = (1, 5, 10)
    book_every: Pause = 0.25
    max_instruments: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000

    def check(self) -> None:
        """Raises ConfigError for what contradicts itself."""
        for name, values in (("periods", self.periods), ("indicators", self.indicators), ("levels", self.levels)):
            if len(set(values)) < len(values):
                raise ConfigError(f"{name}: the same is there twice")
        if list(self.levels) != sorted(self.levels):
            raise ConfigError("levels: they have to ascend")


class AggregateCounters(msgspec.Struct, gc=False):
    """Plain totals: what came in, what went out, and what was left out.

    `corrected` and `too_late` count late trades by bar: taken into the last closed one, or into no bar of that period.
    `stale` are tickers older than one that came before, `ignored` events of instruments beyond the limit, `unusable`
    such with numbers that aren't any, `odd_times` such with a venue's time that can't be.
    """

    trades: int = 0
    tickers: int = 0
    books: int = 0
    quotes: int = 0
    deltas: int = 0
    gaps: int = 0
    bars: int = 0
    bars_final: int = 0
    indicators: int = 0
    metrics: int = 0
    corrected: int = 0
    too_late: int = 0
    stale: int = 0
    ignored: int = 0
    unusable: int = 0
    odd_times: int = 0

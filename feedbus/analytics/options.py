"""What the configuration may set for the aggregator, and the counters that it exports.

Both are plain structs without behaviour beyond checking themselves. The module is pure.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from feedbus.analytics.indicators import IndicatorName
from feedbus.errors import ConfigError

PeriodSeconds = Annotated[int, Meta(ge=1, le=86400)]
LevelCount = Annotated[int, Meta(ge=1, le=1000)]
PublishInterval = Annotated[float, Meta(ge=0, le=3600)]


class IndicatorOptions(msgspec.Struct, frozen=True):
    """One indicator that is computed for every period: its name, and how many bars its window spans."""

    name: IndicatorName
    window: Annotated[int, Meta(ge=1, le=1000)]


DEFAULT_INDICATORS = (IndicatorOptions("sma", 20), IndicatorOptions("ema", 20))


class Options(msgspec.Struct, frozen=True):
    """What the key `aggregator` of the configuration may hold. All times are in seconds.

    periods          the lengths of the bars
    indicators       the indicators that each period has
    forming_every    the shortest time between two publications of one instrument's unfinished bars; with 0 they are
                     published after every message that changed them
    grace            how long after its end a bar stays open for late trades
    empty            whether a period without trades gets a bar
    max_empty        how many bars without trades may follow one another
    levels           the depths, in price levels, that book metrics are computed for
    book_every       the shortest time between two publications of one instrument's book metrics; with 0 they are
                     published for every book
    max_instruments  how many instruments may have bars, and how many may have book metrics: this bounds the memory
    """

    periods: Annotated[tuple[PeriodSeconds, ...], Meta(max_length=16)] = (60, 300, 900)
    indicators: Annotated[tuple[IndicatorOptions, ...], Meta(max_length=16)] = DEFAULT_INDICATORS
    forming_every: PublishInterval = 1.0
    grace: Annotated[float, Meta(ge=0, le=60)] = 1.0
    empty: bool = False
    max_empty: Annotated[int, Meta(ge=1, le=10_000)] = 60
    levels: Annotated[tuple[LevelCount, ...], Meta(min_length=1, max_length=16)] = (1, 5, 10)
    book_every: PublishInterval = 0.25
    max_instruments: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000

    def check(self) -> None:
        """Raises ConfigError when a value is listed twice, or when `levels` don't ascend."""
        for name, values in (("periods", self.periods), ("indicators", self.indicators), ("levels", self.levels)):
            if len(set(values)) < len(values):
                raise ConfigError(f"{name}: the same is there twice")
        if list(self.levels) != sorted(self.levels):
            raise ConfigError("levels: they have to ascend")


class AggregateCounters(msgspec.Struct, gc=False):
    """Totals since the aggregator was started. They are exported under these names, and documented in
    docs/analytics.md.

    trades, tickers, books, quotes, deltas, gaps, instruments
                  events that came in, by kind
    passed_over   deltas that came while there was no book for them
    holes         deltas that didn't follow from the book that was there, which was given up then
    disagreed     full books that showed another book than the deltas before them had made, and were taken
    bars          versions of bars that were published; `bars_final` of them were final
    indicators    indicator values that were published
    metrics       book metrics that were published
    corrected     late trades that changed the last closed bar of their period; counted once for each period
    too_late      late trades that were older than that bar and left out; counted once for each period
    stale         tickers that were older than an earlier one of the same instrument, and left out
    outages       how often the data of an instrument could not be used any more, as statuses say it
    ignored       events of instruments beyond `max_instruments`, and left out
    unusable      events that were left out since a number in them is NaN, infinite, absurdly large, or negative where
                  it can't be
    odd_times     events whose venue time can't be right, so that the time of receipt was used instead
    """

    trades: int = 0
    tickers: int = 0
    books: int = 0
    quotes: int = 0
    deltas: int = 0
    gaps: int = 0
    instruments: int = 0
    passed_over: int = 0
    holes: int = 0
    disagreed: int = 0
    bars: int = 0
    bars_final: int = 0
    indicators: int = 0
    metrics: int = 0
    corrected: int = 0
    too_late: int = 0
    stale: int = 0
    outages: int = 0
    ignored: int = 0
    unusable: int = 0
    odd_times: int = 0

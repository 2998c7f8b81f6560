"""A series of bars together with the indicators over their closes, each of which is said again once it has changed.

An indicator changes when the close of the newest final bar is corrected, and when it is learnt late that trades are
missing from a bar that it was made of. It is `complete` if none are missing from any bar that it was made of: for a
simple average the bars of its window, for an exponential one those of three windows, as all earlier ones together weigh
less than 0.3 % in it. Bars before the first one of the series count as incomplete.

Only the bars since the last one with a trade can be changed by what is learnt late (BarSeries.taint). What was said of
them is kept for that: at most `max_empty` + 1 bars, since more don't follow one another without a trade. The module is
pure.
"""

from __future__ import annotations

from feedbus.analytics.bars import BarSeries, BarState, Source
from feedbus.analytics.indicators import INDICATORS, IndicatorName, MovingAverage
from feedbus.analytics.options import Options
from feedbus.schema.events import Indicator


class SaidBar:
    """A final bar, and what was said of the indicators that end with it.

    number             how many bars of the series came before it
    newest_incomplete  the number of the newest bar up to this one that is incomplete
    values             the value of each indicator that was said last
    complete           whether each was said to be complete
    revisions          how many times each was said
    """

    __slots__ = ("bar", "complete", "newest_incomplete", "number", "revisions", "values")

    def __init__(self, bar: BarState, number: int, indicators: int) -> None:
        self.bar = bar
        self.number = number
        self.newest_incomplete = -1
        self.values: list[float | None] = [None] * indicators
        self.complete = [False] * indicators
        self.revisions = [0] * indicators


class PublishedSeries(BarSeries):
    """The bars of one instrument, period and source, and the indicators over them."""

    __slots__ = ("_averages", "_before", "_count", "_said", "end_scheduled")

    def __init__(self, period_s: int, source: Source, options: Options) -> None:
        super().__init__(period_s, source, max_empty=options.max_empty if options.empty else 0)
        self.end_scheduled = False
        """Whether the end of its current period is among the scheduled ones of the BarMaker."""
        self._averages: list[tuple[IndicatorName, MovingAverage]] = [
            (of.name, INDICATORS[of.name](of.window)) for of in options.indicators
        ]
        self._said: list[SaidBar] = []  # from the last bar with a trade on, the oldest first
        self._before = -1  # the number of the newest incomplete bar before those
        self._count = 0

    def indicators(self, bar: BarState) -> list[Indicator]:
        """Takes in a final bar, for the first time or because it has changed, and returns the indicators that are to be
        published: those that end with it, and those that end with a later bar and have changed with it. A bar that is
        too old to change anything gives none."""
        if not self._averages:
            return []
        said = self._said
        if not said or bar.start > said[-1].bar.start:
            self._add(bar)
            return self._say(len(said) - 1, [average.add(bar.close) for _, average in self._averages])
        if bar is said[-1].bar:
            return self._say(len(said) - 1, [average.replace(bar.close) for _, average in self._averages])
        for index, one in enumerate(said):
            if one.bar is bar:
                return self._say(index, None)
        return []

    def _add(self, bar: BarState) -> None:
        if self._said and bar.traded:
            self._before = self._said[-1].newest_incomplete
            self._said.clear()  # nothing that is learnt late concerns the bars before it
        self._said.append(SaidBar(bar, self._count, len(self._averages)))
        self._count += 1

    def _say(self, index: int, values: list[float | None] | None) -> list[Indicator]:
        """Says what is new of the bar at this index and of those after it. `values` are given for the newest bar."""
        out: list[Indicator] = []
        newest_incomplete = self._said[index - 1].newest_incomplete if index else self._before
        for one in self._said[index:]:
            if not one.bar.complete:
                newest_incomplete = one.number
            if values is None and newest_incomplete == one.newest_incomplete:
                break  # nothing changes from here on
            one.newest_incomplete = newest_incomplete
            self._say_one(one, values or one.values, out)
        return out

    def _say_one(self, one: SaidBar, values: list[float | None], out: list[Indicator]) -> None:
        event = one.bar.event
        for at, ((name, average), value) in enumerate(zip(self._averages, values, strict=True)):
            complete = one.newest_incomplete <= one.number - average.reach
            if one.revisions[at] and (value, complete) == (one.values[at], one.complete[at]):
                continue
            out.append(
                Indicator(
                    venue=event.venue,
                    symbol=event.symbol,
                    ts_event=event.ts_event,
                    ts_recv=event.ts_recv,
                    name=name,
                    period_s=self.period_s,
                    window=average.window,
                    start=one.bar.start,
                    value=value,
                    revision=one.revisions[at],
                    complete=complete,
                )
            )
            one.values[at], one.complete[at] = value, complete
            one.revisions[at] += 1

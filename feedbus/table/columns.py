"""The columns of the live table, and how numbers and times are written in them. Pure, except that the system is asked
for the time zone: times of day are local ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

import msgspec

from feedbus.table.bar_table import BarsSeen
from feedbus.table.connection_table import SECOND
from feedbus.table.market_table import RowView, Sort
from feedbus.table.price_decimals import MAX_DECIMALS
from feedbus.text import plain_decimal, replaced
from feedbus.trust.readers_trust import Trusted

NOTHING = "-"
MAX_WRITTEN_OUT = 20
"""Characters of a number that isn't shortened by an exponent."""
MOST_NAMED = 3
"""How many publishers that are silent are named."""


class Column(msgspec.Struct, frozen=True):
    """A column of the table.

    It is as wide as its title and its widest cell, but at least `width` and at most `max_width` cells. When a screen is
    too narrow for all columns, those with the highest `rank` are left out first. `sort` names the sort order that
    compares this column's values, None when there is no such order. A column with a `field` of RowView
    is there from when a row that was shown has first had a value in it.
    """

    title: str
    rank: int
    width: int
    text: Callable[[RowView], str]
    align: Literal["left", "right"] = "right"
    max_width: int = 24
    sort: Sort | None = None
    field: str | None = None


def number_text(number: float, digits: int) -> str:
    """A number with so many significant digits, written out unless that takes more room than a column has."""
    text = plain_decimal(number, digits)
    return text if len(text) <= MAX_WRITTEN_OUT else f"{number:.{digits}g}"


def price_text(price: float | None, decimals: int) -> str:
    """A price with this many decimals, or with six digits where these decimals would all be zeros or there are more
    than 12 digits before the point."""
    if price is None:
        return NOTHING
    if price == 0 or 10**-decimals <= abs(price) < 10**12:
        return f"{price:.{decimals}f}"
    return number_text(price, 6)


def volume_text(volume: float | None) -> str:
    """A volume with thousands separators, and decimals only where it has some."""
    if volume is None:
        return NOTHING
    if abs(volume) < 1:
        return number_text(volume, 4)
    if abs(volume) >= 10**15:
        return f"{volume:.6g}"
    return f"{volume:,.0f}" if volume % 1 == 0 else f"{volume:,.2f}"


def short_volume_text(volume: float | None) -> str:
    """A volume in at most seven characters: with two decimals below 1,000, whole below a million, and from there on in
    millions (M), billions (G) or trillions (T) with three digits: 12.35, 7,803, 82.8M, 5.41G.
    """
    if volume is None or abs(volume) < 1:
        return volume_text(volume)
    if abs(volume) < 999.995:
        return f"{volume:.0f}" if volume % 1 == 0 else f"{volume:.2f}"
    if abs(volume) < 999_999.5:
        return f"{volume:,.0f}"
    for sign, size in (("M", 10**6), ("G", 10**9), ("T", 10**12)):
        scaled = volume / size
        if abs(scaled) < 999.5:
            return f"{scaled:.{2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0}f}{sign}"
    return f"{volume:.2g}"


def span_text(seconds: float) -> str:
    """A length of time in its largest whole unit, rounded down: 0.4 s, 12 s, 3 min, 2 h, 5 d."""
    if seconds < 10:
        return f"{int(seconds * 10) / 10:.1f} s"
    for unit, size, below in (("s", 1, 60), ("min", 60, 3600), ("h", 3600, 48 * 3600)):
        if seconds < below:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds // 86400)} d"


def silence_text(publishers: Mapping[str, float]) -> str:
    """That nothing has come from these publishers, each for so many seconds, MOST_NAMED of them by name."""
    spans = [(name, f"{int(span)} s" if span < 60 else span_text(span)) for name, span in sorted(publishers.items())]
    named = ", ".join(f"{replaced(name)} for {span}" for name, span in spans[:MOST_NAMED])
    more = f" and {len(spans) - MOST_NAMED:,} more" if len(spans) > MOST_NAMED else ""
    return f"nothing has come from the publisher{'s' if len(spans) > 1 else ''} {named}{more}"


def percent_text(share: float | None, decimals: int = 3) -> str:
    """A ratio in percent, with so many decimals: 0.00123 is 0.123."""
    if share is None:
        return NOTHING
    percent = round(share * 100, decimals) + 0.0  # so that nothing is written as -0.000
    return f"{percent:.{decimals}f}" if abs(percent) < 1000 else number_text(percent, 3)


def share_text(share: float | None) -> str:
    """A ratio in whole percent: 0.42 is 42."""
    return NOTHING if share is None else f"{share * 100:.0f}"


def period_text(seconds: int) -> str:
    """The length of a bar, in its largest whole unit: 10s, 1m, 15m, 1h, 1d."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def vwap_decimals(decimals: int) -> int:
    """How many decimals a volume-weighted average price is shown with: one more than the prices have, and at least two,
    because an average lies between two prices."""
    return min(MAX_DECIMALS, max(2, decimals + 1))


def clock_text(ns: int) -> str:
    """The local time of a moment in nanoseconds since the epoch, as 16:24:05.031; NOTHING when there is no such
    moment.
    """
    if ns <= 0:
        return NOTHING
    seconds, rest = divmod(ns, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%H:%M:%S}.{rest // 1_000_000:03}"


def trust_text(trusted: Trusted) -> str:
    """The state of an instrument, and the reason for it."""
    return f"{trusted.state} {replaced(trusted.reason).replace('_', ' ')}".rstrip()


VENUE = Column("Venue", 6, 5, lambda row: replaced(row.venue), "left", 12)
TRUST = Column("Trust", 1, 9, lambda row: trust_text(row.trusted), "left", 26, field="doubted")
AGE = Column("Age", 2, 6, lambda row: span_text(row.age_ns / SECOND), sort="age")
CLOCK = Column("Updated", 2, 12, lambda row: clock_text(row.updated_at), sort="age")
LAST = Column("Last", 1, 8, lambda row: price_text(row.last, row.decimals), sort="last")
OF_THE_DAY = (
    Column("Chg %", 4, 7, lambda row: percent_text(row.change, 2), field="change"),
    Column("High", 10, 8, lambda row: price_text(row.high, row.decimals), field="high"),
    Column("Low", 10, 8, lambda row: price_text(row.low, row.decimals), field="low"),
)
COLUMNS = (
    VENUE,
    Column("Instrument", 0, 10, lambda row: replaced(row.symbol), "left", sort="instrument"),
    Column("Bid", 3, 8, lambda row: price_text(row.bid, row.decimals)),
    Column("Ask", 3, 8, lambda row: price_text(row.ask, row.decimals)),
    Column("Spread %", 8, 8, lambda row: percent_text(row.spread), sort="spread"),
    LAST,
    *OF_THE_DAY,
    Column("Volume", 5, 7, lambda row: short_volume_text(row.volume), sort="volume"),
    Column("Updates", 7, 8, lambda row: f"{row.updates:,}", sort="updates"),
    AGE,
    TRUST,
    Column(
        "Status",
        13,
        6,
        lambda row: NOTHING if row.status is None else replaced(row.status),
        "left",
        12,
        field="status",
    ),
)


@lru_cache(maxsize=16)
def bar_columns(period_s: int) -> dict[str, Column]:
    """The columns for bars of this period, by the field of BarsSeen that they need."""
    period = period_text(period_s)
    return {
        "change": Column(f"Chg {period} %", 9, 8, lambda row: percent_text(row.bar.change)),
        "vwap": Column(f"VWAP {period}", 12, 8, lambda row: price_text(row.bar.vwap, vwap_decimals(row.decimals))),
        "volume": Column(f"Vol {period}", 11, 7, lambda row: short_volume_text(row.bar.volume)),
        "buys": Column(f"Buy {period} %", 14, 6, lambda row: share_text(row.bar.buys)),
    }


def columns_of(bars: BarsSeen | None, *, clock: bool = False) -> tuple[Column, ...]:
    """All columns in their order. The columns of bars follow those of the day; one is there when any bar has had its
    value. `clock` shows the time of the last update in place of its age.
    """
    more = (
        [] if bars is None else [column for name, column in bar_columns(bars.period_s).items() if getattr(bars, name)]
    )
    shown: list[Column] = []
    for column in COLUMNS:
        shown.append(CLOCK if clock and column is AGE else column)
        if column is OF_THE_DAY[-1]:
            shown += more
    return tuple(shown)

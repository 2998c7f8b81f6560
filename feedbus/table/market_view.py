"""The live table as text: for a screen (with Rich), as plain lines for a file or a pipe, and the statistics at the end
of a run. Pure: no terminal, no clock.

Every line is laid out here, cell by cell, and not by rich.table.Table: the columns keep their places while the numbers
change, nothing wraps, and it takes about a third of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from textwrap import wrap
from typing import Literal

from rich.cells import cell_len, set_cell_size
from rich.console import Group
from rich.text import Text

from feedbus import venues
from feedbus.schema.connections import UP_STATES
from feedbus.schema.events import TrustState
from feedbus.table.alert_table import CRITICAL, AlertView
from feedbus.table.bar_table import BarsSeen
from feedbus.table.columns import (
    COLUMNS,
    NOTHING,
    OF_THE_DAY,
    TRUST,
    VENUE,
    Column,
    columns_of,
    price_text,
    silence_text,
    span_text,
    trust_text,
    volume_text,
    vwap_decimals,
)
from feedbus.table.connection_table import SECOND, ConnectionView, FeedView, fold
from feedbus.table.keys import View, hint
from feedbus.table.market_table import Order, RowView, Snapshot
from feedbus.table.run_totals import Total
from feedbus.text import replaced
from feedbus.trust.readers_trust import UNHEARD

YELLOW_FROM = 5 * SECOND
RED_FROM = 30 * SECOND
TITLES = 1
"""Lines of titles above the rows."""
BELOW_THE_ROWS = 1
"""Lines below the rows."""
PLAIN_WIDTH = 200
REASON_LENGTHS = (200, 60, 40, 30, 24, 20, 16, 12)
"""The lengths (in cells) to which the reasons of connections are cut, tried in this order until all names have room."""
SILENT_STEP = 5
"""Silence is shown in steps of this many seconds, so that connections that fell silent together have the same reason
and are named together.
"""


def age_style(age_ns: int) -> str:
    """The colour of an age: green under 5 s, yellow under 30 s, red from there on."""
    if age_ns < YELLOW_FROM:
        return "green"
    return "yellow" if age_ns < RED_FROM else "red"


STATE_STYLES: Mapping[TrustState, tuple[str, str]] = {
    "delayed": ("yellow", "black on yellow"),
    "closed": ("dim", "yellow"),
    "quiet": ("", "cyan"),
    "live": ("", "green"),
}
"""The colours of a row, and of its word of trust, in the states in which its prices may be used; the colour of its age
is that of the row where that has one."""
UNUSABLE_STYLE = ("dim", "red")
UNHEARD_STYLE = ("dim", "dim")


def row_styles(row: RowView) -> tuple[str, str, str]:
    """The colours of a row, of its word of trust and of its age. One whose prices may not be used, or of which nobody
    has said that they may, has none but for that word."""
    usual = UNHEARD_STYLE if row.trusted is UNHEARD else STATE_STYLES.get(row.trusted.state, UNUSABLE_STYLE)
    return *usual, usual[0] or age_style(row.age_ns)


FORWARDS, BACKWARDS = "▼", "▲"


def render(
    snapshot: Snapshot,
    width: int,
    height: int,
    foot: str = "",
    view: View | None = None,
    why: str = "",
    away: str = "",
) -> Group:
    """The table for a screen of `height` lines and `width` cells.

    The last line says which rows are shown, what the keys do, and `foot`. `view` is the one whose order the snapshot
    was taken with; None when there are no keys. `why` is shown where nothing has come: the reason. `away` is shown
    where a publisher has fallen silent: what is known of the reason.
    """
    above = _above(snapshot, width, away)
    room = height - len(above) - TITLES - BELOW_THE_ROWS
    rows = snapshot.rows[: max(0, room)]
    table = _table(snapshot, rows, width, view or View()) if room > 0 else []
    if not rows and why:
        table += [Text(line) for line in wrap(replaced(why), width)[: max(0, room - 1)]]
    lines = [*above, *table, _foot(snapshot, len(rows), foot, view)]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Group(*lines[:height])


def room_for_rows(snapshot: Snapshot, width: int, height: int) -> int:
    """How many instruments the screen has room for."""
    return max(0, height - len(_above(snapshot, width)) - TITLES - BELOW_THE_ROWS)


def _above(snapshot: Snapshot, width: int, away: str = "") -> list[Text]:
    """The lines above the titles."""
    above = [_line(_counts(snapshot)), *silence_lines(snapshot, away), _line(_totals(snapshot))]
    return above + connection_lines(snapshot.feed, width) + alert_lines(snapshot.alerts, width)


def silence_lines(snapshot: Snapshot, away: str = "") -> list[Text]:
    """One line with the publishers that say nothing any more, and what is known of the reason; no line when all of them
    speak."""
    if not snapshot.silent:
        return []
    return [_line([(": ".join(text for text in (silence_text(snapshot.silent), replaced(away)) if text), "red")])]


def _line(parts: Sequence[tuple[str, str]]) -> Text:
    """A line of texts with their styles, two spaces apart."""
    line = Text()
    for text, style in parts:
        line.append("  " if line else "").append(text, style)
    return line


def _counts(snapshot: Snapshot) -> list[tuple[str, str]]:
    """The first line of the header. It begins with a warning when a publisher is silent or data is delayed, because
    that must not be missed."""
    up = snapshot.feed.up
    all_up = up is not None and up >= snapshot.feed.wanted
    delayed = [(delayed_text(snapshot), "bold black on yellow")] if snapshot.delays else []
    return [
        ("feedbus", "bold"),
        *([("NOT LIVE", "bold white on red")] if snapshot.silent else []),
        *delayed,
        (f"connections {'?' if up is None else up}/{snapshot.feed.wanted}", "" if all_up else "red"),
        (f"updates {snapshot.updates:,}", ""),
        (f"{snapshot.rate:,.0f}/s", ""),
    ]


def delayed_text(snapshot: Snapshot) -> str:
    """DELAYED, with the venues when there are several, and how long each delay is when that is known."""
    words = []
    for venue, seconds in sorted(snapshot.delays.items()):
        name = replaced(venue) if snapshot.venues > 1 else ""
        words.append(f"{name} {'' if seconds is None else span_text(seconds)}".strip())
    return f"DELAYED {', '.join(words)}".rstrip()


def _totals(snapshot: Snapshot) -> list[tuple[str, str]]:
    """The second line of the header."""
    hours, seconds = divmod(snapshot.uptime_s, 3600)
    all_live = snapshot.live == snapshot.with_data
    parts = [
        (instruments_text(snapshot), ""),
        *([] if all_live else [(f"live {snapshot.live:,}", "red" if snapshot.unusable else "")]),
        (f"uptime {hours}:{seconds // 60:02}:{seconds % 60:02}", ""),
        (f"bus gaps {snapshot.gaps:,}", "red" if snapshot.gaps else ""),
    ]
    if snapshot.not_shown:
        parts.append((f"{snapshot.not_shown:,} events not shown", "red"))
    return parts


def instruments_text(snapshot: Snapshot) -> str:
    """How many instruments have data, have a price and are wanted, and how many the venue refused, if any."""
    feed = snapshot.feed
    wanted = f"{feed.instruments_wanted:,}" if feed.connections else "?"
    refused = f", {feed.instruments_refused:,} refused" if feed.instruments_refused else ""
    return f"instruments {snapshot.with_data:,} data, {snapshot.with_price:,} price, {wanted} wanted{refused}"


def connection_lines(feed: FeedView, width: int) -> list[Text]:
    """Two lines: the connections that are online, and those that aren't, with the reasons."""
    online: list[str] = []
    delayed: list[str] = []
    away: list[ConnectionView] = []
    for connection in feed.connections:
        if connection.silent_s is not None or connection.state not in UP_STATES:
            away.append(connection)
        else:
            (online if connection.state == "online" else delayed).append(replaced(connection.name))
    first = _line([(f"online {len(online) + len(delayed):,}:", "green" if online or delayed else "dim")])
    for names, label in ((online, ""), (delayed, "delayed ")):
        if names:
            first.append(f" {label}{' '.join(fold(names))}")
    if not away:
        return [first, _line([("not online: none" if feed.connections else "no connection has spoken yet", "dim")])]
    label = f"not online {len(away):,}: "
    return [first, Text(label, "red").append(_offline_text(away, width - len(label)), "default")]


def alert_lines(alerts: Sequence[AlertView] | None, width: int) -> list[Text]:
    """One line with the alerts that are firing; no line when there has never been an alert."""
    if alerts is None:
        return []
    if not alerts:
        return [_line([("alerts 0", "dim")])]
    label = f"alerts {len(alerts):,}: "
    by_rule: dict[str, list[str]] = {}
    for alert in alerts:
        by_rule.setdefault(replaced(alert.rule), []).append(replaced(alert.symbol or alert.venue))
    items = [(f"{rule} {' '.join(fold(names))}", len(names)) for rule, names in by_rule.items()]
    if cell_len("; ".join(item for item, _ in items)) > width - len(label):
        items = [(f"{rule} {name}", 1) for rule, names in by_rule.items() for name in names]
    text = _cut(items, width - len(label))
    style = "bold red" if any(alert.severity == CRITICAL for alert in alerts) else "yellow"
    return [Text(label, style).append(text, "default")]


def _offline_text(away: Sequence[ConnectionView], room: int) -> str:
    """The names of connections with their reasons. That every name is seen matters more than whole reasons, so reasons
    are cut before names are left out.
    """
    groups: dict[str, list[str]] = {}
    for connection in away:
        groups.setdefault(_reason_offline(connection), []).append(replaced(connection.name))
    items: list[tuple[str, int]] = []
    for longest in REASON_LENGTHS:
        items = [(f"{' '.join(fold(names))} {_shorten(why, longest)}", len(names)) for why, names in groups.items()]
        text = "; ".join(item for item, _ in items)
        if cell_len(text) <= room:
            return text
    return _cut(items, room)


def _shorten(text: str, cells: int) -> str:
    """The text, cut to this many cells with "…" at its end when it is longer."""
    return text if cell_len(text) <= cells else set_cell_size(text, max(0, cells - 1)).rstrip() + "…"


def _reason_offline(connection: ConnectionView) -> str:
    """Why a connection isn't online."""
    if connection.silent_s is not None:
        seconds = connection.silent_s
        return f"no word for {span_text(seconds - seconds % SILENT_STEP)}"
    reason = replaced(connection.reason)
    return f"{connection.state}: {reason}" if reason else connection.state


def _cut(items: Sequence[tuple[str, int]], room: int) -> str:
    """As many items as have room, and how many names the others have. Each item comes with its number of names. The
    first item is always shown, cut when it is too long.
    """
    left = sum(count for _, count in items)
    text = ""
    for item, count in items:
        rest = _and_more(left - count)
        longer = f"{text}; {item}" if text else item
        if cell_len(longer + rest) > room:
            if text:
                break
            longer = _shorten(item, room - cell_len(rest))
        text = longer
        left -= count
    return text + _and_more(left)


def _and_more(count: int) -> str:
    return f"; … and {count:,} more" if count else ""


def _table(snapshot: Snapshot, rows: Sequence[RowView], width: int, view: View) -> list[Text]:
    """The line of titles, then the rows."""
    gap = 1 if width < 100 else 2 if width < 120 else 3
    columns = _columns(snapshot, rows, width, gap, view)
    titles = (" " * gap).join(_cell(_title(column, view), wide, column.align) for column, wide in columns)
    lines = [Text(set_cell_size(titles, width), "bold reverse")]
    for row in rows:
        line = Text()
        usual, trust, age = row_styles(row)
        for column, wide in columns:
            if line:
                line.append(" " * gap)
            style = trust if column is TRUST else age if column.sort == "age" else usual
            line.append(_cell(column.text(row), wide, column.align), style or None)
        lines.append(line)
    if not rows:
        nothing = "nothing matches the filter" if snapshot.with_data and not snapshot.matching else "no market data yet"
        lines.append(Text(nothing, "dim"))
    return lines


def _title(column: Column, view: View) -> str:
    """The title of a column, with an arrow when the rows are sorted by it."""
    if column.sort != view.order.sort:
        return column.title
    return column.title + (BACKWARDS if view.order.backwards else FORWARDS)


def _columns(snapshot: Snapshot, rows: Sequence[RowView], width: int, gap: int, view: View) -> list[tuple[Column, int]]:
    """The columns that have something to show and for which there is room, with their widths."""
    columns = columns_of(snapshot.bars, clock=view.clock)
    widths: dict[str, int] = {}
    left = width + gap
    chosen = view.order.sort if view.order.sort != Order().sort else None  # the column that somebody sorts by has room
    for column in sorted(columns, key=lambda column: 0 if chosen and column.sort == chosen else column.rank):
        if column is VENUE and snapshot.venues < 2:
            continue
        if column.field is not None and column.field not in snapshot.seen:
            continue
        widest = max((cell_len(column.text(row)) for row in rows), default=0)
        wide = max(column.width, cell_len(_title(column, view)), min(widest, column.max_width))
        if column is TRUST:
            wide = max(column.width, min(wide, left - gap))  # the state alone says more than no word at all
        if wide + gap <= left:
            left -= wide + gap
            widths[column.title] = wide
    return [(column, widths[column.title]) for column in columns if column.title in widths]


def _cell(text: str, width: int, align: Literal["left", "right"]) -> str:
    """The text in exactly `width` cells."""
    text = _shorten(text, width)
    padding = " " * (width - cell_len(text))
    return text + padding if align == "left" else padding + text


def _foot(snapshot: Snapshot, shown: int, foot: str, view: View | None) -> Text:
    """The last line; `shown` is the number of rows above it."""
    if view is not None and view.help:
        return Text(hint(view), "dim")
    parts = [(text, "dim") for text in (hint(view) if view else "Ctrl-C quits", replaced(foot)) if text]
    order = (view or View()).order
    if view is not None and (view.typing or order.text):
        cursor = "_" if view.typing else ""
        parts.insert(0, (f"filter: {replaced(order.text)}{cursor} ({snapshot.matching:,})", "bold"))
    usual = order == Order(text=order.text)
    if shown and (shown < snapshot.matching or not usual):
        what = "most active" if usual else f"by {order.sort}{', reversed' if order.backwards else ''}"
        which = f"{snapshot.above + 1:,}-{snapshot.above + shown:,}" if snapshot.above else f"{shown:,}"
        parts.insert(0, (f"{which} {what} of {snapshot.matching:,}", "dim"))
    return _line(parts)


def plain_lines(snapshot: Snapshot, rows: int, away: str = "") -> list[str]:
    """The table for a file or a pipe: the header in one line, the publishers that have fallen silent, the connections
    that aren't online, and the first rows. `away` is what is known of why publishers are silent.
    """
    parts = [text for text, _ in (*_counts(snapshot), *_totals(snapshot))]
    silence = [line.plain for line in silence_lines(snapshot, away)]
    offline = connection_lines(snapshot.feed, PLAIN_WIDTH)[1].plain
    alerts = [line.plain for line in alert_lines(snapshot.alerts, PLAIN_WIDTH)]
    return [
        "  ".join(parts),
        *silence,
        offline,
        *alerts,
        *(plain_row(row, snapshot.bars) for row in snapshot.rows[:rows]),
    ]


def plain_row(row: RowView, bars: BarsSeen | None = None) -> str:
    """One instrument as one line, with a name before each number."""
    shown = [column for column in columns_of(bars) if column not in COLUMNS]
    shown += [column for column in OF_THE_DAY if column.text(row) != NOTHING]
    more = "".join(f"  {column.title} {column.text(row)}" for column in shown)
    bid, ask, last = (price_text(price, row.decimals) for price in (row.bid, row.ask, row.last))
    state = f"  {'' if row.trusted.usable else 'NOT LIVE '}{trust_text(row.trusted)}" if row.doubted else ""
    return (
        f"  {replaced(row.venue)} {replaced(row.symbol)}{state}  bid {bid}  ask {ask}  last {last}{more}"
        f"  volume {volume_text(row.volume)}  updates {row.updates:,}  age {span_text(row.age_ns / SECOND)}"
    )


# The statistics at the end of a run

TOTALS_MAX_WIDTH = 24
TOTALS_GAP = "  "
UNKNOWN_UNIT = "venue's own"
"""Shown where the venue doesn't say its unit, or isn't known here."""


def unit(total: Total) -> str:
    """The unit of an instrument's volumes, as its venue says it."""
    return NOTHING if total.source is None else venues.units(total.venue).get(total.source, UNKNOWN_UNIT)


TOTALS_COLUMNS: Sequence[tuple[str, Literal["left", "right"], Callable[[Total], str]]] = (
    ("venue", "left", lambda total: replaced(total.venue)),
    ("instrument", "left", lambda total: replaced(total.symbol)),
    ("updates", "right", lambda total: f"{total.updates:,}"),
    ("last", "right", lambda total: price_text(total.last, total.decimals)),
    ("VWAP", "right", lambda total: price_text(total.vwap, vwap_decimals(total.decimals))),
    ("volume", "right", lambda total: volume_text(total.volume)),
    ("bought", "right", lambda total: volume_text(total.bought)),
    ("sold", "right", lambda total: volume_text(total.sold)),
    ("unit", "left", unit),
    ("from", "left", lambda total: total.source or NOTHING),
)


def run_lines(totals: Sequence[Total]) -> list[str]:
    """A line of titles and a line for each instrument, all aligned; no lines when there are no instruments.

    `bought` and `sold` are the volumes in which the aggressor bought and sold; VWAP is in the unit of prices.
    """
    if not totals:
        return []
    columns = []
    for title, align, text in TOTALS_COLUMNS:
        cells = [title, *(text(total) for total in totals)]
        width = min(TOTALS_MAX_WIDTH, max(map(cell_len, cells)))
        columns.append([_cell(cell, width, align) for cell in cells])
    return [TOTALS_GAP.join(cells).rstrip() for cells in zip(*columns, strict=True)]

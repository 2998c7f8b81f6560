"""The ladder of `feedbus book` as text: asks above, bids below, the best of both next to the middle, and the tape of
the last trades beside them. Pure: no terminal, no clock.

Columns keep their places while numbers change: prices have as many decimals as any price so far, and what a column has
once needed it keeps (LadderWidths). Where a screen is too narrow, columns are left out and numbers aren't cut, as long
as there is any room for price and size. Every line is laid out here, cell by cell, since that costs least.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from textwrap import wrap

import msgspec
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from rich.text import Span, Text

from feedbus.table.columns import clock_text, price_text, short_volume_text
from feedbus.table.ladder import LadderLevel, LadderPicture, LadderSide, TapeRow
from feedbus.table.ladder_words import ALARM, StyledPart, edge_text, header, middle, trouble_text
from feedbus.text import replaced, shortened

BID, ASK, OFF = "green", "red", "dim"
EIGHTHS = " ▏▎▍▌▋▊▉█"
FULL = EIGHTHS[-1]
SIGNS = {"buy": ("▲", BID), "sell": ("▼", ASK), None: (" ", "")}
RULE, TAPE_EDGE = "─", " │ "
WIDE_FROM = 120
"""Cells from which on there are a second bar and the value."""
NARROW_BELOW = 60
"""Cells below which columns are one cell apart instead of two."""
LEAST_BAR = 6
SHORT_CLOCK, LONG_CLOCK = len("16:24:05"), len("16:24:05.031")
SIZE_DIGITS = 7
"""The digits that all sizes are written with, at most; large ones have fewer decimals for it."""
SHORT_FROM = 1e9
"""Sizes from here on are written in billions and trillions."""
FRAME = 4
"""Lines besides the levels: the header, the titles, the middle, and the foot."""
EDGES = 2
"""Lines that say where what is known ends; they are left out on a screen with fewer than EDGES_FROM lines."""
EDGES_FROM = 12
LOST = "trades may be missing"

Line = list[StyledPart]
"""A line that isn't a Text yet. It is made into one at once, because each appending to a Text costs as much as that."""


class LadderLines:
    """Lines for Rich that fit their screen, so that Rich needn't measure and wrap them: that halves the cost."""

    def __init__(self, lines: Sequence[Text]) -> None:
        self.lines = lines

    def __rich_console__(self, console: Console, _options: ConsoleOptions) -> Iterator[Segment]:
        for line in self.lines:
            yield from line.render(console)
            yield Segment.line()


class LadderWidths(msgspec.Struct):
    """What the columns have needed so far: cells, the digits before the point of the largest size, and the cells of
    each part of the middle."""

    price: int = len("Price")
    size: int = len("Size")
    total: int = len("Total")
    value: int = len("Value")
    digits: int = 1
    middle: list[int] = msgspec.field(default_factory=list)


class _Layout(msgspec.Struct, frozen=True):
    """Which columns have room, and how wide they are; 0 is none."""

    gap: str
    size: int
    total: int
    bar: int
    total_bar: int
    value: int
    clock: int
    ladder: int


def room_for_levels(height: int) -> int:
    """How many levels a side a screen of so many lines has room for."""
    return max(0, (height - FRAME - (EDGES if height >= EDGES_FROM else 0)) // 2)


def render(shown: LadderPicture, width: int, height: int, kept: LadderWidths, foot: str = "") -> LadderLines:
    """The ladder for a screen of `height` lines and `width` cells. The middle is always in the same line."""
    room = room_for_levels(height)
    edges = height >= EDGES_FROM
    frame = _Frame(shown, width, kept)
    above = frame.side(shown.asks, room, is_bid=False, edge=edges)
    below = frame.notes() + frame.side(shown.bids, room, is_bid=True, edge=edges)
    above = [[] for _ in range(room + edges - len(above))] + above
    below = below[: room + edges] + [[] for _ in range(room + edges - len(below))]
    lines: list[Line] = [_spaced(header(shown), width), frame.titles(), *frame.beside(above, frame.middle(), below)]
    lines = lines[: max(1, height - 1)]
    lines += [[] for _ in range(height - 1 - len(lines))]
    return LadderLines(_texts([*lines, [(replaced(foot), OFF)]][:height], width))


def picture_lines(shown: LadderPicture, width: int, kept: LadderWidths) -> list[Text]:
    """The ladder with the levels that are in the picture, and no empty lines. Of a book that isn't right only the words
    are shown, because without a screen there is nothing to tell old levels from right ones."""
    lines: list[Line]
    if shown.trouble:
        said = [*wrap(trouble_text(shown), width), *wrap(replaced(shown.why), width)]
        lines = [_spaced(header(shown), width), *([(line, "")] for line in said)]
    else:
        frame = _Frame(shown, width, kept)
        above = frame.side(shown.asks, len(shown.asks.levels), is_bid=False, edge=True)
        below = frame.side(shown.bids, len(shown.bids.levels), is_bid=True, edge=True)
        lines = [_spaced(header(shown), width), frame.titles(), *frame.beside(above, frame.middle(), below)]
    return _texts(lines, width)


def bar(share: float, width: int) -> str:
    """A bar of this share of `width` cells, in eighths of a cell. What isn't nothing is seen."""
    eighths = min(width * 8, max(round(share * width * 8), 1 if share > 0 else 0))
    whole, rest = divmod(eighths, 8)
    return FULL * whole + (EIGHTHS[rest] if rest else "")


def size_text(size: float, decimals: int) -> str:
    """A size with so many decimals, billions shortened. One that these decimals would show as nothing is below them."""
    if size >= SHORT_FROM:
        return short_volume_text(size)
    step = 10.0**-decimals
    return f"<{step:.{decimals}f}" if 0 < size < step / 2 else f"{size:,.{decimals}f}"


class _Frame:
    """One drawing: its columns, and how its numbers are written."""

    def __init__(self, shown: LadderPicture, width: int, kept: LadderWidths) -> None:
        self._shown = shown
        self._width = width
        self._kept = kept
        sides = (shown.bids, shown.asks)
        largest = max((level[1] for side in sides for level in side.levels), default=0.0)
        kept.digits = max(kept.digits, len(f"{min(largest, SHORT_FROM):.0f}"))
        self._size_decimals = min(shown.size_decimals, max(0, SIZE_DIGITS - kept.digits))
        self._scale = largest or 1.0
        self._total_scale = max((side.levels[-1][2] for side in sides if side.levels), default=0.0) or 1.0
        texts = [[self._written(level) for level in side.levels] for side in sides]
        self._bids, self._asks = texts
        for price, size, total, value in (row for rows in texts for row in rows):
            kept.price, kept.size = max(kept.price, len(price)), max(kept.size, len(size))
            kept.total, kept.value = max(kept.total, len(total)), max(kept.value, len(value))
        self._tape = [self._tape_texts(row) for row in shown.trades]
        for price, size in self._tape:
            kept.price, kept.size = max(kept.price, len(price)), max(kept.size, len(size))
        self._layout = _layout(width, kept, with_value=shown.lot is not None, with_tape=bool(shown.trades))

    def _written(self, level: LadderLevel) -> tuple[str, str, str, str]:
        price, size, total, value = level
        decimals = self._size_decimals
        worth = "" if self._shown.lot is None else short_volume_text(value * self._shown.lot)
        return price_text(price, self._shown.decimals), size_text(size, decimals), size_text(total, decimals), worth

    def _tape_texts(self, row: TapeRow) -> tuple[str, str]:
        if row.price is None:
            return "", ""
        return price_text(row.price, self._shown.decimals), size_text(row.size, self._size_decimals)

    def titles(self) -> Line:
        """The line of titles."""
        laid, kept = self._layout, self._kept
        value = replaced(self._shown.currency)[: laid.value] or "Value"
        cells = [f"{'Price':>{kept.price}}"]
        for title, wide in (
            ("Size", laid.size),
            ("", laid.bar),
            ("Total", laid.total),
            ("", laid.total_bar),
            (value, laid.value),
        ):
            if wide:
                cells.append(f"{title:>{wide}}")
        line = f"{laid.gap.join(cells):<{laid.ladder}}"
        if laid.clock:
            line += f"   {'Time':<{laid.clock}}   {'Price':>{kept.price}} {'Size':>{kept.size}}"
        return [(f"{line:<{self._width}}", "bold reverse")]

    def side(self, side: LadderSide, count: int, *, is_bid: bool, edge: bool) -> list[Line]:
        """The lines of a side from above to below, and where it ends."""
        texts = (self._bids if is_bid else self._asks)[:count]
        lines = [
            self._line(text, level, is_bid, first=at == 0)
            for at, (text, level) in enumerate(zip(texts, side.levels, strict=False))
        ]
        if edge:
            said = edge_text(side, self._shown.decimals, self._shown.percent, is_bid=is_bid)
            lines.append([(shortened(said, self._layout.ladder), OFF)])
        return lines if is_bid else lines[::-1]

    def _line(self, texts: tuple[str, str, str, str], level: LadderLevel, is_bid: bool, *, first: bool) -> Line:
        """One level. Of a book that isn't right everything is dim."""
        laid, gap = self._layout, self._layout.gap
        off = bool(self._shown.trouble)
        colour, plain = (OFF, OFF) if off else (BID if is_bid else ASK, "")
        price, size, total, value = texts
        line = [(f"{price:>{self._kept.price}}", f"bold {colour}" if first and not off else colour)]
        if laid.size:
            line.append((f"{gap}{size:>{laid.size}}", plain))
        if laid.bar:
            line.append((f"{gap}{bar(level[1] / self._scale, laid.bar):<{laid.bar}}", colour))
        if laid.total:
            line.append((f"{gap}{total:>{laid.total}}", plain))
        if laid.total_bar:
            drawn = bar(level[2] / self._total_scale, laid.total_bar)
            line.append((f"{gap}{drawn:<{laid.total_bar}}", OFF if off else f"{OFF} {colour}"))
        if laid.value:
            line.append((f"{gap}{value:>{laid.value}}", plain))
        return line

    def middle(self) -> Line:
        """The line between the sides. Its parts keep their places."""
        parts = middle(self._shown)
        if self._shown.trouble:
            parts = [(wrap(text, max(1, self._width - len(f"{RULE} ")))[0], style) for text, style in parts]
        elif self._shown.condition == "normal":
            kept = self._kept.middle
            kept += [0] * (len(parts) - len(kept))
            for at, (text, style) in enumerate(parts):
                kept[at] = max(kept[at], len(text))
                parts[at] = f"{text:<{kept[at]}}", style
        line = [(f"{RULE} ", OFF), *_spaced(parts, self._width - len(f"{RULE} "))]
        left = self._width - sum(len(text) for text, _ in line)
        return [*line, (f" {RULE * self._width}"[: max(0, left)], OFF)]

    def notes(self) -> list[Line]:
        """The lines below the middle that say why there is no right book, as far as the middle has no room for it."""
        shown = self._shown
        if not shown.trouble:
            return []
        rest = wrap(trouble_text(shown), max(1, self._width - len(f"{RULE} ")))[1:]
        why = wrap(replaced(shown.why), max(1, self._layout.ladder))
        return [*([(line, ALARM)] for line in rest), *([(line, "")] for line in why)]

    def beside(self, above: Sequence[Line], line: Line, below: Sequence[Line]) -> list[Line]:
        """All lines from the first ask to the last bid, with the tape beside them. The middle crosses the tape."""
        if not self._layout.clock:
            return [*above, line, *below]
        rows = iter(zip(self._shown.trades, self._tape, strict=True))
        for each in (*above, *below):
            each.append((" " * max(0, self._layout.ladder - sum(len(text) for text, _ in each)) + TAPE_EDGE, OFF))
            for row in islice(rows, 1):
                each.extend(self._traded(*row))
        return [*above, line, *below]

    def _traded(self, trade: TapeRow, texts: tuple[str, str]) -> Line:
        """One line of the tape."""
        at = f"{clock_text(trade.at)[: self._layout.clock]:<{self._layout.clock}} "
        if trade.price is None:
            room = self._width - self._layout.ladder - len(TAPE_EDGE) - len(at)
            return [(at, OFF), (shortened(LOST, room), ASK)]
        sign, style = SIGNS[trade.side]
        price, size = texts
        return [(at, OFF), (f"{sign} {price:>{self._kept.price}}", style), (f" {size:>{self._kept.size}}", "")]


def _spaced(parts: Iterable[StyledPart], width: int) -> Line:
    """Parts two spaces apart. The first one is always there, and of the others those that there is room for: a number
    that is cut would be another one."""
    line: Line = []
    left = width
    for part in parts:
        left -= cell_len(part[0])
        if not line:
            line.append(part)
        elif left >= len("  "):
            line += [("  ", ""), part]
            left -= len("  ")
        else:
            left += cell_len(part[0])
    return line


def _texts(lines: Iterable[Line], width: int) -> list[Text]:
    """The lines for Rich, cut where they are too long."""
    made = []
    for line in lines:
        spans, end = [], 0
        for text, style in line:
            start, end = end, end + len(text)
            if style:
                spans.append(Span(start, end, style))
        made.append(Text("".join(text for text, _ in line), spans=spans, no_wrap=True, end=""))
        if cell_len(made[-1].plain) > width:
            made[-1].truncate(width, overflow="ellipsis")
    return made


def _layout(width: int, kept: LadderWidths, *, with_value: bool, with_tape: bool) -> _Layout:
    """The most columns that there is room for. The order of what is given up first: the second bar and the value, the
    milliseconds of the tape, the sums, the tape, the bar, the size."""
    gap = " " if width < NARROW_BELOW else "  "
    wide = width >= WIDE_FROM
    tries: list[tuple[bool, bool, bool, int]] = []
    """Whether there are the second bar, the value and the sums; and the cells of the tape's times."""
    clocks = (LONG_CLOCK, SHORT_CLOCK) if with_tape else (0,)
    if wide:
        tries += [(True, value, True, clock) for value in (with_value, False) for clock in clocks]
    tries += [(False, False, True, clock) for clock in clocks]
    if with_tape:
        tries.append((False, False, False, SHORT_CLOCK))
    tries += [(False, False, True, 0), (False, False, False, 0)]
    for total_bar, value, total, clock in tries:
        laid = _laid_out(width, kept, gap, total_bar=total_bar, value=value, total=total, clock=clock)
        if laid is not None:
            return laid
    size = kept.size if kept.price + len(gap) + kept.size <= width else 0
    return _Layout(gap, size, 0, 0, 0, 0, 0, width)


def _laid_out(
    width: int, kept: LadderWidths, gap: str, *, total_bar: bool, value: bool, total: bool, clock: int
) -> _Layout | None:
    """These columns with their widths; None when there is no room for them."""
    tape = len(TAPE_EDGE) + clock + len(" ▲ ") + kept.price + len(" ") + kept.size if clock else 0
    ladder = width - tape
    fixed = [kept.price, kept.size, *([kept.total] if total else ()), *([kept.value] if value else ())]
    bars = 2 if total_bar else 1
    left = ladder - sum(fixed) - len(gap) * (len(fixed) - 1 + bars)
    if left < LEAST_BAR * bars:
        return None
    second = left // 2 if total_bar else 0
    return _Layout(
        gap=gap,
        size=kept.size,
        total=kept.total if total else 0,
        bar=left - second,
        total_bar=second,
        value=kept.value if value else 0,
        clock=clock,
        ladder=ladder,
    )

"""What the ladder of `feedbus book` says in words: its header, the middle between the sides, where what is known ends,
and why a book isn't right. Pure.

Parts are texts with their styles (Rich's).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from feedbus.books.books import NoBook
from feedbus.bus.hearing import SILENT_AFTER
from feedbus.schema.events import TRUST_REASONS, TrustState
from feedbus.table.columns import clock_text, price_text, silence_text, span_text
from feedbus.table.connection_table import SECOND
from feedbus.table.ladder import FULL_PERCENT, LadderPicture, LadderSide
from feedbus.table.price_decimals import MAX_DECIMALS
from feedbus.text import plain_decimal, replaced

StyledPart = tuple[str, str]
"""A text and its style."""

TROUBLES: Mapping[NoBook, str] = {
    "no picture yet": "no full picture of the book has come yet",
    "gap": "messages were lost on the bus; the next full picture or word is waited for",
    "hole": "a change is missing; the next full picture is waited for",
    "resyncing": "the publisher is getting the book anew",
    "gapped": "the book isn't right",
    "stale": "the book has been silent for longer than it ever is",
    "unsubscribed": "nobody gets this book from the venue",
    "too many books": "there are more books than are kept",
    "publisher silent": "its publisher said nothing for too long, and hasn't said yet how the book is",
}
SAID: Mapping[NoBook, str] = {
    "resyncing": "it is getting the book anew",
    "gapped": TROUBLES["gapped"],
    "stale": TROUBLES["stale"],
    "unsubscribed": TROUBLES["unsubscribed"],
}
"""What a publisher says with the states in which there is no right book."""
OUR_OWN = frozenset({"unheard", "lost", "publisher_silent"})
"""The reasons that no publisher says."""
WARNING = "bold black on yellow"
ALARM = "bold red"
STATE_STYLES: Mapping[TrustState, str] = {
    "live": "bold green",
    "quiet": "green",
    "closed": "yellow",
    "delayed": WARNING,
}
"""Of the states in which a book may be used."""
UNSAID = "not said to be live"
"""Of a book against which nothing speaks, and of which nobody has said how it is."""
BASIS_POINTS = 10_000
IN_PERCENT_FROM = 0.01
"""A relative spread from here on is written in percent, and a smaller one in basis points."""


def trouble_text(shown: LadderPicture) -> str:
    """Why this book isn't right."""
    if shown.trouble == "publisher silent" and shown.silent_s is not None and shown.silent_s >= SILENT_AFTER:
        return silence_text({shown.publisher: shown.silent_s})
    if shown.trouble != shown.state or shown.trouble not in SAID or shown.reason in OUR_OWN:
        return TROUBLES.get(shown.trouble, shown.trouble)
    since = f" since {clock_text(shown.since).partition('.')[0]}" if shown.since > 0 else ""
    reason = f": {TRUST_REASONS.get(shown.reason, replaced(shown.reason))}" if shown.reason else ""
    return f"the publisher has said{since} that {SAID[shown.trouble]}{reason}"


def age_text(shown: LadderPicture) -> str:
    """The time since the book last changed."""
    return "?" if shown.age_ns is None else span_text(shown.age_ns / SECOND)


def header(shown: LadderPicture) -> list[StyledPart]:
    """The first line. That data is late or isn't right must not be missed, so it follows the name at once."""
    parts = [(f"{replaced(shown.venue)} {replaced(shown.symbol)}", "bold")]
    if shown.trouble:
        parts.append(("NOT LIVE" if shown.bids.known or shown.asks.known else "NO BOOK", "bold white on red"))
    elif shown.state in STATE_STYLES:
        parts.append((shown.state, STATE_STYLES[shown.state]))
    else:
        parts.append((UNSAID, "yellow"))
    if shown.delay_s is not None:
        late = f" {span_text(shown.delay_s)}" if shown.delay_s else ""
        parts.append((f"DELAYED{late}", WARNING))
    parts.append((f"age {age_text(shown):>6}", ""))
    if shown.sequence is not None:
        parts.append((f"update {shown.sequence}", ""))
    if shown.wanted:
        all_up = shown.up is not None and shown.up >= shown.wanted
        parts.append((f"feed {'?' if shown.up is None else shown.up}/{shown.wanted}", "" if all_up else "red"))
    if shown.gaps:
        parts.append((f"bus gaps {shown.gaps:,}", "red"))
    return parts


def middle(shown: LadderPicture) -> list[StyledPart]:
    """What lies between the sides. A side that is missing and a book that is crossed are said in words."""
    if shown.trouble:
        return [(trouble_text(shown), ALARM)]
    spread, relative, mid, micro = shown.top
    decimals = shown.decimals
    if shown.condition == "crossed":
        by = price_text(shown.bids.levels[0][0] - shown.asks.levels[0][0], decimals) if _both(shown) else "?"
        return [(f"CROSSED by {by}: the best bid is above the best ask", ALARM), *_imbalance(shown)]
    if shown.condition == "incomplete" or spread is None or mid is None:
        return [(missing_text(shown), WARNING)]
    relative_text = NO_SPREAD if relative is None else ratio_text(relative)
    first = ("LOCKED: the best bid is the best ask", WARNING) if shown.condition == "locked" else None
    return [
        first or (f"spread {price_text(spread, decimals)} {relative_text}", "bold"),
        (f"mid {price_text(mid, min(MAX_DECIMALS + 1, decimals + 1))}", "bold"),
        (f"micro {price_text(micro, min(MAX_DECIMALS + 2, decimals + 2))}", ""),
        *_imbalance(shown),
    ]


NO_SPREAD = "-"


def _both(shown: LadderPicture) -> bool:
    return bool(shown.bids.levels and shown.asks.levels)


def missing_text(shown: LadderPicture) -> str:
    """What a book without one of its best levels lacks."""
    sides = [("bids", shown.bids), ("asks", shown.asks)]
    return ", ".join(
        f"there are no {noun}" if side.whole else f"no {noun} are known" for noun, side in sides if not side.known
    )


def ratio_text(ratio: float) -> str:
    """A relative spread, in basis points while it is small."""
    if ratio < IN_PERCENT_FROM:
        return f"{plain_decimal(ratio * BASIS_POINTS, 3)} bp"
    return f"{plain_decimal(ratio * FULL_PERCENT, 3)} %"


def _imbalance(shown: LadderPicture) -> list[StyledPart]:
    if shown.imbalance is None:
        return []
    of = f"{plain_decimal(shown.percent or 0)} %" if shown.imbalance_of is None else str(shown.imbalance_of)
    share = round(shown.imbalance * FULL_PERCENT)
    style = "green" if share > 0 else "red" if share < 0 else ""
    return [(f"imbalance({of}) {share:+4} %", style)]


def edge_text(side: LadderSide, decimals: int, percent: float | None, *, is_bid: bool) -> str:
    """What follows the last level of a side that is shown, and how far the side is known."""
    noun = "bids" if is_bid else "asks"
    if not side.known:
        return f"no {noun}" if side.whole else f"no {noun} are known"
    range_text = "" if percent is None else f" {plain_decimal(percent)} %"
    if side.more:
        left = f"{side.more:,} more{f' beyond{range_text}' if side.by_range else ''}"
    elif side.whole:
        left = "no more levels"
    else:
        left = f"no more within{range_text}" if side.complete else "no more is known"
    if side.whole:
        return f"{left}; all {side.known:,} {noun} known"
    return f"{left}; {side.known:,} {noun} {'down' if is_bid else 'up'} to {price_text(side.end, decimals)}"


def plain_parts(parts: Sequence[StyledPart]) -> str:
    """The texts alone, on one line."""
    return "  ".join(text for text, _ in parts if text)

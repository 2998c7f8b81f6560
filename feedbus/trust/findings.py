"""What a checker of an instrument's data found, and the totals of all that was found. Types and plain totals alone.
Pure.
"""

from __future__ import annotations

from typing import Literal

import msgspec

FoundState = Literal["", "gapped", "resyncing"]
"""What a finding makes of the state of the words that it is about.

    gapped     something is missing or wrong: said before the event, and the data has to be got anew
    resyncing  something was missed while the connection was away, which is repaired with it: it only has to be told
    ""         nothing: the event is only refused, or it only has to be told
"""


class Finding(msgspec.Struct, frozen=True):
    """What is wrong with an event, or with what came before it.

    `reason` is one of TRUST_REASONS of the schema, "" where the state is "". `text` says it for the log. `lost` is how
    many trades are known to be missing, None where none is, or nobody knows how many. An event to `refuse` must not be
    published. `words` are the topic words that the state is about, () for that of the event alone.
    """

    state: FoundState
    reason: str
    text: str
    lost: int | None = None
    refuse: bool = False
    words: tuple[str, ...] = ()


class LossCounts:
    """Totals of all instruments of a feed since its start.

    holes            holes in numbers that leave none out
    trades_lost      the trades that are missing in them
    trades_late      those of them that came after all
    replays          events that were refused, because they, or newer ones, had been published
    gone_back        numberings or clocks of a venue that went back for good
    counters_back    sums of a day that went back within the day
    crossed          books that were crossed for longer than is normal
    disagreements    best bids and asks that weren't the book's
    """

    __slots__ = (
        "counters_back",
        "crossed",
        "disagreements",
        "gone_back",
        "holes",
        "replays",
        "trades_late",
        "trades_lost",
    )

    def __init__(self) -> None:
        self.holes = self.trades_lost = self.trades_late = self.replays = self.gone_back = 0
        self.counters_back = self.crossed = self.disagreements = 0

    def totals(self) -> dict[str, int]:
        """By name."""
        return {name: getattr(self, name) for name in self.__slots__}

"""What `options` may hold in the configuration of a Binance feed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from feedbus.venues.binance.channels import CHANGES
from feedbus.venues.binance.depth import MOST_LEVELS

SnapshotLevels = Annotated[int, Meta(ge=5, le=MOST_LEVELS)]
USUAL_LEVELS = 1000
MAX_PRIORITY = 1000


class BinanceOptions(msgspec.Struct, frozen=True):
    """The channels depth and depth@100ms have all but `time_unit`.

    snapshot_levels    how many levels a side a book's snapshot has: one number for all, or a number by symbol, where
                       the others have USUAL_LEVELS
    snapshot_priority  the symbols whose snapshots come first, in this order; the others follow by turnover
    republish_levels   how many levels a side each book is published again with
    republish_s        how often, in seconds
    audit_s            how often a book is compared with a fresh snapshot, in seconds, as far as a tenth of the budget
                       allows; 0: never
    time_unit          in which unit the venue writes times: us asks for microseconds, ms asks for nothing
    """

    ABOUT_CHANNELS: ClassVar[Mapping[str, Collection[str]]] = dict.fromkeys(
        ("snapshot_levels", "snapshot_priority", "republish_levels", "republish_s", "audit_s"), CHANGES
    )
    NAMES_SYMBOLS: ClassVar[Collection[str]] = ("snapshot_levels", "snapshot_priority")

    snapshot_levels: SnapshotLevels | dict[str, SnapshotLevels] = USUAL_LEVELS
    snapshot_priority: Annotated[tuple[str, ...], Meta(max_length=MAX_PRIORITY)] = ()
    republish_levels: Annotated[int, Meta(ge=1, le=MOST_LEVELS)] = 100
    republish_s: Annotated[float, Meta(ge=0.1, le=3600)] = 5.0
    audit_s: Annotated[float, Meta(ge=0, le=86_400)] = 900.0
    time_unit: Literal["ms", "us"] = "ms"

    def levels_of(self, symbol: str) -> int:
        """How many levels a side the snapshots of this symbol have."""
        if isinstance(self.snapshot_levels, dict):
            return self.snapshot_levels.get(symbol, USUAL_LEVELS)
        return self.snapshot_levels

"""What the options of Binance spot may hold in the configuration. Types alone. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec


class BinanceOptions(msgspec.Struct, frozen=True):
    """The options of a feed."""

    time_unit: Literal["ms", "us"] = "ms"
    """In which unit the venue writes times: `us` asks for microseconds, `ms` asks for nothing."""

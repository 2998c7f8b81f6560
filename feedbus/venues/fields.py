"""The types of what venues write in their messages, with the bounds that keep events sound. Pure.

Declared in a decoder's struct, they make msgspec refuse NaN, infinity, negative sizes and times beyond 64 bits.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All that decoding a foreign message may raise."""

LARGEST = 1e100
"""A price or a size beyond it is garbage. Sums of products of those below it stay finite."""

Price = Annotated[float, Meta(gt=0, lt=LARGEST)]
Amount = Annotated[float, Meta(ge=0, lt=LARGEST)]
"""A size, a volume, a turnover: or a price where the venue writes 0 for none."""

Whole = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""A count, a number of a message or of a trade."""

Milliseconds = Annotated[int, Meta(ge=0, lt=2**63 // 1_000_000)]
"""A time since the epoch whose nanoseconds fit 64 bits."""

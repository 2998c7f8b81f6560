"""The types of what venues write in their messages, with the bounds that keep events sound. Pure.

Declared in a decoder's struct, they make msgspec refuse NaN, infinity, negative sizes and times beyond 64 bits.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Annotated

import msgspec
from msgspec import Meta

from feedbus.text import quoted

DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All that decoding a foreign message may raise."""


class OtherInstrument(msgspec.ValidationError):
    """A message names another instrument than the one that was subscribed. Neither name can be trusted then, and the
    data is published under none.
    """

    def __init__(self, named: object) -> None:
        super().__init__(f"names another instrument than the one subscribed: {quoted(named)}")


LARGEST = 1e100
"""A price or a size of it or more is garbage. Sums of products of those below it stay finite."""

Price = Annotated[float, Meta(gt=0, lt=LARGEST)]
"""A price. No venue's price of 0 is one: it stands for none."""

PriceBelowZero = Annotated[float, Meta(gt=-LARGEST, lt=0)]
"""A price of an instrument that may cost less than nothing, as calendar spreads do, and oil did in April 2020."""

Size = Annotated[float, Meta(gt=0, lt=LARGEST)]
"""The size of a level of a whole book. A level without a size is none."""

Amount = Annotated[float, Meta(ge=0, lt=LARGEST)]
"""A size, a volume, a turnover: or a price where the venue writes 0 for none."""

Whole = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""A count, a number of a message or of a trade."""

Milliseconds = Annotated[int, Meta(ge=0, lt=2**63 // 1_000_000)]
"""A time since the epoch whose nanoseconds fit 64 bits."""

Scalar = str | int | float | bool | None
"""Any value of JSON that isn't made of others."""


class AnyArray(msgspec.Struct, array_like=True, gc=False):
    """An array of JSON of which nothing is wanted: none of it is built, since building nested data costs the most."""


class AnyObject(msgspec.Struct, gc=False):
    """An object of JSON of which nothing is wanted."""


LARGE = 4096
"""Bytes. A message of up to so many is decoded in little time whatever it holds."""

MAX_EXPONENTS = 1000
"""How many numbers of a larger message may have an exponent."""

_exponents = re.compile(rb"[0-9.][eE]").finditer


def too_dear(data: bytes | bytearray) -> str:
    """Why a message must not be decoded, since that would take too long; "" for nearly all.

    Reading a number such as 1e308 takes msgspec 20 µs, hundreds of times as long as another one, so that a megabyte of
    them would take seconds. Venues write few numbers with an exponent, or none.
    """
    if len(data) <= LARGE or data.count(b"e") + data.count(b"E") <= MAX_EXPONENTS:
        return ""
    count = sum(1 for _ in islice(_exponents(data), MAX_EXPONENTS + 1))
    return f"more than {MAX_EXPONENTS} numbers with an exponent" if count > MAX_EXPONENTS else ""

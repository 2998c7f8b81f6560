"""The phases of trading, and which of them holds for an instrument. Pure.

The venue's own word for an instrument wins over the calendar, which knows neither holidays nor halts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Phase = Literal["trading", "extra", "auction", "halted", "closed"]
"""What an instrument may be expected to do.

trading  it is traded: messages come
extra    it may be traded, as many instruments are, and others aren't: the sessions of the morning, the evening and
         the weekend. Silence shows nothing, unless this instrument is known to speak then
auction  orders are collected, or it is traded at one price: there may be silence for as long as that lasts
halted   the venue has halted this instrument
closed   there is no trading
"""


def always(time: int) -> Phase:  # noqa: ARG001 - what is asked of every calendar
    """The phase at any time (ns since the epoch) on a venue that never closes."""
    return "trading"


def phase_of(status: str | None, phases: Mapping[str, Phase], calendar: Phase) -> tuple[Phase, bool]:
    """The phase of an instrument, and whether only the calendar says so.

    `status` is the venue's own word, None where it has said none, and `phases` what each of its words means. Of a word
    that isn't among them nothing is known, so the calendar is asked.
    """
    said = None if status is None else phases.get(status)
    return (calendar, True) if said is None else (said, False)

"""When venues trade, by the calendar: which phase a moment belongs to. Pure.

A calendar knows neither holidays nor what is halted. So where a venue says the status of an instrument, that wins.
"""

from __future__ import annotations

from collections.abc import Callable

from feedbus.trust.phases import Phase
from feedbus.venues.trading_days import DAY, MOSCOW_AHEAD

Calendar = Callable[[int], Phase]
"""Returns the phase at a time, in nanoseconds since the epoch."""

MINUTE = 60_000_000_000
SATURDAY = 5
LATER_CLOSE = 20_535
"""The date, counted from the epoch, from which on the main session of the Moscow Exchange's shares ends later:
2026-03-23."""

_Hours = tuple[tuple[int, Phase], ...]


def _at(hours: int, minutes: int = 0) -> int:
    """The minute of the day."""
    return 60 * hours + minutes


_MORNING: _Hours = ((0, "closed"), (_at(6, 50), "auction"), (_at(7), "extra"), (_at(10), "trading"))
_EVENING: _Hours = ((_at(19), "auction"), (_at(19, 5), "extra"), (_at(23, 50), "closed"))
_SHARES: _Hours = (*_MORNING, (_at(18, 55), "auction"), *_EVENING)
_SHARES_BEFORE: _Hours = (*_MORNING, (_at(18, 40), "auction"), (_at(18, 50), "closed"), *_EVENING)
_SHARES_WEEKEND: _Hours = ((0, "closed"), (_at(9, 50), "auction"), (_at(10), "extra"), (_at(19), "closed"))
_OTHERS: _Hours = ((0, "closed"), (_at(6, 50), "extra"), (_at(23, 50), "closed"))
_OTHERS_WEEKEND: _Hours = ((0, "closed"), (_at(9, 50), "extra"), (_at(19), "closed"))


def unknown(time: int) -> Phase:  # noqa: ARG001
    """Of a venue or market whose hours we don't know: it may be traded at any time."""
    return "extra"


def moscow_shares(time: int) -> Phase:
    """The Moscow Exchange's shares and funds, in Moscow's time.

    From Monday to Friday the morning session begins at 06:50 with an auction, and the main one ends at 18:55, before
    2026-03-23 at 18:40, with an auction until 19:00 and 18:50. The evening session is from 19:00, with an auction of
    five minutes, to 23:50, and those of the weekend from 09:50 to 19:00. Not all papers take part in the sessions of
    the morning, the evening and the weekend. From 09:50 to 10:00 those that don't have their opening auction. Sources:
    moex.com/n37833, moex.com/n20033, interfax.ru/business/1072262.
    """
    minute, date, weekend = _moscow(time)
    if weekend:
        return _phase(_SHARES_WEEKEND, minute)
    return _phase(_SHARES if date >= LATER_CLOSE else _SHARES_BEFORE, minute)


def moscow_others(time: int) -> Phase:
    """What else is traded on the Moscow Exchange (bonds, currencies, futures, options): each market has hours of its
    own, all of them within those of the shares."""
    minute, _, weekend = _moscow(time)
    return _phase(_OTHERS_WEEKEND if weekend else _OTHERS, minute)


def _moscow(time: int) -> tuple[int, int, bool]:
    """The minute of the day in Moscow, the date, and whether that is a Saturday or a Sunday."""
    date, since = divmod(time + MOSCOW_AHEAD, DAY)
    return since // MINUTE, date, (date + 3) % 7 >= SATURDAY  # 0 is Monday; the epoch was a Thursday


def _phase(hours: _Hours, minute: int) -> Phase:
    return next(phase for begin, phase in reversed(hours) if begin <= minute)

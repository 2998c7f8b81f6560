"""Which repair comes next: always the cheapest that can still help. Pure: time is an argument.

What is wrong with one instrument is tried to be mended without touching its neighbours, and what is wrong with a
connection without touching the others:

    resubscribe  end the subscriptions of one instrument and ask for them again
    move         carry the instrument on another connection
    recycle      close the connection and make a new one
    restart      restart the connection's actor, with all that it keeps
    give_up      end the feed: whoever supervises it begins anew

An instrument climbs the first two rungs; a connection, of which at least half of the instruments are in trouble, the
others. The last two only come when at least half of the feed's connections are in trouble though they were recycled:
no fault of a single one needs them. A rung is climbed when the one below it hasn't helped within the time in which data
was due; at the end of the instrument's rungs it begins again, after a pause that doubles. Each rung has a limit for the
whole feed, so that repairs never become a storm: what is beyond it waits for the next sweep.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from feedbus.trust.judge import WordTrouble

Rung = Literal["resubscribe", "move", "recycle", "restart", "give_up"]
RUNGS: tuple[Rung, ...] = ("resubscribe", "move", "recycle", "restart", "give_up")

HEALED_AFTER = 120.0
"""Seconds without trouble after which the next repair begins at the lowest rung again."""

SETTLES_WITHIN = 20.0
"""Seconds that a repair is given at least, before the next rung is climbed."""

PAUSE_FIRST, PAUSE_CAP = 60.0, 900.0
"""The bounds in seconds of the pauses after which an instrument that nothing has helped is subscribed again."""


class RungLimit(msgspec.Struct, frozen=True):
    """At most `intensity` repairs of one rung within `period` seconds, in the whole feed."""

    intensity: int
    period: float


LIMITS: Mapping[Rung, RungLimit] = {
    "resubscribe": RungLimit(60, 60.0),
    "move": RungLimit(20, 60.0),
    "recycle": RungLimit(5, 60.0),
    "restart": RungLimit(2, 600.0),
    "give_up": RungLimit(1, 1800.0),
}


class LineFacts(msgspec.Struct, frozen=True):
    """A connection as the ladder sees it: how many instruments it carries, whether it is logged in, and for how many
    more it has room."""

    carries: int
    is_up: bool
    room: int


class Repair(msgspec.Struct, frozen=True):
    """What is to be done now. `line` is the connection that it is about ("" for the whole feed), `symbol` the
    instrument ("" for all of the connection), `channels` what of it is subscribed again, `to` the connection that it
    moves to. `why` is for the log."""

    rung: Rung
    line: str
    symbol: str = ""
    channels: tuple[str, ...] = ()
    to: str = ""
    why: str = ""


class _Climb:
    """How far the repairs of one instrument, or of one connection, have come."""

    __slots__ = ("done", "next_at", "pause", "seen_at")

    def __init__(self, now: float) -> None:
        self.done = 0  # repairs since it was last well
        self.next_at = now
        self.pause = PAUSE_FIRST
        self.seen_at = now  # when it was in trouble last


class RepairLadder:
    """The repairs of one feed. `counts` are those that were ordered, by rung; `held_back` how often a limit has kept
    one for later."""

    def __init__(self, limits: Mapping[Rung, RungLimit] = LIMITS) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(RUNGS, 0))
        self.held_back = 0
        self._limits = limits
        self._times: dict[Rung, deque[float]] = {rung: deque() for rung in RUNGS}
        self._symbols: dict[str, _Climb] = {}
        self._lines: dict[str, _Climb] = {}

    def climb(self, troubles: Iterable[WordTrouble], lines: Mapping[str, LineFacts], now: float) -> list[Repair]:
        """What is to be done about these troubles, which are all that there are now. Called about once a second."""
        by_symbol: dict[str, list[WordTrouble]] = {}
        for trouble in troubles:
            by_symbol.setdefault(trouble.symbol, []).append(trouble)
        sick = self._sick(by_symbol.values(), lines)
        _heal(self._symbols, by_symbol, now)
        _heal(self._lines, sick, now)
        repairs = [repair for name in sick if (repair := self._for_line(name, sick, lines, now)) is not None]
        for of_symbol in by_symbol.values():
            # While its connection is in trouble, or was just made anew, an instrument has to wait for that.
            line = of_symbol[0].line
            climb = self._lines.get(line)
            if line not in sick and (climb is None or now >= climb.next_at):
                repairs += self._for_symbol(of_symbol, lines, now)
        return repairs

    @staticmethod
    def _sick(by_symbol: Iterable[Sequence[WordTrouble]], lines: Mapping[str, LineFacts]) -> list[str]:
        """The connections of which at least half of the instruments are silent, and not one alone."""
        silent = Counter(each[0].line for each in by_symbol if any(it.state != "gapped" for it in each))
        return [
            name for name, count in silent.items() if name in lines and count >= 2 and 2 * count >= lines[name].carries
        ]

    def _for_line(self, name: str, sick: Sequence[str], lines: Mapping[str, LineFacts], now: float) -> Repair | None:
        climb = self._lines.get(name) or self._lines.setdefault(name, _Climb(now))
        climb.seen_at = now
        if now < climb.next_at or not lines[name].is_up:
            return None
        of_half = 2 * sum(self._lines[each].done > 0 for each in sick if each in self._lines) >= len(lines)
        rung: Rung = "recycle"
        if climb.done and of_half:
            rung = "restart" if climb.done == 1 else "give_up"
        if not self._allowed(rung, now):
            return None
        pause = SETTLES_WITHIN if climb.done == 0 else climb.pause
        climb.pause = min(climb.pause * 2, PAUSE_CAP) if climb.done else PAUSE_FIRST
        climb.done += 1
        climb.next_at = now + pause
        about = "" if rung == "give_up" else name
        return Repair(rung, about, why=f"at least half of its {lines[name].carries} instruments are silent")

    def _for_symbol(self, troubles: Sequence[WordTrouble], lines: Mapping[str, LineFacts], now: float) -> list[Repair]:
        first = troubles[0]
        line, symbol, bound = first.line, first.symbol, max(each.bound for each in troubles)
        climb = self._symbols.get(symbol) or self._symbols.setdefault(symbol, _Climb(now))
        climb.seen_at = now
        if now < climb.next_at or line not in lines or not lines[line].is_up:
            return []
        why = f"{first.word} is {first.state} ({first.text or first.reason})"
        channels = tuple(dict.fromkeys(channel for each in troubles for channel in each.channels))
        repair = Repair("resubscribe", line, symbol, channels, why=why)
        if climb.done == 1 and (to := _roomiest(line, lines)):
            repair = Repair("move", line, symbol, to=to, why=why)
        if not self._allowed(repair.rung, now):
            return []
        climb.done += 1
        climb.next_at = now + max(SETTLES_WITHIN, bound)
        if climb.done > 2:
            climb.next_at = now + max(climb.pause, bound)
            climb.pause = min(climb.pause * 2, PAUSE_CAP)
        return [repair]

    def _allowed(self, rung: Rung, now: float) -> bool:
        """Whether the limit of a rung allows one more, which then is counted."""
        limit, times = self._limits[rung], self._times[rung]
        while times and times[0] <= now - limit.period:
            times.popleft()
        if len(times) >= limit.intensity:
            self.held_back += 1
            return False
        times.append(now)
        self.counts[rung] += 1
        return True


def _heal(climbs: dict[str, _Climb], troubled: Iterable[str], now: float) -> None:
    """Forget what has been well for long enough."""
    still = set(troubled)
    for name in [
        name
        for name, climb in climbs.items()
        if name not in still and now >= max(climb.seen_at + HEALED_AFTER, climb.next_at)
    ]:
        del climbs[name]


def _roomiest(line: str, lines: Mapping[str, LineFacts]) -> str:
    """The other connection that is up and has most room; "" when there is none."""
    others = [(facts.room, name) for name, facts in lines.items() if name != line and facts.is_up and facts.room > 0]
    return max(others)[1] if others else ""

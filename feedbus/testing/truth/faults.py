"""What goes wrong in a simulation, and when. Pure: a schedule is made of a seed, and the same seed makes the same one.

The faults:

    refuse         connections and requests over HTTP fail for a while; those that are open are reset at its beginning
    reset          a connection is cut, and its client sees that
    half_open      a connection is cut, and nobody sees it: nothing comes on it any more, no answer to a ping either
    mute_all       the venue sends nothing on a connection any more but answers to pings
    mute_one       one subscription brings nothing any more, until it is made anew (or its connection is)
    slow           what the venue sends on a connection comes later by some seconds
    garbage        messages arrive damaged
    drop           messages don't arrive
    duplicate      messages arrive twice
    reorder        messages arrive after those that follow them
    stale_replay   old messages arrive again
    wrong_ticker   messages about another instrument arrive in a subscription
    login_refused  the credentials are refused for a while, and all connections are reset at its beginning
    ban            the venue shuts us out for some seconds, says for how long, and closes everything
    clock_step     our wall clock is set forward or back
    crash          the code that runs a connection raises an exception
    restart        the process is killed, and starts again after a while
    stop           the process is stopped as it should be, and starts again after a while
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Literal, get_args

import msgspec

FaultKind = Literal[
    "refuse", "reset", "half_open", "mute_all", "mute_one", "slow", "garbage", "drop", "duplicate", "reorder",
    "stale_replay", "wrong_ticker", "login_refused", "ban", "clock_step", "crash", "restart", "stop",
]  # fmt: skip
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
VENUES = ("moex", "alor", "binance")

CALM_BEFORE = 15.0
"""Seconds at the beginning in which nothing goes wrong."""
CALM_AFTER = 75.0
"""Seconds at the end in which nothing goes wrong, and after which everything must be right again."""


class Fault(msgspec.Struct, frozen=True):
    """One fault. `at` is in seconds from the beginning. `place` says on which connection or ticker: it is taken modulo
    the number of those that there are. `lasts` is in seconds, `count` in messages, and `amount` in seconds of delay or
    of the step of a clock."""

    kind: FaultKind
    at: float
    place: int = 0
    lasts: float = 0.0
    count: int = 1
    amount: float = 0.0


class Schedule(msgspec.Struct, frozen=True):
    """One run: which venue, how large, how long (in seconds), and what goes wrong. About every `tempo` seconds an
    instrument's market moves."""

    seed: int
    venue: str
    faults: tuple[Fault, ...]
    seconds: float = 300.0
    connections: int = 4
    tickers: int = 40
    tempo: float = 5.0

    def kinds(self) -> list[str]:
        """The kinds of its faults, in the order in which they come."""
        return [fault.kind for fault in self.faults]


def a_fault(kind: FaultKind, at: float, rng: Random) -> Fault:
    """A fault of this kind with everything else drawn."""
    amount = 0.0
    if kind == "slow":
        amount = rng.choice((0.5, 2.0, 8.0, 20.0))
    elif kind == "clock_step":
        amount = rng.choice((-3600.0, -30.0, -1.5, -0.4, 0.4, 1.5, 30.0, 3600.0))
    return Fault(
        kind,
        round(at, 3),
        place=rng.randrange(1 << 16),
        lasts=round(rng.uniform(2.0, 30.0), 3),
        count=rng.randrange(1, 6),
        amount=amount,
    )


def schedule_of(
    kinds: Sequence[FaultKind],
    seed: int,
    venue: str,
    *,
    seconds: float = 300.0,
    connections: int = 4,
    tickers: int = 40,
) -> Schedule:
    """A schedule with a fault of each of these kinds, at random times."""
    rng = Random(f"schedule {seed}")
    times = sorted(rng.uniform(CALM_BEFORE, seconds - CALM_AFTER - 30.0) for _ in kinds)
    faults = tuple(a_fault(kind, at, rng) for kind, at in zip(kinds, times, strict=True))
    return Schedule(seed, venue, faults, seconds, connections, tickers)


def random_schedule(
    seed: int, *, seconds: float = 300.0, connections: int = 4, tickers: int = 40, venue: str | None = None
) -> Schedule:
    """A schedule of this seed alone: one to eight faults of any kinds in each five minutes."""
    rng = Random(f"kinds {seed}")
    count = max(1, round(rng.uniform(1, 8) * seconds / 300.0))
    kinds = [rng.choice(KINDS) for _ in range(count)]
    chosen = rng.choice(VENUES)
    return schedule_of(kinds, seed, venue or chosen, seconds=seconds, connections=connections, tickers=tickers)


def fixed_schedules(count: int = 12) -> list[Schedule]:
    """Schedules that never change: each kind of fault comes in two of them or more, on different venues."""
    decks = [list(KINDS), list(KINDS), list(KINDS)]
    for number, deck in enumerate(decks):
        Random(f"deck {number}").shuffle(deck)
    dealt = [kind for deck in decks for kind in deck]
    each = -(-len(dealt) // count)
    return [
        schedule_of(dealt[number * each : (number + 1) * each] or dealt[:each], 1000 + number, VENUES[number % 3])
        for number in range(count)
    ]

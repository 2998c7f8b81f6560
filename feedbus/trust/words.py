"""What is known of one word of one instrument, of the instrument, and of the connection that brings them. Pure.

Plain records: the judge (judge.py) changes them, and nobody else does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Any, get_args

from feedbus.schema.events import TrustState
from feedbus.trust.checkers import LossChecker
from feedbus.trust.findings import Finding
from feedbus.trust.phases import Phase
from feedbus.trust.silence import CLOSED_VERDICT, LIVE_VERDICT
from feedbus.trust.tempo import Tempo

Verdict = tuple[TrustState, str]
"""A state and its reason."""

LIVE: Verdict = ("live", "")
RANKS: dict[TrustState, int] = {state: rank for rank, state in enumerate(get_args(TrustState))}
"""The lower, the worse."""


class JudgedLine:
    """One connection. `words` are those that it brings; `heard` is when it last brought any data (`now` seconds), and
    `tempo` what it is used to as a whole."""

    __slots__ = ("generation", "heard", "is_late", "name", "tempo", "words")

    def __init__(self, name: str, tempo: Tempo) -> None:
        self.name = name
        self.tempo = tempo
        self.generation = 0
        self.heard = -inf
        self.is_late = False  # whether its events lag receipt by more than is a matter of clocks
        self.words: list[JudgedWord] = []


class JudgedInstrument:
    """One instrument. `phase` is what it may be expected to do, `by_calendar` whether only the calendar says so, and
    `status` the venue's own word for it, None while the venue has said none."""

    __slots__ = ("by_calendar", "line", "phase", "status", "symbol", "words")

    def __init__(self, symbol: str, line: JudgedLine, phase: Phase) -> None:
        self.symbol = symbol
        self.line = line
        self.phase = phase
        self.by_calendar = True
        self.status: str | None = None
        self.words: list[JudgedWord] = []

    @property
    def is_closed(self) -> bool:
        """Whether the venue says that it isn't traded."""
        return not self.by_calendar and self.phase in ("closed", "halted")

    def worst(self) -> JudgedWord:
        """The word of which the worst was said last."""
        return min(self.words, key=lambda word: RANKS[word.said[0]])


class JudgedWord:
    """One word of one instrument.

    base        what its subscription, its Session and its content say: live when they have nothing against it
    is_dormant  whether nothing has come since the instrument was last closed
    silence     what its silence means
    said        what was published last, `since` from when on it holds (ns since the epoch)
    is_open     whether data changes nothing in what was said: it flows, in time or late, and nothing is against it
    heard       when its last data came, or since when some is expected (`now` seconds)
    begun       since when its silence is counted: first data, or the beginning of a phase (`now` seconds)
    tempo       what it is used to
    unseen      the channels of which no data has come since they were asked for
    heals       whether the next data makes right what is gapped
    own         whether the Session says itself when it is right
    checker     finds what its data shows of losses; None where it shows nothing
    text        what its checker said last
    """

    __slots__ = (
        "base",
        "begun",
        "channels",
        "check",
        "checker",
        "heals",
        "heard",
        "instrument",
        "is_dormant",
        "is_open",
        "name",
        "own",
        "said",
        "silence",
        "since",
        "tempo",
        "text",
        "unseen",
    )

    def __init__(
        self, name: str, channels: Iterable[str], instrument: JudgedInstrument, tempo: Tempo, now: float
    ) -> None:
        self.name = name
        self.channels = frozenset(channels)
        self.instrument = instrument
        self.base: Verdict = ("unsubscribed", "unwanted")
        self.is_dormant = False
        self.silence = LIVE_VERDICT
        self.said: Verdict = ("unsubscribed", "unwanted")
        self.since = 0
        self.is_open = False
        self.heard = self.begun = now
        self.tempo = tempo
        self.unseen = set(self.channels)
        self.own = False
        self.checker: LossChecker | None = None
        self.check: Callable[[Any, float], Finding | None] | None = None
        self.text = ""
        self.heals = False

    def set_checker(self, checker: LossChecker | None) -> None:
        """Have each of its events checked by this from now on."""
        self.checker = checker
        self.check = None if checker is None else checker.check

    def is_settled(self) -> bool:
        """Whether only the lateness of its connection speaks against it, if anything, which data doesn't change."""
        return self.base == LIVE and self.silence == LIVE_VERDICT and not self.is_dormant

    def verdict(self) -> Verdict:
        """What is to be said of it: the worst of all that speaks against it."""
        if self.base != LIVE:
            return self.base
        silence = self.silence
        against: tuple[tuple[bool, Verdict], ...] = (
            (silence[0] == "stale", silence),
            (self.instrument.line.is_late, ("delayed", "late")),
            (silence[0] == "closed", silence),
            (self.is_dormant, CLOSED_VERDICT),
            (silence[0] == "quiet", silence),
        )
        return next((verdict for speaks, verdict in against if speaks), LIVE)

"""What a silence means: the market is quiet, an instrument is mute, or a whole connection is dead. Pure.

Once a second the judge looks at all words of a feed twice. First it counts, for each connection, how many of its words
speak (Speakers). Then each word gets its verdict, for which what was counted is the LineEvidence:

| phase                | this word is silent for               | what else speaks             | verdict        |
|----------------------|---------------------------------------|------------------------------|----------------|
| halted               | any time                              |                              | closed, halted |
| closed (venue)       | any time                              |                              | closed, closed |
| closed (calendar)    | longer than usual                     |                              | closed, closed |
| closed (calendar)    | no longer: the calendar is wrong      |                              | live           |
| trading, extra       | any time, on a dead connection        |                              | stale, silent  |
| any but these        | no longer than usual                  |                              | live           |
| auction              | longer than usual                     |                              | quiet, silent  |
| extra                | longer than usual; it isn't learnt    |                              | quiet, silent  |
| trading, extra       | longer than its bound, stretched      | its neighbours               | stale, silent  |
| trading, extra       | longer than usual                     | nothing, or it isn't so long | quiet, silent  |

**The bound is stretched by how slow the neighbours are.** By definition they spend 1 % of their time in silences that
are longer than usual. When everything is slow at once (a lull, a half-holiday), more of them are, and how many tells
how much slower messages come: the bound is as many times longer then, so that the odds of passing it by chance stay the
same. Only neighbours that could show it are asked, to which a silence as long as this one is unusual: slow ones say
nothing of the last ten seconds. Other words that have passed their bounds count as slow, too: in a lull those with the
shortest bounds pass them first, and as few others are as fast, each of them shows it of the others. Beyond three times
their bounds, which no lull explains, they may be mute, and aren't asked.

**A connection is dead** when nothing at all has come on it for longer than its own bound, which is learnt as that of a
word is, or for longer than the bounds of at least three of its words (of all, where it has fewer), while the other
connections of the feed speak as usual; or for three times as long, which no lull explains. Pings are no evidence: a
venue's front end answers them when nothing is behind it. But while nothing has come on any connection since trading
should have begun, it is taken for a holiday, of which the calendar doesn't know.

Seconds of silence are counted from the latest of: the last data, the confirmation of the subscription, the beginning of
the phase. So a word that has never spoken is judged, too. What is stale stays so until data comes, whatever its
neighbours do meanwhile.
"""

from __future__ import annotations

from math import inf, log, log2

from feedbus.schema.events import TrustState
from feedbus.trust.phases import Phase
from feedbus.trust.tempo import SHARE_UNUSUAL, SilenceBounds

FAR = 3.0
"""How many times its bound a word is silent when a lull doesn't explain it any more."""

SOME = 3
"""So many words of a connection are more than one that is mute by itself."""

MANY = 10
"""So many words are a judgement even where nothing is learnt of them."""

AS_USUAL = 2.0
"""The greatest stretch at which the other connections count as speaking."""

PARDON = 0.03
"""The share of its neighbours that may be slow at once by chance."""

PACES = 18
"""Words are counted by how long they are usually silent: up to 1 s, 2 s, 4 s, …, two days."""

SilenceVerdict = tuple[TrustState, str]
"""A state and its reason: live, quiet, stale or closed."""

LIVE_VERDICT: SilenceVerdict = ("live", "")
QUIET_VERDICT: SilenceVerdict = ("quiet", "silent")
STALE_VERDICT: SilenceVerdict = ("stale", "silent")
CLOSED_VERDICT: SilenceVerdict = ("closed", "closed")
HALTED_VERDICT: SilenceVerdict = ("closed", "halted")

_USUAL = log(SHARE_UNUSUAL)


class Speakers:
    """How many of a connection's words speak, among those from which something is to be expected.

    silent    the seconds for which nothing has come on the connection, and `bounds` those of such a silence
    words     all of them
    begun     those that have spoken since their silence has been counted
    trading   those that should be trading, not only may be
    over      those of which the bound is less than `silent`; `sure` and `far` count those of them whose bound is
              learnt, and is less than a third of it
    waits     the longest silence of any of them: since when something is to be expected, in seconds
    late      by pace: those that are silent for longer than their bounds, but not three times as long
    speaking  by pace: those that are silent for no longer than is usual for them
    slow      by pace: those that are silent for longer, and not for longer than their bounds
    """

    __slots__ = (
        "begun",
        "bounds",
        "far",
        "late",
        "over",
        "silent",
        "slow",
        "speaking",
        "sure",
        "trading",
        "waits",
        "words",
    )

    def __init__(self, silent: float, bounds: SilenceBounds | None = None) -> None:
        self.silent = silent
        self.bounds = bounds
        self.trading = 0
        self.words = self.begun = self.over = self.sure = self.far = 0
        self.waits = 0.0
        self.speaking = [0] * PACES
        self.slow = [0] * PACES
        self.late = [0] * PACES

    def count(self, silent: float, spoke: bool, bounds: SilenceBounds, phase: Phase) -> None:
        """Count a word that has been silent for so many seconds. `spoke` is whether any data has come since that is
        counted (since the confirmation or the beginning of the phase), besides its first picture."""
        if phase != "trading" and phase != "extra":
            return
        self.begun += spoke
        self.trading += phase == "trading"
        if silent <= bounds.usual:
            if not spoke:
                return  # it may not have had the time
            self.speaking[bounds.pace] += 1
        elif not spoke and not bounds.learnt and phase == "extra":
            return  # it may not take part in this session
        elif silent <= bounds.bound:
            self.slow[bounds.pace] += 1
        else:
            self.late[bounds.pace] += silent <= FAR * bounds.bound
            if (line_silent := min(silent, self.silent)) > bounds.bound:  # at the opening it was silent all night
                self.over += 1
                if bounds.learnt:
                    self.sure += 1
                    self.far += line_silent > FAR * bounds.bound
        self.words += 1
        if silent > self.waits:
            self.waits = silent

    def is_silent_for(self, seconds: float) -> bool:
        """Whether the connection is never silent for so long, as far as that is known: nothing is learnt of a session
        in which few take part by those before it."""
        bounds = self.bounds
        return (
            bounds is not None and seconds > bounds.bound and (bounds.learnt or self.trading >= min(SOME, self.words))
        )

    def add(self, other: Speakers) -> None:
        """Count those of another connection, too."""
        self.silent = min(self.silent, other.silent)
        self.words += other.words
        self.begun += other.begun
        self.speaking = [mine + its for mine, its in zip(self.speaking, other.speaking, strict=True)]
        self.slow = [mine + its for mine, its in zip(self.slow, other.slow, strict=True)]
        self.late = [mine + its for mine, its in zip(self.late, other.late, strict=True)]

    def slow_besides(self, silent: float, asks: SilenceBounds) -> int:
        """How many are slow or late of those to which so long a silence is unusual, besides the word with the bounds
        `asks`, which itself is silent for so long."""
        paces = _paces(silent)
        itself = asks.pace < paces and asks.bound < silent <= FAR * asks.bound
        return sum(self.slow[:paces]) + max(0, sum(self.late[:paces]) - itself)

    def stretch(self, silent: float, besides: Speakers | None = None, *, asks: SilenceBounds | None = None) -> float:
        """How many times slower than usual these words speak, at least 1, by those of them to which so long a silence
        is unusual; infinite when none of these does. What `besides` has counted is left out. With `asks`, for one of
        them that has these bounds, the others that are late count as slow.

        The fewer are asked, the less it shows that all of them speak: to one or two a part of one is added that
        doesn't, and only ten that speak show that all is as usual.
        """
        paces = _paces(silent)
        speaking = sum(self.speaking[:paces])
        slow = sum(self.slow[:paces]) if asks is None else self.slow_besides(silent, asks)
        if besides is not None:
            speaking -= sum(besides.speaking[:paces])
            slow -= sum(besides.slow[:paces])
        if not speaking:
            return inf
        asked = speaking + slow
        return max(1.0, _USUAL / log((max(0.0, slow - PARDON * asked) + 1 / asked) / (asked + 1)))


def _paces(silent: float) -> int:
    """The number of paces to which so long a silence is unusual."""
    return 1 + min(int(log2(silent)), PACES - 1) if silent >= 1 else 0


class LineEvidence:
    """What the words of one connection show together. `feed` has counted those of all connections of the feed.

    is_dead  whether the connection is dead
    """

    __slots__ = ("_feed", "_own", "is_dead")

    def __init__(self, own: Speakers, feed: Speakers) -> None:
        self._own = own
        self._feed = feed
        self.is_dead = bool(own.words and feed.begun) and self._all_silent()

    def _all_silent(self) -> bool:
        own = self._own
        silent = min(own.silent, own.waits)  # at the opening it was silent all night
        some, far = min(SOME, own.words), silent / FAR
        if own.far >= some or (own.is_silent_for(far) and own.bounds is not None and own.bounds.learnt):
            return True
        if own.words == own.trading and own.is_silent_for(far * min(own.words, MANY) / MANY):
            return True
        enough = own.sure >= some or own.over == own.words >= MANY or own.is_silent_for(silent)
        return enough and self._feed.stretch(silent, besides=own) <= AS_USUAL

    def stretch(self, silent: float, bounds: SilenceBounds) -> float:
        """How many times longer the bound of a word is that has these bounds and has been silent for so many
        seconds."""
        own, paces = self._own.stretch(silent, asks=bounds), _paces(silent)
        if own == inf or any(self._own.slow[:paces]):
            return own
        if late := self._own.slow_besides(silent, bounds):
            # Where most are late, the connection may be at fault: if nothing is slow elsewhere, this is no lull.
            most = late > sum(self._own.speaking[:paces])
            return min(own, self._feed.stretch(silent, besides=self._own)) if most else own
        # Where all of its neighbours speak, but these are few, the rest of the feed says more of how slow all is.
        return min(own, self._feed.stretch(silent, asks=bounds))


def verdict(
    silent: float,
    bounds: SilenceBounds,
    evidence: LineEvidence,
    phase: Phase,
    by_calendar: bool,
    before: SilenceVerdict = LIVE_VERDICT,
) -> SilenceVerdict:
    """The verdict on one word: the table at the top of this file. `before` is the last verdict on the same silence:
    what was stale doesn't become quiet."""
    if phase == "halted":
        return HALTED_VERDICT
    if phase == "closed" and not (by_calendar and silent <= bounds.usual):
        return CLOSED_VERDICT
    if evidence.is_dead and phase != "auction" and phase != "closed":
        return STALE_VERDICT
    if silent <= bounds.usual:
        return LIVE_VERDICT
    if phase == "auction":
        return QUIET_VERDICT
    return STALE_VERDICT if before == STALE_VERDICT or _is_stale(silent, bounds, evidence, phase) else QUIET_VERDICT


def _is_stale(silent: float, bounds: SilenceBounds, evidence: LineEvidence, phase: Phase) -> bool:
    """Whether a word by itself is silent for longer than it ever is."""
    if silent <= bounds.bound or (phase == "extra" and not bounds.learnt):
        return False
    return silent > bounds.bound * evidence.stretch(silent, bounds)

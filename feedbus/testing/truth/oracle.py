"""What is true, and what may be called live. Pure: time is an argument, in seconds of one clock.

The rule. A reader's value of an instrument and word, its picture, is truthful at an instant if it is what the venue's
market was at the newest moment of which the venue had told by LATELY seconds before, or at any moment since. So the
allowed age is LATELY, counted from the moment at which the venue had something newer to say; a value that hasn't
changed for an hour is true. What the venue holds back by its own pace (a ticker that is sent once a second) it hasn't
told. LATELY covers the way through the network and the bus.

A fault that nobody can see at once excuses an old value, and each only until the feed can know:

    half_open        until the answer to a ping is overdue
    mute             until the silence, counted from the last message or from the last time it was subscribed, is longer
                     than the feed is configured to bear and longer than any before; while the bus says that it is
                     quiet, until the silence is also thirty times as long as the longest before (what a lull of the
                     whole market can explain; see `bearable`)
    slow             until the message that is late has come
    drop, reorder    until the next message of that instrument and word has come, by which the loss can be seen; where a
                     message tells changes alone (MOEX's securities), until what was lost has been told again, and until
                     then each value for itself may be an old one
    garbage          the same, but only where the damaged message doesn't show any more what it was about
    stale_replay,    until the next message, but only where messages have neither a time nor a number (ALOR's quotes):
    reorder          all others show that they are old
    restart          until two heartbeats of the killed publisher are missing

Nothing excuses a value that the market never had within that time: one of another instrument, one that was replayed,
or a book that was put together wrongly. What the feed can see at once (a cut connection, a refused login) excuses
nothing. While the bus says that a price isn't live, anything may be there.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Iterable, Sequence
from math import inf

import msgspec

LATELY = 0.25
"""Seconds."""
ROUGHLY = 1.5
"""By how much the feed may have measured a silence as longer than it was: it sorts them roughly, by their length."""
TIMES_LONGEST, FAR = 10.0, 3.0
"""How many times its longest silence a word may be quiet, and how many times that if all others are slow, too."""
PAST = 64
"""How many moments of the market are kept for each instrument and word while nothing excuses more."""

Key = tuple[str, str]
"""(symbol, word)"""
Picture = Hashable


class Lie(msgspec.Struct, frozen=True):
    """A price that was called live and wasn't true, first at `at` seconds; `lasted` says how often it was found."""

    at: float
    symbol: str
    word: str
    state: str
    shown: Picture
    true: Picture
    fault: str
    """The last fault that touched it."""
    behind: float
    """For how many seconds the shown value had not been true any more; infinity when it never was, as far as known."""


class _Excuse(msgspec.Struct):
    since: float
    until: float
    until_quiet: float  # while the bus says that it is quiet
    cells: frozenset[str] | None  # what has to be told again; None: whatever comes next ends it
    ends_by_news: bool
    is_partial: bool = False  # what is shown meanwhile is put together of old and new values


class _Market:
    """What is known of one instrument and word."""

    __slots__ = ("begun_at", "excuses", "fault", "heard_at", "longest", "past")

    def __init__(self) -> None:
        self.past: deque[tuple[float, Picture, bool]] = deque()  # (since when, what, whether the venue told of it)
        self.excuses: list[_Excuse] = []
        self.fault = ""
        self.begun_at: float | None = None  # when it was last subscribed
        self.heard_at: float | None = None  # when a message about it last came
        self.longest = 0.0  # the longest time between two of them


class Oracle:
    """The truth about all instruments of a venue. `lies` are the first instants of each stretch of untruth."""

    def __init__(self, *, stale_after: float, slack: float = 2.0, most_kept: int = 1000) -> None:
        """`stale_after` is how long the feed is configured to bear silence, in seconds, and `slack` how much later than
        it might it may notice."""
        self.instants = 0
        """How many values that were called live were looked at."""
        self.untrue = 0
        """How many of them weren't true."""
        self.lies: list[Lie] = []
        self.by_state: Counter[tuple[str, str]] = Counter()
        self.fault = ""
        """The last fault of all."""
        self._stale_after = stale_after
        self._slack = slack
        self._most_kept = most_kept
        self._markets: dict[Key, _Market] = {}
        self._lying: set[Key] = set()

    def market(self, key: Key) -> _Market:
        """What is known of this instrument and word."""
        found = self._markets.get(key)
        if found is None:
            found = self._markets[key] = _Market()
        return found

    # What the venue and the network report

    def moved(self, key: Key, now: float, picture: Picture, *, told: bool) -> None:
        """The market of an instrument has another picture now. `told` is whether the venue tells its clients of it at
        this moment, and not only by the way."""
        market = self.market(key)
        past = market.past
        past.append((now, picture, told))
        if len(past) > PAST and not market.excuses:
            self._forget(past, now)

    def withheld(
        self,
        key: Key,
        since: float,
        until: float = inf,
        cells: frozenset[str] | None = None,
        *,
        ends_by_news: bool = True,
    ) -> None:
        """The feed can't know before `until` (or before the next message) what has happened to this since `since`."""
        self._excuse(key, _Excuse(since, until, until, cells, ends_by_news, is_partial=bool(cells)))

    def silenced(self, key: Key, now: float) -> None:
        """A message about this was kept from the feed, and so will be every other one."""
        self._excuse(key, _Excuse(now, *self.bearable(key, now), None, ends_by_news=True))

    def _excuse(self, key: Key, excuse: _Excuse) -> None:
        excuses = self.market(key).excuses
        if not any(
            each.until == excuse.until and each.ends_by_news == excuse.ends_by_news and each.cells == excuse.cells
            for each in excuses
        ):
            excuses.append(excuse)

    def killed(self, keys: Iterable[Key], now: float, until: float) -> None:
        """Whoever tells the reader of anything was killed, which the reader may not know before `until`."""
        for key in keys:
            for excuse in self.market(key).excuses:
                if now <= excuse.until_quiet and excuse.until < until:
                    excuse.until = until
                    excuse.until_quiet = max(excuse.until_quiet, until)
            self.withheld(key, now, until, ends_by_news=False)

    def heard(self, key: Key, at: float, cells: frozenset[str] | None = None) -> None:
        """A message about this comes to the feed at `at`. `cells` are what it tells, None for everything."""
        market = self.market(key)
        if market.heard_at is not None:
            market.longest = max(market.longest, at - market.heard_at)
        market.heard_at = at
        for excuse in market.excuses:
            if not excuse.ends_by_news:
                continue
            if cells is not None and excuse.cells is not None:
                excuse.cells = excuse.cells - cells
                if excuse.cells:
                    continue
            excuse.until = min(excuse.until, at + LATELY)
            excuse.until_quiet = min(excuse.until_quiet, at + LATELY)

    def begun(self, key: Key, now: float) -> None:
        """This has been subscribed, so the feed waits for it from now on."""
        self.market(key).begun_at = now

    def touched(self, key: Key, fault: str) -> None:
        """A fault has touched this."""
        self.market(key).fault = fault

    def bearable(self, key: Key, now: float) -> tuple[float, float]:
        """Until when the feed may call this live in its silence, and until when it may call it quiet. An instrument
        that has never been heard or subscribed is borne from now on."""
        market = self.market(key)
        known = [each for each in (market.heard_at, market.begun_at) if each is not None]
        heard_at = max(known, default=now)
        longest = ROUGHLY * market.longest
        live = max(self._stale_after, longest)
        return heard_at + live + self._slack, heard_at + FAR * max(live, TIMES_LONGEST * longest) + self._slack

    # What the reader shows

    def judge(self, key: Key, now: float, state: str, picture: Picture) -> bool:
        """The reader shows this as usable, in this state. Returns whether it may."""
        self.instants += 1
        market = self._markets.get(key)
        past = market.past if market is not None else None
        if past and (past[-1][1] == picture or self._was(self._markets[key], now, picture, quiet=state == "quiet")):
            self._lying.discard(key)
            return True
        self.untrue += 1
        self.by_state[key[1], state] += 1
        if key not in self._lying:
            self._lying.add(key)
            if len(self.lies) < self._most_kept:
                self.lies.append(self._lie(key, now, state, picture))
        return False

    def _was(self, market: _Market, now: float, picture: Picture, *, quiet: bool) -> bool:
        horizon = now - LATELY
        if market.excuses:
            market.excuses = [excuse for excuse in market.excuses if excuse.until_quiet >= now]
            for excuse in market.excuses:
                if quiet or excuse.until >= now:
                    horizon = min(horizon, excuse.since - LATELY)
        allowed = []
        for since, what, told in reversed(market.past):
            if what == picture:
                return True
            allowed.append(what)
            if told and since <= horizon:
                break
        return any(excuse.is_partial for excuse in market.excuses) and _is_mixed(picture, allowed)

    def _lie(self, key: Key, now: float, state: str, picture: Picture) -> Lie:
        market = self.market(key)
        ended = inf
        newest = market.past[-1][1] if market.past else None
        for (_, what, _), (until, _, _) in zip(list(market.past)[:-1], list(market.past)[1:], strict=True):
            if what == picture:
                ended = now - until
        return Lie(now, key[0], key[1], state, picture, newest, market.fault or self.fault, ended)

    def heard_since(self, key: Key, when: float) -> bool:
        """Whether a message about this has come to the feed since then."""
        heard_at = self.market(key).heard_at
        return heard_at is not None and heard_at >= when

    def rests(self, key: Key) -> bool:
        """Whether the venue has told nothing of this since the last message about it came to the feed."""
        market = self.market(key)
        heard_at = market.heard_at
        return heard_at is not None and not any(told and since > heard_at for since, _, told in market.past)

    @staticmethod
    def _forget(past: deque[tuple[float, Picture, bool]], now: float) -> None:
        """Forget what was before the last told moment that is older than LATELY, but for a few of them."""
        while len(past) > PAST // 2 and past[1][0] <= now - LATELY:
            past.popleft()


def _is_mixed(picture: Picture, allowed: Sequence[Picture]) -> bool:
    """Whether each value of a picture is that of one of these pictures."""
    if not isinstance(picture, tuple):
        return False
    return all(
        any(isinstance(each, tuple) and each[place] == value for each in allowed) for place, value in enumerate(picture)
    )

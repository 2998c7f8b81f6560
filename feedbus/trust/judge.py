"""Judges how far each word of each instrument of a feed may be trusted, and says so by Status events. Pure.

The judge is told everything that happens: connections that come and go, what the venue confirms and refuses, what the
Sessions say of their books, and every event before it is published. Out of that it makes one verdict for each word
(words.py), and a Status whenever the verdict changes. `take` returns events in the order in which they are to be
published: a worsening before the event that shows it, live behind the data that justifies it.

- A change of state is said at once. When only the reason changes, nothing about the price changes: it is said by the
  next sweep.
- Whatever is said of an instrument holds its worst word, so that whoever has heard it once knows the whole.
- All is said again and again, whole instruments together, so that whoever comes later learns it too.

`sweep` is called about once a second: it finds what has fallen silent, and returns what is in trouble, for the repairs.
Times are `now`, seconds of a monotonic clock, and `ts`, nanoseconds since the epoch, which only labels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import inf

import msgspec

from feedbus.schema.events import (
    EVENT_TYPES,
    Bar,
    Event,
    Instrument,
    MarketData,
    MarketEvent,
    Status,
    Ticker,
    TrustState,
)
from feedbus.trust.checkers import Checkers
from feedbus.trust.findings import Finding
from feedbus.trust.phases import Phase, always, phase_of
from feedbus.trust.silence import (
    CLOSED_VERDICT,
    HALTED_VERDICT,
    LIVE_VERDICT,
    LineEvidence,
    Speakers,
    verdict,
)
from feedbus.trust.tempo import FLOOR, SilenceBounds, StaleRules, Tempo, hour_of
from feedbus.trust.tempos import Tempos
from feedbus.trust.words import LIVE, RANKS, JudgedInstrument, JudgedLine, JudgedWord

SAID_AGAIN_EVERY = 10.0
"""Seconds after which all is said again, where there are not too many."""

SAID_AGAIN_PER_S = 100
"""How many statuses are said again in a second at most."""

MAX_FOUND = 1000
"""So many findings are kept until somebody logs them; of further ones only the number is."""

_OF_THE_LINE = ("connecting", "login")
_BEFORE_READY = (*_OF_THE_LINE, "moved")
_NOTHING: Mapping[str, JudgedWord] = {}


PhaseAt = Callable[[int], Phase]
"""The phase of trading at a time, in nanoseconds since the epoch."""


class Facts(msgspec.Struct, frozen=True):
    """What a venue's Account says of itself, as far as the judge needs it. See feedbus.venues.protocol.Account.

    `words` are the topic words of each channel that is subscribed, and `periods` the seconds of channels with bars.
    `phases` says what the venue's words for the trading status mean, and `calendar` gives, by symbol, what says when an
    instrument is traded by the hours of its market.
    """

    venue: str
    words: Mapping[str, Sequence[str]]
    periods: Mapping[str, int] = {}
    phases: Mapping[str, Phase] = {}
    calendar: Callable[[str], PhaseAt] = lambda _symbol: always


class WordTrouble(msgspec.Struct, frozen=True):
    """A word that doesn't get right by itself: which, what is said of it, and within how many seconds of a repair data
    is due. `channels` are those that bring it, and `text` is what was found in its data, "" for nothing."""

    line: str
    symbol: str
    word: str
    channels: tuple[str, ...]
    state: TrustState
    reason: str
    bound: float
    text: str = ""


class Judge:
    """The judge of one feed. `found` is what the checkers of its data have found and nobody has logged yet, and
    `unlogged` how much of it there was no room for."""

    def __init__(self, facts: Facts, *, tempos: Tempos | None = None, checkers: Checkers | None = None) -> None:
        """`tempos` are what its words are used to, and `checkers` find what its data shows of losses."""
        self.found: deque[tuple[str, str, Finding]] = deque()
        self.unlogged = 0
        self.checkers = checkers
        self._facts = facts
        self._tempos = Tempos(facts.venue, StaleRules()) if tempos is None else tempos
        self._calendars: dict[PhaseAt, tuple[Phase, list[JudgedInstrument]]] = {}
        self._channels: dict[str, list[str]] = {}  # by word
        for channel, words in facts.words.items():
            for word in words:
                self._channels.setdefault(word, []).append(channel)
        self._bars = {seconds: channel for channel, seconds in facts.periods.items()}
        by_word: dict[str, dict[str, JudgedWord]] = {word: {} for word in self._channels}
        self._by_word = by_word
        self._by_kind: dict[type[Event], dict[str, JudgedWord]] = {
            kind: by_word[kind.WORD] for kind in EVENT_TYPES if kind.WORD in by_word
        }
        self.instruments: dict[str, JudgedInstrument] = {}
        self.lines: dict[str, JudgedLine] = {}
        self._restless: dict[JudgedInstrument, None] = {}  # of which a reason changed, and wasn't said yet
        self._round: list[JudgedInstrument] = []  # whose statuses are still to be said again in this round
        self._again = 0.0  # how many statuses may be said again now

    # What connections there are, and what they carry

    def line(self, name: str) -> JudgedLine:
        """The connection of this name. It carries nothing yet when it is new."""
        return self.lines.get(name) or self.lines.setdefault(name, JudgedLine(name, Tempo(self._tempos.rules)))

    def carry(self, line: JudgedLine, symbols: Iterable[str], reason: str, now: float, ts: int) -> list[MarketData]:
        """This connection carries these symbols from now on, whoever carried them before."""
        out: list[MarketData] = []
        line.heard = max(line.heard, now)
        for symbol in symbols:
            known = self.instruments.get(symbol)
            instrument = known or self._new(symbol, line, now, ts)
            if instrument.line is not line:
                instrument.line.words = [word for word in instrument.line.words if word.instrument is not instrument]
                instrument.line = line
                known = None
            if known is None:
                line.words += instrument.words
            for word in instrument.words:
                if self.checkers is not None:
                    word.set_checker(self.checkers(symbol, word.name))
                _expect(word, reason, now)
            self._say(instrument, ts, out)
        return out

    def leave(self, line: JudgedLine, symbols: Iterable[str], ts: int) -> list[MarketData]:
        """Nobody asks for these symbols any more, unless another connection carries them by now."""
        out: list[MarketData] = []
        for symbol in symbols:
            instrument = self.instruments.get(symbol)
            if instrument is not None and instrument.line is line:
                for word in instrument.words:
                    word.base = ("unsubscribed", "unwanted")
                if self.checkers is not None:
                    self.checkers.forget(symbol)
                self._say(instrument, ts, out)
        return out

    def away(self, line: JudgedLine, reason: str, now: float, ts: int) -> list[MarketData]:
        """The connection can't bring anything, for this reason. What the venue has refused stays refused."""
        for word in line.words:
            if word.base[0] != "unsubscribed" or word.base[1] == "unwanted":
                _expect(word, reason, now)
        return self._say_line(line, ts)

    def opened(self, line: JudgedLine, generation: int) -> None:
        """The connection is open, and isn't logged in yet."""
        line.generation = generation
        self._reason(line, "login")

    def shut_out(self, line: JudgedLine) -> None:
        """The venue refuses our credentials."""
        self._reason(line, "login")

    def ready(self, line: JudgedLine, now: float) -> None:
        """The venue accepts requests on this connection. Where its first answer to one is what shows that, and several
        came in one read, some are confirmed already, and stay so."""
        self._reason(line, "unconfirmed", after=_BEFORE_READY)
        line.heard = now
        for word in line.words:
            word.heard = word.begun = now

    def stopped(self, line: JudgedLine, ts: int) -> list[MarketData]:
        """The connection is given up."""
        for word in line.words:
            word.base = ("unsubscribed", "unwanted")
        return self._say_line(line, ts)

    def late(self, line: JudgedLine, is_late: bool, ts: int) -> list[MarketData]:
        """Whether the events of this connection are old when they come. That they aren't any more is said by the next
        sweep, behind the data that shows it."""
        if line.is_late is is_late:
            return []
        line.is_late = is_late
        if is_late:
            return self._say_line(line, ts)
        self._restless.update(dict.fromkeys(word.instrument for word in line.words))
        return []

    # What the venue says of subscriptions

    def confirmed(self, channel: str, symbol: str, now: float) -> None:
        """The venue confirmed a subscription."""
        for word in self._words(channel, symbol):
            if word.own or word.base == LIVE:
                continue
            if word.base[0] != "resyncing":
                _expect(word, "first_picture", now)
            elif word.base[1] != "first_picture":
                word.base = ("resyncing", "first_picture")
                word.heard = word.begun = now
            self._restless[word.instrument] = None

    def refused(self, channel: str, symbol: str, ts: int) -> list[MarketData]:
        """The venue refused or ended a subscription."""
        return self._base(channel, symbol, ("unsubscribed", "refused"), ts)

    def resync(self, channel: str, symbol: str, now: float, ts: int) -> list[MarketData]:
        """What there is of a subscription isn't right, and it is made anew."""
        for word in self._words(channel, symbol):
            word.unseen = set(word.channels)
            if word.base[0] != "resyncing":  # one that is made anew again and again in vain has no new time each time
                word.heard = word.begun = now
            if word.checker is not None:
                word.checker.reset()
        return self._base(channel, symbol, ("resyncing", "hole"), ts)

    def damaged(self, channel: str, symbol: str, ts: int) -> list[MarketData]:
        """A message of a subscription came that can't be used. The next one that can makes its data whole again."""
        out: list[MarketData] = []
        for word in self._words(channel, symbol):
            if word.base == LIVE and not word.own:
                word.base = ("gapped", "hole")
                word.text = "a message can't be read"
                word.heals = True
                self._say(word.instrument, ts, out)
        return out

    # Data

    def made(self, events: list[MarketData]) -> list[MarketData]:
        """Events that a Session has made without anything having come on its connection, such as a book that is
        published again: they are no sign of life. Returns what is to be published in their place."""
        out: list[MarketData] = []
        better: dict[JudgedInstrument, int] = {}
        for event in events:
            if isinstance(event, Status):
                self._session_said(event, out, better)
            else:
                out.append(event)
        for instrument, ts in better.items():
            self._say(instrument, ts, out)
        return out

    def take(self, line: JudgedLine, events: list[MarketData], now: float) -> list[MarketData]:
        """Events that came on this connection in one read. Returns what is to be published in their place."""
        if not events or (events[0].__class__ is Status and all(isinstance(event, Status) for event in events)):
            return self.made(events)  # what a Session says of its books is no sign of life
        if now - line.heard > FLOOR:
            line.tempo.gap(now - line.heard, events[0].ts_recv)
        line.heard = now
        kind: type[MarketData] | None = None
        symbols: Mapping[str, JudgedWord] = _NOTHING
        watched = False
        for at, event in enumerate(events):
            if event.__class__ is not kind:
                kind = event.__class__
                symbols = self._by_kind.get(kind, _NOTHING)
                watched = kind is Ticker or kind is Status or kind is Instrument
            word = symbols.get(event.symbol)
            if word is None:
                if watched:
                    return self._slowly(events, at, now)
                continue
            if not word.is_open or (watched and _tells(event, word)):
                return self._slowly(events, at, now)
            if word.check is not None and (finding := word.check(event, now)) is not None:
                return self._slowly(events, at, now, finding)
            gap = now - word.heard
            if gap > FLOOR:
                word.tempo.gap(gap, event.ts_recv)
            word.heard = now
        return events

    def _slowly(
        self, events: list[MarketData], start: int, now: float, finding: Finding | None = None
    ) -> list[MarketData]:
        """The events from `start` on may change what is to be said. What gets better by them is said behind all of
        them, because each change from data to statuses costs a message on the bus. `finding` is about the first of
        them, which is checked already then."""
        out = events[:start]
        better: dict[JudgedInstrument, int] = {}
        for at, event in enumerate(events[start:]):
            if isinstance(event, Status):
                self._session_said(event, out, better)
                continue
            word = self._by_kind.get(type(event), _NOTHING).get(event.symbol)
            if isinstance(event, Ticker | Instrument):
                self.phase_of(event, now, out)
            if word is not None:
                if at or finding is None:
                    finding = None if word.check is None else word.check(event, now)
                if finding is not None and self._found(word, finding, event.ts_recv, out):
                    continue
                self._has_data(word, event, now, better)
            out.append(event)
        for instrument, ts in better.items():
            self._say(instrument, ts, out)
        return out

    def _found(self, word: JudgedWord, finding: Finding, ts: int, out: list[MarketData]) -> bool:
        """A checker has found something wrong with an event of this word, or before it. What is to be said before the
        event is appended to `out`. Returns whether the event is refused."""
        symbol = word.instrument.symbol
        if len(self.found) < MAX_FOUND:
            self.found.append((symbol, word.name, finding))
        else:
            self.unlogged += 1
        if finding.state == "gapped":
            for name in finding.words or (word.name,):
                concerned = self._by_word[name][symbol]
                # One that is resyncing gets its data here, and must not become live by what is wrong with it.
                if concerned.base == LIVE or (concerned is word and concerned.base[0] == "resyncing"):
                    concerned.base, concerned.heals = (finding.state, finding.reason), False
                    concerned.text = finding.text
            self._say(word.instrument, ts, out)
        return finding.refuse

    def _has_data(self, word: JudgedWord, event: MarketData, now: float, better: dict[JudgedInstrument, int]) -> None:
        gap = now - word.heard
        if gap > FLOOR and word.base == LIVE and not word.is_dormant:
            word.tempo.gap(gap, event.ts_recv)
        word.heard = now
        if word.is_open:
            return
        word.is_dormant = word.instrument.is_closed
        if not word.is_dormant:
            word.silence = LIVE_VERDICT
        if word.base != LIVE:
            word.begun = now
        if word.heals:
            word.heals = False
            if word.base[0] == "gapped":
                word.base = LIVE
        if word.base[0] == "resyncing" and not word.own:
            word.unseen.discard(self._channel_of(event, word))
            if not word.unseen:
                word.base = LIVE
        better[word.instrument] = max(event.ts_recv, better.get(word.instrument, 0))

    def phase_of(self, event: Ticker | Instrument, now: float, out: list[MarketData]) -> None:
        """Take the venue's own word for an instrument's trading phase out of an event. What is to be published because
        of it, before the event, is appended to `out`."""
        instrument = self.instruments.get(event.symbol)
        if instrument is None or event.status is None or event.status == instrument.status:
            return
        instrument.status = event.status
        of_calendar = self._calendars[self._facts.calendar(event.symbol)][0]
        self._begin(instrument, *phase_of(event.status, self._facts.phases, of_calendar), now)
        self._say(instrument, event.ts_recv, out)

    def _begin(self, instrument: JudgedInstrument, phase: Phase, by_calendar: bool, now: float) -> None:
        """A phase of an instrument begins."""
        if (phase, by_calendar) == (instrument.phase, instrument.by_calendar):
            return
        instrument.phase, instrument.by_calendar = phase, by_calendar
        for word in instrument.words:
            word.heard = word.begun = now
            word.silence = LIVE_VERDICT
            if instrument.is_closed:
                word.silence = HALTED_VERDICT if phase == "halted" else CLOSED_VERDICT
                word.is_dormant = True  # what came before says nothing of the time after

    def _session_said(self, status: Status, out: list[MarketData], better: dict[JudgedInstrument, int]) -> None:
        """A Session says itself how its data is: that is what the verdict is made of, and not what is published."""
        word = self._by_word.get(status.word, _NOTHING).get(status.symbol)
        if word is None:
            out.append(status)
            return
        word.own = True
        word.base = LIVE if status.state == "live" else (status.state, status.reason)
        if word.base == LIVE and not word.instrument.is_closed:
            word.silence = LIVE_VERDICT
            word.is_dormant = False
        if RANKS[word.verdict()[0]] > RANKS[word.said[0]]:
            better[word.instrument] = max(status.since, better.get(word.instrument, 0))
        else:
            self._say(word.instrument, status.since, out)

    # Time

    def sweep(self, now: float, ts: int) -> tuple[list[MarketData], list[WordTrouble]]:
        """Find what has fallen silent, and say again what was said. Returns what is to be published, and what is in
        trouble. Called about once a second."""
        out: list[MarketData] = []
        troubles: list[WordTrouble] = []
        self._ask_calendars(now, ts)
        looked, feed, hour = [], Speakers(inf), hour_of(ts)
        for line in self.lines.values():
            own = Speakers(now - line.heard, line.tempo.look(now - line.heard, hour))
            looked.append((own, self._look(line, own, now, hour)))
            feed.add(own)
        for own, words in looked:
            evidence = LineEvidence(own, feed)
            for word, silent, bounds in words:
                if silent > bounds.usual or evidence.is_dead or word.silence != LIVE_VERDICT or word.base != LIVE:
                    self._judge(word, silent, bounds, evidence, ts, out, troubles)
        if self.checkers is not None:
            for symbol, name, finding in self.checkers.due(now):
                self._found(self._by_word[name][symbol], finding, ts, out)
        for instrument in self._restless:
            self._say(instrument, ts, out, reasons=True)
        self._restless.clear()
        self._say_again(ts, out)
        return out, troubles

    def _ask_calendars(self, now: float, ts: int) -> None:
        """Let the phases begin that the calendars tell."""
        for calendar, (before, instruments) in self._calendars.items():
            phase = calendar(ts)
            if phase != before:
                self._calendars[calendar] = (phase, instruments)
                for instrument in instruments:
                    self._begin(instrument, *phase_of(instrument.status, self._facts.phases, phase), now)

    @staticmethod
    def _look(line: JudgedLine, own: Speakers, now: float, hour: int) -> list[tuple[JudgedWord, float, SilenceBounds]]:
        """The words of this connection from which something is to be expected, with the seconds of their silence and
        the bounds of it. They are counted."""
        found = []
        for word in line.words:
            state, reason = word.base
            if state == "unsubscribed" or reason in _OF_THE_LINE:
                continue
            silent, instrument = now - word.heard, word.instrument
            bounds = word.tempo.look(silent, hour)
            own.count(silent, word.heard > word.begun, bounds, instrument.phase)
            found.append((word, silent, bounds))
        return found

    def _judge(
        self,
        word: JudgedWord,
        silent: float,
        bounds: SilenceBounds,
        evidence: LineEvidence,
        ts: int,
        out: list[MarketData],
        troubles: list[WordTrouble],
    ) -> None:
        instrument = word.instrument
        word.silence = verdict(silent, bounds, evidence, instrument.phase, instrument.by_calendar, word.silence)
        if word.silence[0] == "closed":
            word.is_dormant = True
        self._say(instrument, ts, out)
        if _is_in_trouble(word):
            channels = tuple(sorted(word.channels))
            text = word.text if word.base[0] == "gapped" else ""
            line, symbol = instrument.line.name, instrument.symbol
            troubles.append(WordTrouble(line, symbol, word.name, channels, *word.said, bounds.bound, text))

    def _say_again(self, ts: int, out: list[MarketData]) -> None:
        """Say some statuses again: as many as it takes to say all of them in a round, but not too many."""
        statuses = sum(len(line.words) for line in self.lines.values())
        self._again = min(self._again + min(statuses / SAID_AGAIN_EVERY, SAID_AGAIN_PER_S), SAID_AGAIN_PER_S)
        while self._again >= 1:
            if not self._round:
                self._round = list(self.instruments.values())[::-1]
                if not self._round:
                    return
            instrument = self._round.pop()
            out += [self._status(word, ts) for word in instrument.words]
            self._again -= len(instrument.words)

    def needs_calendar(self) -> bool:
        """Whether the hours of any instrument's market end."""
        return any(calendar is not always for calendar in self._calendars)

    def states(self) -> dict[TrustState, int]:
        """How many instruments are in which state, each as its worst word; all states are there."""
        counted: dict[TrustState, int] = dict.fromkeys(RANKS, 0)
        for instrument in self.instruments.values():
            if instrument.words:
                counted[instrument.worst().said[0]] += 1
        return counted

    # Saying it

    def _say(self, instrument: JudgedInstrument, ts: int, out: list[MarketData], *, reasons: bool = False) -> None:
        """Say what has changed of an instrument; of what only the reason changed, if `reasons` are wanted too."""
        changed: list[JudgedWord] = []
        for word in instrument.words:
            verdict = word.verdict()
            word.is_open = word.is_settled()
            if verdict == word.said:
                continue
            if verdict[0] != word.said[0]:
                word.since = ts
            elif not reasons:
                self._restless[instrument] = None
                continue
            word.said = verdict
            changed.append(word)
        if not changed:
            return
        worst = instrument.worst()
        if worst not in changed and RANKS[worst.said[0]] < min(RANKS[word.said[0]] for word in changed):
            changed.append(worst)
        out += [self._status(word, ts) for word in changed]

    def _say_line(self, line: JudgedLine, ts: int) -> list[MarketData]:
        out: list[MarketData] = []
        for instrument in dict.fromkeys(word.instrument for word in line.words):
            self._say(instrument, ts, out)
        return out

    def _status(self, word: JudgedWord, ts: int) -> Status:
        instrument = word.instrument
        state, reason = word.said
        return Status(
            self._facts.venue,
            instrument.symbol,
            0,
            max(ts, word.since),
            state,
            reason,
            word.since,
            instrument.line.generation,
            word.name,
        )

    # Inside

    def _new(self, symbol: str, line: JudgedLine, now: float, ts: int) -> JudgedInstrument:
        calendar = self._facts.calendar(symbol)
        if calendar not in self._calendars:
            self._calendars[calendar] = (calendar(ts), [])
        phase, instruments = self._calendars[calendar]
        instrument = self.instruments[symbol] = JudgedInstrument(symbol, line, phase)
        instruments.append(instrument)
        for name, channels in self._channels.items():
            word = JudgedWord(name, channels, instrument, self._tempos.of(symbol, name), now)
            instrument.words.append(word)
            self._by_word[name][symbol] = word
        return instrument

    def _words(self, channel: str, symbol: str) -> list[JudgedWord]:
        found = (self._by_word[word].get(symbol) for word in self._facts.words.get(channel, ()))
        return [word for word in found if word is not None]

    def _base(self, channel: str, symbol: str, base: tuple[TrustState, str], ts: int) -> list[MarketData]:
        out: list[MarketData] = []
        for word in self._words(channel, symbol):
            if not word.own or base[0] == "unsubscribed":
                word.base = base
                self._say(word.instrument, ts, out)
        return out

    def _reason(self, line: JudgedLine, reason: str, *, after: Collection[str] | None = None) -> None:
        """All words of the connection that are resyncing are so for this reason now; where `after` is given, those that
        have been for one of these."""
        for word in line.words:
            state, before = word.base
            if state == "resyncing" and before != reason and (after is None or before in after):
                word.base = ("resyncing", reason)
                self._restless[word.instrument] = None

    def _channel_of(self, event: MarketEvent, word: JudgedWord) -> str:
        """The channel that an event came from, among those of its word: only bars have several."""
        if isinstance(event, Bar) and len(word.channels) > 1:
            return self._bars.get(event.period_s, "")
        return next(iter(word.channels))


def _is_in_trouble(word: JudgedWord) -> bool:
    """Whether a repair may help. A Session that speaks of its books mends them itself."""
    state = word.base[0]
    if word.own and state != "live":
        return False
    return state == "gapped" or word.silence[0] == "stale"


def _tells(event: MarketData, word: JudgedWord) -> bool:
    """Whether an event says something of its instrument besides its data."""
    return not isinstance(event, Ticker | Instrument) or event.status not in (None, word.instrument.status)


def _expect(word: JudgedWord, reason: str, now: float) -> None:
    """Nothing that came before counts any more: the word is whole again when its data has come."""
    word.base = ("resyncing", reason)
    word.unseen = set(word.channels)
    if not word.instrument.is_closed:
        word.silence = LIVE_VERDICT
    word.heard = word.begun = now
    word.own = False
    if word.checker is not None:
        word.checker.reset()

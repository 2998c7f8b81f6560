"""How far a reader of the bus may trust what it has received: statuses and Gaps go in, answers come out. Pure.

    trust = feedbus.Trust()
    async with feedbus.subscribe(topics=["quote", "status"]) as bus:
        async for header, events in bus.messages():
            trust.apply(header, events, time.time_ns())
            if trust.trust("moex", "TQBR.SBER", "quote").usable:
                ...

Publishers say by Status events how far each word of each instrument may be trusted. A reader knows besides what it has
missed itself. A status that may have been lost can have said anything, so nothing that its publisher said counts until
it is said again; and what a publisher said that has fallen silent is only what was so then. When data was lost, the
statuses still count, and what is missing is the newest data of one word: the next event of it that stands by itself
mends that. That the publisher says again what it says of it doesn't: it can't know what this reader has missed.

Each status remembers when it was said, and each publisher since when its words don't count, on one counter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Protocol

import msgspec

from feedbus.schema.events import UNUSABLE_STATES, BookDelta, Gap, MarketData, Status, TrustState
from feedbus.trust.words import RANKS

MAX_INSTRUMENTS = 20_000
"""The most instruments of which something is remembered, unless it is said otherwise."""
MAX_WORDS = 32
"""The most words of one instrument, and MAX_PUBLISHERS the most publishers that are told apart. There are fewer, unless
somebody makes them up."""
MAX_PUBLISHERS = 1024


class FromPublisher(Protocol):
    """What is needed of the header of a message: feedbus.bus.receiver.Header has it."""

    @property
    def publisher(self) -> str: ...


class Trusted(msgspec.Struct, frozen=True, gc=False):
    """How far an instrument, or one word of it, may be trusted, and why (`reason`, "" when live; docs/trust.md).

    `since` is since when that is so, in ns since the epoch: as the publisher says it, or when the reader found it out.
    It is 0 for what was never said. `generation` is that of the connection, 0 where that isn't known.
    """

    state: TrustState
    reason: str
    since: int = 0
    generation: int = 0

    @property
    def usable(self) -> bool:
        """Whether the price may be used, as what the state says that it is."""
        return self.state not in UNUSABLE_STATES


UNHEARD = Trusted("resyncing", "unheard")
"""The answer where nothing was ever said."""


class TrustCounters(msgspec.Struct):
    """Plain totals.

    statuses  statuses that were taken in
    gaps      Gaps that were taken in
    ignored   statuses and Gaps about more instruments, words or publishers than are remembered
    """

    statuses: int = 0
    gaps: int = 0
    ignored: int = 0


class _Speaker:
    """A publisher. What it said before `doubted_at` doesn't count, and `doubt` is what counts in place of it."""

    __slots__ = ("doubt", "doubted_at", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.doubted_at = 0
        self.doubt = UNHEARD


class _Said:
    """What was said last of one word: by whom, and when. `doubt` is what counts in place of it after a Gap in the
    statuses of its instrument."""

    __slots__ = ("at", "doubt", "speaker", "trusted")

    def __init__(self, trusted: Trusted, speaker: _Speaker, at: int) -> None:
        self.trusted = trusted
        self.speaker = speaker
        self.at = at
        self.doubt: Trusted | None = None

    def now(self) -> Trusted:
        if self.at < self.speaker.doubted_at:
            return self.speaker.doubt
        return self.trusted if self.doubt is None else self.doubt


_Words = dict[str, _Said]


class Trust:
    """What may be trusted of all instruments. `counters` are its totals.

    `awaits_data` counts the words of which data was lost. While it is 0, nothing but statuses and Gaps has to be taken
    in.
    """

    TOPICS: ClassVar[tuple[str, ...]] = ("status",)
    """The topics that have to be subscribed besides those of the data, for all venues."""

    def __init__(self, *, max_instruments: int = MAX_INSTRUMENTS, reads: Iterable[str] = ()) -> None:
        """What is said of more than `max_instruments` instruments is left out: they are never usable. `reads` are the
        topic words of the data that the reader takes in. `apply` learns them by itself, a reader that looks at each
        event itself has to name them."""
        self.counters = TrustCounters()
        self.reads = set(reads)
        self.awaits_data = 0
        self._max = max_instruments
        self._at = 0  # counts what was said and what was lost
        self._speakers: dict[str, _Speaker] = {}
        self._said: dict[tuple[str, str], _Words] = {}  # by venue and symbol; "" is every word that isn't there
        self._lost: dict[tuple[str, str], dict[str, Trusted]] = {}  # words whose newest data is missing

    # Taking in

    def apply(self, header: FromPublisher, events: Sequence[MarketData | Gap], now: int) -> None:
        """Takes in one message as a subscription's `messages` yields it, at `now` (ns since the epoch)."""
        if events:
            self.reads.add(events[0].WORD)  # all events of a message are of one word
        for event in events:
            kind = type(event)
            if kind is Status:
                self.add_status(header.publisher, event)  # type: ignore[arg-type]
            elif kind is Gap:
                self.add_gap(event, now)  # type: ignore[arg-type]
            elif self.awaits_data:
                self.add_data(event)  # type: ignore[arg-type]

    # Taking in, for a reader that looks at each event itself

    def add_status(self, publisher: str, event: Status) -> None:
        """Takes in what a publisher says. A word belongs to whoever said it last, and the word "" is every word."""
        self.counters.statuses += 1
        key = event.venue, event.symbol
        word = event.word
        words = self._said.get(key)
        speaker = self._speakers.get(publisher) or self._new_speaker(publisher)
        if words is None and len(self._said) < self._max and speaker is not None:
            words = self._said[key] = {}
        if words is None or speaker is None or (word not in words and len(words) >= MAX_WORDS):
            self.counters.ignored += 1
            return
        if not word:
            words.clear()
        self._at += 1
        words[word] = _Said(Trusted(event.state, event.reason, event.since, event.generation), speaker, self._at)

    def add_gap(self, gap: Gap, now: int) -> None:
        """Takes in a Gap that was found at `now` (ns since the epoch)."""
        self.counters.gaps += 1
        if not gap.topic:
            speaker = self._speakers.get(gap.publisher)
            if speaker is not None:
                self._at += 1
                speaker.doubted_at = self._at
                reason = "publisher_silent" if gap.cause == "silent" else "lost"
                speaker.doubt = Trusted("resyncing", reason, now)
                if gap.cause != "silent":
                    self._lose_all(speaker)
            return
        word, venue, symbol = (*gap.topic.split(".", 2), "", "")[:3]
        key = venue, symbol
        words = self._said.get(key)
        if words is None:
            return
        lost = Trusted("resyncing", "lost", now)
        if word == Status.WORD:
            for said in words.values():
                if said.speaker.name == gap.publisher:
                    said.doubt = lost
        elif word in words or "" in words:
            self._lose(key, word, lost)

    def add_data(self, event: MarketData) -> None:
        """Takes in any event but a Status or a Gap: what stands by itself mends a loss before it."""
        if type(event) is not BookDelta:
            self._has_come((event.venue, event.symbol), event.WORD)

    # Asking

    def trust(self, venue: str, symbol: str, word: str = "") -> Trusted:
        """How far this word of an instrument may be trusted (the topic word: "trade", "quote", "book", …); without a
        word the whole of it, which is as the worst word of which anything was said."""
        key = venue, symbol
        words = self._said.get(key)
        if words is None:
            return UNHEARD
        missing = self._lost.get(key) if self._lost else None
        if word:
            said = words.get(word) or words.get("")
            return UNHEARD if said is None else _with_loss(said.now(), missing, word)
        found = [_with_loss(said.now(), missing, each) for each, said in words.items()]
        if missing:
            found += [lost for each, lost in missing.items() if each not in words]
        return min(found, key=_badness)

    def said(self, venue: str, symbol: str, word: str) -> Trusted:
        """As `trust`, but for data that was lost: this is about statuses alone, for readers that know by themselves
        what became of the data."""
        said = self._of(venue, symbol, word)
        return UNHEARD if said is None else said.now()

    def said_words(self, venue: str, symbol: str) -> list[tuple[str, Trusted]]:
        """What `said` answers for each word of this instrument of which anything was said; "" is every word that isn't
        there."""
        words = self._said.get((venue, symbol))
        return [] if words is None else [(word, said.now()) for word, said in words.items()]

    def speaker(self, venue: str, symbol: str, word: str) -> str:
        """The publisher whose saying counts of this word, "" where nobody has said anything."""
        said = self._of(venue, symbol, word)
        return "" if said is None else said.speaker.name

    def instruments(self) -> Iterator[tuple[str, str]]:
        """The venue and the symbol of each instrument of which anything was said."""
        return iter(self._said)

    def __len__(self) -> int:
        """How many instruments are known."""
        return len(self._said)

    # Inside

    def _lose(self, key: tuple[str, str], word: str, lost: Trusted) -> None:
        """The newest data of a word is missing."""
        missing = self._lost.setdefault(key, {})
        if word in missing or len(missing) < MAX_WORDS:
            self.awaits_data += word not in missing
            missing[word] = lost
        else:
            self.counters.ignored += 1

    def _lose_all(self, speaker: _Speaker) -> None:
        """Any data of this publisher may be missing: of each word that is read, the newest."""
        for key, words in self._said.items():
            for word, said in words.items():
                if said.speaker is speaker:
                    for each in (word,) if word else self.reads:
                        if each in self.reads and each != Status.WORD:
                            self._lose(key, each, speaker.doubt)

    def _of(self, venue: str, symbol: str, word: str) -> _Said | None:
        words = self._said.get((venue, symbol))
        return None if words is None else words.get(word) or words.get("")

    def _new_speaker(self, name: str) -> _Speaker | None:
        if len(self._speakers) >= MAX_PUBLISHERS:
            return None
        speaker = self._speakers[name] = _Speaker(name)
        return speaker

    def _has_come(self, key: tuple[str, str], word: str) -> None:
        """Nothing is missing of this word any more ("": of any word)."""
        missing = self._lost.get(key)
        if missing is None:
            return
        before = len(missing)
        if word:
            missing.pop(word, None)
        else:
            missing.clear()
        self.awaits_data -= before - len(missing)
        if not missing:
            del self._lost[key]


def _with_loss(trusted: Trusted, missing: Mapping[str, Trusted] | None, word: str) -> Trusted:
    """What counts of a word whose newest data may be missing: the worse of the two."""
    lost = missing.get(word) if missing else None
    return trusted if lost is None else min(trusted, lost, key=_badness)


def _badness(trusted: Trusted) -> tuple[int, int]:
    """The worst first, and of equally bad ones the one that has lasted longest."""
    return RANKS[trusted.state], trusted.since

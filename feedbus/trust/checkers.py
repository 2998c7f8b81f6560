"""The checkers of a feed: one for each instrument and topic word whose data tells of its own losses. Pure.

    checkers = checkers_for(account, channels)
    checker = checkers("BTCUSDT", "trade")          # None where nothing of it can be checked
    finding = checker.check(event, now)             # None nearly always
    checker.reset()                                 # it is subscribed anew, or its connection was made anew

Each event is checked once, in the order in which they would be published. What is found is published before the event,
and an event to refuse isn't published. Books that stay crossed without another word are found by `due`, which is to be
called every second or so. What the venue's data shows is said by its Account (`Evidence`).

The numbers of trades and the sums of a day are compared over reconnects; `forget` an instrument that isn't wanted any
more, so that what happened without it isn't missed when it is wanted again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from feedbus.schema.events import (
    Bar,
    BookDelta,
    BookSnapshot,
    Instrument,
    MarketData,
    Quote,
    Ticker,
    Trade,
)
from feedbus.trust.best_prices import BestPrices
from feedbus.trust.crossed_books import BookCrossing
from feedbus.trust.day_sums import DaySums
from feedbus.trust.evidence import Evidence, GivesEvidence
from feedbus.trust.findings import Finding, LossCounts
from feedbus.trust.in_order import BarsByTime, ByNumber, ByNumberAndTime, ByTime
from feedbus.trust.market_phase import MarketPhase
from feedbus.trust.trade_ids import AggregateTrades, TradesByOne, TradesThatGrow

BOTH = (BookSnapshot.WORD, Ticker.WORD)
"""The words that a disagreement of the best prices is about: nobody knows which of the two is wrong."""


class LossChecker(Protocol):
    """The checker of one instrument and topic word."""

    def check(self, event: Any, now: float) -> Finding | None:
        """What is wrong with this event or was before it; `now` is in seconds."""

    def reset(self) -> None:
        """It has been subscribed anew, or its connection was made anew."""


class BookChecker:
    """Whether full pictures of a book come in order, stay crossed, and agree with the ticker."""

    __slots__ = ("_best", "_counts", "_crossed", "_in_order", "_is_suspect", "_ordered", "_suspects", "symbol")

    def __init__(
        self,
        symbol: str,
        counts: LossCounts,
        in_order: ByNumber | ByTime | ByNumberAndTime | None,
        crossed: BookCrossing | None,
        best: BestPrices | None,
        suspects: dict[BookChecker, None],
    ) -> None:
        self.symbol = symbol
        self._counts = counts
        self._ordered = in_order
        self._in_order = _anything if in_order is None else in_order.check
        self._crossed = crossed
        self._best = best
        self._suspects = suspects
        self._is_suspect = False

    def check(self, event: BookSnapshot | BookDelta, now: float) -> Finding | None:
        """See LossChecker. Changes of a book are passed over: whoever keeps the book sees what they lack."""
        if type(event) is not BookSnapshot:  # asking isinstance for a BookDelta in vain takes five times as long
            return None
        if (finding := self._in_order(event, now)) is not None:
            return finding
        bids, asks = event.bids, event.asks
        if bids and asks and bids[0][0] >= asks[0][0]:
            if (finding := self._is_crossed(now)) is not None:
                return finding
        elif self._is_suspect:
            self._uncrossed()
        if self._best is not None and (text := self._best.book(event, now)):
            self._counts.disagreements += 1
            return Finding("gapped", "audit", text, words=BOTH)
        return None

    def reset(self) -> None:
        """See LossChecker."""
        if self._ordered is not None:
            self._ordered.reset()
        if self._crossed is not None:
            self._crossed.reset()
        if self._best is not None:
            self._best.reset_book()

    def due(self, now: float) -> Finding | None:
        """What has become wrong by time alone."""
        if self._crossed is None or not (text := self._crossed.found(now)):
            return None
        self._counts.crossed += 1
        return Finding("gapped", "crossed", text)

    def _is_crossed(self, now: float) -> Finding | None:
        if self._crossed is None:
            return None
        if not self._is_suspect:
            self._is_suspect = True
            self._suspects[self] = None
        self._crossed.crossed(now)
        return self.due(now)

    def _uncrossed(self) -> None:
        self._is_suspect = False
        self._suspects.pop(self, None)
        if self._crossed is not None:
            self._crossed.uncrossed()


class TickerChecker:
    """Whether tickers come in order, their sums grow, and their best prices are the book's. They tell the phase."""

    __slots__ = ("_best", "_counts", "_ordered", "_phase", "_sums")

    def __init__(
        self,
        counts: LossCounts,
        in_order: ByTime | None,
        sums: DaySums | None,
        best: BestPrices | None,
        phase: MarketPhase,
    ) -> None:
        self._counts = counts
        self._ordered = in_order
        self._sums = sums
        self._best = best
        self._phase = phase

    def check(self, event: Ticker, now: float) -> Finding | None:
        """See LossChecker."""
        if self._ordered is not None and (finding := self._ordered.check(event, now)) is not None:
            return finding
        if self._sums is not None and (finding := self._sums.check(event, now)) is not None:
            return finding
        self._phase.said(event.status)
        if self._best is not None and (text := self._best.ticker(event, now)):
            self._counts.disagreements += 1
            return Finding("gapped", "audit", text, words=BOTH)
        return None

    def reset(self) -> None:
        """See LossChecker."""
        if self._ordered is not None:
            self._ordered.reset()
        if self._best is not None:
            self._best.reset_ticker()


class StatusChecker:
    """Learns the phase from what the venue says of the instrument. Nothing of that can be wrong."""

    __slots__ = ("_phase",)

    def __init__(self, phase: MarketPhase) -> None:
        self._phase = phase

    def check(self, event: Instrument, now: float) -> None:  # noqa: ARG002 - the Protocol's signature
        """See LossChecker."""
        self._phase.said(event.status)

    def reset(self) -> None:
        """See LossChecker."""


class _Shared:
    """What the checkers of one instrument share."""

    __slots__ = ("best", "by_word", "phase")

    def __init__(self, phase: MarketPhase, best: BestPrices | None) -> None:
        self.phase = phase
        self.best = best
        self.by_word: dict[str, LossChecker | None] = {}


class Checkers:
    """Makes the checkers of a feed, each once. `counts` are the totals of what they found."""

    def __init__(self, account: GivesEvidence, channels: Sequence[str]) -> None:
        self.counts = LossCounts()
        self._trading_day = account.trading_day
        self._statuses = frozenset(account.continuous_statuses)
        self._by_word: dict[str, Evidence] = {}  # of the channel that each word comes from
        words: set[str] = set()
        for channel in channels:
            for word in account.kinds.get(channel, ()):
                words.add(word)
                if channel in account.evidence:
                    self._by_word.setdefault(word, account.evidence[channel])
        # The words that tell the phase.
        self._told = words & {Ticker.WORD, Instrument.WORD} if self._statuses else set()
        self._audits = words.issuperset(BOTH) and any(each.tells_best for each in self._by_word.values())
        self._shared: dict[str, _Shared] = {}
        self._suspects: dict[BookChecker, None] = {}

    def __call__(self, symbol: str, word: str) -> LossChecker | None:
        """The checker of this instrument and word, always the same one; None where nothing can be checked."""
        shared = self._shared.get(symbol)
        if shared is None:
            phase = MarketPhase(self._statuses)
            shared = self._shared[symbol] = _Shared(phase, BestPrices(phase) if self._audits else None)
        if word not in shared.by_word:
            shared.by_word[word] = self._made(symbol, word, shared)
        return shared.by_word[word]

    def forget(self, symbol: str) -> None:
        """This instrument isn't wanted any more."""
        shared = self._shared.pop(symbol, None)
        if shared is None:
            return
        for checker in shared.by_word.values():
            if isinstance(checker, BookChecker):
                self._suspects.pop(checker, None)
        for evidence in self._by_word.values():
            if evidence.spans is not None:
                evidence.spans.forget(symbol)

    def due(self, now: float) -> Iterator[tuple[str, str, Finding]]:
        """What has become wrong by time alone, as (symbol, word, finding). It looks at the books that are crossed."""
        for checker in list(self._suspects):
            if (finding := checker.due(now)) is not None:
                yield checker.symbol, BookSnapshot.WORD, finding

    def _made(self, symbol: str, word: str, shared: _Shared) -> LossChecker | None:
        evidence, made = self._by_word.get(word, _NOTHING), None
        match word:
            case Trade.WORD:
                made = self._trades(symbol, evidence)
            case Quote.WORD:
                made = self._in_order(word, evidence)
            case BookSnapshot.WORD:
                made = self._books(symbol, evidence, shared)
            case Ticker.WORD:
                made = self._tickers(evidence, shared)
            case Bar.WORD if evidence.timed:
                made = BarsByTime(self.counts)
        return StatusChecker(shared.phase) if made is None and word in self._told else made

    def _trades(self, symbol: str, evidence: Evidence) -> LossChecker | None:
        if evidence.spans is not None:
            return AggregateTrades(self.counts, evidence.spans.watch(symbol))
        if evidence.trade_ids == "by_one":
            return TradesByOne(self.counts)
        return TradesThatGrow(self.counts, self._trading_day) if evidence.trade_ids == "grow" else None

    def _books(self, symbol: str, evidence: Evidence, shared: _Shared) -> LossChecker | None:
        crossed = BookCrossing(shared.phase) if evidence.full_pictures else None
        in_order = self._in_order(BookSnapshot.WORD, evidence)
        if in_order is None and crossed is None and shared.best is None:
            return None
        return BookChecker(symbol, self.counts, in_order, crossed, shared.best, self._suspects)

    def _tickers(self, evidence: Evidence, shared: _Shared) -> LossChecker | None:
        in_order = ByTime(Ticker.WORD, self.counts) if evidence.timed else None
        sums = DaySums(self.counts, self._trading_day, self._statuses) if evidence.sums_grow else None
        if in_order is None and sums is None and shared.best is None:
            return None
        return TickerChecker(self.counts, in_order, sums, shared.best, shared.phase)

    def _in_order(self, word: str, evidence: Evidence) -> ByNumber | ByTime | ByNumberAndTime | None:
        if evidence.numbered:
            return ByNumberAndTime(word, self.counts) if evidence.timed else ByNumber(word, self.counts)
        return ByTime(word, self.counts) if evidence.timed else None


def checkers_for(account: GivesEvidence, channels: Sequence[str]) -> Checkers:
    """The checkers of a feed that subscribes these channels."""
    return Checkers(account, channels)


def _anything(_event: MarketData, _now: float) -> None:
    return None


_NOTHING = Evidence()

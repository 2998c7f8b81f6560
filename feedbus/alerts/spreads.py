"""The kinds of rules that judge the best bid and ask: `wide_spread` and `crossed_book`.

docs/alerting.md has the formulas. The module is pure.
"""

from __future__ import annotations

from typing import ClassVar

from feedbus.alerts.market import LARGEST, SMALLEST, TEXT_DIGITS
from feedbus.alerts.states import FIRING, QUIET, CompiledRule, SharedState, Subject
from feedbus.alerts.watched_books import BookWatch
from feedbus.books.decimals import difference
from feedbus.schema.events import BookDelta, BookSnapshot, Quote, Ticker
from feedbus.text import plain_decimal

# Sources of bid and ask, the better ones with the higher numbers; 0 is none yet.
_TICKER, _BOOK, _QUOTE = range(1, 4)
_SOURCES = ("", Ticker.WORD, BookSnapshot.WORD, Quote.WORD)


class WideSpread(BookWatch):
    """Fires when the spread is more than `threshold` per cent of the mid: 100 · (ask - bid) / ((ask + bid) / 2).

    Quotes, books and tickers show the same prices at different times and would contradict one another. So only the best
    source that the instrument has had is judged, in that order. While a side is empty nothing is known, and the state
    stays as it is. The same holds while that source isn't judged or the book is lost, but for how long the spread has
    been wide is counted anew then.
    """

    HANDLERS: ClassVar[dict[type, str]] = {
        Quote: "on_quote",
        BookSnapshot: "",
        BookDelta: "",
        Ticker: "on_ticker",
    }
    NEEDS_DATA: ClassVar[bool] = True

    __slots__ = ("_ask", "_bid", "_max_share", "_resolved_share", "_source")

    def __init__(self, rule: CompiledRule, subject: Subject, shared: SharedState) -> None:
        super().__init__(rule, subject, shared)
        self._max_share = rule.threshold / 200  # the widest spread allowed, as a share of bid + ask
        self._resolved_share = rule.resolve_at / 200
        self._source = 0
        self._bid = self._ask = 0.0

    def on_quote(self, event: Quote, now: int) -> None:
        """Judges a quote, the best source."""
        self._source = _QUOTE
        if event.bid is not None and event.ask is not None:
            self._judge(event.bid, event.ask, now, event.ts_event)

    def on_best(self, bid: float | None, ask: float | None, now: int, ts_event: int) -> None:
        """Judges the book, the second best source."""
        if self._source <= _BOOK:
            self._source = _BOOK
            # Most books are narrow and change nothing: they cost no further call.
            if (
                bid is not None
                and ask is not None
                and (self.state != QUIET or ask - bid > self._max_share * (ask + bid))
            ):
                self._judge(bid, ask, now, ts_event)

    def on_book_lost(self, _now: int, _ts_event: int) -> None:
        """Forgets since when the spread has been wide: nobody knows it for the time without a book."""
        self.on_word_lost(BookSnapshot.WORD)

    def on_word_lost(self, word: str) -> None:
        """Does the same for any source, if it is the one that is judged."""
        if word == self.data_word():
            self.unknown()

    def data_word(self) -> str:
        """Returns that of the best source so far."""
        return _SOURCES[self._source]

    def on_ticker(self, event: Ticker, now: int) -> None:
        """Judges a ticker, where there is no better source."""
        if self._source <= _TICKER and event.bid is not None and event.ask is not None:
            self._source = _TICKER
            self._judge(event.bid, event.ask, now, event.ts_event)

    def _judge(self, bid: float, ask: float, now: int, ts_event: int) -> None:
        twice_mid = ask + bid
        if not (twice_mid >= SMALLEST and ask <= LARGEST and -LARGEST <= bid <= LARGEST):
            self.shared.unusable += twice_mid > 0
            return
        share = self._resolved_share if self.state == FIRING else self._max_share
        if ask - bid > share * twice_mid:
            self._bid, self._ask = bid, ask
            self.condition_holds(now, now, ts_event)
        elif self.state != QUIET:
            self._bid, self._ask = bid, ask
            self.condition_ended(now, ts_event)

    def describe_firing(self) -> tuple[float | None, str]:
        """Returns the spread in per cent of the mid, and a text that says it."""
        return self._spread("above")

    def describe_resolved(self) -> tuple[float | None, str]:
        """Returns the spread in per cent of the mid, and a text that says it."""
        return self._spread("not above")

    def _spread(self, relation: str) -> tuple[float, str]:
        spread = 200 * (self._ask - self._bid) / (self._ask + self._bid)
        sides = f"bid {_number(self._bid)}, ask {_number(self._ask)}"
        limit = self.rule.threshold if relation == "above" else self.rule.resolve_at
        return spread, f"spread {plain_decimal(spread, 3)} % ({sides}), {relation} {_number(limit)} %"


class CrossedBook(BookWatch):
    """Fires when the best bid of the book isn't below its best ask: the book is crossed, or locked where the two are
    equal. It also fires when the publisher doesn't show the book and says that it is crossed.

    It is resolved when the bid is below the ask again, when a side is empty, and when the book is lost: what isn't
    known isn't called crossed. While the instrument is closed its book is that of the last session, and isn't judged.
    """

    HANDLERS: ClassVar[dict[type, str]] = {BookSnapshot: "", BookDelta: ""}
    NEEDS_DATA: ClassVar[bool] = True

    __slots__ = ("_ask", "_bid", "_is_told")

    def __init__(self, rule: CompiledRule, subject: Subject, shared: SharedState) -> None:
        super().__init__(rule, subject, shared)
        self._is_told = False  # it is known from the publisher's words alone
        self._bid: float | None = None
        self._ask: float | None = None

    def on_best(self, bid: float | None, ask: float | None, now: int, ts_event: int) -> None:
        """Judges the best prices of the book."""
        is_crossed = bid is not None and ask is not None and bid >= ask
        if not is_crossed and self.state == QUIET:
            return
        if not all(price is None or -LARGEST <= price <= LARGEST for price in (bid, ask)):
            self.shared.unusable += 1
            return
        self._bid, self._ask, self.lost, self._is_told = bid, ask, "", False
        if is_crossed:
            self.condition_holds(now, now, ts_event)
        else:
            self.condition_ended(now, ts_event)

    def on_book_lost(self, now: int, ts_event: int) -> None:
        """Notes that nothing is known of the book."""
        self._is_told = False
        if self.state != QUIET:
            self.condition_ended(now, ts_event)

    def data_word(self) -> str:
        """Returns that of books."""
        return BookSnapshot.WORD

    def on_told_crossed(self, now: int, ts_event: int) -> None:
        """Notes that the publisher says that the book is crossed."""
        self._is_told = True
        self.condition_holds(now, now, ts_event)

    def describe_firing(self) -> tuple[float | None, str]:
        """Returns by how much the bid is above the ask; no value when only the publisher knows."""
        return self._describe()

    def describe_resolved(self) -> tuple[float | None, str]:
        """Returns by how much the bid is above the ask, which is negative; no value when that isn't known."""
        return self._describe()

    def _describe(self) -> tuple[float | None, str]:
        bid, ask = self._bid, self._ask
        if self._is_told:
            return None, "crossed: its publisher says so, and doesn't show the book until it is right"
        if self.lost:
            return None, f"the book is lost ({self.lost}), so nobody knows whether it is still crossed"
        if bid is None or ask is None:
            sides = [side for side, price in (("bids", bid), ("asks", ask)) if price is None]
            return None, f"the book has no {' and no '.join(sides)}"
        excess = difference(bid, ask)
        if excess > 0:
            return excess, f"crossed: bid {_number(bid)} is above ask {_number(ask)}"
        if excess == 0:
            return excess, f"locked: bid and ask are {_number(bid)}"
        return excess, f"bid {_number(bid)}, ask {_number(ask)}"


def _number(value: float) -> str:
    return plain_decimal(value, TEXT_DIGITS)

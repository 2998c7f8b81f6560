"""All books of a connection: when each is published again, when each is audited, and what is said at the end."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from feedbus.schema.events import BookSnapshot, MarketData
from feedbus.venues.binance.account import REST
from feedbus.venues.binance.book_sync import BookSync
from feedbus.venues.binance.kept_books import AuditPace, KeptBooks
from feedbus.venues.binance.options import BinanceOptions
from feedbus.venues.protocol import Fetch, Subscription
from tests.venues.binance.depth_frames import ASKS, BIDS, snapshot, update

SYMBOLS = [f"S{number}USDT" for number in range(40)]


def kept(options: BinanceOptions, symbols: list[str] = SYMBOLS) -> KeptBooks:
    """The books of these symbols, all right at the time 0."""
    books = KeptBooks(options, AuditPace(REST), Counter(), lambda: 1)
    for symbol in symbols:
        sync = books.add(Subscription("depth", symbol))
        (fetch,) = [effect for effect in books.begin(symbol, 1, 0.0) if isinstance(effect, Fetch)]
        sync.update(update(3, 5).replace(b'"S"', f'"{symbol}"'.encode()), 1, 0.0)
        assert books.fetched(fetch, snapshot(5, BIDS, ASKS), 0.0)
        assert sync.shown
    return books


def ticks(books: KeptBooks, until: float) -> list[tuple[float, MarketData | Fetch]]:
    """What comes by the passing of time, called when it wants to be called."""
    found: list[tuple[float, MarketData | Fetch]] = []
    now = 0.0
    while (now := max(now, books.wake_at())) <= until:
        effects = books.tick(now)
        found += [(now, effect) for effect in effects if isinstance(effect, BookSnapshot | Fetch)]
    return found


def test_each_book_is_published_again_once_in_the_interval_and_they_are_spread_over_it() -> None:
    books = kept(BinanceOptions(republish_levels=1, republish_s=5.0, audit_s=0.0))
    found = ticks(books, 50.0)
    times: dict[str, list[float]] = {}
    for when, event in found:
        assert isinstance(event, BookSnapshot)
        assert (event.bids, event.asks, event.venue_sequence, event.bids_whole) == (BIDS[:1], ASKS[:1], 5, False)
        times.setdefault(event.symbol, []).append(when)
    assert times.keys() == set(SYMBOLS)
    assert {len(whens) for whens in times.values()} <= {10, 11}
    seconds = Counter(int(when) for when, _ in found)
    assert max(seconds.values()) <= 16  # 8 each second, if they were spread evenly
    assert all(4.9 < later - earlier < 5.1 for whens in times.values() for earlier, later in pairwise(whens))


def test_a_book_that_is_not_right_is_not_published_again_and_one_that_is_dropped_is_forgotten() -> None:
    books = kept(BinanceOptions(audit_s=0.0), SYMBOLS[:3])
    lost = books.get(SYMBOLS[0])
    assert lost is not None
    lost.update(update(9, 9).replace(b'"S"', f'"{SYMBOLS[0]}"'.encode()), 1, 0.0)
    books.note(lost)
    books.drop(SYMBOLS[1])
    assert {event.symbol for _, event in ticks(books, 20.0) if isinstance(event, BookSnapshot)} == {SYMBOLS[2]}
    assert books.fetched(Fetch("/", about=SYMBOLS[1]), snapshot(5, BIDS, ASKS), 0.0) == []
    again = books.add(Subscription("depth", SYMBOLS[1]))
    assert books.get(SYMBOLS[1]) is again


def test_audits_take_a_tenth_of_the_budget_whatever_they_are_asked_to() -> None:
    books = kept(BinanceOptions(snapshot_levels=1000, audit_s=1.0, republish_s=3600.0))
    audits: list[tuple[float, str]] = []
    now = 0.0
    while (now := max(now, books.wake_at())) <= 120.0:
        for effect in books.tick(now):
            if isinstance(effect, Fetch):
                audits.append((now, effect.about))
                books.fetched(effect, snapshot(5, BIDS, ASKS), now)
    assert all(later - earlier >= 4.99 for (earlier, _), (later, _) in pairwise(audits))
    assert len(audits) >= 22  # weight 50 each: 600 a minute are 12
    assert len({symbol for _, symbol in audits}) >= 20


@pytest.mark.parametrize("audit_s", [0.0, 60.0])
def test_audits_can_be_switched_off(audit_s: float) -> None:
    books = kept(BinanceOptions(audit_s=audit_s, republish_s=3600.0), SYMBOLS[:2])
    audits = [effect for _, effect in ticks(books, 59.0) if isinstance(effect, Fetch)]
    assert (len(audits) > 0) == (audit_s > 0)


def test_a_symbol_that_is_given_up_and_wanted_again_leaves_nothing_behind_and_is_audited() -> None:
    options = BinanceOptions(audit_s=900.0, republish_s=3600.0)
    books = kept(options, SYMBOLS[:1])
    for number in range(50):
        books.drop(SYMBOLS[0])
        books.add(Subscription("depth", SYMBOLS[0]))
        books.begin(SYMBOLS[0], 1, float(number))
    assert (len(books._turns), len(books._audits), len(books._wakes)) == (1, 1, 0)
    books = kept(options, SYMBOLS[:1])
    assert sum(isinstance(effect, Fetch) for _, effect in ticks(books, 1000.0)) == 1


def test_a_change_of_one_book_costs_no_look_at_the_others() -> None:
    books = KeptBooks(BinanceOptions(), AuditPace(REST), Counter(), lambda: 1)
    looked: list[str] = []

    class Watched(BookSync):
        @property
        def wake_at(self) -> float:
            looked.append(self.symbol)
            return super().wake_at

    for symbol in SYMBOLS:
        books.add(Subscription("depth", symbol)).__class__ = Watched
        books.begin(symbol, 1, 1.0)
    looked.clear()
    sync = books.get(SYMBOLS[7])
    assert sync is not None
    sync.update(update(3, 5).replace(b'"S"', f'"{SYMBOLS[7]}"'.encode()), 1, 0.0)
    books.note(sync)
    assert books.wake_at() > 0.5
    books.tick(0.5)
    assert set(looked) == {SYMBOLS[7]}

"""The book of one symbol, against a venue that loses, repeats and jumps. Whatever happens, the book that a reader has
equals the naive one of what the venue really had at that update, or the reader says that there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.books.books import Books
from feedbus.errors import ConnectFailed, RateLimited, VenueError
from feedbus.schema.events import Event, Level, MarketData, Quote, Status
from feedbus.testing.strategies import examples
from feedbus.venues.binance.book_sync import LINK_WITHIN, BookSync
from feedbus.venues.fields import DECODE_ERRORS
from feedbus.venues.protocol import Effect, Fetch, FetchResponse, Subscription
from tests.venues.binance.depth_frames import ASKS, BIDS, snapshot, update

HEADER = SimpleNamespace(publisher="p")
SUBSCRIPTION = Subscription("depth", "S")


class Reader:
    """One book, and a reader of the bus that has what is published of it."""

    def __init__(self, levels: int = 100) -> None:
        self.counts: Counter[str] = Counter()
        self.sync = BookSync(SUBSCRIPTION, levels, self.counts, lambda: 3)
        self.books = Books()
        self.fetches: list[Fetch] = []
        self.said: list[str] = []
        self.kinds: list[str] = []

    def take(self, effects: list[Effect] | list[MarketData] | tuple[Effect, ...]) -> Reader:
        events: list[MarketData] = []
        for effect in effects:
            self.kinds.append(type(effect).__name__)
            if isinstance(effect, Fetch):
                self.fetches.append(effect)
            elif isinstance(effect, Event):
                events.append(effect)
            if isinstance(effect, Status):
                self.said.append(f"{effect.state} {effect.reason}".strip())
                assert (effect.word, effect.generation, effect.symbol) == ("book", 3, "S")
        self.books.apply(HEADER, events)
        return self

    def update(self, payload: bytes, now: float = 0.0) -> Reader:
        try:
            return self.take([*self.sync.update(payload, 1, now)])
        except DECODE_ERRORS:
            return self.take(self.sync.damaged(now, 1))

    def answer(self, answer: FetchResponse | VenueError, now: float = 0.0) -> Reader:
        return self.take(self.sync.fetched(self.fetches[-1], answer, now))

    def quote(self, last: int, bid: Level, ask: Level, now: float = 0.0) -> Reader:
        return self.take([*self.sync.quote(Quote("binance", "S", 0, 1, *bid, *ask, last), now)])

    def tick(self, now: float) -> Reader:
        return self.take(self.sync.tick(now))

    @property
    def book(self) -> tuple[list[Level], list[Level]] | str:
        book = self.books.get("binance", "S")
        if book is None:
            return self.books.why_none("binance", "S")
        return book.bids.top(), book.asks.top()


def begun(levels: int = 100) -> Reader:
    reader = Reader(levels)
    return reader.take(reader.sync.begin(1))


def live(levels: int = 100) -> Reader:
    reader = begun(levels).update(update(3, 5)).answer(snapshot(5, BIDS, ASKS))
    assert (reader.book, reader.said) == ((BIDS, ASKS), ["resyncing first_picture", "live"])
    reader.kinds.clear()
    return reader


@pytest.mark.parametrize(
    ("updates", "last", "found"),
    [
        ([(3, 5)], 5, "live"),  # the snapshot is where the stream is
        ([(3, 5), (6, 9)], 4, "live"),  # a message that spans the snapshot
        ([(6, 9)], 5, "live"),  # the first message begins right behind the snapshot
        ([(7, 9)], 5, "resyncing first_picture"),  # the snapshot is too old
        ([(3, 5)], 6, "resyncing first_picture"),  # the stream hasn't reached the snapshot
        ([(3, 5), (6, 7)], 6, "live"),
        ([(1, 2), (3, 5), (3, 5)], 5, "live"),  # a repeat
        ([(3, 5), (1, 2), (3, 5)], 5, "live"),  # the past once more: what follows it is kept
        ([(1, 2), (4, 5)], 5, "live"),  # a hole before the snapshot does no harm
        ([(1, 2), (4, 5)], 2, "resyncing hole"),  # one behind it does
    ],
)
def test_a_snapshot_links_when_every_change_after_it_is_there(
    updates: list[tuple[int, int]], last: int, found: str
) -> None:
    reader = begun()
    for first, end in updates:
        reader.update(update(first, end))
    assert reader.answer(snapshot(last, BIDS, ASKS)).said[-1] == found
    assert (reader.book == (BIDS, ASKS)) == (found == "live")


def test_buffered_changes_are_applied_and_then_each_message_follows_the_one_before() -> None:
    reader = begun().update(update(3, 5, [(10.0, 9.0)])).update(update(6, 7, [(9.0, 0.0)], [(11.0, 4.0)]))
    reader.answer(snapshot(5, BIDS, ASKS))
    assert reader.book == ([(10.0, 1.0)], [(11.0, 4.0), (12.0, 2.0)])
    reader.update(update(8, 8, [(10.5, 2.0)])).update(update(9, 12, [], [(12.0, 0.0)]))
    assert reader.book == ([(10.5, 2.0), (10.0, 1.0)], [(11.0, 4.0)])
    assert reader.kinds[-3:] == ["Status", "BookDelta", "BookDelta"]


@pytest.mark.parametrize(
    ("happens", "said", "count"),
    [
        (lambda reader: reader.update(update(7, 8)), "resyncing hole", "depth_holes"),
        (lambda reader: reader.update(update(3, 5)), "live", "depth_repeats"),
        (lambda reader: reader.update(update(2, 4)), "resyncing hole", "depth_moved_back"),
        (lambda reader: reader.update(update(6, 7)).update(update(6, 7)), "live", "depth_repeats"),
        (lambda reader: reader.update(update(6, 7)).update(update(1, 2)), "resyncing hole", "depth_moved_back"),
        (lambda reader: reader.update(update(6, 7, [(11.5, 1.0)])), "gapped crossed", "depth_crossed"),
        (lambda reader: reader.update(update(6, 7)[:-2]), "resyncing hole", "depth_damaged"),
        (lambda reader: reader.update(update(6, 7).replace(b'"S"', b'"T"')), "resyncing hole", "depth_damaged"),
        (lambda reader: reader.quote(5, (10.0, 7.0), ASKS[0]), "gapped audit", "quotes_disagreed"),
        (lambda reader: reader.quote(7, (10.0, 7.0), ASKS[0]).update(update(6, 7)), "gapped audit", "quotes_disagreed"),
        (lambda reader: reader.quote(7, (10.0, 7.0), ASKS[0]).update(update(6, 8)), "live", "books_right"),
        (lambda reader: reader.quote(4, (10.0, 7.0), ASKS[0]), "live", "books_right"),
        (lambda reader: reader.quote(5, BIDS[0], ASKS[0]), "live", "quotes_compared"),
        (lambda reader: reader.update(update(6, 6, [(5.0, 0.0), (1e-8, 1.0)])), "live", "books_right"),
    ],
)  # fmt: skip
def test_what_makes_a_book_wrong_is_said_counted_and_repaired(
    happens: Callable[[Reader], Reader], said: str, count: str
) -> None:
    reader = live()
    happens(reader)
    assert (reader.said[-1], reader.counts[count]) == (said, 1)
    if said == "live":
        assert isinstance(reader.book, tuple)
        return
    assert (reader.book, len(reader.fetches)) == (said.split(maxsplit=1)[0], 2)  # a snapshot is asked for at once
    assert "BookDelta" not in reader.kinds[-3:]
    reader.update(update(20, 21)).answer(snapshot(21, BIDS, ASKS), 0.2)
    assert (reader.said[-1], reader.book) == ("live", (BIDS, ASKS))


def test_a_snapshot_that_fails_or_does_not_fit_is_asked_for_again_after_pauses_that_grow() -> None:
    reader = begun().update(update(7, 9))
    now = 0.0
    answers: list[FetchResponse | VenueError] = [
        ConnectFailed("x"),
        RateLimited("x", 1.0),
        FetchResponse(200, b"<html>", 1),
        snapshot(3, BIDS, ASKS),
        snapshot(3, BIDS, ASKS),
        FetchResponse(200, snapshot(9, BIDS, ASKS).body[:30], 1),
        snapshot(9, [(12.0, 1.0)], ASKS),
    ]
    for number, answer in enumerate(answers, 1):
        reader.answer(answer, now)
        assert (len(reader.fetches), reader.sync.wake_at - now) == (number, 0.25 * 2 ** (number - 1))
        now = reader.sync.wake_at
        reader.tick(now - 0.01)
        assert len(reader.fetches) == number
        reader.tick(now)
    reader.answer(snapshot(9, BIDS, ASKS), now)
    assert (reader.said, reader.book) == (["resyncing first_picture", "live"], (BIDS, ASKS))
    counted = {name: reader.counts[name] for name in ("snapshots_failed", "snapshots_unusable", "snapshots_stale")}
    assert counted == {"snapshots_failed": 2, "snapshots_unusable": 3, "snapshots_stale": 2}
    assert reader.sync.wake_at == inf


def test_a_snapshot_of_another_symbol_is_never_shown() -> None:
    reader = begun().update(update(7, 9)).answer(snapshot(5_000, BIDS, ASKS), 1.0)
    reader.update(update(10, 12), 2.0)
    assert (reader.book, reader.sync.wake_at) == ("resyncing", 1.0 + LINK_WITHIN)
    reader.tick(1.0 + LINK_WITHIN)
    assert (reader.counts["snapshots_ahead"], len(reader.fetches)) == (1, 1)
    reader.tick(reader.sync.wake_at).answer(snapshot(12, BIDS, ASKS), 9.0)
    assert (len(reader.fetches), reader.book) == (2, (BIDS, ASKS))


def test_where_nothing_comes_on_the_stream_a_second_snapshot_that_is_the_same_proves_the_first() -> None:
    reader = begun().answer(snapshot(5, BIDS, ASKS))
    assert (reader.book, reader.sync.wake_at) == ("resyncing", LINK_WITHIN)
    reader.tick(LINK_WITHIN).answer(snapshot(6, BIDS, ASKS), 5.1)  # it isn't the same
    assert (reader.book, len(reader.fetches)) == ("resyncing", 2)
    reader.tick(reader.sync.wake_at)
    reader.tick(reader.sync.wake_at).answer(snapshot(6, BIDS, ASKS), 20.0)
    assert (reader.book, len(reader.fetches)) == ((BIDS, ASKS), 3)
    reader.update(update(5, 7, [(10.0, 5.0)]))
    assert reader.book == ([(10.0, 5.0), (9.0, 2.0)], ASKS)


def test_a_fresh_snapshot_is_asked_for_while_enough_known_levels_are_left_and_readers_get_it() -> None:
    bids: list[Level] = [(float(price), 1.0) for price in range(20, 12, -1)]
    asks: list[Level] = [(float(price), 1.0) for price in range(21, 29)]
    reader = begun(8).update(update(1, 5)).answer(snapshot(5, bids, asks))
    reader.update(update(6, 6, [(price, 0.0) for price, _ in bids[:6]]))
    assert [fetch.urgency for fetch in reader.fetches] == [1, 2]
    reader.update(update(7, 7, [(11.0, 3.0)]))  # beyond what is known
    assert reader.book == (bids[6:], asks)
    deeper: list[Level] = [*bids[6:], (12.0, 1.0), (10.0, 1.0), (9.0, 1.0), (8.0, 1.0), (7.0, 1.0), (6.0, 1.0)]
    reader.answer(snapshot(6, deeper, asks))
    known = reader.books.get("binance", "S")
    assert known is not None
    assert (known.bids.top(4), known.known_range) == ([*bids[6:], (12.0, 1.0), (11.0, 3.0)], (6.0, 28.0))
    assert reader.said == ["resyncing first_picture", "live"]


def test_a_price_that_leaves_the_known_levels_takes_the_book_away_until_somebody_tells_the_best_level() -> None:
    reader = begun(2).update(update(3, 5)).answer(snapshot(5, BIDS, ASKS))
    reader.update(update(6, 6, [(10.0, 0.0), (9.0, 0.0)], [(9.5, 1.0)]))
    assert (reader.said[-1], reader.book, reader.fetches[-1].urgency) == ("resyncing exhausted", "resyncing", 1)
    reader.quote(8, (7.0, 3.0), (9.5, 1.0)).update(update(7, 8))
    assert (reader.said[-1], reader.book) == ("live", ([(7.0, 3.0)], [(9.5, 1.0), *ASKS]))
    assert reader.update(update(9, 9, [(7.0, 0.0)])).said[-1] == "resyncing exhausted"
    reader.update(update(10, 10, [(8.0, 1.0)]))  # the price is back inside what is known
    assert (reader.said[-1], reader.book) == ("live", ([(8.0, 1.0)], [(9.5, 1.0), *ASKS]))


def test_an_audit_compares_the_book_with_a_snapshot_moved_to_the_same_update() -> None:
    reader = live()
    reader.take(reader.sync.audit())
    assert (reader.fetches[-1].urgency, reader.sync.audit()) == (3, [])
    reader.update(update(6, 7, [(10.0, 5.0)]))
    reader.answer(snapshot(6, BIDS, ASKS))  # as of the update before that change
    assert (reader.counts["audits"], reader.counts["audits_disagreed"], reader.said[-1]) == (1, 0, "live")
    reader.take(reader.sync.audit()).answer(snapshot(9, [(10.0, 5.0), (9.0, 3.0)], ASKS))
    assert reader.counts["audits"] == 1  # the stream hasn't reached it
    reader.update(update(8, 9, [], [(11.0, 1.0)]))
    assert (reader.counts["audits_disagreed"], reader.said[-1], reader.book) == (1, "gapped audit", "gapped")
    assert reader.fetches[-1].urgency == 1
    reader.answer(snapshot(9, [(10.0, 5.0), (9.0, 3.0)], ASKS))
    assert (reader.said[-1], reader.book) == ("live", ([(10.0, 5.0), (9.0, 3.0)], ASKS))


@pytest.mark.parametrize("answer", [ConnectFailed("x"), snapshot(1, BIDS, ASKS), FetchResponse(200, b"[]", 1)])
def test_an_audit_that_comes_to_nothing_leaves_the_book_as_it_is(answer: FetchResponse | VenueError) -> None:
    reader = live()
    reader.take(reader.sync.audit()).answer(answer)
    assert (reader.book, reader.said[-1], reader.sync.wake_at) == ((BIDS, ASKS), "live", inf)
    assert len(reader.take(reader.sync.audit()).fetches) == 3


def test_too_many_buffered_prices_are_dropped_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedbus.venues.binance.diff_buffer.MAX_PRICES", 3)
    reader = begun().update(update(1, 2, BIDS)).update(update(3, 3, [], ASKS))
    assert (reader.said[-1], reader.counts["depth_overflows"]) == ("resyncing overflow", 1)
    reader.answer(snapshot(1, BIDS, ASKS))
    assert (reader.book, reader.counts["snapshots_stale"]) == ("resyncing", 1)  # what it needs was dropped
    reader.tick(1.0).answer(snapshot(2, BIDS, ASKS), 1.0)
    assert reader.book == (BIDS, ASKS)
    reader.take(reader.sync.audit()).update(update(4, 4, BIDS, ASKS))
    assert (reader.counts["depth_overflows"], reader.said[-1]) == (2, "live")
    reader.answer(snapshot(4, [], []))
    assert (reader.counts["audits"], reader.book) == (0, (BIDS, ASKS))


def test_it_has_a_second_life_and_answers_to_the_first_are_not_taken() -> None:
    reader = live().update(update(7, 8))
    first = reader.fetches[-1]
    reader.take(reader.sync.end("unsubscribed", "unwanted"))
    assert (reader.said[-1], reader.book) == ("unsubscribed unwanted", "unsubscribed")
    assert [*reader.sync.fetched(first, snapshot(8, BIDS, ASKS), 0.0), *reader.sync.update(update(9, 9), 1, 0.0)] == []
    reader.take(reader.sync.begin(1)).update(update(10, 10)).answer(snapshot(10, BIDS, ASKS))
    assert (reader.said[-1], reader.book) == ("live", (BIDS, ASKS))
    assert reader.take(reader.sync.end("resyncing", "connecting")).said[-1] == "resyncing connecting"


Changes = list[tuple[bool, int, float]]
"""(is a bid, price, size) of each changed level."""
CHANGE = st.tuples(st.booleans(), st.integers(1, 9), st.sampled_from([0.0, 1.0, 2.0]))
CHANGES = st.lists(CHANGE, min_size=1, max_size=4)


class Venue:
    """A book that changes, its history by update id, and what the stream says of it."""

    def __init__(self, update: int) -> None:
        self.sides: tuple[dict[float, float], dict[float, float]] = ({5.0: 1.0, 3.0: 2.0}, {106.0: 1.0})
        self.update = update
        self.history = {update: self.levels()}
        self.pending: list[tuple[bool, float, float]] = []
        self.sent = update

    def levels(self) -> tuple[list[Level], list[Level]]:
        bids, asks = ({price: size for price, size in side.items() if size} for side in self.sides)
        return sorted(bids.items(), reverse=True), sorted(asks.items())

    def change(self, changes: Changes) -> None:
        for is_bid, number, size in changes:
            price = float(number if is_bid else 100 + number)
            self.sides[0 if is_bid else 1][price] = size
            self.pending.append((is_bid, price, size))
            self.update += 1
            self.history[self.update] = self.levels()

    def message(self) -> bytes:
        bids = {price: self.sides[0][price] for is_bid, price, _ in self.pending if is_bid}
        asks = {price: self.sides[1][price] for is_bid, price, _ in self.pending if not is_bid}
        made = update(self.sent + 1, self.update, [*bids.items()], [*asks.items()])
        self.sent = self.update
        self.pending.clear()
        return made

    def snapshot(self, back: int, levels: int) -> FetchResponse:
        known = sorted(self.history)
        last = known[max(0, len(known) - 1 - back)]
        bids, asks = self.history[last]
        return snapshot(last, bids[:levels], asks[:levels])


class Play:
    """A venue, a connection to it, and a reader of what is published: each method is something that happens."""

    def __init__(self, levels: int) -> None:
        self.levels = levels
        self.venue = Venue(100_000)
        self.reader = begun(levels)
        self.sent: list[bytes] = []
        self.now = 0.0

    def message(self, changes: Changes, number: int) -> None:
        self.venue.change(changes)
        self.sent.append(self.venue.message())
        self.reader.update(self.sent[-1], self.now)

    def loss(self, changes: Changes, number: int) -> None:
        self.venue.change(changes)
        self.venue.message()

    def damage(self, changes: Changes, number: int) -> None:
        self.venue.change(changes)
        self.reader.update(self.venue.message()[:-4], self.now)

    def repeat(self, changes: Changes, number: int) -> None:
        if self.sent:
            self.reader.update(self.sent[-1 - number % len(self.sent)], self.now)

    def answer(self, changes: Changes, number: int) -> None:
        if self.reader.fetches:
            self.reader.answer(self.venue.snapshot((0, 0, 0, 1, 3)[number % 5], self.levels), self.now)

    def failure(self, changes: Changes, number: int) -> None:
        if self.reader.fetches:
            self.reader.answer(ConnectFailed("x"), self.now)

    def quote(self, changes: Changes, number: int) -> None:
        if all(self.venue.levels()):
            (bid, *_), (ask, *_) = self.venue.levels()
            self.reader.quote(self.venue.update, bid, ask, self.now)

    def audit(self, changes: Changes, number: int) -> None:
        self.reader.take(self.reader.sync.audit())

    def reconnect(self, changes: Changes, number: int) -> None:
        """What comes from now on is a stream of its own."""
        reader = self.reader
        reader.take(reader.sync.end("resyncing", "connecting"))
        reader.sync = BookSync(SUBSCRIPTION, self.levels, reader.counts, lambda: 3)
        reader.fetches.clear()
        reader.take(reader.sync.begin(1))
        self.venue.pending.clear()
        self.venue.sent = self.venue.update

    def restart(self, changes: Changes, number: int) -> None:
        """The venue's update ids begin anew, far below."""
        sides, begin = self.venue.sides, min(self.venue.history) - 1000
        self.venue = Venue(begin)
        self.venue.sides = sides
        self.venue.history = {begin: self.venue.levels()}
        self.sent.clear()
        self.message(changes, number)


HAPPENINGS = [
    *[Play.message] * 6, *[Play.answer] * 4,
    Play.loss, Play.damage, Play.repeat, Play.failure, Play.quote, Play.audit, Play.reconnect, Play.restart,
]  # fmt: skip
STEPS = st.lists(
    st.tuples(st.sampled_from(HAPPENINGS), CHANGES, st.integers(0, 9), st.sampled_from([0.0, 0.1, 1.0, 6.0])),
    max_size=25,
)


@examples(200)
@given(steps=STEPS, levels=st.sampled_from([5, 100]))
def test_a_reader_has_what_the_venue_had_or_says_that_it_does_not_know(
    steps: list[tuple[Callable[[Play, Changes, int], None], Changes, int, float]], levels: int
) -> None:
    play = Play(levels)
    for happens, changes, number, pause in steps:
        play.now += pause
        happens(play, changes, number)
        play.reader.tick(play.now)
        book = play.reader.books.get("binance", "S")
        assert (book is not None) == play.reader.sync.shown
        if book is not None:
            bids, asks = play.venue.history[book.sequence or 0]
            low, high = book.known_range
            assert book.bids.top() == [level for level in bids if level[0] >= low]
            assert book.asks.top() == [level for level in asks if level[0] <= high]

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
from feedbus.venues.binance.book_audit import REACHED_WITHIN
from feedbus.venues.binance.book_sync import LONG, MOST_OLD, BookSync
from feedbus.venues.binance.snapshot_turns import REFUSED_FOR, RETRY_CAP
from feedbus.venues.fields import DECODE_ERRORS
from feedbus.venues.protocol import Effect, Fetch, FetchResponse, Righted, Subscription
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

    def subscribed_anew(self, now: float) -> Reader:
        """The stream has to be subscribed anew, and is."""
        assert self.sync.wants_stream
        self.sync.wants_stream = False
        return self.take(self.sync.restart(now)).take(self.sync.begin(1))

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
    reader = begun().update(update(3, 5, [(10.0, 1.0)])).update(update(6, 7, [(9.0, 0.0)], [(11.0, 4.0)]))
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
        assert (len(reader.fetches), reader.sync.wake_at - now) == (number, min(RETRY_CAP, 0.25 * 2 ** (number - 1)))
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
    assert (reader.book, reader.sync.wake_at) == ("resyncing", 1.0 + REACHED_WITHIN)
    reader.tick(1.0 + REACHED_WITHIN)
    assert len(reader.fetches) == 2
    reader.update(update(13, 13), 7.0).answer(snapshot(5_000, BIDS, ASKS), 7.0)  # the same, while the stream goes on
    reader.tick(7.0 + REACHED_WITHIN)
    assert (reader.counts["snapshots_ahead"], reader.said[-1]) == (1, "resyncing first_picture")
    reader.tick(reader.sync.wake_at).answer(snapshot(13, BIDS, ASKS), 20.0)
    assert (len(reader.fetches), reader.said[-1]) == (3, "live")


@pytest.mark.parametrize(
    ("bids", "asks", "levels", "fits"),
    [
        ([(10.0, 1.0)], [], 100, True),
        ([(9.0, 1.5)], [], 100, False),
        ([(7.0, 0.0)], [(13.0, 0.0)], 100, True),
        ([(7.0, 1.0)], [], 100, False),  # the snapshot shows all levels, and not this one
        ([(7.0, 1.0)], [(13.0, 1.0)], 2, True),  # it doesn't show so many
        ([], [(11.5, 1.0)], 2, False),
        ([(10.5, 1.0)], [], 2, False),
    ],
)
def test_a_snapshot_must_show_the_sizes_that_the_stream_has_told(
    bids: list[Level], asks: list[Level], levels: int, fits: bool
) -> None:
    reader = begun(levels).update(update(3, 5, bids, asks)).update(update(6, 9, [(10.0, 4.0)]))
    reader.answer(snapshot(6, BIDS, ASKS))
    assert (isinstance(reader.book, tuple), reader.counts["snapshots_unlike"]) == (fits, not fits)


def test_a_size_that_the_stream_told_wrongly_is_not_held_against_snapshots_for_ever() -> None:
    reader = begun().update(update(3, 5, [(10.5, 7.0)])).update(update(6, 6))
    for now in (0.0, 1.0):
        reader.answer(snapshot(6, BIDS, ASKS), now).tick(now + 1.0)
        assert reader.books.get("binance", "S") is None
    reader.update(update(7, 7, [(9.0, 0.0)]), 2.1).answer(snapshot(6, BIDS, ASKS), 2.2)
    assert (reader.counts["snapshots_unlike"], reader.book) == (2, (BIDS[:1], ASKS))


def test_a_book_is_lost_when_the_stream_does_not_bring_it_to_a_fresh_snapshot() -> None:
    reader = live()
    reader.take(reader.sync.audit()).answer(snapshot(9, ASKS[:0], ASKS), 60.0)
    assert (reader.said[-1], reader.sync.wake_at) == ("live", 60.0 + REACHED_WITHIN)
    reader.tick(60.0 + REACHED_WITHIN)
    assert (reader.said[-1], reader.book, reader.counts["snapshots_ahead"]) == ("gapped audit", "gapped", 1)
    reader.answer(snapshot(11, [], ASKS), 65.1).tick(70.1)  # the venue goes on, and the stream is dead
    assert reader.book == "gapped"
    reader.tick(reader.sync.wake_at).answer(snapshot(11, [], ASKS), 72.0).tick(77.0)
    assert reader.book == "gapped"  # the second is the same, but a dead stream proves nothing


def test_a_stream_that_does_not_bring_what_happens_is_subscribed_anew_and_proves_nothing_until_then() -> None:
    reader = live()
    reader.quote(7, BIDS[0], ASKS[0], 1.0).take(reader.sync.look(1.0 + REACHED_WITHIN))
    assert reader.said[-1] == "gapped audit"
    reader.subscribed_anew(6.5).answer(snapshot(7, BIDS, ASKS), 6.6)
    reader.tick(reader.sync.wake_at).answer(snapshot(7, BIDS, ASKS), 12.0)  # nothing has happened since
    assert (reader.said[-1], reader.book) == ("live", (BIDS, ASKS))
    reader.quote(8, BIDS[0], ASKS[0], 20.0).take(reader.sync.look(20.0 + REACHED_WITHIN))
    reader.subscribed_anew(26.0).answer(snapshot(8, BIDS, ASKS), 26.1)  # it didn't help
    reader.tick(reader.sync.wake_at).answer(snapshot(8, BIDS, ASKS), 32.0).tick(40.0)
    assert reader.said[-1] == "resyncing first_picture"
    reader.update(update(9, 9), 41.0).tick(reader.sync.wake_at).answer(snapshot(11, BIDS, ASKS), 60.0).tick(65.0)
    assert reader.tick(reader.sync.wake_at).answer(snapshot(11, BIDS, ASKS), 90.0).said[-1] == "live"
    for now, number in (100.0, 12), (130.0, 21):  # changes came in between, so it isn't the same stream that is mute
        reader.update(update(number, number), now).quote(number + 8, BIDS[0], ASKS[0], now)
        reader.take(reader.sync.look(now + REACHED_WITHIN)).subscribed_anew(now + 6)
        reader.answer(snapshot(number + 8, BIDS, ASKS), now + 7).tick(now + 12)
        assert reader.answer(snapshot(number + 8, BIDS, ASKS), now + 13).said[-1] == "live"


def test_a_book_is_doubtful_after_a_message_of_nobody_knows_which_stream_until_the_next_change_follows() -> None:
    reader = live()
    reader.take(reader.sync.doubt(1.0, 9))
    assert (reader.said[-1], reader.book) == ("resyncing hole", "resyncing")
    reader.quote(5, BIDS[0], ASKS[0], 1.1).tick(1.2)  # says nothing of what may have come after it
    assert (reader.book, len(reader.fetches)) == ("resyncing", 1)
    reader.update(update(6, 6, [(10.0, 5.0)]), 2.0)
    assert (reader.said[-1], reader.book) == ("live", ([(10.0, 5.0), (9.0, 2.0)], ASKS))
    reader.take(reader.sync.doubt(3.0, 9)).update(update(8, 8), 4.0)
    assert (reader.said[-1], len(reader.fetches)) == ("resyncing hole", 2)  # and it is fetched, since one is missing
    assert reader.counts["depth_holes"] == 1


@pytest.mark.parametrize("update_then", [5, 6])
def test_a_doubtful_book_where_nothing_follows_is_compared_with_a_later_snapshot(update_then: int) -> None:
    reader = live()
    reader.take(reader.sync.audit())  # it may show what was before, and so it isn't looked at
    reader.take(reader.sync.doubt(1.0, 9)).answer(snapshot(5, BIDS, ASKS), 1.1)
    assert (reader.book, reader.sync.wake_at) == ("resyncing", 1.0 + REACHED_WITHIN)
    reader.tick(6.0).answer(snapshot(update_then, BIDS, ASKS), 6.1)
    assert (reader.book == (BIDS, ASKS)) == (update_then == 5)
    if update_then == 6:
        reader.tick(11.1)
        assert (reader.said[-1], reader.sync.wants_stream) == ("gapped audit", True)


def test_a_doubt_before_there_is_a_book_lets_no_older_snapshot_make_one_that_is_shown() -> None:
    reader = begun().update(update(3, 5))
    reader.take(reader.sync.doubt(1.0, 9)).answer(snapshot(4, BIDS, ASKS), 1.1)
    assert reader.book == "resyncing"
    assert reader.update(update(6, 6), 2.0).said[-1] == "live"
    reader = begun().update(update(3, 5)).answer(snapshot(7, BIDS, ASKS)).tick(REACHED_WITHIN)
    reader.take(reader.sync.doubt(6.0, 9)).answer(snapshot(7, BIDS, ASKS), 6.1)
    assert reader.book == "resyncing"  # the second is the same, but was asked for before
    assert begun().sync.doubt(1.0, 9) == []


def test_a_stream_that_does_not_reach_two_snapshots_although_more_has_happened_is_subscribed_anew() -> None:
    reader = begun().answer(snapshot(5, BIDS, ASKS))
    reader.tick(REACHED_WITHIN).answer(snapshot(5, BIDS, ASKS), 5.1)
    assert (reader.book, reader.sync.wants_stream) == ((BIDS, ASKS), False)
    reader = begun().answer(snapshot(5, BIDS, ASKS))
    reader.tick(REACHED_WITHIN).answer(snapshot(6, BIDS, ASKS), 5.1)
    assert not reader.sync.wants_stream
    reader.tick(reader.sync.wake_at)
    assert reader.sync.wants_stream


@pytest.mark.parametrize(("after", "told"), [(LONG - 0.1, []), (LONG, [LONG])])
def test_a_book_that_was_lost_for_long_is_told_to_be_right_again(after: float, told: list[float]) -> None:
    reader = live().update(update(7, 8), 5.0)
    effects = reader.sync.fetched(reader.fetches[-1], snapshot(8, BIDS, ASKS), 5.0 + after)
    assert [effect.after_s for effect in effects if isinstance(effect, Righted)] == told
    again = [*reader.sync.update(update(9, 9, [(99.0, 1.0)]), 1, 900.0)]  # crossed: it is lost once more
    asked = next(effect for effect in again if isinstance(effect, Fetch))
    assert not any(isinstance(effect, Righted) for effect in reader.sync.fetched(asked, snapshot(9, BIDS, ASKS), 901.0))


def test_a_book_is_lost_when_the_stream_does_not_bring_it_to_a_best_bid_and_ask() -> None:
    reader = live()
    for number in range(3):
        reader.quote(7 + number, BIDS[0], ASKS[0], float(number))
    reader.update(update(6, 7), 3.0)
    for number in range(3000):
        reader.quote(10 + number, BIDS[0], ASKS[0], 4.0)
    assert reader.book == (BIDS, ASKS)
    assert len(reader.sync._quotes) <= 1024
    reader.take(reader.sync.look(4.0 + REACHED_WITHIN - 0.01))
    assert reader.book == (BIDS, ASKS)
    reader.quote(3010, BIDS[0], ASKS[0], 4.0 + REACHED_WITHIN)
    assert (reader.said[-1], reader.counts["quotes_ahead"], len(reader.sync._quotes)) == ("gapped audit", 1, 0)


def test_old_messages_are_passed_over_unless_the_numbers_of_the_venue_have_gone_back() -> None:
    reader = live()
    for number in range(6, 60):
        reader.update(update(number, number))
    for number in range(MOST_OLD):
        reader.update(update(10 + number, 10 + number, [(10.0, 7.0)]))
    assert (reader.book, reader.counts["depth_repeats"]) == ((BIDS, ASKS), MOST_OLD)
    reader.update(update(10 + MOST_OLD, 10 + MOST_OLD))
    assert (reader.said[-1], reader.counts["depth_moved_back"]) == ("resyncing hole", 1)


def test_a_book_that_is_lost_during_an_audit_asks_urgently_and_takes_no_other_answer() -> None:
    reader = live()
    audit = reader.take(reader.sync.audit()).fetches[-1]
    reader.update(update(20, 20))
    assert [fetch.urgency for fetch in reader.fetches] == [1, 3, 1]
    reader.take(reader.sync.fetched(audit, snapshot(20, [], ASKS), 1.0))
    assert reader.said[-1] == "resyncing hole"
    reader.answer(snapshot(20, BIDS, ASKS), 1.0)
    assert (reader.said[-1], reader.book) == ("live", (BIDS, ASKS))


def test_a_snapshot_that_the_venue_refuses_is_a_refusal_and_is_asked_for_much_later() -> None:
    reader = begun().answer(FetchResponse(400, b'{"code":-1121,"msg":"Invalid symbol."}', 1), 1.0)
    assert (reader.said[-1], reader.kinds[-2:]) == ("unsubscribed refused", ["Refused", "Status"])
    assert reader.sync.wake_at == 1.0 + REFUSED_FOR
    reader.tick(1.0 + REFUSED_FOR).update(update(3, 5), 902.0).answer(snapshot(5, BIDS, ASKS), 902.0)
    assert (reader.said[-1], reader.kinds[-3:]) == ("live", ["Confirmed", "BookSnapshot", "Status"])
    reader.take(reader.sync.audit()).answer(FetchResponse(400, b"", 1), 903.0)  # a book that is there stays
    assert (reader.said[-1], reader.book, reader.counts["snapshots_refused"]) == ("live", (BIDS, ASKS), 2)


@pytest.mark.parametrize("status", [403, 404, 408, 451, 500, 503])
def test_other_statuses_may_pass_and_are_no_refusal(status: int) -> None:
    reader = begun().answer(FetchResponse(status, b"", 1), 1.0)
    assert (reader.said[-1], reader.sync.wake_at) == ("resyncing first_picture", 1.25)


def test_where_nothing_comes_on_the_stream_a_second_snapshot_that_is_the_same_proves_the_first() -> None:
    reader = begun().answer(snapshot(5, BIDS, ASKS))
    assert (reader.book, reader.sync.wake_at) == ("resyncing", REACHED_WITHIN)
    reader.tick(REACHED_WITHIN).answer(snapshot(5, BIDS, ASKS), 5.1)
    assert (reader.book, len(reader.fetches)) == ((BIDS, ASKS), 2)
    reader.update(update(4, 7, [(10.0, 5.0)]))
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


@pytest.mark.parametrize("answer", [ConnectFailed("x"), snapshot(1, BIDS, ASKS)])
def test_a_book_that_came_back_before_its_snapshot_did_is_audited_and_may_be_exhausted_again(
    answer: FetchResponse | VenueError,
) -> None:
    reader = begun(2).update(update(3, 5)).answer(snapshot(5, BIDS, ASKS))
    reader.update(update(6, 6, [(10.0, 0.0), (9.0, 0.0)])).answer(answer, 1.0)
    assert (reader.said[-1], len(reader.fetches)) == ("resyncing exhausted", 2)
    reader.update(update(7, 7, [(10.0, 1.0)]), 1.1)
    assert (reader.said[-1], len(reader.fetches)) == ("live", 2)
    reader.take(reader.sync.audit())
    assert [fetch.urgency for fetch in reader.fetches[2:]] == [3]
    reader.answer(answer, 2.0).update(update(8, 8, [(10.0, 0.0)]), 9.0)
    assert (reader.said[-1], reader.fetches[-1].urgency) == ("resyncing exhausted", 1)
    reader.answer(snapshot(8, [(8.0, 1.0)], ASKS), 9.1)
    assert (reader.said[-1], reader.book) == ("live", ([(8.0, 1.0)], ASKS))


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

    def jump(self, changes: Changes, number: int) -> None:
        """The best levels of one side go, as many as are known or nearly so, and others come far away."""
        is_bid = number % 2 == 0
        levels = self.venue.levels()[0 if is_bid else 1][: 3 + number]
        gone = [(is_bid, int(price) if is_bid else int(price) - 100, 0.0) for price, _ in levels]
        self.message([*gone, *changes, (is_bid, 1 if is_bid else 9, 2.0)], number)

    def loss(self, changes: Changes, number: int) -> None:
        self.venue.change(changes)
        self.venue.message()

    def damage(self, changes: Changes, number: int) -> None:
        self.venue.change(changes)
        self.reader.update(self.venue.message()[:-4], self.now)

    def doubt(self, changes: Changes, number: int) -> None:
        """A message is damaged so that it names no stream. It was of this one, or of another."""
        if number % 2:
            self.loss(changes, number)
        self.reader.take(self.reader.sync.doubt(self.now, 1))
        assert not self.reader.sync.shown

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

    def subscribed_anew(self) -> None:
        """The stream is subscribed anew, if it has to be."""
        if self.reader.sync.wants_stream:
            self.reader.subscribed_anew(self.now)
            self.venue.pending.clear()
            self.venue.sent = self.venue.update

    def settle(self) -> None:
        """Nothing happens at the venue any more but for one change, snapshots are answered, and there is an audit."""
        reader, answered = self.reader, len(self.reader.fetches) - 1
        for turn in range(60):
            if len(reader.fetches) > answered:
                answered = len(reader.fetches)
                reader.answer(self.venue.snapshot(0, self.levels), self.now)
            if turn == 30:
                self.message([(True, 1, 2.0)], 0)
                reader.take(reader.sync.audit())
            if reader.sync.wake_at < inf:
                self.now = max(self.now, reader.sync.wake_at)
                reader.tick(self.now)
            self.subscribed_anew()

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
    Play.jump, Play.jump, Play.loss, Play.damage, Play.doubt, Play.doubt,
    Play.repeat, Play.failure, Play.quote, Play.audit, Play.reconnect, Play.restart,
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
        play.subscribed_anew()
        book = play.reader.books.get("binance", "S")
        assert (book is not None) == play.reader.sync.shown
        if book is not None:
            bids, asks = play.venue.history[book.sequence or 0]
            low, high = book.known_range
            assert book.bids.top() == [level for level in bids if level[0] >= low]
            assert book.asks.top() == [level for level in asks if level[0] <= high]
    play.settle()
    settled = play.reader.books.get("binance", "S")
    assert settled is not None
    assert settled.sequence == play.venue.update
    assert play.reader.sync.audit() != []  # nothing is left over that would be in its way

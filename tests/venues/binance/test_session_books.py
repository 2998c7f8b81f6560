"""Books in the conversation with Binance: which calls of a Session begin, change, lose and end one. What a book does by
itself is in test_book_sync.py."""

from __future__ import annotations

import json
from collections.abc import Iterable
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.books.books import Books
from feedbus.schema.events import BookDelta, Event, Level, Quote, Status
from feedbus.testing.strategies import examples, mutated
from feedbus.venues.binance.account import Account
from feedbus.venues.protocol import Effect, Fetch, FetchResponse, Resync, Righted, Send, Skipped, Subscription
from tests.venues.binance.depth_frames import ASKS, BIDS, snapshot, update

HEADER = SimpleNamespace(publisher="p")
ANSWER = b'{"result":null,"id":1}'


def wrapped(payload: bytes, stream: str = "depth") -> bytes:
    return b'{"stream":"btcusdt@%s","data":%s}' % (stream.encode(), payload)


def change(first: int, last: int, bids: list[Level] | None = None) -> bytes:
    return update(first, last, bids or []).replace(b'"S"', b'"BTCUSDT"')


def best(last: int, size: float = 1.0) -> bytes:
    body = {"u": last, "s": "BTCUSDT", "b": "10.0", "B": str(size), "a": "11.0", "A": "1.0"}
    return wrapped(json.dumps(body).encode(), "bookTicker")


class Talk:
    """A session with one symbol, and a reader of what it publishes."""

    def __init__(self, *channels: str) -> None:
        self.session = Account({}, channels or ("depth", "bookTicker")).session(["BTCUSDT"])
        self.session.generation = 4
        self.books = Books()
        self.effects: list[Effect] = []
        self.fetches: list[Fetch] = []
        self.take(self.session.opened(0.0))
        self.frame(ANSWER)

    def take(self, effects: Iterable[Effect]) -> Talk:
        self.effects = [*effects]
        self.fetches += [each for each in self.effects if isinstance(each, Fetch)]
        self.books.apply(HEADER, [each for each in self.effects if isinstance(each, Event)])
        return self

    def frame(self, data: bytes) -> Talk:
        return self.take(self.session.frame(data, 1, 0.0))

    def live(self, stream: str = "depth") -> Talk:
        self.frame(wrapped(change(3, 5), stream))
        self.take(self.session.fetched(self.fetches[-1], snapshot(5, BIDS, ASKS), 0.0))
        assert self.bids == BIDS
        return self

    @property
    def bids(self) -> list[Level] | str:
        book = self.books.get("binance", "BTCUSDT")
        return self.books.why_none("binance", "BTCUSDT") if book is None else book.bids.top()

    def said(self) -> list[tuple[str, str, int]]:
        return [(each.state, each.reason, each.generation) for each in self.effects if isinstance(each, Status)]


def test_a_book_begins_when_its_stream_is_confirmed_and_only_then() -> None:
    talk = Talk()
    assert talk.said() == [("resyncing", "first_picture", 4)]
    assert [fetch.path for fetch in talk.fetches] == ["/api/v3/depth?symbol=BTCUSDT&limit=1000"]
    talk.live().frame(ANSWER)
    assert (talk.bids, len(talk.fetches), talk.said()) == (BIDS, 1, [])


@pytest.mark.parametrize("stream", ["depth", "depth@100ms"])
def test_changes_come_with_their_stream_or_without_as_on_the_address_ws(stream: str) -> None:
    talk = Talk(stream).live(stream)
    talk.frame(wrapped(change(6, 6, [(10.0, 7.0)]), stream))
    assert ([type(each) for each in talk.effects], talk.bids) == ([BookDelta], [(10.0, 7.0), BIDS[1]])
    talk.frame(change(7, 7, [(10.0, 8.0)]))
    assert talk.bids == [(10.0, 8.0), BIDS[1]]


def test_a_best_bid_and_ask_of_the_same_update_is_published_and_compared() -> None:
    talk = Talk().live()
    for _ in range(2):  # the first one goes the long way
        talk.frame(best(5))
        assert ([type(each) for each in talk.effects], talk.bids) == ([Quote], BIDS)
    talk.frame(best(5, 9.0))
    assert [type(each) for each in talk.effects[:2]] == [Quote, Status]
    assert (talk.said(), talk.bids) == ([("gapped", "audit", 4)], "gapped")
    assert Resync(Subscription("depth", "BTCUSDT"), "audit") in talk.effects


@pytest.mark.parametrize(
    ("damaged", "place"),
    [
        (wrapped(change(6, 6)).replace(b'"u":6', b'"u":-6'), "depth BTCUSDT"),
        (wrapped(change(6, 6)).replace(b'"BTCUSDT"', b'"ETHUSDT"'), "depth BTCUSDT"),
        (wrapped(change(6, 6))[:-9], "message"),
        (wrapped(b"[%s1]" % (b"1e9," * 2000)), "message"),
    ],
)
def test_a_message_of_a_live_book_that_can_not_be_read_costs_the_book(damaged: bytes, place: str) -> None:
    talk = Talk().live().frame(damaged)
    assert (talk.said(), talk.bids) == ([("resyncing", "hole", 4)], "resyncing")
    assert [each.error.place for each in talk.effects if isinstance(each, Skipped)] == [place]
    talk.frame(wrapped(change(7, 8))).take(talk.session.fetched(talk.fetches[-1], snapshot(8, BIDS, ASKS), 0.1))
    assert talk.bids == BIDS


@pytest.mark.parametrize("torn", [b'{"stream":"btcu', wrapped(change(6, 6))[12:], b"?"])
def test_a_message_that_names_no_stream_makes_a_live_book_doubtful_and_the_next_change_proves_it(torn: bytes) -> None:
    talk = Talk().live().frame(torn)
    assert (talk.said(), talk.bids, len(talk.fetches)) == ([("resyncing", "hole", 4)], "resyncing", 1)
    talk.frame(wrapped(change(6, 6)))
    assert (talk.said(), talk.bids, len(talk.fetches)) == ([("live", "", 4)], BIDS, 1)


@pytest.mark.parametrize(
    "other",
    [
        wrapped(b'{"u":', "bookTicker")[:-1],
        b'{"stream":"ethusdt@depth","data":{"e"',
        b'{"pong":1}',
        b'{"result":null,"id":99}',
    ],
)
def test_a_message_that_is_of_another_stream_or_of_none_leaves_a_live_book_as_it_is(other: bytes) -> None:
    talk = Talk().live().frame(other)
    assert (talk.said(), talk.bids) == ([], BIDS)


def test_a_book_that_its_stream_leaves_behind_has_its_stream_subscribed_anew_and_no_other() -> None:
    talk = Talk().live()
    talk.frame(best(9)).take(talk.session.tick(1.0)).take(talk.session.tick(20.0))
    assert talk.said() == [("gapped", "audit", 4), ("resyncing", "unconfirmed", 4)]
    effects = [*talk.effects, *(effect for now in (21.0, 22.0) for effect in talk.session.tick(now))]
    sent = [json.loads(each.data) for each in effects if isinstance(each, Send)]
    assert [(each["method"], each["params"]) for each in sent if "params" in each] == [
        ("UNSUBSCRIBE", ["btcusdt@depth"]),
        ("SUBSCRIBE", ["btcusdt@depth"]),
    ]


def test_what_is_given_up_is_said() -> None:
    talk = Talk().live()
    talk.take(talk.session.unsubscribe(["BTCUSDT"], 1.0))
    assert (talk.said(), talk.bids) == ([("unsubscribed", "unwanted", 4)], "unsubscribed")
    talk.frame(wrapped(change(6, 6)))
    assert talk.session.counters()["given_up"] == 1


FRAMES = [
    wrapped(change(6, 6, [(10.0, 2.0)])), wrapped(change(7, 9, [(9.0, 0.0)])), wrapped(change(3, 5)), best(6), best(9),
]  # fmt: skip


@examples(200)
@given(
    frames=st.lists(mutated(FRAMES), max_size=8), answers=st.lists(mutated([snapshot(9, BIDS, ASKS).body]), max_size=2)
)
def test_no_frame_and_no_answer_raises_and_the_reader_has_a_book_only_where_the_session_has_one(
    frames: list[bytes], answers: list[bytes]
) -> None:
    talk = Talk().live()
    for number, frame in enumerate(frames):
        talk.frame(frame)
        if number < len(answers):
            answer = FetchResponse(200, answers[number], 1)
            talk.take(talk.session.fetched(talk.fetches[-1], answer, float(number)))
        talk.take(talk.session.tick(float(number)))
        counts = talk.session.counters()
        assert isinstance(talk.bids, list) == (counts["books_right"] > counts.get("books_lost", 0))


def test_a_book_whose_stream_is_got_anew_is_not_right_until_it_has_begun_again() -> None:
    talk = Talk().live()
    subscription = Subscription("depth", "BTCUSDT")
    talk.take(talk.session.resubscribe([subscription], "silent", 20.0))
    assert Resync(subscription, "silent") in talk.effects
    assert (talk.said(), talk.bids) == ([("resyncing", "unconfirmed", 4)], "resyncing")
    talk.frame(wrapped(change(6, 6)))
    assert talk.effects == [], "it is of the subscription that is ended"
    talk.take(talk.session.tick(20.35))
    talk.take(talk.session.tick(20.70)).frame(ANSWER.replace(b"1}", b"3}"))
    assert (talk.said(), len(talk.fetches)) == ([("resyncing", "first_picture", 4)], 2)
    talk.frame(wrapped(change(7, 8))).take(talk.session.fetched(talk.fetches[-1], snapshot(8, BIDS, ASKS), 31.0))
    assert (talk.bids, talk.said()) == (BIDS, [("live", "", 4)])
    assert Righted(subscription, 11.0) in talk.effects


def test_of_a_best_bid_and_ask_that_is_got_anew_the_book_stays() -> None:
    talk = Talk().live().frame(best(5))
    talk.take(talk.session.resubscribe([Subscription("bookTicker", "BTCUSDT")], "silent", 20.0))
    assert (talk.said(), talk.bids) == ([], BIDS)


def test_a_book_whose_stream_the_venue_has_lost_begins_again() -> None:
    talk = Talk("depth").live()
    talk.take(talk.session.tick(30.0)).frame(b'{"result":[],"id":2}')
    assert (talk.said(), talk.bids) == ([("resyncing", "unconfirmed", 4)], "resyncing")
    talk.take(talk.session.tick(30.35)).frame(ANSWER.replace(b"1}", b"3}"))
    assert (talk.said(), len(talk.fetches)) == ([("resyncing", "first_picture", 4)], 2)

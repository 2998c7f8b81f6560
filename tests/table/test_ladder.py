"""The ladder's model: what the events of one instrument make of it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.schema.events import (
    BookDelta,
    BookSnapshot,
    FeedState,
    FeedStatus,
    Gap,
    Instrument,
    Level,
    MarketData,
    Status,
    Trade,
    TrustState,
)
from feedbus.table.connection_table import SECOND
from feedbus.table.ladder import MAX_TRADES, Ladder, LadderPicture, LadderSide, TapeRow

NOW = 1_000_000 * SECOND
WALL = 1_700_000_000 * SECOND
V, S = "binance", "BTCUSDT"
BIDS: list[Level] = [(100.0, 1.0), (99.5, 2.0), (98.0, 4.0)]
ASKS: list[Level] = [(100.5, 3.0), (101.0, 1.0)]


class Header:
    publisher = "binance"


def ladder(*events: MarketData | Gap, of: Ladder | None = None, now: int = NOW, wall: int = WALL) -> Ladder:
    made = of or Ladder(V, S)
    made.apply(Header(), events, now, wall)
    return made


def book(
    bids: list[Level] = BIDS,
    asks: list[Level] = ASKS,
    number: int | None = 7,
    *,
    whole: bool = False,
    at: int = WALL,
    lag: int = 0,
) -> BookSnapshot:
    return BookSnapshot(V, S, at - lag, at, bids, asks, number, whole, whole)


def delta(first: int, last: int, *bids: Level) -> BookDelta:
    return BookDelta(V, S, WALL, WALL, list(bids), [], first, last)


def status(state: TrustState, word: str = "book", reason: str = "") -> Status:
    return Status(V, S, 0, WALL, state, reason, 0, 1, word)


def feed(state: FeedState = "online", up: int = 1, delay: float | None = None) -> FeedStatus:
    return FeedStatus(V, "binance/0", 0, WALL, state, "no route" * (not up), up, 1, {}, 0.0, delay, 1)


def trade(price: float, size: float = 1.0, at: int = WALL) -> Trade:
    return Trade(V, S, at, WALL + 5, price, size, "buy", None)


def lost(topic: str = "") -> Gap:
    return Gap(topic, "binance", 1, 1, 2, "lost")


SILENT = Gap("", "binance", 1, None, None, "silent")


def picture(of: Ladder, now: int = NOW, count: int = 10, percent: float | None = None) -> LadderPicture:
    return of.picture(now, count, percent)


def test_the_first_topic_is_that_of_the_book_and_all_are_exact_but_the_feeds() -> None:
    assert Ladder.topics(V, S) == [
        "book.binance.BTCUSDT",
        "status.binance.BTCUSDT",
        "trade.binance.BTCUSDT",
        "instrument.binance.BTCUSDT",
        "feed.binance.",
    ]


def test_levels_come_best_first_with_the_sums_up_to_them() -> None:
    shown = picture(ladder(book()), count=2)
    assert shown.bids == LadderSide(
        [(100.0, 1.0, 1.0, 100.0), (99.5, 2.0, 3.0, 299.0)], 3, False, 98.0, 1, False, False
    )
    assert shown.asks == LadderSide(
        [(100.5, 3.0, 3.0, 301.5), (101.0, 1.0, 4.0, 402.5)], 2, False, 101.0, 0, False, False
    )
    assert (shown.trouble, shown.condition, shown.sequence, shown.decimals) == ("", "normal", 7, 1)
    assert shown.top[0] == 0.5
    assert shown.imbalance == pytest.approx((3 - 4) / 7)
    assert shown.imbalance_of == 2


def test_a_side_that_is_whole_counts_with_all_its_levels_in_the_imbalance() -> None:
    shown = picture(ladder(book(whole=True)))
    assert shown.imbalance == pytest.approx((7 - 4) / 11)
    assert shown.imbalance_of == 3


@pytest.mark.parametrize(
    ("percent", "count", "bids", "asks"),
    [
        # The mid is 100.25: 1 % reaches from 99.2475 to 101.2525, and what is known from 98 to 101.
        (1.0, 10, (2, 1, True, True), (2, 0, False, False)),
        (0.5, 10, (1, 2, True, True), (1, 1, True, True)),
        (1.0, 1, (1, 1, False, True), (1, 1, False, False)),
        (50.0, 10, (3, 0, False, False), (2, 0, False, False)),
    ],
)
def test_a_range_ends_at_its_percentage_of_the_mid(
    percent: float, count: int, bids: tuple[int, int, bool, bool], asks: tuple[int, int, bool, bool]
) -> None:
    shown = picture(ladder(book()), count=count, percent=percent)
    found = [(len(side.levels), side.more, side.by_range, side.complete) for side in (shown.bids, shown.asks)]
    assert found == [bids, asks]
    assert shown.imbalance_of == (None if percent == 0.5 else min(bids[0], asks[0]))


@given(
    st.lists(st.integers(1, 300), max_size=12, unique=True),
    st.lists(st.integers(1, 300), max_size=12, unique=True),
    st.integers(0, 15),
    st.none() | st.floats(0.01, 100),
    st.booleans(),
)
def test_shown_and_further_levels_are_all_that_are_known(
    bids: list[int], asks: list[int], count: int, percent: float | None, whole: bool
) -> None:
    bid_levels = [(price / 4, 1.0) for price in sorted(bids, reverse=True)]
    ask_levels = [(price / 4, 1.0) for price in sorted(asks)]
    whole_book = ladder(book(bid_levels, ask_levels, whole=whole))
    shown = picture(whole_book, count=count, percent=percent)
    for side, levels in ((shown.bids, bid_levels), (shown.asks, ask_levels)):
        assert [(price, size) for price, size, _, _ in side.levels] == levels[: len(side.levels)]
        assert side.known == len(levels)
        assert len(side.levels) <= count
        if side.by_range:
            assert side.more == len(levels) - len(side.levels)
        elif percent is None:
            assert len(side.levels) + side.more == len(levels)
            assert not side.more or len(side.levels) == count


# Trust


@pytest.mark.parametrize(
    ("events", "trouble"),
    [
        ([], "no picture yet"),
        ([trade(1.0)], "no picture yet"),
        ([book()], ""),
        ([book(), lost()], "gap"),
        ([book(), lost("trade.binance.BTCUSDT")], ""),
        ([book(), lost(), book()], ""),
        ([book(), status("live"), lost(), book()], "gap"),
        ([book(), status("live"), lost(), book(), status("live")], ""),
        ([book(), SILENT], "publisher silent"),
        ([book(), status("live"), SILENT, book()], "publisher silent"),
        ([book(), status("live"), SILENT, status("quiet")], ""),
        ([status("resyncing"), SILENT], "publisher silent"),
        ([book(), delta(9, 9, (99.0, 1.0))], "hole"),
        ([book(), status("resyncing")], "resyncing"),
        ([book(), status("stale")], "stale"),
        ([book(), status("stale"), status("live")], ""),
        ([book(), status("gapped", "trade")], ""),
        ([book(), feed("waiting", up=0)], ""),
    ],
)
def test_a_book_is_right_only_while_nothing_speaks_against_it(events: list[MarketData | Gap], trouble: str) -> None:
    assert picture(ladder(*events)).trouble == trouble


def test_what_was_lost_is_still_shown_but_without_a_mid() -> None:
    followed = ladder(book())
    before = picture(followed)
    ladder(lost(), of=followed)
    after = picture(followed)
    assert (after.bids, after.asks, after.sequence) == (before.bids, before.asks, 7)
    assert after.top == (None, None, None, None)
    assert after.gaps == 1


def test_what_is_said_of_the_book_is_shown() -> None:
    shown = picture(ladder(book(), status("live", ""), status("delayed", reason="late"), status("gapped", "trade")))
    assert (shown.state, shown.reason, shown.trouble) == ("delayed", "late", "")
    shown = picture(ladder(book()))
    assert (shown.state, shown.reason, shown.since, shown.trouble) == ("resyncing", "unheard", 0, "")


def test_the_connections_that_are_away_say_why_a_book_is_got_anew() -> None:
    shown = picture(ladder(book(), status("resyncing", reason="connecting"), feed("waiting", up=0)))
    assert (shown.up, shown.wanted, shown.why) == (0, 1, "binance/0 waiting: no route")
    shown = picture(ladder(book(), status("gapped"), feed("waiting", up=0)))
    assert (shown.up, shown.why) == (0, "")


@pytest.mark.parametrize(
    ("events", "delay"),
    [
        ([book()], None),
        ([book(lag=60 * SECOND)], None),
        ([book(lag=61 * SECOND)], 61.0),
        ([book(lag=3_600 * SECOND)], None),
        ([book(lag=61 * SECOND), feed("delayed", delay=900.0)], 900.0),
        ([book(), feed("delayed")], 0.0),
        ([book(lag=61 * SECOND), feed()], 61.0),
        ([book(lag=61 * SECOND), feed(delay=1.0)], None),  # it knows that its clock was set
    ],
)
def test_late_data_is_said_to_be_late(events: list[MarketData], delay: float | None) -> None:
    assert picture(ladder(*events)).delay_s == delay


# Ages and the tape


def test_the_age_is_that_of_the_last_change_and_not_of_a_repeated_picture() -> None:
    followed = ladder(book(at=WALL - 30 * SECOND))
    assert picture(followed).age_ns == 30 * SECOND, "the first picture was an old one already"
    ladder(book(at=WALL - 30 * SECOND), of=followed, now=NOW + SECOND)
    assert picture(followed, NOW + SECOND).age_ns == 31 * SECOND
    ladder(delta(8, 8, (99.0, 1.0)), of=followed, now=NOW + 2 * SECOND)
    ladder(book(number=8), of=followed, now=NOW + 5 * SECOND)
    assert picture(followed, NOW + 5 * SECOND).age_ns == 3 * SECOND
    unnumbered = ladder(book(number=None))
    ladder(book(number=None), of=unnumbered, now=NOW + SECOND)
    assert picture(unnumbered, NOW + SECOND).age_ns == 0
    assert picture(Ladder(V, S)).age_ns is None


def test_the_tape_has_the_newest_trades_first_and_is_bounded() -> None:
    followed = ladder(*(trade(float(price)) for price in range(MAX_TRADES + 5)))
    rows = followed.picture(NOW, 5, None, 3).trades
    assert [row.price for row in rows] == [MAX_TRADES + 4, MAX_TRADES + 3, MAX_TRADES + 2]
    assert len(picture(followed).trades) == MAX_TRADES


def test_the_tape_says_where_trades_may_be_missing() -> None:
    followed = ladder(lost(), trade(1.0, at=0), lost("book.binance.BTCUSDT"), lost(), lost(), trade(2.0))
    assert picture(followed).trades == [
        TapeRow(WALL, "buy", 2.0, 1.0),
        TapeRow(WALL),
        TapeRow(WALL + 5, "buy", 1.0, 1.0),
    ]
    assert followed.gaps == 4


# Decimals


def instrument(decimals: int | None = None, tick: float | None = None, lot: float | None = None) -> Instrument:
    return Instrument(V, S, 0, WALL, None, lot, tick, decimals, "RUB", None, None, None)


@pytest.mark.parametrize(
    ("events", "decimals", "sizes"),
    [
        ([book([(100.0, 1.0)], [(101.0, 2.5)])], 0, 1),
        ([book([(100.25, 0.00012)], [])], 2, 5),
        ([trade(1e-8, 1e-9)], 8, 8),
        ([book([(100.0, 1.0)], []), instrument(2)], 2, 0),
        ([instrument(None, 0.005), book([(100.0, 1.0)], [])], 3, 0),
        ([instrument(1), book([(100.25, 1.0)], [])], 2, 0),
        ([instrument(99)], 8, 0),
    ],
)
def test_decimals_are_those_of_the_instrument_and_as_many_more_as_prices_need(
    events: list[MarketData], decimals: int, sizes: int
) -> None:
    shown = picture(ladder(*events))
    assert (shown.decimals, shown.size_decimals) == (decimals, sizes)


def test_decimals_stay_when_the_prices_that_needed_them_are_gone() -> None:
    followed = ladder(book([(100.25, 1.5)], []))
    picture(followed)
    ladder(book([(100.0, 1.0)], [], 8), of=followed)
    assert (picture(followed).decimals, picture(followed).size_decimals) == (2, 1)


def test_what_a_size_stands_for_is_known_where_it_is_in_base_units_or_the_lot_is_told() -> None:
    assert picture(Ladder(V, S)).lot == 1.0
    assert picture(Ladder("moex", "TQBR.SBER")).lot is None
    assert picture(Ladder("elsewhere", "X")).lot is None
    shown = picture(ladder(instrument(lot=10.0), of=Ladder("moex", "TQBR.SBER")))
    assert (shown.lot, shown.currency) == (10.0, "RUB")
    bond = msgspec.structs.replace(instrument(lot=1.0), currency=None)
    assert picture(ladder(bond, of=Ladder("moex", "TQBR.SBER"))).lot is None, "a price in per cent isn't money"


def test_a_silent_publisher_is_the_first_reason_and_its_connections_do_not_count_as_up() -> None:
    made = ladder(book(), status("resyncing", reason="connecting"), feed())
    shown = made.picture(NOW, 10, silent_s=2.4)
    assert (shown.trouble, shown.up, shown.wanted) == ("resyncing", 1, 1)
    ladder(SILENT, of=made)
    shown = made.picture(NOW, 10, silent_s=2.6)
    assert (shown.trouble, shown.publisher, shown.silent_s) == ("publisher silent", "binance", 2.6)
    assert (shown.up, shown.wanted) == (None, 1)
    assert shown.top == (None, None, None, None)
    assert (shown.state, shown.reason, shown.since) == ("resyncing", "publisher_silent", WALL)


def test_the_publisher_of_a_book_is_who_says_something_of_the_book() -> None:
    assert ladder(trade(1.0), feed()).publisher == ""
    for event in (book(), delta(1, 2), status("resyncing")):
        assert ladder(event).publisher == "binance"


def test_since_when_a_state_is_said_to_be_is_in_the_picture() -> None:
    made = ladder(Status(V, S, 0, WALL, "gapped", "audit", 42, 1, "book"))
    assert (picture(made).since, picture(ladder()).since) == (42, 0)

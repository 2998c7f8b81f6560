"""What is asked of an order book: books made by hand, whose answers are plain, and any book against its own levels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.books.order_book import Fill, OrderBook
from feedbus.schema.events import BookSnapshot, Level, Side
from feedbus.testing.strategies import examples

BIDS: list[Level] = [(100.0, 1.0), (99.5, 2.0), (99.0, 4.0)]
ASKS: list[Level] = [(100.5, 3.0), (101.0, 5.0)]
LEVELS = st.lists(st.tuples(st.integers(1, 30).map(float), st.sampled_from([0.5, 1.0, 4.0])), max_size=8)


def made(bids: list[Level] = BIDS, asks: list[Level] = ASKS, *, whole: bool = False) -> OrderBook:
    book = OrderBook("v", "S")
    book.replace(bids, asks, bids_whole=whole, asks_whole=whole)
    return book


def test_the_metrics_of_a_plain_book() -> None:
    book = made()
    assert (book.bids.best, book.asks.best, book.condition) == ((100.0, 1.0), (100.5, 3.0), "normal")
    assert (book.spread, book.mid, book.microprice) == (0.5, 100.25, 100.125)
    assert (book.imbalance(1), book.imbalance(2), book.imbalance(3)) == (-0.5, (3 - 8) / 11, None)
    assert book.known_range == (99.0, 101.0)
    assert made(whole=True).imbalance(3) == (7 - 8) / 15


@pytest.mark.parametrize(
    ("side", "volume", "fill"),
    [
        ("buy", 1.0, Fill(1.0, 100.5, 100.5, 0.0)),
        ("buy", 8.0, Fill(8.0, (3 * 100.5 + 5 * 101.0) / 8, 101.0, 0.0)),
        ("buy", 10.0, Fill(8.0, (3 * 100.5 + 5 * 101.0) / 8, 101.0, 2.0)),
        ("sell", 2.0, Fill(2.0, 99.75, 99.5, 0.0)),
        ("sell", 7.5, Fill(7.0, (100.0 + 2 * 99.5 + 4 * 99.0) / 7, 99.0, 0.5)),
    ],
)
def test_the_price_to_fill_a_volume(side: Side, volume: float, fill: Fill) -> None:
    assert made().fill(side, volume) == fill


@pytest.mark.parametrize(
    ("side", "volume", "fill"),
    [
        ("sell", 0.8, Fill(0.8, (99.0 * 0.1 + 98.0 * 0.7) / 0.8, 98.0, 0.0)),
        ("buy", 0.8, Fill(0.8, (100.0 * 0.1 + 101.0 * 0.7) / 0.8, 101.0, 0.0)),
        ("buy", 1e15, Fill(0.8, (100.0 * 0.1 + 101.0 * 0.7) / 0.8, 101.0, 1e15 - 0.8)),
        ("buy", 5e-324, Fill(5e-324, 100.0, 100.0, 0.0)),
    ],
)
def test_the_price_to_fill_a_volume_is_not_wrong_by_rounding(side: Side, volume: float, fill: Fill) -> None:
    book = made([(99.0, 0.1), (98.0, 0.7), (97.0, 5.0)], [(100.0, 0.1), (101.0, 0.7)], whole=True)
    found = book.fill(side, volume)
    assert (found.worst, found.unfilled) == (fill.worst, fill.unfilled)
    assert found.filled == (volume if not fill.unfilled else pytest.approx(fill.filled, rel=1e-15))
    assert found.average == pytest.approx(fill.average, rel=1e-15)


@pytest.mark.parametrize(("volume", "unfilled"), [(999.9, 0.0), (1000.0, 0.0), (1000.1, 0.1)])
def test_the_rounding_of_many_small_sizes_does_not_add_up(volume: float, unfilled: float) -> None:
    book = made(asks=[(float(price), 0.1) for price in range(1, 10001)], whole=True)
    found = book.fill("buy", volume)
    assert found.worst == min(10000.0, round(volume * 10))
    assert found.unfilled == pytest.approx(unfilled, abs=1e-12 if unfilled else 0)
    assert found.filled == pytest.approx(volume - unfilled, rel=1e-15)


@examples(300)
@given(
    side=st.sampled_from(["buy", "sell"]),
    sizes=st.lists(st.integers(1, 10**9), max_size=12),
    exactly=st.integers(0, 12),
    more=st.integers(0, 3) | st.integers(0, 10**24),
    decimals=st.integers(0, 9),
)
def test_a_fill_is_that_of_the_decimal_numbers(
    side: Side, sizes: list[int], exactly: int, more: int, decimals: int
) -> None:
    """The sizes and the volume are whole numbers of the smallest step, so the fill is known without any rounding."""
    steps = max(1, sum(sizes[:exactly]) + more)
    unit = 10**decimals
    prices = [1000 + number if side == "buy" else 1000 - number for number in range(len(sizes))]
    levels = [(float(price), size / unit) for price, size in zip(prices, sizes, strict=True)]
    book = made([] if side == "buy" else levels, levels if side == "buy" else [], whole=True)
    found = book.fill(side, steps / unit)
    left, taken = steps, []
    for price, size in zip(prices, sizes, strict=True):
        if left:
            taken.append((price, min(size, left)))
            left -= taken[-1][1]
    filled = steps - left
    assert found.worst == (taken[-1][0] if taken else None)
    assert (found.unfilled == 0) == (left == 0)
    assert found.filled == (steps / unit if not left else pytest.approx(filled / unit, rel=1e-15))
    assert found.unfilled == pytest.approx(left / unit, rel=1e-15, abs=steps / unit * 1e-15)
    if found.average is not None:
        assert found.average == pytest.approx(sum(price * size for price, size in taken) / filled, rel=1e-14)
        assert min(prices[0], taken[-1][0]) <= found.average <= max(prices[0], taken[-1][0])


@pytest.mark.parametrize("volume", [0.0, -1.0, float("nan"), float("inf")])
def test_no_volume_is_refused(volume: float) -> None:
    with pytest.raises(ValueError, match="finite number above 0"):
        made().fill("buy", volume)
    assert OrderBook().fill("buy", 1.0) == Fill(0.0, None, None, 1.0)


@pytest.mark.parametrize(
    ("bids", "asks", "condition", "spread"),
    [
        ([(100.0, 1.0)], [(100.0, 1.0)], "locked", 0.0),
        ([(101.0, 1.0)], [(100.0, 1.0)], "crossed", None),
        ([], [(100.0, 1.0)], "incomplete", None),
        ([(100.0, 1.0)], [], "incomplete", None),
    ],
)
def test_a_crossed_or_locked_book_is_said_to_be_one(
    bids: list[Level], asks: list[Level], condition: str, spread: float | None
) -> None:
    book = made(bids, asks, whole=True)
    assert (book.condition, book.spread) == (condition, spread)


def test_the_price_leaves_the_levels_that_are_known() -> None:
    book = made()
    book.update([(98.0, 9.0), *((price, 0.0) for price, _ in BIDS)], [(98.5, 1.0)])
    assert (book.bids.best, book.condition, book.imbalance(1), book.known_range) == (
        None,
        "incomplete",
        None,
        (99.0, 101.0),
    )
    assert book.asks.best == (98.5, 1.0)
    book.update([(99.0, 2.0)], [(98.5, 0.0), (99.5, 1.0)])
    assert (book.bids.best, book.asks.best) == ((99.0, 2.0), (99.5, 1.0))


def test_a_picture_is_the_book_as_an_event_and_a_part_of_a_side_isn_t_whole() -> None:
    book = made(whole=True)
    book.sequence, book.ts_event, book.ts_recv = 7, 1, 2
    assert book.picture() == BookSnapshot("v", "S", 1, 2, BIDS, ASKS, 7, True, True)
    assert book.picture(2) == BookSnapshot("v", "S", 1, 2, BIDS[:2], ASKS, 7, False, True)
    other = OrderBook("v", "S")
    other.take_picture(book.picture(2))
    assert (other.known_range, other.sequence) == ((99.5, float("inf")), 7)
    nothing = OrderBook("v", "S")
    assert (nothing.condition, nothing.sequence) == ("incomplete", None)
    assert nothing.known_range == (float("inf"), float("-inf"))


@examples(200)
@given(bids=LEVELS, asks=LEVELS, whole=st.booleans(), shown=st.integers(0, 9), changed=LEVELS)
def test_a_book_agrees_with_its_own_picture_and_with_no_other_and_is_made_as_wide(
    bids: list[Level], asks: list[Level], whole: bool, shown: int, changed: list[Level]
) -> None:
    book = made(bids, asks, whole=whole)
    picture = book.picture(shown)
    assert book.agrees_with(picture)
    narrow = OrderBook("v", "S")
    narrow.take_picture(picture)
    assert narrow.agrees_with(book.picture())
    narrow.widen(book.picture())
    assert narrow.picture() == book.picture()
    book.widen(picture)
    assert book.picture() == narrow.picture()
    before = dict(book.picture(shown).bids)
    book.update(changed, [])
    low = picture.bids[-1][0] if picture.bids else float("inf")
    if not (picture.bids_whole or not picture.bids):
        inside = {price: size for price, size in book.bids.sizes.items() if price >= low}
        assert book.agrees_with(picture) == (inside == before)

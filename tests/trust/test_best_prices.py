"""The best prices of the ticker and of the book: what is conflated apart, and what is wrong."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.schema.events import BookSnapshot, Ticker
from feedbus.trust.best_prices import FRESH, LASTS, UPDATES, BestPrices
from feedbus.trust.market_phase import MarketPhase

MS = 1_000_000


class Told:
    """What a comparison says of what it is told: a book or a ticker at a time, by (bid, ask)."""

    def __init__(self, status: str | None = "T") -> None:
        self.phase = MarketPhase({"T"})
        self.phase.said(status)
        self.best = BestPrices(self.phase)

    def book(self, now: float, bid: float | None = 10.0, ask: float | None = 11.0, *, whole: bool = True) -> str:
        bids, asks = [] if bid is None else [(bid, 1.0)], [] if ask is None else [(ask, 1.0)]
        time = int(now * 1000) * MS
        return self.best.book(BookSnapshot("m", "A", time, time + 5 * MS, bids, asks, 1, whole, whole), now)

    def ticker(self, now: float, bid: float | None = 10.0, ask: float | None = 11.0, *, late_s: float = 0.0) -> str:
        time = int((now - late_s) * 1000) * MS
        return self.best.ticker(Ticker("m", "A", time, int(now * 1000) * MS, bid=bid, ask=ask), now)

    def differ(self, seconds: float, every: float = 0.5, bid: float = 9.0) -> list[float]:
        """The ticker's bid is another one than the book's for so long. Returns when that was found."""
        found = []
        for step in range(int(seconds / every) + 1):
            now = step * every
            found += [now for text in (self.book(now), self.ticker(now, bid)) if text]
        return found


def test_what_agrees_is_never_found() -> None:
    assert Told().differ(60, bid=10.0) == []


def test_a_disagreement_is_found_when_it_has_lasted_and_again_when_it_lasts_on() -> None:
    assert Told().differ(11) == [LASTS, 2 * LASTS]


def test_what_is_found_says_both() -> None:
    told = Told()
    told.differ(4.5)
    assert told.book(5.0) == (
        "for 5.0 s the best bid and ask of the ticker, 9 and 11, haven't been the book's, 10 and 11"
    )


@pytest.mark.parametrize("side", ["book", "ticker"])
def test_three_updates_of_each_are_needed(side: str) -> None:
    told = Told()
    told.book(0.0)
    told.ticker(0.0, 9.0)
    found = []
    for step in range(1, 30):
        seldom = step % 4 == 0
        now = step * 1.0
        found += [now for text in [told.book(now)] if text] if side == "ticker" or seldom else []
        found += [now for text in [told.ticker(now, 9.0)] if text] if side == "book" or seldom else []
    assert found[0] == 4.0 * UPDATES


def test_one_that_is_silent_is_not_fresh() -> None:
    told = Told()
    told.differ(1.5)
    assert not any(told.book(1.6 + FRESH + step) for step in range(40))
    assert told.ticker(46.0, 9.0)


@pytest.mark.parametrize("status", [None, "S", "N"])
def test_outside_of_continuous_trading_nothing_is_found(status: str | None) -> None:
    told = Told(status)
    assert told.differ(30) == []
    told.phase.said("T")
    assert told.differ(4) == []


def test_a_ticker_that_is_delayed_on_purpose_is_not_compared() -> None:
    told = Told()
    for step in range(60):
        assert not told.book(step * 0.5)
        assert not told.ticker(step * 0.5, 9.0, late_s=900)


def test_each_is_compared_only_when_it_has_come_anew() -> None:
    told = Told()
    told.differ(4.5)
    told.best.reset_ticker()
    assert not any(told.book(5.0 + step) for step in range(20))
    told.best.reset_book()
    told.ticker(30.0, 9.0)
    assert not any(told.ticker(30.0 + step, 9.0) for step in range(20))


@pytest.mark.parametrize("whole", [True, False])
def test_a_side_without_levels_has_no_best_price_if_it_is_whole(whole: bool) -> None:
    told = Told()
    found = ""
    for step in range(20):
        found = found or told.book(step * 0.5, None, whole=whole) or told.ticker(step * 0.5)
    assert ("haven't been the book's, none and 11" in found) == whole


def test_a_price_that_the_ticker_does_not_have_is_not_compared() -> None:
    told = Told()
    for step in range(40):
        assert not told.book(step * 0.5)
        assert not told.ticker(step * 0.5, None, None)


def test_a_wrong_ask_is_as_wrong_as_a_bid() -> None:
    told = Told()
    found = [told.book(step * 0.5) or told.ticker(step * 0.5, 10.0, 12.0) for step in range(12)]
    assert any(found)


@pytest.mark.parametrize("step", [1, -1])
def test_a_ticker_that_follows_a_market_which_runs_away_is_not_found_to_disagree(step: int) -> None:
    told = Told()
    for at in range(60):
        price = 1000.0 + step * at
        assert not told.book(at * 0.5, price, price + 1)
        assert not told.ticker(at * 0.5, price - step, price - step + 1)


@given(
    st.lists(st.tuples(st.floats(0.05, 0.6), st.integers(-3, 3)), min_size=20, max_size=120),
    st.floats(0.0, 2.0),
    st.floats(0.1, 1.0),
    st.floats(0.1, 1.0),
)
def test_a_market_as_fast_as_it_may_be_is_never_found_to_disagree(
    moves: list[tuple[float, int]], lag: float, every_book: float, every_ticker: float
) -> None:
    """The bid moves at times, the ask a tick above it; both are sampled, the ticker by a lag of up to 2 s."""
    prices, now, price = [(-inf, 100)], 0.0, 100
    for pause, step in moves:
        now += pause
        price += step
        prices.append((now, price))

    def bid(time: float) -> float:
        return float(next(price for since, price in reversed(prices) if since <= time))

    told = Told()
    events = [(at * every_book, "book") for at in range(int(now / every_book) + 1)]
    events += [(at * every_ticker, "ticker") for at in range(int(now / every_ticker) + 1)]
    for time, kind in sorted(events):
        if kind == "book":
            assert not told.book(time, bid(time), bid(time) + 1)
        else:
            assert not told.ticker(time, bid(time - lag), bid(time - lag) + 1)


@given(st.integers(0, 3), st.lists(st.integers(0, 4), min_size=40, max_size=40))
def test_a_ticker_that_missed_a_change_is_found(stuck: int, bids: list[int]) -> None:
    """The book's bid moves between 100 and 104, and the ticker has kept one that is below all of these."""
    told = Told()
    found = False
    for step, above in enumerate(bids):
        now = step * 0.5
        found = bool(told.book(now, 100.0 + above, 110.0)) or found
        found = bool(told.ticker(now, 99.0 - stuck, 110.0)) or found
        assert found == (now >= LASTS)

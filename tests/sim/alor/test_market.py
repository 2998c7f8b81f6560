"""What the simulated ALOR has to tell of each instrument: books, trades, bars and quotes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedbus.sim.alor import market
from feedbus.sim.alor import venue as venue_module
from feedbus.sim.alor.market import AlorListing
from feedbus.sim.moex.catalogue import Security, securities
from tests.sim.alor.markets import SAMPLE, START_NS, venue


def sber(steps: int = 0, **options: Any) -> AlorListing:
    listing = venue(steps=steps, **options).find("MOEX", "SBER")
    assert listing is not None
    return listing


@pytest.mark.parametrize(("sides", "bids", "asks"), [("both", 5, 5), ("bids", 5, 0), ("asks", 0, 5), ("none", 0, 0)])
def test_a_book_has_the_sides_that_it_shall_have(sides: str, bids: int, asks: int) -> None:
    book = sber(40, book_sides=sides).book(5, existing=True)
    assert (len(book.bids), len(book.asks)) == (bids, asks)
    start_ms = START_NS // 1_000_000
    if sides == "none":
        assert start_ms - 86_400_000 < book.time_ms < start_ms
        assert book.time_ms // 1000 % 86400 == (20 * 60 + 50) * 60 + 2
    else:
        assert book.time_ms > start_ms


def test_levels_of_a_book_are_best_first_and_bonds_have_yields() -> None:
    share = sber().book(50, existing=False)
    bids, asks = ([float(price) for price, _ in side] for side in (share.bids, share.asks))
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]
    assert len(bids) == 10
    assert share.yields is None
    bond = venue().find("MOEX", securities()[-1].secid)
    assert bond is not None
    book = bond.book(10, existing=False)
    assert book.yields is not None
    yields = [float(each) for each in (*reversed(book.yields[0]), *book.yields[1])]
    assert yields == sorted(yields, reverse=True)
    assert yields[-1] > 0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), security=st.sampled_from(SAMPLE), steps=st.integers(0, 300), seen=st.integers(0, 300))
def test_trades_are_numbered_and_none_is_left_out(seed: int, security: Security, steps: int, seen: int) -> None:
    made = venue([security], seed=seed)
    (listing,) = made.listings[security.secid]
    told = []
    number, volume = listing.number, listing.instrument.volume
    for step in range(steps):
        made.market.advance()
        if step % (seen + 1) == seen or step == steps - 1:
            told += listing.trades_after(number)
            number = listing.number
    assert sum(trade.lots for trade in told) * security.lot == listing.instrument.volume - volume
    assert all(after.id - before.id == market._INSTRUMENTS for before, after in pairwise(told))
    assert all(after.time_us >= before.time_us for before, after in pairwise(told))
    assert all(trade.lots > 0 for trade in told)
    everything = listing.newest_trades(len(told) + 3)
    assert everything[-len(told) :] == told if told else True
    assert all(after.id - before.id == market._INSTRUMENTS for before, after in pairwise(everything))
    assert all(after.time_us > before.time_us for before, after in pairwise(everything[:4]))


def test_trades_before_the_first_step_are_the_same_however_many_are_asked_for() -> None:
    listing = sber()
    many = listing.newest_trades(200)
    assert len(many) == 200
    assert listing.newest_trades(5) == many[-5:]
    assert listing.newest_trades(0) == []
    assert {trade.buy for trade in many} == {True, False}
    assert sber(seed=2).newest_trades(5) != many[-5:]


def test_trades_after_a_number_are_those_and_no_others() -> None:
    listing = sber(100)
    for count in range(40):
        trades = listing.trades_after(listing.number - count)
        assert [trade.id for trade in trades] == [trade.id for trade in listing.newest_trades(count)]
        assert len(trades) == count


def test_there_were_no_more_trades_than_the_days_count_says() -> None:
    made = venue([securities()[-1]])
    ((listing,),) = made.listings.values()
    assert len(listing.newest_trades(5000)) == min(5000, listing.number)


def test_what_is_forgotten_is_not_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for reader in (market, venue_module):
        monkeypatch.setattr(reader, "FILLS", 3)
    listing = sber(200)
    trades = listing.newest_trades(5000)
    assert len(trades) <= 3 * 4
    assert trades == listing.trades_after(0)


def test_ids_of_futures_are_beyond_what_a_double_can_hold() -> None:
    future = venue(steps=20).find("MOEX", "CNY-12.26")
    assert future is not None
    trades = future.newest_trades(10)
    assert all(trade.id > 2**53 for trade in trades)
    assert any(int(float(trade.id)) != trade.id for trade in trades)
    assert all(trade.open_interest for trade in trades)
    assert {trade.open_interest for trade in sber().newest_trades(3)} == {0}
    assert {trade.open_interest for trade in sber(share_open_interest="null").newest_trades(3)} == {None}


def test_no_two_trades_share_an_id() -> None:
    made = venue(steps=100)
    ids = [trade.id for (listing,) in made.listings.values() for trade in listing.newest_trades(50)]
    assert len(ids) == len(set(ids))


def test_a_quote_agrees_with_the_book() -> None:
    listing = sber(30)
    quote, book = listing.quote(), listing.book(1, existing=True)
    assert (bytes(quote["bid"]).decode(), quote["bid_lots"]) == book.bids[0]  # type: ignore[call-overload]
    assert (bytes(quote["ask"]).decode(), quote["ask_lots"]) == book.asks[0]  # type: ignore[call-overload]
    assert quote["interest"] is None
    assert quote["book_ms"] is None

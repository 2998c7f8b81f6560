"""The crypto market's promises, over many seeds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedbus.sim.binance.catalogue import Pair, pairs
from feedbus.sim.binance.market import LEVELS, BinanceInstrument, BinanceMarket

STEP_NS = 100_000_000
START_NS = 1_723_161_255_208_000_000
SAMPLE = [pair for pair in pairs() if pair.symbol in ("BTCUSDT", "XRPUSDT", "PEPEUSDT", "SHIBUSDT", "XRPBTC", "BTCTRY")]


def opened(seed: int, *listed: Pair, start_ns: int | None = START_NS) -> BinanceMarket:
    market = BinanceMarket(seed, start_ns, STEP_NS, listed)
    market.open(START_NS)
    return market


def levels(instrument: BinanceInstrument) -> dict[tuple[bool, int], int]:
    """(is a bid, price): size."""
    sides = ((True, instrument.bids), (False, instrument.asks))
    return {(bid, price): size for bid, side in sides for price, size in zip(side.prices, side.sizes, strict=True)}


def check_book(instrument: BinanceInstrument) -> None:
    bids, asks, pair = instrument.bids, instrument.asks, instrument.pair
    for side in (bids, asks):
        assert len(side.prices) == len(side.sizes) == LEVELS
        assert all(price > 0 and price % pair.tick == 0 for price in side.prices)
        assert all(size > 0 and size % pair.lot == 0 for size in side.sizes)
    assert bids.prices == sorted(set(bids.prices), reverse=True)
    assert asks.prices == sorted(set(asks.prices))
    assert bids.prices[0] < asks.prices[0]


def check_trades(instrument: BinanceInstrument, market: BinanceMarket, last: int) -> int:
    day, before = instrument.day, market.time_ns(market.step - 1)
    for fill in instrument.fills:
        assert len({(trade.price, trade.time_ns, trade.maker) for trade in fill.trades}) == 1
        for trade in fill.trades:
            assert trade.id == last + 1
            assert before < trade.time_ns <= market.now_ns
            assert day.low <= trade.price <= day.high
            assert trade.quantity > 0
            assert trade.quantity % instrument.pair.lot == 0
            last = trade.id
    assert day.last == last
    assert day.low <= day.turnover // day.volume <= day.high
    assert day.low <= day.open <= day.high
    return last


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), pair=st.sampled_from(SAMPLE))
def test_books_stay_uncrossed_and_trades_are_numbered_and_inside_the_day(seed: int, pair: Pair) -> None:
    market = opened(seed, pair)
    (instrument,) = market.instruments.values()
    last = instrument.day.last
    check_book(instrument)
    for _ in range(300):
        market.advance()
        check_book(instrument)
        last = check_trades(instrument, market, last)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), pair=st.sampled_from(SAMPLE))
def test_the_changes_of_a_step_lead_from_book_to_book_and_have_an_update_id_each(seed: int, pair: Pair) -> None:
    market = opened(seed, pair)
    (instrument,) = market.instruments.values()
    for _ in range(200):
        book, update = levels(instrument), instrument.update
        market.advance()
        assert instrument.update == update + len(instrument.changes)
        for bid, price in instrument.changes:
            book[bid, price] = (instrument.bids if bid else instrument.asks).size_at(price)
        assert {level: size for level, size in book.items() if size} == levels(instrument)


def test_a_top_is_told_when_it_changes_and_the_last_one_is_the_books() -> None:
    market = opened(1, SAMPLE[0])
    (instrument,) = market.instruments.values()
    told = instrument.top()
    count = 0
    for _ in range(300):
        market.advance()
        for top in instrument.tops:
            assert top[1:] != told[1:]
            assert told.update < top.update <= instrument.update
            assert top.bid < top.ask
            told = top
            count += 1
        assert told[1:] == instrument.top()[1:]
    assert count > 100


def test_an_order_takes_the_best_price_of_its_side_first() -> None:
    market = opened(3, *(pair for pair in SAMPLE if pair.symbol == "XRPBTC"))  # so quiet that it acts once a step
    (instrument,) = market.instruments.values()
    sellers = buyers = 0
    while min(sellers, buyers) < 20:
        bid, ask = instrument.bids.prices[0], instrument.asks.prices[0]
        market.advance()
        prices = [fill.trades[0].price for fill in instrument.fills]
        for fill in instrument.fills[:1]:
            maker = fill.trades[0].maker
            assert prices[0] == (bid if maker else ask)
            assert prices == sorted(prices, reverse=maker)
            sellers, buyers = sellers + maker, buyers + (not maker)


def test_every_pair_acts_at_least_once_a_second() -> None:
    market = opened(1, *pairs())
    for _ in range(100):
        market.advance()
        assert all(market.step - each.moved_at < 10 for each in market.instruments.values())


def test_the_seed_decides_and_the_other_pairs_do_not() -> None:
    def run(seed: int, *listed: Pair) -> tuple[object, ...]:
        market = opened(seed, *listed)
        for _ in range(100):
            market.advance()
        instrument = market.instruments["XRPUSDT"]
        return instrument.update, instrument.day.turnover, tuple(levels(instrument).items())

    (xrp,) = [pair for pair in SAMPLE if pair.symbol == "XRPUSDT"]
    assert run(1, xrp) == run(1, *SAMPLE)
    assert run(1, xrp) != run(2, xrp)


@pytest.mark.parametrize(("start", "wanted"), [(None, START_NS), (5_000, 5_000), (0, 0)])
def test_the_clock_begins_when_the_market_opens_unless_a_start_is_given(start: int | None, wanted: int) -> None:
    market = BinanceMarket(1, start, STEP_NS, SAMPLE[:1])
    assert not market.opened
    market.open(START_NS)
    market.open(START_NS + 7)
    assert market.opened
    assert market.now_ns == wanted
    market.advance()
    assert market.now_ns == wanted + STEP_NS
    candle = market.instruments["BTCUSDT"].candle_builder.current("1m")
    assert candle.start <= market.now_ns < candle.end


def test_multiples_of_a_period_are_noticed_when_they_are_passed() -> None:
    market = opened(1, SAMPLE[0], start_ns=START_NS)  # at .208 of a second
    passed = []
    for _ in range(20):
        market.advance()
        passed.append(market.passed(1_000_000_000))
    assert [step for step, each in enumerate(passed, 1) if each] == [8, 18]


@pytest.mark.parametrize("levels", [1, 2, 7, 300, 5000])
@pytest.mark.parametrize("symbol", ["BTCUSDT", "SHIBUSDT"])
def test_a_book_may_be_shallow_or_deep_and_changes_at_every_depth(symbol: str, levels: int) -> None:
    pair = next(each for each in pairs() if each.symbol == symbol)
    market = BinanceMarket(2, START_NS, STEP_NS, [pair], levels)
    (instrument,) = market.instruments.values()
    between = 0
    for _ in range(150):
        market.advance()
        for side in (instrument.bids, instrument.asks):
            assert 1 <= len(side.prices) == len(side.sizes) <= levels
            assert min(side.prices) > 0
            assert side.prices == sorted(set(side.prices), reverse=side is instrument.bids)
        assert instrument.bids.prices[0] < instrument.asks.prices[0]
        changed = [price for is_bid, price in instrument.changes if not is_bid and instrument.asks.size_at(price)]
        between += sum(130 < instrument.asks.prices.index(price) < levels - 30 for price in changed)
    assert len(instrument.asks.prices) == levels
    assert between > 1 or levels < 300
    if symbol == "SHIBUSDT":
        assert len(instrument.bids.prices) <= pair.price  # there is no room for more below its price

"""The market's promises, over many seeds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedbus.sim.moex.catalogue import Security, securities
from feedbus.sim.moex.market import DEPTH, MoexInstrument, MoexMarket, Pace

SAMPLE = [security for security in securities() if security.secid in ("SBER", "AKRN", "TGKA", "LQDT", "VTBR")] + list(
    securities()[-2:]
)
STEP_NS = 250_000_000


def state(instrument: MoexInstrument) -> tuple[object, ...]:
    return (
        *instrument.bids.prices, *instrument.bids.sizes, *instrument.asks.prices, *instrument.asks.sizes,
        instrument.last, instrument.high, instrument.low, instrument.volume, instrument.turnover, instrument.trades,
        instrument.moved_at, instrument.ticked_at, instrument.traded_at,
    )  # fmt: skip


def check_book(instrument: MoexInstrument) -> None:
    bids, asks, tick = instrument.bids, instrument.asks, instrument.security.tick
    assert len(bids.prices) == len(bids.sizes) == len(asks.prices) == len(asks.sizes) == DEPTH
    assert bids.prices == sorted(set(bids.prices), reverse=True)
    assert asks.prices == sorted(set(asks.prices))
    assert bids.prices[-1] > 0
    assert bids.prices[0] < asks.prices[0]
    assert all(price % tick == 0 for price in (*bids.prices, *asks.prices))
    assert all(size >= 1 for size in (*bids.sizes, *asks.sizes))


def check_statistics(instrument: MoexInstrument, before: tuple[int, int, int], step: int) -> None:
    assert instrument.low <= instrument.last <= instrument.high
    assert instrument.low <= instrument.current <= instrument.high
    assert instrument.high_bid >= instrument.bids.prices[0]
    assert instrument.low_offer <= instrument.asks.prices[0]
    now = (instrument.volume, instrument.turnover, instrument.trades)
    traded = instrument.traded_at == step
    assert all(new > old if traded else new == old for new, old in zip(now, before, strict=True))
    assert instrument.low <= instrument.turnover / instrument.volume <= instrument.high


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), security=st.sampled_from(SAMPLE))
def test_books_stay_uncrossed_on_the_tick_grid_and_totals_only_grow(seed: int, security: Security) -> None:
    market = MoexMarket(seed, 0, STEP_NS, [security])
    instrument = market.instruments[security.symbol]
    check_book(instrument)
    for _ in range(400):
        before = (instrument.volume, instrument.turnover, instrument.trades)
        market.advance()
        check_book(instrument)
        check_statistics(instrument, before, market.step)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), rate=st.floats(1, 20))
def test_every_instrument_moves_each_second_and_its_statistics_are_due_every_three(seed: int, rate: float) -> None:
    market = MoexMarket(seed, 0, round(1e9 / rate), SAMPLE)
    moved = dict.fromkeys(market.instruments, 0)
    ticked = dict.fromkeys(market.instruments, 0)
    for _ in range(int(12 * rate)):
        market.advance()
        for symbol, instrument in market.instruments.items():
            if instrument.moved_at == market.step:
                moved[symbol] = market.step
            if instrument.ticked_at == market.step:
                assert instrument.moved_at == market.step
                ticked[symbol] = market.step
        assert all(market.step - step < max(rate, 1.001) for step in moved.values())
        assert all(market.step - step < 3 * rate for step in ticked.values())


@pytest.mark.parametrize("rate", [1.0, 1.1, 1.9, 2.0, 2.5, 4.0, 10.0])
def test_the_pace_keeps_both_promises_at_any_rate(rate: float) -> None:
    pace = Pace(rate)
    assert pace.quiet / rate <= 1
    assert (pace.at_latest + pace.quiet - 1) / rate < 3


def test_an_instruments_state_depends_on_seed_and_step_and_not_on_the_others() -> None:
    alone = MoexMarket(7, 0, STEP_NS, SAMPLE[2:3])
    among = MoexMarket(7, 10**18, STEP_NS, SAMPLE)
    other = MoexMarket(8, 0, STEP_NS, SAMPLE[2:3])
    symbol = SAMPLE[2].symbol
    for _ in range(300):
        for market in (alone, among, other):
            market.advance()
        assert state(alone.instruments[symbol]) == state(among.instruments[symbol])
    assert state(alone.instruments[symbol]) != state(other.instruments[symbol])


def test_busy_names_move_at_nearly_every_step_and_quiet_ones_about_once_a_second() -> None:
    market = MoexMarket(1, 0, STEP_NS, SAMPLE)
    busy = market.instruments["TQBR.SBER"]
    quiet = market.instruments[securities()[-1].symbol]
    moves = {busy: 0, quiet: 0}
    for _ in range(400):
        market.advance()
        for instrument in moves:
            moves[instrument] += instrument.moved_at == market.step
    assert moves[busy] > 350
    assert 100 <= moves[quiet] <= 160


def test_prices_walk_and_come_back() -> None:
    market = MoexMarket(3, 0, STEP_NS, SAMPLE)
    seen: dict[str, set[int]] = {symbol: set() for symbol in market.instruments}
    for _ in range(8000):
        market.advance()
        for symbol, instrument in market.instruments.items():
            seen[symbol].add(instrument.last)
    for symbol, prices in seen.items():
        security = market.instruments[symbol].security
        assert len(prices) > 3, symbol
        assert min(prices) > 0.9 * security.price, symbol
        assert max(prices) < 1.1 * security.price, symbol


def test_prints_are_the_trades_that_the_statistics_count_and_keeping_them_changes_nothing() -> None:
    keeping, plain = MoexMarket(7, 0, STEP_NS, SAMPLE, fills=64), MoexMarket(7, 0, STEP_NS, SAMPLE)
    before = {symbol: (each.trades, each.volume) for symbol, each in keeping.instruments.items()}
    counted = dict.fromkeys(keeping.instruments, 0)
    for _ in range(400):
        for market in (keeping, plain):
            market.advance()
        for symbol, instrument in keeping.instruments.items():
            assert state(instrument) == state(plain.instruments[symbol])
            assert instrument.fills is not None
            if instrument.traded_at == keeping.step:
                last = instrument.fills[-1]
                assert (last.step, last.price, last.number) == (keeping.step, instrument.last, instrument.trades)
                assert last.number == before[symbol][0] + last.trades
                assert last.lots * instrument.security.lot == instrument.volume - before[symbol][1]
                counted[symbol] += 1
            before[symbol] = instrument.trades, instrument.volume
    for symbol, instrument in keeping.instruments.items():
        assert instrument.fills is not None
        assert len(instrument.fills) == min(64, counted[symbol])
        assert {each.buy for each in instrument.fills} <= {True, False}
        assert plain.instruments[symbol].fills is None


def test_who_buys_trades_at_the_best_offer_and_who_sells_at_the_best_bid() -> None:
    market = MoexMarket(7, 0, STEP_NS, SAMPLE[:1], fills=1)
    (instrument,) = market.instruments.values()
    sides = set()
    for _ in range(300):
        bid, offer = instrument.bids.prices[0], instrument.asks.prices[0]
        market.advance()
        if instrument.traded_at == market.step:
            assert instrument.fills is not None
            last = instrument.fills[-1]
            assert last.price == (offer if last.buy else bid)
            sides.add(last.buy)
    assert sides == {True, False}


def test_the_clock_starts_at_the_first_opening_unless_a_start_was_given() -> None:
    free, fixed = MoexMarket(1, None, STEP_NS, SAMPLE), MoexMarket(1, 5_000_000_000, STEP_NS, SAMPLE)
    for market in (free, fixed):
        assert not market.opened
        market.await_opening(6_000_000_000)
        assert market.time_ms(0) == (5_000 if market is fixed else 6_000)
        market.open(7_000_000_000)
        market.open(9_000_000_000)
        market.await_opening(9_000_000_000)
        assert market.opened
    assert free.time_ms(2) == 7_500
    assert fixed.time_ms(2) == 5_500

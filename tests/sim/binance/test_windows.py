"""Rolling windows against a list of all trades."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from feedbus.sim.binance.candles import BinanceCandleBuilder, BinanceTrade
from feedbus.sim.binance.windows import AVERAGE_NS, MINUTE_NS, WINDOWS, BinanceWindows

START = 1_723_161_255_208_000_000
Step = tuple[int, int, int]
STEPS = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 1000), st.integers(1, 50)), min_size=1, max_size=30)


@given(steps=STEPS, length=st.sampled_from([AVERAGE_NS, WINDOWS["1h"]]))
def test_a_window_is_the_sum_of_its_trades_from_a_whole_minute_on(steps: list[Step], length: int) -> None:
    windows, builder, now = BinanceWindows(), BinanceCandleBuilder(START, 500), START
    trades = []
    for number, (pause_s, price, quantity) in enumerate(steps, 1):
        now += pause_s * 1_000_000_000
        builder.ended = []
        trades.append(BinanceTrade(number, now, price, quantity, maker=True))
        builder.add(trades[-1])
        windows.keep(builder)
    found = windows.window(length, builder, now)
    inside = [trade for trade in trades if trade.time_ns >= found.start]
    assert found.start % MINUTE_NS == 0
    assert length <= now - found.start < length + MINUTE_NS
    assert (found.trades, found.first, found.last) == (len(inside), inside[0].id, inside[-1].id)
    assert (found.open, found.close) == (inside[0].price, inside[-1].price)
    assert (found.high, found.low) == (max(t.price for t in inside), min(t.price for t in inside))
    assert found.volume == sum(trade.quantity for trade in inside)
